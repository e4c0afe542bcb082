//! Loss: as many packets as asked, and as independent of each other, or as dependent, as asked.

use std::time::Duration;

use shaper::measure::stats::{bursts, chain::Chain, correlation};
use shaper::measure::tcp;
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::snmp::Snmp;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, tolerance, undisturbed};

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::each_engine("loss_random_0.1%", Load::Alone, |c| random(c, "0.1%", 0.001)),
        Case::each_engine("loss_random_1%", Load::Alone, |c| random(c, "1%", 0.01)),
        Case::each_engine("loss_random_10%", Load::Alone, |c| random(c, "10%", 0.1)),
        Case::each_engine("loss_random_50%", Load::Alone, |c| random(c, "50%", 0.5)),
        // netem's correlation bends the mean.
        Case::each_engine("loss_correlated_keeps_its_mean", Load::Alone, correlated).except(Engine::Netem),
        Case::each_engine("loss_gemodel_simple_bursts_are_geometric", Load::Alone, gilbert),
        Case::each_engine("loss_gemodel_mean", Load::Alone, gilbert_elliott),
        Case::each_engine("loss_state_mean", Load::Alone, four_state),
        Case::each_engine("loss_pattern_names_the_very_packets", Load::Alone, pattern).except(Engine::Netem),
        Case::each_engine("loss_on_ingress", Load::Alone, on_ingress),
        Case::each_engine("loss_lets_tcp_progress", Load::Alone, tcp_progresses),
    ]
    .map(Case::each_family)
    .into()
}

/// What became of a train under a loss.
struct Losses {
    lost: Vec<bool>,
}

impl Losses {
    fn of(world: &World, way: Way, engine: Engine) -> Self {
        let before = Snmp::of(&world.inst);
        let report = fates::send(world, way, &fates::train(engine));
        assert_eq!(report.duplicates(), 0, "no packet comes twice");
        assert_eq!(report.reordered(), 0, "no packet overtakes another");
        let after = Snmp::of(&world.inst);
        for counter in ["SndbufErrors", "OutDatagrams"] {
            let read = |snmp: &Snmp| snmp.counter(world.family(), "Udp", counter);
            let expected =
                if counter == "OutDatagrams" && way == Way::Out { report.sent() as u64 } else { 0 };
            assert_eq!(
                read(&after) - read(&before),
                expected,
                "{counter}: the sender takes every packet for sent"
            );
        }
        Self { lost: report.copies().iter().map(|&copies| copies == 0).collect() }
    }

    fn sent(&self) -> usize {
        self.lost.len()
    }

    fn count(&self) -> u64 {
        self.lost.iter().filter(|&&lost| lost).count() as u64
    }

    fn correlation(&self) -> f64 {
        let readings: Vec<f64> = self.lost.iter().map(|&lost| f64::from(u8::from(lost))).collect();
        correlation::lag1(&readings).unwrap_or(0.0)
    }

    /// Tests that the probability of a burst's end is the same at each of its packets, and that one.
    fn expect_bursts(&self, end: f64) -> Result<(), String> {
        let lengths = bursts::lengths(&self.lost);
        let Some((statistic, critical)) = bursts::geometric(&lengths, end) else {
            // Next to all are of one packet.
            return Ok(());
        };
        dice::below(&format!("chi-square of {} bursts", lengths.len()), statistic, critical)?;
        let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
        dice::within("mean burst", mean, tolerance::mean_burst(end, lengths.len()))
    }
}

fn world(context: &Context, args: &[&str]) -> World {
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(context.engine(), &[args, &["--seed", "3"]].concat());
    world
}

fn random(context: &Context, loss: &str, probability: f64) {
    let world = world(context, &["--loss", loss]);
    dice::cast(context.engine(), || {
        expect_random(&Losses::of(&world, Way::Out, context.engine()), probability)
    });
}

/// Every packet for itself: the count, the neighbours, and the bursts that chance makes.
fn expect_random(losses: &Losses, probability: f64) -> Result<(), String> {
    let n = losses.sent();
    dice::within(&format!("lost of {n}"), losses.count(), tolerance::count(n, probability))?;
    let kurtosis = tolerance::kurtosis_of_chance(probability);
    dice::within("correlation", losses.correlation(), tolerance::correlation(0.0, kurtosis, n))?;
    losses.expect_bursts(1.0 - probability)
}

fn correlated(context: &Context) {
    const PROBABILITY: f64 = 0.1;
    const RHO: f64 = 0.5;
    let world = world(context, &["--loss", "10%", "--loss-correlation", "50%"]);
    dice::cast(context.engine(), || {
        let losses = Losses::of(&world, Way::Out, context.engine());
        let run = Chain::repeating(PROBABILITY, RHO).long_run();
        expect_count(&losses, &Chain::repeating(PROBABILITY, RHO))?;
        assert!((run.share - PROBABILITY).abs() < 1e-9, "repeating does not bend the mean");
        let kurtosis = tolerance::kurtosis_of_chance(PROBABILITY);
        let interval = tolerance::correlation(RHO, kurtosis, losses.sent());
        dice::within("correlation", losses.correlation(), interval)?;
        losses.expect_bursts((1.0 - RHO) * (1.0 - PROBABILITY))
    });
}

fn expect_count(losses: &Losses, chain: &Chain) -> Result<(), String> {
    let n = losses.sent();
    dice::within(&format!("lost of {n}"), losses.count(), tolerance::count_of_chain(n, &chain.long_run()))
}

/// Gilbert's model: all is lost in the bad state, nothing in the good one, so a burst is a stay in the bad one.
fn gilbert(context: &Context) {
    let (p, r) = (0.02, 0.2);
    let world = world(context, &["--loss-gemodel", "2%,20%"]);
    dice::cast(context.engine(), || {
        let losses = Losses::of(&world, Way::Out, context.engine());
        expect_count(&losses, &gemodel(p, r, 1.0, 0.0))?;
        losses.expect_bursts(r)
    });
}

fn gilbert_elliott(context: &Context) {
    let (p, r, in_bad, in_good) = (0.05, 0.25, 0.7, 0.01);
    let world = world(context, &["--loss-gemodel", "5%,25%,70%,1%"]);
    let chain = gemodel(p, r, in_bad, in_good);
    let mean = p / (p + r) * in_bad + r / (p + r) * in_good;
    assert!((chain.long_run().share - mean).abs() < 1e-9, "the chain's long run is the closed form");
    dice::cast(context.engine(), || expect_count(&Losses::of(&world, Way::Out, context.engine()), &chain));
}

fn gemodel(p: f64, r: f64, in_bad: f64, in_good: f64) -> Chain {
    Chain { transitions: vec![vec![1.0 - p, p], vec![r, 1.0 - r]], happens: vec![in_good, in_bad] }
}

fn four_state(context: &Context) {
    let (p13, p31, p32, p23, p14) = (0.02, 0.2, 0.1, 0.3, 0.01);
    let world = world(context, &["--loss-state", "2%,20%,10%,30%,1%"]);
    // From and to: received in a gap, received in a burst, lost in a burst, lost in a gap.
    let chain = Chain {
        transitions: vec![
            vec![1.0 - p13 - p14, 0.0, p13, p14],
            vec![0.0, 1.0 - p23, p23, 0.0],
            vec![p31, p32, 1.0 - p31 - p32, 0.0],
            vec![1.0, 0.0, 0.0, 0.0],
        ],
        happens: vec![0.0, 0.0, 1.0, 1.0],
    };
    dice::cast(context.engine(), || expect_count(&Losses::of(&world, Way::Out, context.engine()), &chain));
}

/// The third of every four. The namespace may have sent a packet of its own before the train; one amid it, such as the multicast
/// report that follows within a second of an address, makes the train be taken again.
fn pattern(context: &Context) {
    let world = world(context, &["--loss-pattern", "0010"]);
    undisturbed::reading(|| {
        let losses = Losses::of(&world, Way::Out, context.engine());
        let first = losses.lost.iter().position(|&lost| lost).expect("a packet is lost");
        println!("packet {first} is the first of {} lost ones", losses.count());
        let strange = losses.lost.iter().enumerate().find(|&(n, &lost)| lost != (n % 4 == first));
        undisturbed::check((), strange.is_none(), |()| {
            format!("{strange:?} is not every fourth from {first}")
        })
    });
}

fn on_ingress(context: &Context) {
    let world = world(context, &["--loss", "10%", "--direction", "ingress"]);
    dice::cast(context.engine(), || expect_random(&Losses::of(&world, Way::In, context.engine()), 0.1));
}

/// A loss is repaired by TCP as on any network: bytes get through, and what was lost is sent again.
fn tcp_progresses(context: &Context) {
    /// 1 % of loss and a round trip under a millisecond: two to three orders of magnitude less than Mathis's formula gives.
    const GOODPUT_MIN: f64 = 1e6;
    let world = world(context, &["--loss", "1%"]);
    let bulk = tcp::Bulk { warm_up: Duration::from_millis(300), duration: Duration::from_secs(1) };
    let report = world.tcp(1, &bulk);
    let (goodput, repeated) = (report.goodput_bits_per_sec(), report.retransmit_share());
    println!("{}: {:.1} Mbit/s, {:.2} % repeated", context.engine(), goodput / 1e6, repeated * 100.0);
    assert!(goodput >= GOODPUT_MIN, "{report:?}");
    assert!(repeated > 0.0, "what was lost is sent again: {report:?}");
    // netem does not say what it lost. An unshaped link has repeats, too.
    if context.engine() != Engine::Netem {
        let (_, lost) = world.show().shaped_and_lost("egress");
        assert!(lost > 0, "the flow met the rule: {report:?}");
    }
}
