//! Every effect of a command, failed and killed in turn: a failed command leaves the namespace as it was, and the next command
//! finishes or undoes what a killed one began.
//!
//! The binary is built with `fault-injection`, and counts its effects itself: a number beyond the last one changes nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use shaper::measure::ping;
use shaper::netlink::link;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::{self, Engine};
use shaper_netns_tests::shaper::{self as binary, Exit, Output};
use shaper_netns_tests::snapshot::Snapshot;
use shaper_netns_tests::world::{GONE_WITHIN, World};
use shaper_netns_tests::{bpf, kernel, process, progress, wait};

/// The kernel frees them one by one, each after a grace period, and those of other trials before.
const FREED_WITHIN: Duration = Duration::from_secs(30);

/// No command has more effects.
const STEPS_MAX: usize = 200;

/// Three rules, of which [`OTHERS`] keeps none as it is: one is changed, one goes, one loses its shape.
const RULES: &str = r#"{"seed": 1, "direction": "both", "rules": [
    {"to": "10.77.0.0/24", "latency": "3ms"},
    {"to": "10.77.1.1", "latency": "40ms", "jitter": "2ms"},
    {"to": "10.77.1.2", "bandwidth": "10mbit"}]}"#;

/// What it takes to put them on: a wider queue, new leaves, the filters that finish checksums and that answer.
const OTHERS: &str = r#"{"seed": 2, "direction": "both", "rules": [
    {"to": "10.77.0.0/24", "latency": "9ms"},
    {"to": "10.77.1.1", "filter": "reject"},
    {"to": "10.77.1.3", "latency": "2s", "bandwidth": "1gbit"},
    {"to": "10.77.1.4", "corrupt": "1%"}]}"#;

const LITTLE: &[&str] = &["--latency", "3ms", "--seed", "1"];
const MORE: &[&str] = &["--latency", "9ms", "--seed", "2"];
const BOTH: &[&str] = &["--direction", "both"];
/// Packets are shaped one by one, for which GSO is switched off.
const SINGLE: &[&str] = &["--loss", "0.0001%"];

/// Round trips with [`LITTLE`] and with [`MORE`], on egress alone.
const LITTLE_NS: (f64, f64) = (3e6, 9e6);
const MORE_NS: (f64, f64) = (9e6, f64::INFINITY);

/// Some of these run a hundred commands and more, each of which waits for a command's programs and maps to be freed. They load the
/// one processor of User-mode Linux, so there they run alone.
const DEADLINE: Duration = Duration::from_secs(600);

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("each_fault_of_a_first_apply_on_egress", Load::Timing, |c| first(c, "egress")),
        Case::each_engine("each_fault_of_a_first_apply_on_ingress", Load::Timing, |c| first(c, "ingress")),
        Case::each_engine("each_fault_of_a_first_apply_on_both", Load::Timing, |c| first(c, "both")),
        Case::each_engine("each_fault_of_a_change", Load::Timing, change),
        Case::each_engine("each_fault_of_a_swap_of_rules", Load::Timing, swap),
        Case::each_engine("each_fault_of_another_engine", Load::Timing, other_engine).when(has_another),
        Case::each_engine("each_fault_of_a_change_to_single_packets", Load::Timing, single_packets),
        Case::each_engine("each_fault_on_the_loopback", Load::Timing, loopback).only(Engine::Relay),
        Case::each_engine("each_fault_of_a_new_relay", Load::Timing, new_relay).only(Engine::Relay),
        Case::each_engine("each_fault_of_an_apply_with_a_policy", Load::Timing, policy).only(Engine::Relay),
        Case::each_engine("each_fault_of_a_clear", Load::Timing, clear),
        Case::each_engine("each_fault_of_a_clear_of_one_rule", Load::Timing, clear_one),
    ]
    // The steps of relay are the same on every kernel; in User-mode Linux, where each takes ten times as long, they are not gone again.
    .map(|case| if kernel::is_user_mode() { case.except(Engine::Relay) } else { case })
    .map(|case| case.deadline(DEADLINE))
    .into()
}

fn first(context: &Context, direction: &'static str) {
    let args = ["--latency", "3ms", "--jitter", "1ms", "--corrupt", "0.001%", "--seed", "1"];
    let apply = apply(context.engine(), &[&args, &["--direction", direction]]);
    Trial::new(Vec::new(), apply).run();
}

fn change(context: &Context) {
    let engine = context.engine();
    let (had, wanted) = (apply(engine, &[LITTLE, BOTH]), apply(engine, &[MORE, BOTH]));
    Trial { rtt: Some((2, LITTLE_NS, MORE_NS)), ..Trial::new(vec![had], wanted) }.run();
}

fn swap(context: &Context) {
    let (had, wanted) = (file(RULES), file(OTHERS));
    let apply_file = |file: &Rules| apply(context.engine(), &[&["--file", file.path.as_str()]]);
    let (had, wanted) = (apply_file(&had), apply_file(&wanted));
    Trial { rtt: Some((2, LITTLE_NS, MORE_NS)), ..Trial::new(vec![had], wanted) }.run();
}

fn other_engine(context: &Context) {
    // From another one each, so that all come and go.
    let other = match context.engine() {
        Engine::Edt => Engine::Relay,
        Engine::Netem | Engine::Relay => Engine::Edt,
    };
    let had = apply(other, &[LITTLE, SINGLE, BOTH]);
    let wanted = apply(context.engine(), &[MORE, SINGLE, BOTH]);
    let trial = Trial::new(vec![had], wanted);
    Trial { is_made_anew: true, rtt: Some((2, LITTLE_NS, MORE_NS)), ..trial }.run();
}

fn has_another() -> Result<(), String> {
    if Engine::ALL.into_iter().all(|engine| engine::available(engine).is_ok()) {
        return Ok(());
    }
    Err("this kernel has not all engines to go from one to another".into())
}

/// Forth and back: GSO is switched off, and on again.
fn single_packets(context: &Context) {
    let (whole, single) = (apply(context.engine(), &[LITTLE]), apply(context.engine(), &[MORE, SINGLE]));
    Trial { rtt: Some((1, LITTLE_NS, MORE_NS)), ..Trial::new(vec![whole.clone()], single.clone()) }.run();
    let wanted = (0.0, LITTLE_NS.1);
    Trial { rtt: Some((1, MORE_NS, wanted)), ..Trial::new(vec![single], whole) }.run();
}

fn loopback(context: &Context) {
    let lo = &["--dev", "lo", "--direction", "both"];
    Trial::new(Vec::new(), apply(context.engine(), &[LITTLE, lo])).run();
}

/// The relays are dead, and packets pass.
fn new_relay(context: &Context) {
    let (had, wanted) = (apply(context.engine(), &[LITTLE, BOTH]), apply(context.engine(), &[MORE, BOTH]));
    let trial = Trial::new(vec![had], wanted);
    Trial { relays_are_dead: true, rtt: Some((2, (0.0, LITTLE_NS.0), MORE_NS)), ..trial }.run();
}

fn policy(context: &Context) {
    let apply = apply(context.engine(), &[LITTLE, &["--policy", "deny-all"]]);
    Trial::new(Vec::new(), apply).run();
}

fn clear(context: &Context) {
    let had = apply(context.engine(), &[LITTLE, SINGLE, BOTH]);
    let clear = Command { verb: "clear", args: Vec::new() };
    Trial { goes_on: true, ..Trial::new(vec![had], clear) }.run();
}

fn clear_one(context: &Context) {
    let for_one = apply(context.engine(), &[&["--to", "10.77.0.2"], MORE, SINGLE, BOTH]);
    let clear = Command { verb: "clear", args: vec!["--to".into(), "10.77.0.2".into()] };
    let beside = vec![apply(context.engine(), &[LITTLE, BOTH]), for_one.clone()];
    Trial { rtt: Some((2, MORE_NS, LITTLE_NS)), ..Trial::new(beside, clear.clone()) }.run();
    // The last one goes with all the rest.
    Trial { is_made_anew: true, ..Trial::new(vec![for_one], clear) }.run();
}

#[derive(Clone, Debug)]
struct Command {
    verb: &'static str,
    args: Vec<String>,
}

fn apply(engine: Engine, args: &[&[&str]]) -> Command {
    let args = [&[&["--engine", engine.name()][..]], args].concat().concat();
    Command { verb: "apply", args: args.into_iter().map(str::to_owned).collect() }
}

/// A file that has no name, and a path that any process can open as long as this one has it.
struct Rules {
    path: String,
    _file: File,
}

fn file(text: &str) -> Rules {
    let mut file = File::from(memfd_create(c"rules.json", MFdFlags::empty()).expect("memory"));
    file.write_all(text.as_bytes()).expect("memory");
    Rules { path: format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()), _file: file }
}

/// How often a packet is held on its way there and back, and the least and the most that takes each time, before and after.
type Rtt = (u32, (f64, f64), (f64, f64));

/// A command whose every effect goes wrong once in each way.
struct Trial {
    /// What makes the state that the command changes.
    had: Vec<Command>,
    command: Command,
    /// What was there is taken away and, on a failure, made anew: the same to its user, under other numbers.
    is_made_anew: bool,
    /// Its relays are killed.
    relays_are_dead: bool,
    /// A failed command is not taken back; the next one goes on with it.
    goes_on: bool,
    /// What round trips take.
    rtt: Option<Rtt>,
}

impl Trial {
    fn new(had: Vec<Command>, command: Command) -> Self {
        Self { had, command, is_made_anew: false, relays_are_dead: false, goes_on: false, rtt: None }
    }

    fn run(&self) {
        let world = World::new();
        world.baseline_ns();
        let clean = State::of(&world);
        let mut objects = bpf::Objects::default();
        self.prepare(&world);
        let had = State::of(&world);
        self.run_command(&world, "").expect(Exit::Done);
        objects.extend(world.bpf_objects());
        let wanted = State::of(&world);
        assert_ne!(wanted.rules, had.rules, "the command changes something");
        clear_all(&world, &clean);

        self.prepare(&world);
        let failures = self.fail_each(&world, &clean, &State::of(&world));
        clear_all(&world, &clean);
        let kills = self.kill_each(&world, &clean, &wanted, &mut objects);
        let engine = self.command.args.get(1).map_or("", String::as_str);
        println!("{} {engine}: {failures} effects refused, killed at {kills}", self.command.verb);
        assert!(failures >= kills && kills > 0, "faults are injected: {failures}, {kills}");
        clear_and_free(&world, &clean, &mut objects);
    }

    fn fail_each(&self, world: &World, clean: &State, had: &State) -> usize {
        for step in 1..STEPS_MAX {
            let output = self.run_command(world, &format!("fail:{step}"));
            if output.exit == Exit::Done {
                return step - 1;
            }
            progress::note(format!("looking at what is left of {}", output.stderr.trim()));
            let output = output.expect(Exit::Failed);
            let told = &output.stderr;
            assert!(told.contains("cannot ") && !told.contains("undoing"), "fail:{step}: {output}");
            assert!(
                ["ENOMEM", "Cannot allocate", "out of memory", "Out of memory"]
                    .iter()
                    .any(|word| told.contains(word)),
                "fail:{step}: {output}"
            );
            println!("fail:{step}: {}", told.trim());
            if self.goes_on {
                clear_all(world, clean);
                self.prepare(world);
                continue;
            }
            had.expect_same(world, self.is_made_anew);
            if let Some((times, before, _)) = self.rtt {
                expect_rtt(world, times, before);
            }
        }
        panic!("a command has more than {STEPS_MAX} effects");
    }

    fn kill_each(&self, world: &World, clean: &State, wanted: &State, objects: &mut bpf::Objects) -> usize {
        // Killed before an effect or behind the one before it: what is left is the same. Where a command takes ten times as long, it is
        // finished from every other place, and taken away from those between.
        let every = if kernel::is_user_mode() { 2 } else { 1 };
        for step in 1..STEPS_MAX {
            println!("kill:{step}");
            self.prepare(world);
            let output = self.run_command(world, &format!("kill:{step}"));
            objects.extend(world.bpf_objects());
            if output.exit == Exit::Done {
                clear_all(world, clean);
                return step - 1;
            }
            output.expect(Exit::Other(None));
            if step % every == 0 {
                self.run_command(world, "").expect(Exit::Done);
                objects.extend(world.bpf_objects());
                wanted.expect_same(world, true);
                if let Some((times, _, after)) = self.rtt {
                    expect_rtt(world, times, after);
                }
            }
            clear_and_free(world, clean, objects);

            if step % every == 0 {
                println!("killafter:{step}");
                self.prepare(world);
                self.run_command(world, &format!("killafter:{step}")).expect(Exit::Other(None));
                objects.extend(world.bpf_objects());
                clear_and_free(world, clean, objects);
            }
        }
        panic!("a command has more than {STEPS_MAX} effects");
    }

    fn prepare(&self, world: &World) {
        for command in &self.had {
            run(world, command, "").expect(Exit::Done);
        }
        if self.relays_are_dead {
            world.processes().into_iter().for_each(process::kill_now);
            // The kernel takes the TAP away with the last descriptor, when the process looks dead already.
            wait::until("the TAPs are gone with the relays", GONE_WITHIN, || {
                let links = link::dump(&mut world.inst.socket()).unwrap_or_else(|error| panic!("{error}"));
                links.iter().all(|link| !link.name.starts_with("shp-")).then_some(())
            });
        }
    }

    fn run_command(&self, world: &World, fault: &str) -> Output {
        run(world, &self.command, fault)
    }
}

fn run(world: &World, command: &Command, fault: &str) -> Output {
    let Command { verb, args } = command;
    let mut shaper = world.command();
    binary::run(shaper.env("SHAPER_FAULT", fault).arg(verb).arg("--ns").arg(world.inst.path()).args(args))
}

fn clear_all(world: &World, clean: &State) {
    world.clear();
    clean.expect_same(world, false);
}

fn clear_and_free(world: &World, clean: &State, objects: &mut bpf::Objects) {
    clear_all(world, clean);
    // Each time, or the kernel of a slow machine does nothing else any more.
    wait::until("the programs and maps are freed", FREED_WITHIN, || objects.are_gone().then_some(()));
    *objects = bpf::Objects::default();
}

/// What a trial compares.
struct State {
    snapshot: Snapshot,
    rules: String,
    sysctls: BTreeMap<String, String>,
    processes: usize,
}

impl State {
    fn of(world: &World) -> Self {
        Self {
            snapshot: world.snapshot(),
            rules: rules(world),
            sysctls: sysctls(world),
            processes: world.processes().len(),
        }
    }

    #[track_caller]
    fn expect_same(&self, world: &World, under_other_numbers: bool) {
        if !under_other_numbers {
            self.snapshot.expect_same(&world.snapshot());
        }
        assert_eq!(self.rules, rules(world));
        assert_eq!(self.sysctls, sysctls(world));
        wait::until("as many processes run as did", GONE_WITHIN, || {
            (world.processes().len() == self.processes).then_some(())
        });
    }
}

/// The rules in force, as `apply --file` takes them; nothing where there are none.
fn rules(world: &World) -> String {
    let output = world.shaper("show", &["--as", "json"]);
    if output.exit == Exit::Done { output.stdout } else { String::new() }
}

fn sysctls(world: &World) -> BTreeMap<String, String> {
    let settings = ["lo", "eth0"].map(|link| {
        ["route_localnet", "accept_local"].map(|name| format!("/proc/sys/net/ipv4/conf/{link}/{name}"))
    });
    let read = |path: String| {
        let value = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        (path, value)
    };
    world.inst.run(|| settings.into_iter().flatten().map(read).collect())
}

/// Some packets take as long as they should; late they may be, on a machine that has more to do.
fn expect_rtt(world: &World, times: u32, (least_ns, most_ns): (f64, f64)) {
    let train = ping::Train { count: 2, interval: Duration::from_millis(1), ..Default::default() };
    let (least_ns, most_ns) = (f64::from(times) * least_ns, f64::from(times) * most_ns);
    wait::until("packets take their time", GONE_WITHIN, || {
        let rtt = world.ping(&train).expect_all();
        assert!(rtt.min >= least_ns, "{} ns, not {least_ns}", rtt.min);
        (rtt.min < most_ns).then_some(())
    });
}
