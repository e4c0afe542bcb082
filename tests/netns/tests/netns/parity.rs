//! Parity: the engines that decide with our core do to each packet what the core says, and netem does what they do in the large.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shaper::measure::stats::{self, binomial, kolmogorov};
use shaper::measure::udp;
use shaper::plan::rule;
use shaper::rules::{Rule, RuleParts};
use shaper::shape::{Parts, Shape};
use shaper_common::abi::Direction;
use shaper_common::corrupt;
use shaper_common::decide::{Copied, Departure, Fate, Frame, Shared, State, decide};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::{self, Engine};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, tolerance, undisturbed};

const SEED: u64 = 11;

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("parity_of_each_fate_with_the_core", Load::Alone, fates_agree)
            .except(Engine::Netem),
        Case::each_engine("parity_of_each_delay_with_the_core", Load::Alone, delays_agree)
            .except(Engine::Netem),
        Case::once("parity_of_delays_with_netem", Load::Alone, delays_like_netem).when(has_netem_and_edt),
        Case::once("parity_of_losses_with_netem", Load::Alone, losses_like_netem).when(has_netem_and_edt),
    ]
    .map(Case::each_family)
    .into()
}

fn has_netem_and_edt() -> Result<(), String> {
    engine::available(Engine::Netem)?;
    engine::available(Engine::Edt)
}

/// A word of the rule's state, as the core in user space has it.
#[derive(Debug, Default)]
struct Word(AtomicU64);

impl Shared for Word {
    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn compare_exchange(&self, seen: u64, new: u64) -> u64 {
        match self.0.compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(found) | Err(found) => found,
        }
    }
    fn fetch_add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::Relaxed)
    }
}

/// What the core does to the first `count` packets of a shape that are as long as those of a train, sent at time zero.
fn core(family: Family, shape: &[(&str, &str)], count: usize) -> Vec<Fate> {
    let parts: serde_json::Map<_, _> = shape.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    let parts: Parts = serde_json::from_value(parts.into()).expect("the parts of a shape");
    let shape = Shape::new(parts).expect("a shape");
    let parts = RuleParts { shape: shape.into(), ..RuleParts::default() };
    let all_peers = Rule::new(parts).expect("a shape is a rule");
    let rule = rule::of_rule(&all_peers, Direction::Egress, SEED, 0).rule;
    let [free_at_ns, sequence, last_at_ns] = [(); 3].map(|()| Word::default());
    let state = State { free_at_ns: &free_at_ns, sequence: &sequence, last_at_ns: &last_at_ns };
    let wire_bytes = wire_bytes(family);
    (0..count).map(|_| decide(&rule, &state, &(), Frame { wire_bytes, wire_packets: 1 }, 0)).collect()
}

/// How long the packets of a train are.
fn wire_bytes(family: Family) -> u32 {
    (udp::Train::default().payload + tolerance::udp_headers(family)) as u32
}

/// The same shape as arguments of `apply`.
fn args(shape: &[(&str, &str)]) -> Vec<String> {
    let flags =
        shape.iter().flat_map(|(key, value)| [format!("--{}", key.replace('_', "-")), (*value).to_owned()]);
    flags.chain(["--seed".to_owned(), SEED.to_string()]).collect()
}

fn apply(world: &World, engine: Engine, shape: &[(&str, &str)]) {
    world.baseline_ns();
    let args = args(shape);
    world.apply(engine, &args.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Packets that the namespace may have sent between `apply` and the train (a multicast report): the rule's first indices.
const SHIFT_MAX: usize = 8;

/// How often each packet arrives says what of it was lost, copied and damaged. One packet of the namespace's own amid the
/// train would shift all behind it: then it is taken again.
fn fates_agree(context: &Context) {
    let shape = [
        ("loss", "5%"),
        ("loss_correlation", "25%"),
        ("duplicate", "10%"),
        ("duplicate_correlation", "20%"),
        ("corrupt", "8%"),
    ];
    let train = udp::Train { linger: Duration::from_millis(50), ..fates::train(context.engine()) };
    let family = context.family();
    let core: Vec<u32> = core(family, &shape, train.count + SHIFT_MAX)
        .iter()
        .map(|fate| arriving_copies(family, fate))
        .collect();
    undisturbed::reading(|| {
        let world = World::over(context.family());
        apply(&world, context.engine(), &shape);
        let copies = fates::send(&world, Way::Out, &train).copies();
        let differences = (0..SHIFT_MAX).map(|shift| {
            let pairs = copies.iter().zip(&core[shift..]);
            (pairs.filter(|(seen, said)| seen != said).count(), shift)
        });
        let (different, shift) = differences.min().expect("at least one shift");
        let count = |wanted| copies.iter().filter(|&&copies| copies == wanted).count();
        let said = format!(
            "{}: of {} packets {} came once, {} twice, {} never; {different} are not as the core says, which is {shift} ahead",
            context.engine(),
            copies.len(),
            count(1),
            count(2),
            count(0),
        );
        println!("{said}");
        undisturbed::check((), different == 0, |()| said)
    });
}

/// How many of a packet's copies reach the receiving socket: those that are as they were sent, or where it does not matter.
fn arriving_copies(family: Family, fate: &Fate) -> u32 {
    let arrives = |departure: &Departure| {
        let bit = corrupt::bit(departure.corrupt, wire_bytes(family)).expect("a frame has a payload");
        u32::from(departure.corrupt == 0 || !fates::is_refused(family, bit.byte as usize, bit.mask))
    };
    match fate {
        Fate::Depart { packet, copy: Copied::Depart(copy), .. } => arrives(packet) + arrives(copy),
        Fate::Depart { packet, copy: Copied::No | Copied::QueueFull, .. } => arrives(packet),
        Fate::Lost | Fate::QueueFull => 0,
    }
}

/// A delay that is not its packet's is further off than this more often than not, that of a packet that should overtake others, which
/// one in ten does, nearly always.
const FAR_NS: u64 = 5_000_000;
/// One in so many may be: a machine that stands still makes them late.
const FAR_SHARE: usize = 25;

fn delays_agree(context: &Context) {
    let shape = [
        ("latency", "20ms"),
        ("jitter", "8ms"),
        ("distribution", "normal"),
        ("jitter_correlation", "30%"),
        ("reorder", "10%"),
    ];
    let train = fates::timed(context.engine());
    let core: Vec<u64> =
        core(context.family(), &shape, train.count + SHIFT_MAX).iter().map(departure_ns).collect();
    undisturbed::reading(|| {
        let world = World::over(context.family());
        apply(&world, context.engine(), &shape);
        let report = fates::send(&world, Way::Out, &train);
        assert_eq!(report.missing(), [0_usize; 0], "every packet arrives");
        let delays = report.delays_ns();
        let off = |shift: usize| {
            let off = delays.iter().zip(&core[shift..]).map(|(seen, said)| seen.abs_diff(*said));
            off.collect::<Vec<_>>()
        };
        let median = |off: &Vec<u64>| stats::Summary::of(off.iter().copied()).map_or(f64::NAN, |off| off.p50);
        let best = (0..SHIFT_MAX).map(off).min_by(|one, other| median(one).total_cmp(&median(other)));
        let off = best.expect("at least one shift");
        let far = off.iter().filter(|&&ns| ns > FAR_NS).count();
        let said = format!(
            "{}: {:.3} ms off in the median, {far} of {} more than {} ms",
            context.engine(),
            median(&off) / 1e6,
            off.len(),
            FAR_NS / 1_000_000
        );
        println!("{said}");
        let is_good = median(&off) <= tolerance::RTT_MEDIAN_NS && far <= off.len() / FAR_SHARE;
        undisturbed::check((), is_good, |()| said)
    });
}

fn departure_ns(fate: &Fate) -> u64 {
    match fate {
        Fate::Depart { packet, .. } => packet.at_ns,
        Fate::Lost | Fate::QueueFull => panic!("the shape loses nothing: {fate:?}"),
    }
}

/// The test of Kolmogorov and Smirnov does not tell the delays of `edt` and `netem` apart.
fn delays_like_netem(context: &Context) {
    let delays = |engine| {
        let world = World::over(context.family());
        world.baseline_ns();
        let shape = ["--latency", "40ms", "--jitter", "8ms", "--distribution", "normal", "--seed", "3"];
        world.apply(engine, &shape);
        let report = fates::send(&world, Way::Out, &fates::timed(engine));
        assert_eq!(report.missing(), [0_usize; 0], "every packet arrives");
        report.delays_ns()
    };
    // A machine that stands still shifts one of the two; and netem's dice are its own.
    undisturbed::reading(|| {
        let [edt, netem] = [Engine::Edt, Engine::Netem].map(delays);
        let distance = kolmogorov::distance(&edt, &netem).expect("packets arrived");
        let critical = kolmogorov::critical_999(edt.len() as f64, netem.len() as f64);
        dice::below(&format!("distance of {} and {} delays", edt.len(), netem.len()), distance, critical)
    });
}

fn losses_like_netem(context: &Context) {
    let lost = |engine| {
        let world = World::over(context.family());
        world.baseline_ns();
        world.apply(engine, &["--loss", "1%", "--seed", "3"]);
        let report = fates::send(&world, Way::Out, &fates::train(engine));
        (report.missing().len() as u64, report.sent() as u64)
    };
    dice::cast(Engine::Netem, || {
        let (edt, netem) = (lost(Engine::Edt), lost(Engine::Netem));
        let z = binomial::two_proportions(edt, netem);
        dice::below(&format!("z of {edt:?} and {netem:?} lost"), z.abs(), tolerance::Z_999)
    });
}
