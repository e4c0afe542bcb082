//! Delays from a file: packets wait as long, and as often as long, as those that somebody measured.

use std::path::PathBuf;
use std::time::Duration;

use shaper::measure::stats::kolmogorov;
use shaper::measure::udp;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, kernel, undisturbed};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("distribution_of_samples_from_a_file", Load::Timing, samples).each_family(),
        Case::each_engine("distribution_table_comes_and_goes", Load::Light, comes_and_goes),
    ]
}

/// A file that ends with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, context: &Context, content: &str) -> Self {
        let (pid, engine, family) = (std::process::id(), context.engine(), context.family());
        let name = format!("shaper-test-{pid}-{engine}-{family:?}-{name}");
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("the directory for temporary files is writable");
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Two paths: seven packets of ten take 7 to 13 ms, the others 27 to 33 ms. Each is wide, so that lateness is a small part of it.
fn bimodal() -> Vec<u64> {
    let path = |least_ns: u64, count: u64| (0..count).map(move |nth| least_ns + 6_000_000 * nth / count);
    path(7_000_000, 700).chain(path(27_000_000, 300)).collect()
}

fn text(delays_ns: &[u64]) -> String {
    let lines: String = delays_ns.iter().map(|ns| format!("{ns}\n")).collect();
    format!("# unit: ns\n{lines}")
}

/// As in the tests of jitter: what the machine can send and receive with time to spare.
fn train(engine: Engine) -> udp::Train {
    let (count, interval) = match (kernel::is_user_mode(), engine) {
        (false, _) => (4000, Duration::from_micros(500)),
        (true, Engine::Edt | Engine::Netem) => (2000, Duration::from_millis(1)),
        (true, Engine::Relay) => (2000, Duration::from_millis(2)),
    };
    udp::Train { count, interval, ..Default::default() }
}

fn samples(context: &Context) {
    let engine = context.engine();
    let asked = bimodal();
    let file = Scratch::new("bimodal", context, &text(&asked));
    let world = World::over(context.family());
    world.baseline_ns();
    let unshaped = world.train(&udp::Train { count: 500, ..train(engine) }).delay().expect("packets arrived");
    world.apply(engine, &["--distribution", file.name()]);
    undisturbed::reading(|| {
        let report = world.train(&train(engine));
        assert_eq!(report.missing(), [0_usize; 0], "of {} packets", report.sent());
        let path_ns = unshaped.p50 as u64;
        let delays: Vec<u64> = report.delays_ns().iter().map(|ns| ns.saturating_sub(path_ns)).collect();
        let distance = kolmogorov::distance(&delays, &asked).expect("packets arrived");
        let critical = kolmogorov::critical_999(delays.len() as f64, asked.len() as f64);
        dice::below(&format!("{engine}, distance of delays and samples"), distance, critical)
    });
}

/// The table is read back from the kernel, is known again, and leaves with its rule.
fn comes_and_goes(context: &Context) {
    let engine = context.engine();
    let bimodal = Scratch::new("samples", context, &text(&bimodal()));
    let table = Scratch::new("table.dist", context, "-8192 -8192 0 16384\n");
    let world = World::new();
    world.apply(engine, &["--distribution", bimodal.name(), "--seed", "3"]);
    let again = world.apply(engine, &["--distribution", bimodal.name(), "--seed", "3"]);
    assert!(again.stdout.contains("unchanged"), "{again}");
    let show = world.shaper("show", &[]);
    assert!(show.stdout.contains("latency 15.994ms, jitter 9.324805ms "), "{show}");
    assert!(show.stdout.contains("table (4096 values, mean 0.000, deviation 1.000)"), "{show}");

    // A second table beside it, then another rule: each rule keeps its own.
    let other = ["--to", "10.9.8.7", "--latency", "40ms", "--jitter", "5ms", "--distribution", table.name()];
    world.apply(engine, &other);
    world.apply(engine, &["--to", "10.9.8.6", "--latency", "1ms"]);
    let toml = world.shaper("show", &["--as", "toml"]).stdout;
    let told: Vec<&str> = toml.lines().filter(|line| line.starts_with("distribution = \"table:")).collect();
    assert_eq!(told.len(), 2, "{toml}");
    assert_ne!(told[0], told[1]);

    // What was told is applied without the files, and says the same.
    let rules = Scratch::new("rules.toml", context, &toml);
    drop((bimodal, table));
    let same = world.apply(engine, &["-f", rules.name()]);
    assert!(same.stdout.contains("unchanged"), "{same}");
    assert_eq!(world.shaper("show", &["--as", "toml"]).stdout, toml);

    world.apply(engine, &["--latency", "20ms", "--jitter", "2ms"]);
    world.shaper("clear", &["--to", "10.9.8.7"]);
    let toml = world.shaper("show", &["--as", "toml"]).stdout;
    assert!(!toml.contains("table:"), "{toml}");
}
