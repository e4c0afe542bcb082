use clap::CommandFactory;
use proptest::prelude::*;

use super::*;
use crate::policy::Policy;
use crate::shape::{Chance, Direction, Distribution, EngineChoice, Parts, any_shape};
use crate::target::Target;
use crate::units::{Delay, Overhead};

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::read(line.split_whitespace().map(OsString::from)).map(|cli| cli.command)
}

fn apply(line: &str) -> ApplyArgs {
    match parse(line) {
        Ok(Command::Apply(args)) => *args,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_example_in_the_help_parses() {
    let mut examples = 0;
    let mut root = Cli::command();
    let names: Vec<String> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut texts = vec![root.render_long_help().to_string()];
    for name in names {
        texts.push(root.find_subcommand_mut(&name).expect("listed above").render_long_help().to_string());
    }
    for line in texts.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("  shaper ")) {
        // Behind it another program reads.
        let line = line.split(['|', '>']).next().unwrap_or(line);
        parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        examples += 1;
    }
    assert!(examples >= 12, "only {examples} examples found");
}

#[test]
fn apply_takes_every_flag_of_the_issue() {
    let args = apply(
        "shaper apply --ns inst-1 --latency 100ms --jitter 10ms --distribution ParetoNormal --bandwidth 10mbit --queue 64kb \
         --dev eth0 --direction both --engine relay --seed 7 --for 30s --dry-run --json",
    );
    assert_eq!(args.target.target(), Some(Target::Name("inst-1".to_owned())));
    assert_eq!(args.dev.as_deref(), Some("eth0"));
    assert_eq!((args.direction, args.engine), (Direction::Both, EngineChoice::Relay));
    assert_eq!(args.time_limit, Some(Delay::from_secs(30)));
    assert!(args.dry_run && args.json);
    let shape = args.shape.shape().unwrap();
    assert_eq!(shape.distribution(), Distribution::ParetoNormal);
    assert_eq!(shape.queue().unwrap().to_string(), "64Kb");
    assert_eq!(shape.seed(), Some(7));
}

#[test]
fn every_part_of_a_shape_has_a_flag() {
    let shape = |flags: &str| apply(&format!("shaper apply --self {flags}")).shape.shape().unwrap();
    let one = shape(
        "--latency 40ms --jitter 5ms --jitter-correlation 25% --reorder 5% --reorder-correlation 50% --reorder-gap 5 \
         --bandwidth 10mbit --queue 50ms --burst 32kb --overhead -14b,48b,5b --ecn 5ms --loss 1% --loss-correlation 20% \
         --duplicate 2% --duplicate-correlation 10% --corrupt 0.1% --corrupt-correlation 5%",
    );
    let chance = |chance: Option<Chance>| {
        chance.map(|chance| format!("{} {}", chance.probability, chance.correlation))
    };
    assert_eq!(one.loss().unwrap().to_string(), "loss 1% correlation 20%");
    assert_eq!(chance(one.duplicate()).unwrap(), "2% 10%");
    assert_eq!(chance(one.corrupt()).unwrap(), "0.1% 5%");
    assert_eq!((chance(one.reorder()).unwrap(), one.reorder_gap()), ("5% 50%".to_owned(), 5));
    assert_eq!(one.jitter_correlation().to_string(), "25%");
    assert_eq!(one.burst().unwrap().to_string(), "32Kb");
    assert_eq!(one.overhead().unwrap(), Overhead { packet: -14, cell: 48, cell_packet: 5 });
    assert_eq!(one.ecn(), Some(Delay::from_ms(5)));

    assert!(shape("--latency 2ms --jitter 1ms --keep-order").keep_order());
    for (flags, loss) in [
        ("--loss-gemodel 1%,10%", "loss-gemodel 1%,10%,100%,0%"),
        ("--loss-state 1%,10%,5%", "loss-state 1%,10%,5%,100%,0%"),
        ("--loss-pattern 0010", "loss-pattern 0010"),
    ] {
        assert_eq!(shape(flags).loss().unwrap().to_string(), loss);
    }
}

proptest! {
    #[test]
    fn flags_say_what_a_shape_is(shape in any_shape()) {
        let flags = Parts::from(shape).flags().join(" ");
        prop_assert_eq!(apply(&format!("shaper apply --self {flags}")).shape.shape(), Ok(shape));
    }
}

#[test]
fn a_policy_comes_alone_or_with_a_shape() {
    let args = apply("shaper apply --self --policy deny-all --keep 192.0.2.7 --keep 2001:db8::/32");
    assert_eq!(args.policy.policy, Some(Policy::DenyAll));
    let keep: Vec<String> = args.policy.keep.iter().map(ToString::to_string).collect();
    assert_eq!(keep, ["192.0.2.7", "2001:db8::/32"]);
    assert_eq!(args.shape.parts(), Ok(Parts::default()));
    let args = apply("shaper apply --self --policy ALLOW-ALL --latency 1ms --for 3s");
    assert_eq!((args.policy.policy, args.policy.keep), (Some(Policy::AllowAll), Vec::new()));
    assert!(args.shape.shape().is_ok());
}

#[test]
fn tc_users_find_their_names() {
    let args = apply("shaper apply --self --delay 5ms --rate 1mbit");
    assert_eq!(args.target.target(), Some(Target::Own));
    assert_eq!((args.direction, args.engine), (Direction::Egress, EngineChoice::Auto));
    let shape = args.shape.shape().unwrap();
    assert_eq!(shape.latency(), Delay::from_ms(5));
    assert_eq!(shape.bandwidth().unwrap().to_string(), "1Mbit");
}

#[test]
fn a_slash_makes_a_path() {
    let target = |line: &str| apply(line).target.target().unwrap();
    assert_eq!(target("shaper apply --ns /run/netns/x --latency 1ms"), Target::Path("/run/netns/x".into()));
    let here = std::env::current_dir().unwrap();
    assert_eq!(target("shaper apply --ns ./x --latency 1ms"), Target::Path(here.join("x")));
    assert_eq!(target("shaper apply --pid 1 --latency 1ms"), Target::Pid(1));
}

#[test]
fn an_agent_is_a_socket_or_none() {
    let agent = |line: &str| apply(line).by.agent;
    assert_eq!(agent("shaper apply --self --agent none"), AgentAt::None);
    assert_eq!(agent("shaper apply --self --agent auto"), AgentAt::Auto);
    assert_eq!(agent("shaper apply --self --agent unix:/x/y"), AgentAt::Unix("/x/y".into()));
    for bad in ["/x/y", "unix:", "http://127.0.0.1:1", "other"] {
        assert!(parse(&format!("shaper show --agent {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn show_takes_no_target_or_one() {
    for (line, expected) in [("shaper show", None), ("shaper show --pid 7", Some(Target::Pid(7)))] {
        match parse(line) {
            Ok(Command::Show(args)) => assert_eq!(args.target.target(), expected),
            other => panic!("{line}: {other:?}"),
        }
    }
    assert!(parse("shaper show --pid 7 --self").is_err());
}

#[test]
fn the_agent_follows_the_runtime_that_is_said_or_the_usual_one() {
    let docker = |line: &str| match parse(line) {
        Ok(Command::Agent(args)) => args.docker,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(docker("shaper agent"), None);
    assert_eq!(docker("shaper agent --docker --json"), Some(None));
    assert_eq!(docker("shaper agent --docker unix:/run/podman.sock"), Some(Some("/run/podman.sock".into())));
    assert!(parse("shaper agent --docker tcp://127.0.0.1:2375").is_err());
}

#[test]
fn every_command_with_a_target_takes_a_container_in_its_place() {
    for line in ["apply --latency 1ms", "show", "clear", "trace"] {
        let line = format!("shaper {line} --container web-1");
        let target = match parse(&line) {
            Ok(Command::Apply(args)) => args.target,
            Ok(Command::Show(args)) => args.target,
            Ok(Command::Clear(args)) => args.target,
            Ok(Command::Trace(args)) => args.target,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!((target.container.as_deref(), target.target()), (Some("web-1"), None));
        assert!(parse(&format!("{line} --pid 7")).is_err(), "{line}");
    }
}

#[test]
fn demo_has_a_shape_of_its_own() {
    for (line, latency, seed) in [
        ("shaper demo", DEMO_LATENCY, None),
        ("shaper demo --seed 3", DEMO_LATENCY, Some(3)),
        ("shaper demo --delay 1ms", Delay::from_ms(1), None),
    ] {
        match parse(line) {
            Ok(Command::Demo(args)) => {
                let shape = args.shape.shape_or(DEMO_LATENCY).unwrap();
                assert_eq!((shape.latency(), shape.seed()), (latency, seed), "{line}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn relay_takes_what_apply_gives_it() {
    let line = "shaper relay --tap-fd 3 --packet-fd 4 --report-fd 5 --ready-fd 6 --direction ingress --ifindex 2 --tether /run/netns/x --netns-dev 4 --netns-ino 9";
    match parse(line) {
        Ok(Command::Relay(args)) => assert_eq!((args.tap_fd, args.direction), (3, Direction::Ingress)),
        other => panic!("{other:?}"),
    }
}
