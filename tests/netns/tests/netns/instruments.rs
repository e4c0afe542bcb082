//! The instruments themselves, on links whose behaviour is known without `shaper`.

use std::time::Duration;

use shaper::measure::{ping, tcp, udp};
use shaper::netlink::Message;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::tolerance;
use shaper_netns_tests::undisturbed;
use shaper_netns_tests::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::once("instruments_ping_an_unshaped_veth_in_microseconds", Load::Alone, ping_is_quick),
        Case::once("instruments_ping_pipelines_requests", Load::Light, ping_pipelines),
        Case::once("instruments_a_train_crosses_an_unshaped_veth_whole", Load::Timing, train_is_whole)
            .each_family(),
        Case::once("instruments_a_counted_train_loses_nothing_by_itself", Load::Alone, counted_is_whole)
            .each_family(),
        Case::once("instruments_tcp_moves_gigabits_without_repeats", Load::Alone, tcp_is_fast).each_family(),
        Case::once("instruments_tcp_reads_the_rate_that_tbf_lets_through", Load::Alone, tcp_reads_tbf)
            .each_family(),
        Case::once("instruments_a_train_reads_the_rate_and_the_queue_of_tbf", Load::Timing, train_reads_tbf)
            .each_family(),
    ]
}

/// A veth hands the packet over in softirq: tens of microseconds, and a reading of the instrument's own overhead.
fn ping_is_quick(_: &Context) {
    const VETH_RTT_MAX_NS: f64 = 0.5e6;
    let world = World::new();
    for destination in [world.peer.ipv4(0), world.peer.ipv6(0)] {
        let train = ping::Train { count: 100, interval: Duration::from_millis(1), ..Default::default() };
        undisturbed::reading(|| {
            let rtt = world.ping_to(destination, &train).expect_all();
            println!("{destination}: median {:.1} us, p99 {:.1} us", rtt.p50 / 1e3, rtt.p99 / 1e3);
            undisturbed::check((), rtt.p50 < VETH_RTT_MAX_NS, |()| format!("{rtt:?}"))
        });
    }
}

/// Nobody answers at an address of the link that no one has: every request is sent at its time and none waits for another.
fn ping_pipelines(_: &Context) {
    let world = World::new();
    let nobody = "10.77.0.99".parse().expect("an address");
    let train = ping::Train {
        count: 20,
        interval: Duration::from_millis(5),
        timeout: Duration::from_millis(300),
        payload: 56,
    };
    let least = 19 * train.interval + train.timeout;
    undisturbed::reading(|| {
        let start = std::time::Instant::now();
        let pings = world.ping_to(nobody, &train);
        let took = start.elapsed();
        assert!(pings.rtt_ns.iter().all(Option::is_none));
        assert!(took >= least, "{took:?}, at least {least:?} expected");
        undisturbed::check(took, took < least + train.timeout, |took| {
            format!("{took:?}, hardly more than {least:?} expected")
        })
    });
}

fn train_is_whole(context: &Context) {
    let world = World::over(context.family());
    world.baseline_ns();
    let train =
        udp::Train { count: 1000, payload: 100, interval: Duration::from_millis(1), ..Default::default() };
    // 999 intervals of exactly 1 ms between the scheduled departures; both ends may be noticed late.
    let share = tolerance::WORST_WAKEUP.as_secs_f64() / 0.999;
    undisturbed::reading(|| {
        let report = world.train(&train);
        assert_eq!((report.sent(), report.lost(), report.reordered(), report.duplicates()), (1000, 0, 0, 0));
        let rate = report.arrival_rate().expect("packets arrived");
        undisturbed::check(rate, (rate / 1000.0 - 1.0).abs() <= share, |rate| {
            format!("{rate} packets/s, 1000 sent")
        })
    });
}

/// As fast as the receiver takes them, both ways: what a counted train lacks later is the shape's doing.
fn counted_is_whole(context: &Context) {
    let world = World::over(context.family());
    for way in [Way::Out, Way::In] {
        let report = fates::send(&world, way, &fates::train(Engine::Edt));
        let rate = report.arrival_rate().expect("packets arrived");
        println!("{way:?}: {} packets, {:.0} in a millisecond", report.sent(), rate / 1e3);
        assert_eq!((report.missing(), report.duplicates(), report.reordered()), (vec![], 0, 0), "{way:?}");
    }
}

fn tcp_is_fast(context: &Context) {
    let world = World::over(context.family());
    let bulk = tcp::Bulk { warm_up: Duration::from_millis(300), duration: Duration::from_secs(1) };
    for flows in [1, 4] {
        undisturbed::reading(|| {
            let report = world.tcp(flows, &bulk);
            println!(
                "{flows} flows: {:.2} Gbit/s, {:.4} % repeated",
                report.goodput_bits_per_sec() / 1e9,
                report.retransmit_share() * 100.0
            );
            assert_eq!(report.flows.len(), flows);
            let is_good = report.goodput_bits_per_sec() > 0.5e9
                && report.retransmit_share() < tolerance::REPEATED_SHARE_MAX;
            undisturbed::check((), is_good, |()| format!("{report:?}"))
        });
    }
}

const TBF_RATE: f64 = 20e6;
const TBF_BURST_BYTES: u32 = 3 * 1514;
const TBF_LIMIT_BYTES: u32 = 60_000;

fn tcp_reads_tbf(context: &Context) {
    let world = World::over(context.family());
    world.baseline_ns();
    add_tbf(&world);
    let bulk = tcp::Bulk { warm_up: Duration::from_secs(1), duration: Duration::from_secs(3) };
    let expected = tolerance::goodput_bits_per_sec(context.family(), TBF_RATE);
    undisturbed::reading(|| {
        let goodput = world.tcp(1, &bulk).goodput_bits_per_sec();
        println!("{:.3} Mbit/s read, {:.3} expected", goodput / 1e6, expected / 1e6);
        let is_good = (goodput / expected - 1.0).abs() < tolerance::GOODPUT_SHARE;
        undisturbed::check((), is_good, |()| format!("{goodput} read, {expected} expected"))
    });
}

fn train_reads_tbf(context: &Context) {
    let world = World::over(context.family());
    world.baseline_ns();
    add_tbf(&world);
    let payload = 1000;
    let headers = tolerance::udp_headers(context.family());
    let frame = payload + headers;
    // The bucket's burst passes at once, on top of the rate.
    let burst_share = f64::from(TBF_BURST_BYTES) * 8.0 / TBF_RATE;
    let full_queue = tolerance::serialisation_ns(TBF_LIMIT_BYTES as usize + frame, TBF_RATE);
    let slack = tolerance::WORST_WAKEUP.as_nanos() as f64;
    let train = udp::Train::at_rate(2 * TBF_RATE as u64, headers, payload, Duration::from_secs(1));
    undisturbed::reading(|| {
        let report = world.train(&train);
        assert_eq!(report.receiver_drops, 0, "the instrument must keep up");
        let rate = report.arrival_rate().expect("packets arrived") * frame as f64 * 8.0;
        let worst = report.delay().expect("packets arrived").max;
        let said = format!(
            "{rate} bit/s; at worst {worst} ns, a full queue is {full_queue} ns; {} lost of {}",
            report.lost(),
            report.sent()
        );
        println!("{said}");
        let is_at_rate = (rate / TBF_RATE - 1.0).abs() < burst_share + tolerance::GOODPUT_SHARE;
        let is_full = worst > full_queue / 2.0 && worst < full_queue + slack;
        let is_flooded = report.lost() > report.sent() / 3;
        undisturbed::check((), is_at_rate && is_full && is_flooded, |()| said)
    });
}

/// `tc qdisc add dev eth0 root tbf rate 20mbit burst 4542 limit 60000`
fn add_tbf(world: &World) {
    // linux/pkt_sched.h: struct tc_tbf_qopt is two struct tc_ratespec, then limit, buffer and mtu.
    const TCA_KIND: u16 = 1;
    const TCA_OPTIONS: u16 = 2;
    const TCA_TBF_PARMS: u16 = 1;
    const TCA_TBF_BURST: u16 = 6;
    const TC_H_ROOT: u32 = 0xffff_ffff;
    const TC_LINKLAYER_ETHERNET: u8 = 1;
    let device = world.inst.device("eth0");
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut message = Message::new(libc::RTM_NEWQDISC, flags, "add tbf", "");
    let mut tcmsg = [0; 20];
    tcmsg[4..8].copy_from_slice(&device.ifindex.to_ne_bytes());
    tcmsg[12..16].copy_from_slice(&TC_H_ROOT.to_ne_bytes());
    let bytes_per_sec = (TBF_RATE / 8.0) as u32;
    // The buffer is a time in ticks of 64 ns.
    let buffer_ticks = (f64::from(TBF_BURST_BYTES) / f64::from(bytes_per_sec) * 1e9 / 64.0) as u32;
    let mut parms = [0; 36];
    parms[1] = TC_LINKLAYER_ETHERNET;
    parms[8..12].copy_from_slice(&bytes_per_sec.to_ne_bytes());
    parms[24..28].copy_from_slice(&TBF_LIMIT_BYTES.to_ne_bytes());
    parms[28..32].copy_from_slice(&buffer_ticks.to_ne_bytes());
    message.body_mut().raw(&tcmsg).attr_str(TCA_KIND, "tbf").nest(TCA_OPTIONS, |options| {
        options.attr(TCA_TBF_PARMS, &parms).attr_u32(TCA_TBF_BURST, TBF_BURST_BYTES);
    });
    world.inst.request(message);
    // A packet larger than the burst would never leave; one frame must be one packet.
    let whole_frames = shaper::netlink::link::Settings { gso_max_segs: Some(1), ..Default::default() };
    world.inst.request(shaper::netlink::link::set(&device, &whole_frames));
}
