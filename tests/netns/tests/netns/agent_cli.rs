//! `apply`, `show` and `clear` by way of the agent: the same results as without one, for those who may.

use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Group, Pid, Uid, setgid, setgroups, setuid};
use serde_json::{Value, json};
use shaper_netns_tests::agent::Agent;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::contained;
use shaper_netns_tests::directory::Directory;
use shaper_netns_tests::named::Name;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::shaper::{self as binary, Exit, Output};
use shaper_netns_tests::world::{GONE_WITHIN, World};
use shaper_netns_tests::{kernel, wait};

/// Nobody's user.
const NOBODY: u32 = 65_534;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once("agent_cli_prints_and_does_what_it_does_without_an_agent", Load::Light, same)
            .deadline(Duration::from_secs(240)),
        Case::once("agent_cli_serves_members_of_its_group_and_nobody_else", Load::Light, members),
        Case::once(
            "agent_cli_finds_the_agent_at_the_default_socket_and_does_without",
            Load::Light,
            by_default,
        ),
        Case::once("agent_cli_means_no_other_namespace_than_the_caller", Load::Light, another),
        Case::once("agent_cli_says_that_no_agent_answers", Load::Light, unreachable),
        Case::once("agent_cli_orders_go_to_the_instance_that_has_the_namespace", Load::Light, in_turn),
        Case::once("agent_cli_takes_as_many_rules_as_there_may_be", Load::Alone, many)
            .deadline(Duration::from_secs(120)),
    ]
}

fn of(agent: &Agent) -> String {
    format!("unix:{}", agent.socket().display())
}

/// Runs a command by way of `agent`, or of none.
#[track_caller]
fn run(world: &World, agent: &str, words: &[&str]) -> Output {
    binary::run(world.command().args(words).args(["--agent", agent]))
}

/// What `world`, of which there is an equal one, has a name of its own for.
struct Subject<'w> {
    world: &'w World,
    name: Name,
    path: String,
    pid: String,
}

impl Subject<'_> {
    /// The words of a command, with this subject's names in the place of those that each has.
    fn words<'a>(&'a self, words: &'a str) -> Vec<&'a str> {
        let own = |word| match word {
            "NAME" => self.name.as_str(),
            "PATH" => self.path.as_str(),
            "PID" => self.pid.as_str(),
            word => word,
        };
        words.split(' ').map(own).collect()
    }

    /// What a command came to, with the same names for each subject. Other trials name namespaces, too.
    fn told(&self, output: &Output) -> (Exit, String, String) {
        let plain = |text: &str| {
            let text = text.replace(self.path.as_str(), "PATH").replace(&format!("pid {}", self.pid), "PID");
            let name = self.name.as_str();
            let text =
                text.replace(&format!("`{name}`"), "`NAME`").replace(&format!("\"{name}\""), "\"NAME\"");
            text.split("; there are: ").next().unwrap_or_default().to_owned()
        };
        (output.exit, plain(&output.stdout), plain(&output.stderr))
    }
}

/// A process in the network of a node; dropped, it is gone.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn in_the_network_of(world: &World) -> Self {
        let start = || Command::new("sleep").arg("600").stdin(Stdio::null()).spawn();
        Self(world.inst.run(start).expect("sleep is installed"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// All that the commands can be told, and that can be wrong with it, one after the other. Seeds are said, where they would be drawn.
const SCRIPT: &[&str] = &[
    "apply --ns NAME --latency 10ms",
    "apply --ns NAME --dev eth9 --latency 10ms",
    "apply --ns NAME --dev eth0 --latency 0ms",
    "apply --ns NAME --dev eth0 --latency 10ms --seed 1 --dry-run",
    "apply --ns NAME --dev eth0 --latency 10ms --seed 1",
    "apply --ns NAME --dev eth0 --latency 10ms --seed 1 --json",
    "apply --ns PATH --dev eth0 --latency 20ms --jitter 2ms --distribution normal --seed 1",
    "apply --pid PID --dev eth0 --distribution FILE --seed 1 --json",
    "apply --ns NAME --dev eth0 --to 10.77.0.2:443/tcp --loss 5% --seed 2 --json",
    "apply --ns NAME --dev eth0 --to [fd00::/64]:*/udp --filter drop --after 2h --for 3h --latency 1ms --seed 2",
    "clear --ns NAME --to [fd00::/64]:*/udp --json",
    "clear --ns NAME --to 10.99.0.1",
    "apply --ns NAME --dev eth0 --to 10.77.0.9",
    "apply --ns NAME --dev eth0 --filter reject --to 10.77.0.3 --dry-run --json",
    "apply --ns NAME --dev eth0 --direction both --bandwidth 10mbit --queue 64kb --seed 3 --dry-run",
    "apply --ns NAME --dev eth0 --direction both --latency 5ms --corrupt 1% --seed 3 --json",
    "apply --ns NAME --dev eth0 --direction ingress --latency 6ms --reorder 25% --seed 3",
    "apply --ns NAME --dev eth0 --down",
    "apply --ns NAME --dev eth0 --mtu 1400 --json",
    "apply --ns NAME --dev eth0 --latency 5ms --seed 4 --shape-neighbours --fail-closed --engine relay",
    // What was said of the link stays.
    "apply --ns NAME --dev eth0 --to 10.77.0.4 --latency 7ms --seed 4",
    "apply --ns NAME --dev eth0 --latency 5ms --shape-neighbours --engine edt",
    "apply --ns NAME --dev eth1 --latency 5ms --seed 4 --engine netem",
    "apply --ns NAME --dev eth1 --latency 5ms --seed 4 --engine edt",
    "apply --ns NAME --file RULES",
    "apply --ns NAME --file RULES --json",
    "apply --ns NAME --file RULES --dev eth1 --dry-run",
    "apply --ns NAME --file NONE --dry-run",
    "apply --ns NAME --file NONE",
    "apply --ns NAME --file BAD",
    "apply --ns NAME --file MISSING",
    "apply --ns NAME --dev eth0 --policy deny-all --keep 10.77.1.2 --dry-run",
    "apply --ns NAME --dev eth0 --policy deny-all --keep 10.77.1.2 --json",
    "apply --ns NAME --dev eth0 --policy deny-all --keep 10.98.0.1",
    "apply --ns NAME --dev eth0 --policy deny-all --latency 30ms --seed 5",
    "apply --ns NAME --policy allow-all --latency 30ms --dev eth0 --seed 5 --json",
    "apply --ns NAME --keep 10.77.1.2",
    "apply --ns NAME --dev eth0 --policy deny-all --for 5s",
    "apply --ns NAME --dev eth0 --address 10.77.0.7/24 --latency 30ms --seed 5",
    "apply --ns NAME --dev eth0 --policy deny-all --address 10.77.0.8/24 --json",
    "apply --ns NAME --dev eth0 --address 10.78.0.8/24 --latency 30ms",
    "clear --ns NAME --json",
    "clear --ns NAME",
    "apply --pid PID --dev lo --latency 1ms --seed 1 --direction both",
    "clear --pid PID",
    "apply --ns shaper-test-no-such-namespace --latency 1ms",
    "show --ns shaper-test-no-such-namespace",
    "clear --ns shaper-test-no-such-namespace",
    "apply --ns /proc/self/no/such/file --latency 1ms",
    "apply --ns /proc/self/status --latency 1ms",
    "apply --pid 4194305 --latency 1ms",
    "show --pid 4194305 --json",
    "clear --pid 4194305",
    "show --as toml",
    "clear --all --to 10.0.0.1",
];

fn same(_: &Context) {
    let files = Directory::new();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("a file can be written in a directory of our own");
        path.display().to_string()
    };
    let delays: String = (0..400).map(|n| format!("{}ms\n", 10 + n % 37)).collect();
    let delays = file("delays.dist", &delays);
    let rules = format!(
        "dev = \"eth0\"\nseed = 7\ndirection = \"both\"\n[[rules]]\ndistribution = \"{delays}\"\n\
         [[rules]]\nto = \"10.77.0.2\"\ndistribution = \"{delays}\"\n\
         [[rules]]\nto = \"10.77.0.0/24:80/tcp\"\nfilter = \"reset\"\ndirection = \"egress\"\n"
    );
    let rules = file("rules.toml", &rules);
    let none = file("none.yaml", "rules: []\ndev: eth0\n");
    let bad = file("bad.json", r#"{"rules": [{"latancy": "1ms"}]}"#);

    let (one, other) = (World::with_links(2), World::with_links(2));
    // In a namespace of neither: the other end of a link would be found there.
    let elsewhere = Node::new("elsewhere", 9);
    let agent = Agent::start(&elsewhere, other.command(), &[]);
    let by_agent = of(&agent);
    let sleepers = [&one, &other].map(Sleeper::in_the_network_of);
    let subject = |world, sleeper: &Sleeper| Subject {
        world,
        name: Name::give(&world.inst),
        path: world.inst.path().display().to_string(),
        pid: sleeper.pid(),
    };
    let subjects = [subject(&one, &sleepers[0]), subject(&other, &sleepers[1])];
    for line in SCRIPT {
        let line = line.replace("FILE", &delays).replace("RULES", &rules).replace("NONE", &none);
        let line = line.replace("BAD", &bad).replace("MISSING", "/no/such/file.toml");
        let [without, with] = ["none", &by_agent].map(|agent| {
            let subject = if agent == "none" { &subjects[0] } else { &subjects[1] };
            subject.told(&run(subject.world, agent, &subject.words(&line)))
        });
        assert_eq!(without, with, "`{line}` without the agent and with it");
        if with.0 == Exit::Done && !line.contains("--dry-run") {
            looks_the_same(&subjects[1], &by_agent);
            assert_eq!(
                told_rules(&subjects[0], "none"),
                told_rules(&subjects[1], &by_agent),
                "after `{line}`"
            );
        }
    }
    assert!(agent.log().contains("looking after it"), "{}", agent.log());
}

/// Behind these, a line tells of time that goes on.
const GOES_ON: [&str; 7] = [" for ", "drop in ", "\"time_left\"", "\"after\"", "\"for\"", "for: ", "after: "];

fn still(text: &str) -> String {
    let of_line = |line: &str| {
        let end = GOES_ON.iter().filter_map(|mark| line.find(mark)).min();
        format!("{}\n", &line[..end.unwrap_or(line.len())])
    };
    text.lines().map(of_line).collect()
}

/// What is shown is to the byte what the command shows by itself, once nothing moves.
#[track_caller]
fn looks_the_same(subject: &Subject<'_>, agent: &str) {
    for words in [
        "show --ns NAME",
        "show --pid PID --json",
        "show --ns PATH --as yaml",
        "show --ns NAME --as json --dev eth0",
    ] {
        let look = |agent: &str| {
            let output = run(subject.world, agent, &subject.words(words));
            (output.exit, still(&output.stdout), output.stderr)
        };
        wait::until(&format!("`{words}` says the same with and without the agent"), GONE_WITHIN, || {
            (look(agent) == look("none")).then_some(())
        });
    }
}

fn told_rules(subject: &Subject<'_>, agent: &str) -> Value {
    let output = run(subject.world, agent, &subject.words("show --ns NAME --as json --dev eth0"));
    if output.exit != Exit::Done {
        return Value::Null;
    }
    let mut told = output.json();
    for rule in told["rules"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        rule.remove("for");
        rule.remove("after");
    }
    told
}

/// A command of a user without privileges, with one more group.
fn of_nobody(mut command: Command, group: Option<Gid>) -> Command {
    let groups: Vec<Gid> = group.into_iter().collect();
    let become_nobody = move || {
        setgroups(&groups)?;
        setgid(Gid::from_raw(NOBODY))?;
        Ok(setuid(Uid::from_raw(NOBODY))?)
    };
    // SAFETY: between fork and exec this makes system calls only, with values it owns.
    unsafe { command.pre_exec(become_nobody) };
    command
}

fn members(_: &Context) {
    let world = World::new();
    let before = world.snapshot();
    // Any group that the machine has, but root's.
    let group = (1..100).find_map(|gid| Group::from_gid(Gid::from_raw(gid)).ok().flatten()).expect("a group");
    let agent = Agent::start(&world.peer, world.command(), &["--group", &group.name]);
    let by_agent = of(&agent);
    let name = Name::give(&world.inst);
    let sleeper = Sleeper::in_the_network_of(&world);
    let pid = sleeper.pid();
    let run = |gid: Option<Gid>, words: &[&str]| {
        let mut command = world.command();
        command.args(words).args(["--agent", &by_agent]);
        binary::run(&mut of_nobody(command, gid))
    };
    let member = |words: &[&str]| run(Some(group.gid), words).expect(Exit::Done);
    member(&["apply", "--ns", name.as_str(), "--latency", "5ms"]);
    assert!(member(&["show", "--ns", name.as_str()]).stdout.contains("latency 5ms"));
    // It may not look at another user's process, and the agent may.
    member(&["apply", "--pid", &pid, "--latency", "6ms"]);
    assert!(member(&["show", "--pid", &pid, "--as", "toml"]).stdout.contains("6ms"));
    let refused = run(None, &["clear", "--ns", name.as_str()]).expect(Exit::Permission);
    assert!(
        refused.stderr.contains(&by_agent["unix:".len()..]) && refused.stderr.contains("--group"),
        "{refused}"
    );
    assert_eq!(world.show().attachments(), 1);
    member(&["clear", "--ns", name.as_str()]);
    before.expect_same(&world.snapshot());
}

/// In a container of its own, where the default socket and all namespaces are the trial's.
fn by_default(_: &Context) {
    const SCRIPT: &str = r#"
        set -e
        socket=/run/shaper/agent.sock
        $SHAPER apply --ns inst-1 --latency 1ms >/dev/null && echo without
        $SHAPER agent 2>/run/log & agent=$!
        until grep -q ready /run/log; do sleep 0.05; done
        $SHAPER apply --ns inst-1 --latency 2ms
        $SHAPER show --json | grep -c '"latency": "2ms"'
        grep -c 'order="make"' /run/log
        $SHAPER clear --all
        grep -c 'order="clear"' /run/log
        $SHAPER --version >/dev/null
        kill -KILL $agent; wait $agent || true
        test -S $socket && echo stale
        $SHAPER apply --ns inst-1 --latency 3ms
        $SHAPER clear --ns inst-1 --agent unix:$socket || echo code $?
        $SHAPER clear --all
    "#;
    let world = World::new();
    let before = world.snapshot();
    let mut command = contained::command(&world.inst, "inst-1", Path::new("/bin/sh"));
    command.args(["-c", SCRIPT]).env("SHAPER", binary::binary()).env(binary::AGENT, "auto");
    let output = binary::run(&mut command).expect(Exit::Done);
    let expected = "without\n\
        changed: egress of `eth0` in `inst-1`: latency 2ms (engine ENGINE)\n1\n1\n\
        cleared: egress of `eth0` in `inst-1`\n2\nstale\n\
        added: egress of `eth0` in `inst-1`: latency 3ms (engine ENGINE)\ncode 5\n\
        cleared: egress of `eth0` in `inst-1`\n";
    let told = ["edt", "netem", "relay"].iter().fold(output.stdout.clone(), |text, engine| {
        text.replace(&format!("(engine {engine})"), "(engine ENGINE)")
    });
    // The container's own namespace is one of all.
    let told = told.replace("\n3\nstale", "\n2\nstale");
    assert_eq!(told, expected, "{output}");
    world.expect_restored(&before, &Default::default());
}

fn another(_: &Context) {
    let world = World::new();
    let before = world.snapshot();
    let agent = Agent::start(&world.peer, world.command(), &[]);
    let by_agent = of(&agent);
    // In there, process 1 is the command itself, and outside it is somebody else.
    let contained = |words: &[&str]| {
        let mut command = contained::command(&world.inst, "inst-1", &binary::binary());
        binary::run(command.args(words).args(["--agent", &by_agent]))
    };
    for words in [["show", "--ns", "/proc/self/ns/net"], ["clear", "--ns", "/proc/self/ns/net"]] {
        let output = contained(&words).expect(Exit::Usage);
        assert!(output.stderr.contains("is another network namespace here"), "{output}");
        assert!(output.stderr.contains("--agent none"), "{output}");
    }
    // Where nobody may look at the machine's process 1, that is said.
    let output = contained(&["apply", "--pid", "1", "--latency", "1ms"]);
    assert!(matches!(output.exit, Exit::Usage | Exit::Permission), "{output}");
    let output = contained(&["apply", "--ns", "inst-1", "--latency", "1ms"]).expect(Exit::Usage);
    assert!(output.stderr.contains("there is no network namespace `inst-1`"), "{output}");
    // As a caller that may not look at the process, and numbers processes by itself.
    let own = std::fs::metadata("/proc/self/ns/pid").expect("/proc is mounted");
    let from = |ino: u64| {
        use std::os::unix::fs::MetadataExt as _;
        let from = format!("{}:{ino}", own.dev());
        let place = json!({ "pid": std::process::id(), "seen_from": from });
        let wanted = json!({ "config": {}, "rules": "keep" });
        agent.call(
            "POST",
            "/v1/apply",
            &json!({ "namespace": place, "wanted": wanted, "dry_run": true }).to_string(),
        )
    };
    let (status, body) = from(1);
    assert!(status == 400 && body.contains("is another network namespace here"), "{status} {body}");
    use std::os::unix::fs::MetadataExt as _;
    let (_, body) = from(own.ino());
    assert!(!body.contains("is another network namespace here"), "{body}");
    before.expect_same(&world.snapshot());
}

fn unreachable(_: &Context) {
    let world = World::new();
    let path = world.inst.path().display().to_string();
    let directory = Directory::new();
    let none = directory.path().join("none.sock");
    let stale = directory.path().join("stale.sock");
    drop(UnixListener::bind(&stale).expect("a socket can be made in a directory of our own"));
    for socket in [&none, &stale] {
        for words in
            [&["apply", "--ns", &path, "--latency", "1ms"][..], &["show", "--ns", &path], &["clear", "--all"]]
        {
            let output = run(&world, &format!("unix:{}", socket.display()), words).expect(Exit::Unreachable);
            assert!(output.stderr.contains(&socket.display().to_string()), "{output}");
            assert!(output.stdout.is_empty(), "{output}");
        }
    }
    // What is no agent.
    let other = directory.path().join("other.sock");
    let listener = UnixListener::bind(&other).expect("a socket can be made in a directory of our own");
    let hang_up = std::thread::spawn(move || listener.incoming().take(2).for_each(drop));
    run(&world, &format!("unix:{}", other.display()), &["show", "--ns", &path]).expect(Exit::Unreachable);
    hang_up.join().expect("it does not panic");
    // One that has stopped.
    let agent = Agent::start(&world.peer, world.command(), &[]);
    let pid = Pid::from_raw(agent.pid());
    kill(pid, Signal::SIGSTOP).expect("our own child can be stopped");
    let output = run(&world, &of(&agent), &["show", "--ns", &path]).expect(Exit::Unreachable);
    assert!(output.stderr.contains("does not answer"), "{output}");
    kill(pid, Signal::SIGCONT).expect("our own child can go on");
    run(&world, &of(&agent), &["show", "--ns", &path]).expect(Exit::Done);
}

fn in_turn(_: &Context) {
    let world = World::new();
    let agent = Agent::start(&world.peer, world.command(), &[]);
    agent.register("inst", &json!({ "ns": world.inst.path() }));
    let by_agent = of(&agent);
    let sleeper = Sleeper::in_the_network_of(&world);
    let name = Name::give(&world.inst);
    let pid = sleeper.pid();
    std::thread::scope(|scope| {
        for nth in 1..=8 {
            let (by_agent, name, pid, world) = (&by_agent, &name, &pid, &world);
            scope.spawn(move || {
                let latency = format!("{nth}ms");
                let whose = if nth % 2 == 0 { ["--ns", name.as_str()] } else { ["--pid", pid] };
                run(world, by_agent, &["apply", whose[0], whose[1], "--latency", &latency])
                    .expect(Exit::Done);
            });
        }
    });
    let log = agent.log();
    let orders = log.lines().filter(|line| line.contains("an order instance=inst "));
    assert_eq!(orders.count(), 8, "{log}");
    let (_, metrics) = agent.call("GET", "/metrics", "");
    assert!(metrics.contains("shaper_instances 1\n") && metrics.contains("instance=\"inst\""), "{metrics}");

    // Nobody looks after what is named by its process alone, once that is done.
    let other = World::new();
    let sleeper = Sleeper::in_the_network_of(&other);
    run(&other, &by_agent, &["apply", "--pid", &sleeper.pid(), "--latency", "1ms"]).expect(Exit::Done);
    run(&other, &by_agent, &["clear", "--pid", &sleeper.pid()]).expect(Exit::Done);
    let (_, metrics) = agent.call("GET", "/metrics", "");
    assert!(metrics.contains("shaper_instances 1\n"), "{metrics}");
    assert!(agent.log().contains("an order instance=net:["), "{}", agent.log());
    run(&world, &by_agent, &["clear", "--pid", &pid]).expect(Exit::Done);
}

fn many(_: &Context) {
    // On the one processor of User-mode Linux a rule takes ten times as long.
    let count = if kernel::is_user_mode() { 4_096 } else { shaper::rules::RULES_MAX };
    let world = World::new();
    let files = Directory::new();
    let delays: String = (0..400).map(|n| format!("{}ms\n", 10 + n % 37)).collect();
    std::fs::write(files.path().join("delays.dist"), delays).expect("a directory of our own");
    let delays = files.path().join("delays.dist").display().to_string();
    let rule = |n: usize| {
        let to = format!("10.{}.{}.{}", 80 + (n >> 16), n >> 8 & 0xff, n & 0xff);
        format!(r#"{{"to": "{to}", "distribution": "{delays}", "loss": "1%", "seed": {n}}}"#)
    };
    let rules: Vec<String> = (0..count).map(rule).collect();
    let path = files.path().join("rules.json");
    std::fs::write(&path, format!(r#"{{"rules": [{}]}}"#, rules.join(",\n")))
        .expect("a directory of our own");
    let agent = Agent::start(&world.peer, world.command(), &[]);
    let inst = world.inst.path().display().to_string();
    let words = ["apply", "--ns", &inst, "--file", &path.display().to_string()];
    let run = |world: &World, agent: &str, words: &[&str]| {
        binary::run_within(world.command().args(words).args(["--agent", agent]), Duration::from_secs(60))
    };
    let output = run(&world, &of(&agent), &words).expect(Exit::Done);
    assert!(output.stdout.contains(&format!("{count} rules")), "{output}");
    let output = run(&world, "none", &words).expect(Exit::Done);
    assert!(output.stdout.starts_with("unchanged"), "{output}");
    let text = |agent: &str| run(&world, agent, &["show", "--ns", &inst]).expect(Exit::Done).stdout;
    let lines = |text: &str| text.lines().filter(|line| line.starts_with("  to ")).count();
    assert_eq!(lines(&text(&of(&agent))), count);
    run(&world, &of(&agent), &["clear", "--ns", &inst]).expect(Exit::Done);
}
