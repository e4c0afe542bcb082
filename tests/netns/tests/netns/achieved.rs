//! Asked against achieved: what `show` says of a shape after traffic.

use std::time::Duration;

use shaper::measure::{tcp, udp};
use shaper::units::{Delay, Rate};
use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::engine::Engine;
use shaper_netns_tests::fates::{self, Way};
use shaper_netns_tests::reading::Achieved;
use shaper_netns_tests::world::World;
use shaper_netns_tests::{dice, tolerance, undisturbed};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("achieved_delay_is_that_asked", Load::Alone, delay)
            .except(Engine::Netem)
            .each_family(),
        Case::each_engine("achieved_mean_of_jitter_is_chance", Load::Alone, jitter)
            .except(Engine::Netem)
            .each_family(),
        Case::each_engine("achieved_rate_is_that_asked_under_demand", Load::Alone, rate)
            .except(Engine::Netem)
            .each_family(),
        Case::each_engine("achieved_loss_of_four_states_is_chance", Load::Alone, four_state)
            .except(Engine::Netem)
            .each_family(),
        Case::each_engine("achieved_is_not_told_by_netem", Load::Timing, netem).only(Engine::Netem),
    ]
}

fn world(context: &Context, args: &[&str]) -> World {
    let world = World::over(context.family());
    world.baseline_ns();
    world.apply(context.engine(), args);
    world
}

#[track_caller]
fn achieved(world: &World, what: &str) -> Achieved {
    let found = world.show().achieved("egress", what);
    let found = found.unwrap_or_else(|| panic!("nothing is told of the {what}"));
    println!("{what}: {found:?}");
    found
}

fn delay(context: &Context) {
    expect_delay(context, &["--latency", "20ms"], |_| 0.0);
}

fn jitter(context: &Context) {
    expect_delay(context, &["--latency", "20ms", "--jitter", "5ms", "--seed", "3"], |packets| {
        tolerance::mean_ns(5e6 / 3.0_f64.sqrt(), packets as usize, 0.0)
    });
}

/// A machine that stops for a while makes packets late, and `show` says so: then the reading is taken again.
fn expect_delay(context: &Context, args: &[&str], slack_ns: fn(u64) -> f64) {
    let train: udp::Train = fates::timed(context.engine());
    undisturbed::reading(|| {
        let world = world(context, args);
        fates::send(&world, Way::Out, &train);
        let told = achieved(&world, "delay");
        assert_eq!(told.asked, "20ms");
        assert!(told.packets >= train.count as u64, "all of the train at least: {told:?}");
        let (asked, got): (Delay, Delay) =
            (Achieved::quantity(&told.asked), Achieved::quantity(&told.achieved));
        let (off_ns, slack_ns) = (got.as_ns() as f64 - asked.as_ns() as f64, slack_ns(told.packets));
        assert!(off_ns >= -slack_ns, "no packet leaves early: {told:?}");
        let is_good = off_ns <= slack_ns + tolerance::RTT_MEDIAN_NS;
        assert!(is_good || told.is_chance == Some(false), "what is late is no chance: {told:?}");
        undisturbed::check((), is_good && told.is_chance == Some(true), |()| format!("late: {told:?}"))
    });
}

/// One TCP flow that has always something to send; before it, nobody has.
fn rate(context: &Context) {
    const RATE: f64 = 4e6;
    let world = world(context, &["--bandwidth", "4mbit"]);
    let idle = achieved(&world, "rate");
    assert_eq!((idle.asked, idle.is_chance), ("4Mbit".into(), None), "nothing was sent");
    let bulk = tcp::Bulk { warm_up: Duration::from_secs(1), duration: Duration::from_secs(3) };
    world.tcp(1, &bulk);
    let told = achieved(&world, "rate");
    let got: Rate = Achieved::quantity(&told.achieved);
    let share = got.bits_per_sec() as f64 / RATE - 1.0;
    assert!(share.abs() <= tolerance::GOODPUT_SHARE, "{told:?}");
    assert_eq!(told.is_chance, Some(true), "{told:?}");
    assert!(told.busy.is_some_and(|busy| busy >= 1.0 - tolerance::GOODPUT_SHARE), "{told:?}");
}

fn four_state(context: &Context) {
    dice::cast(context.engine(), || {
        let world = world(context, &["--loss-state", "2%,20%,10%,30%,1%", "--seed", "3"]);
        fates::send(&world, Way::Out, &fates::train(context.engine()));
        let told = achieved(&world, "loss");
        if told.is_chance == Some(true) { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

/// netem decides with its own dice and does not say what it did.
fn netem(context: &Context) {
    let world = world(context, &["--latency", "20ms", "--loss", "10%"]);
    for what in ["delay", "rate", "loss"] {
        assert!(world.show().achieved("egress", what).is_none(), "{what}");
    }
}
