//! What a bottleneck can do beyond its rate: marks, bursts, and the bytes that packets take on it.

use std::fs;
use std::time::Duration;

use shaper::measure::{tcp, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::family::Family;
use shaper_netns_tests::tolerance;
use shaper_netns_tests::undisturbed;
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("overhead_is_paid_for_each_packet", Load::Timing, overhead),
        Case::each_engine("cells_are_paid_for_whole", Load::Timing, cells),
        Case::each_engine("a_burst_goes_at_once_after_idleness", Load::Alone, burst).except(Engine::Netem),
        Case::each_engine("marks_keep_the_queue_short_without_a_drop", Load::Alone, marks)
            .except(Engine::Netem),
    ]
    .map(Case::each_family)
    .into()
}

const RATE: f64 = 4e6;
const PAYLOAD: usize = 1000;

/// How long a packet's frame is.
fn frame(family: Family) -> usize {
    PAYLOAD + tolerance::udp_headers(family)
}

fn overhead(context: &Context) {
    flood(context, "500b", frame(context.family()) + 500);
}

/// As ATM sends it: a trailer of 8 bytes, cells of 48 bytes, 5 more for each.
fn cells(context: &Context) {
    flood(context, "8b,48b,5b", (frame(context.family()) + 8).div_ceil(48) * 53);
}

/// A flood leaves at the rate, counted in what each packet takes.
fn flood(context: &Context, overhead: &str, bytes: usize) {
    undisturbed::reading(|| {
        let world = World::over(context.family());
        world.baseline_ns();
        world.apply(context.engine(), &["--bandwidth", "4mbit", "--overhead", overhead]);
        let headers = tolerance::udp_headers(context.family());
        let train = udp::Train::at_rate(2 * RATE as u64, headers, PAYLOAD, Duration::from_secs(2));
        let report = world.train(&train);
        let rate = report.arrival_rate().expect("packets arrived") * bytes as f64 * 8.0;
        let said = format!(
            "{} overhead {overhead}: {:.4} Mbit/s of {bytes} bytes each",
            context.engine(),
            rate / 1e6
        );
        println!("{said}");
        undisturbed::check((), (rate / RATE - 1.0).abs() <= tolerance::GOODPUT_SHARE, |()| said)
    });
}

/// Ten packets at once, of which the saved-up time pays for some; the others take their turn.
fn burst(context: &Context) {
    const COUNT: usize = 10;
    const BURST: usize = 5 * 1024;
    let packet_ns = tolerance::serialisation_ns(frame(context.family()), RATE);
    let saved_ns = tolerance::serialisation_ns(BURST, RATE);
    undisturbed::reading(|| {
        // A link of its own for each reading: one that has just sent a train has saved up nothing.
        let world = World::over(context.family());
        let baseline_ns = world.baseline_ns();
        world.apply(context.engine(), &["--bandwidth", "4mbit", "--burst", "5kb"]);
        let train =
            udp::Train { count: COUNT, payload: PAYLOAD, interval: Duration::ZERO, ..Default::default() };
        let report = world.train(&train);
        let delays = report.delays_by_sequence();
        let mut off: Vec<f64> = (1..=COUNT)
            .zip(delays)
            .map(|(nth, delay)| {
                let expected = (nth as f64 * packet_ns - saved_ns).max(0.0) + baseline_ns / 2.0;
                (delay.expect("no packet is dropped") as f64 - expected).abs()
            })
            .collect();
        off.sort_by(f64::total_cmp);
        // Not the worst: the sender stamps the train once, and User-mode Linux takes 30 us to send each of its packets.
        let median = off[COUNT / 2];
        let said = format!(
            "{}: {:.3} ms off, a packet takes {:.3} ms",
            context.engine(),
            median / 1e6,
            packet_ns / 1e6
        );
        println!("{said}");
        undisturbed::check((), median <= tolerance::RTT_MEDIAN_NS, |()| format!("{said}: {report:?}"))
    });
}

/// A sender that knows ECN slows down at the mark, so that nothing is dropped and nobody waits for the whole queue.
fn marks(context: &Context) {
    let world = World::over(context.family());
    world.baseline_ns();
    for node in [&world.inst, &world.peer] {
        node.run(|| fs::write("/proc/sys/net/ipv4/tcp_ecn", "1")).expect("TCP can be told to use ECN");
    }
    world.apply(context.engine(), &["--bandwidth", "10mbit", "--queue", "200ms", "--ecn", "20ms"]);
    let bulk = tcp::Bulk { warm_up: Duration::from_secs(1), duration: Duration::from_secs(2) };
    let report = world.tcp(1, &bulk);
    let show = world.show();
    let (marked, drops) = (show.marked("egress"), show.queue_drops("egress"));
    let flow = &report.flows[0];
    println!("{}: {marked} marked, {drops} dropped, round trip {} us", context.engine(), flow.rtt_us);
    assert!(marked > 0);
    assert_eq!((drops, flow.retransmits), (0, 0), "{report:?}");
    assert!(flow.rtt_us <= RTT_MAX_US, "{report:?}");
    let goodput = report.goodput_bits_per_sec();
    assert!(
        goodput >= LEAST_SHARE * tolerance::goodput_bits_per_sec(context.family(), 10e6),
        "{goodput} bit/s"
    );
}

/// A sender hears of a mark a round trip later, and has by then sent as much again as was waiting: twice the threshold.
const RTT_MAX_US: u32 = 40_000;
/// Marks must not starve the link: what is left of the window after one (CUBIC: 0.7, RFC 9438) still fills it, but for moments.
const LEAST_SHARE: f64 = 0.9;
