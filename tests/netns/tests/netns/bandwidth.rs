//! Bandwidth: the goodput is the rate less headers, and the queue in front of it as long as asked.

use std::time::Duration;

use shaper::measure::{tcp, udp};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::tolerance::{self, FULL_FRAME};
use shaper_netns_tests::world::World;
use shaper_netns_tests::{kernel, progress, undisturbed};

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("bandwidth_1mbit_goodput", Load::Timing, |c| goodput(c, "1mbit", 1e6, 2, 6)),
        Case::each_engine("bandwidth_10mbit_goodput", Load::Timing, |c| goodput(c, "10mbit", 10e6, 1, 3)),
        Case::each_engine("bandwidth_100mbit_goodput", Load::Alone, |c| goodput(c, "100mbit", 100e6, 1, 3)),
        Case::each_engine("bandwidth_1gbit_goodput", Load::Alone, |c| goodput(c, "1gbit", 1e9, 1, 2)).when(
            || {
                // One processor without a JIT spends more than a gigabit's time on sending, receiving and shaping at once.
                if kernel::is_user_mode() {
                    Err("User-mode Linux is too slow for 1 Gbit/s".into())
                } else {
                    Ok(())
                }
            },
        ),
        Case::each_engine("bandwidth_10mbit_ingress_goodput", Load::Alone, ingress_goodput),
        Case::each_engine("bandwidth_queue_bounds_the_delay_and_counts_drops", Load::Alone, queue_in_time),
        Case::each_engine("bandwidth_queue_in_bytes_bounds_the_delay", Load::Alone, queue_in_bytes),
        Case::each_engine("bandwidth_idle_link_delays_by_one_packet_time", Load::Timing, idle),
    ]
    .map(Case::each_family)
    .into()
}

fn goodput(context: &Context, bandwidth: &str, rate: f64, warm_up_s: u64, duration_s: u64) {
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(context.engine(), &["--bandwidth", bandwidth]);
    let bulk =
        tcp::Bulk { warm_up: Duration::from_secs(warm_up_s), duration: Duration::from_secs(duration_s) };
    check_goodput(context, &world.tcp(1, &bulk), bandwidth, rate);
}

fn ingress_goodput(context: &Context) {
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(context.engine(), &["--bandwidth", "10mbit", "--direction", "ingress"]);
    let buffers = tcp::Buffers::default();
    let listener = world.inst.tcp_listener(world.origin(), buffers);
    let callers = world.peer.tcp_callers(&listener, 1, buffers);
    progress::note("receiving over TCP");
    let bulk = tcp::Bulk { warm_up: Duration::from_secs(2), duration: Duration::from_secs(3) };
    let report = tcp::run(&listener, callers, &bulk).unwrap_or_else(|error| panic!("{error}"));
    check_goodput(context, &report, "10mbit ingress", 10e6);
}

fn check_goodput(context: &Context, report: &tcp::Report, what: &str, rate: f64) {
    let goodput = report.goodput_bits_per_sec();
    let expected = tolerance::goodput_bits_per_sec(context.family(), rate);
    let share = goodput / expected - 1.0;
    println!(
        "{} {what}: {:.4} Mbit/s, {:+.2} % off, {:.2} % repeated",
        context.engine(),
        goodput / 1e6,
        share * 100.0,
        report.retransmit_share() * 100.0
    );
    assert!(share.abs() <= tolerance::GOODPUT_SHARE, "{goodput} bit/s, {expected} expected: {report:?}");
}

/// Low enough that a flood at twice the rate is no work for the slowest kernel.
const RATE: f64 = 4e6;
const LATENCY_NS: f64 = 20e6;

/// Of full frames: the limit of `netem` is a number of packets, sized for these.
fn payload(family: Family) -> usize {
    FULL_FRAME - tolerance::udp_headers(family)
}

fn queue_in_time(context: &Context) {
    check_queue(context, "60ms", 60e6);
}

fn queue_in_bytes(context: &Context) {
    // tc's `kb` is 1024 bytes.
    check_queue(context, "32kb", tolerance::serialisation_ns(32 * 1024, RATE));
}

/// A flood at twice the rate keeps the queue full: no packet waits longer than the queue, and what found it full is counted.
fn check_queue(context: &Context, queue: &str, queue_ns: f64) {
    let family = context.family();
    let (headers, payload) = (tolerance::udp_headers(family), payload(family));
    let packet_ns = tolerance::serialisation_ns(FULL_FRAME, RATE);
    let bound = LATENCY_NS + queue_ns + packet_ns;
    undisturbed::reading(|| {
        let world = World::over(context.family());
        world.baseline_ns();
        world.apply(context.engine(), &["--bandwidth", "4mbit", "--queue", queue, "--latency", "20ms"]);
        let report =
            world.train(&udp::Train::at_rate(2 * RATE as u64, headers, payload, Duration::from_secs(2)));
        assert_eq!(report.receiver_drops, 0, "the instrument must keep up");
        let drops = world.show().queue_drops("egress");
        let delay = report.delay().expect("packets arrived");
        let rate = report.arrival_rate().expect("packets arrived") * FULL_FRAME as f64 * 8.0;
        let said = format!(
            "{} queue {queue}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms, bound {:.2} ms; {:.3} Mbit/s; {drops} dropped, {} lost of {}",
            context.engine(),
            delay.p50 / 1e6,
            delay.p99 / 1e6,
            delay.max / 1e6,
            bound / 1e6,
            rate / 1e6,
            report.lost(),
            report.sent(),
        );
        println!("{said}");
        // One packet of the namespace's own amid the train, such as a multicast report, may be dropped as well.
        let is_counted = drops == report.lost() as u64;
        // Full for most of the train: a queue cut short would drop more and delay less.
        let is_full = delay.p50 >= LATENCY_NS + queue_ns - 2.0 * packet_ns;
        // User-mode Linux stands still for longer than a packet takes, time and again.
        let quantile = if kernel::is_user_mode() { delay.p50 } else { delay.p99 };
        let is_bounded = quantile <= bound + tolerance::RTT_MEDIAN_NS;
        let is_at_rate = (rate / RATE - 1.0).abs() <= tolerance::GOODPUT_SHARE;
        undisturbed::check((), is_full && is_bounded && is_at_rate && is_counted, |()| said)
    });
}

/// An idle bottleneck sends a packet at once; it takes its own length at the rate, no more.
fn idle(context: &Context) {
    let world = World::over(context.family());
    world.baseline_ns();
    let payload = payload(context.family());
    let train = udp::Train { count: 200, payload, interval: Duration::from_millis(5), ..Default::default() };
    let unshaped = world.train(&train).delay().expect("packets arrived");
    world.apply(context.engine(), &["--bandwidth", "4mbit"]);
    let packet_ns = tolerance::serialisation_ns(FULL_FRAME, RATE);
    undisturbed::reading(|| {
        let report = world.train(&train);
        assert_eq!(report.missing(), [0_usize; 0], "every packet arrives");
        let longer_ns = report.delay().expect("packets arrived").p50 - unshaped.min;
        println!("{}: {:+.3} ms, a packet is {:.3} ms", context.engine(), longer_ns / 1e6, packet_ns / 1e6);
        let is_good = (longer_ns - packet_ns).abs() <= tolerance::RTT_MEDIAN_NS;
        undisturbed::check((), is_good, |()| format!("{longer_ns} ns longer, a packet is {packet_ns} ns"))
    });
}
