//! What happens to a packet by chance, before any clock is looked at.

use crate::abi::Rule;
use crate::loss::{self, FIRST_STATE, Model, Step};
use crate::memory::Memory;
use crate::probability::{happens, is_less, select};
use crate::random::{Purpose, draw};

/// What happens to one packet. An event is 1 or 0 ([`happens`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// It is lost; the others do not matter then.
    pub lost: u64,
    /// It is sent twice.
    pub duplicated: u64,
    /// A bit of it is flipped.
    pub corrupted: u64,
    /// It overtakes those before it.
    pub reordered: u64,
    /// The packet whose draw its jitter is: itself, or an earlier one.
    pub jitter_index: u64,
}

/// Whether anything at all happens by chance under a rule, jitter aside.
#[inline(always)]
#[must_use]
pub fn are_possible(rule: &Rule) -> bool {
    rule.loss_model | rule.duplicate | rule.corrupt | rule.reorder | rule.jitter_correlation != 0
}

impl Events {
    /// Nothing happens to packet `index`.
    #[inline(always)]
    #[must_use]
    pub fn none(index: u64) -> Self {
        Self { lost: 0, duplicated: 0, corrupted: 0, reordered: 0, jitter_index: index }
    }
}

/// Draws for packet `index` of the rule, which is `packets` packets on the wire, after others that left `memory`; returns what the next one finds.
///
/// A frame of several packets has the fate of its first.
#[inline(always)]
#[must_use]
pub fn draw_all(rule: &Rule, index: u64, packets: u32, memory: Memory) -> (Events, Memory) {
    let bits = |purpose| draw(rule.seed, rule.id, index, purpose);
    // Before the rule's first packet there was none to be like.
    let has_before = is_less(0, index);
    let memory = Memory {
        loss_state: memory.loss_state * has_before,
        since_reordered: memory.since_reordered * has_before,
        jitter_age: memory.jitter_age * has_before,
        ..memory
    };
    let chance = |probability, correlation, before: u64, purpose, repeat| {
        let fresh = happens(probability, bits(purpose));
        select(happens(correlation, bits(repeat)) & has_before, before, fresh)
    };
    let Step { lost, state } = if rule.loss_model == Model::GilbertElliott as u32 {
        loss::gilbert_elliott(rule, memory.loss_state, bits(Purpose::Loss), bits(Purpose::LossInState))
    } else if rule.loss_model == Model::FourState as u32 {
        loss::four_state(rule, memory.loss_state, bits(Purpose::Loss))
    } else if rule.loss_model == Model::Pattern as u32 {
        Step { lost: loss::in_pattern(rule, index), state: FIRST_STATE }
    } else {
        // Without a model all of its probabilities are zero.
        let [probability, ..] = rule.loss;
        let lost =
            chance(probability, rule.loss_correlation, memory.lost, Purpose::Loss, Purpose::LossRepeat);
        Step { lost, state: FIRST_STATE }
    };
    let duplicated = chance(
        rule.duplicate,
        rule.duplicate_correlation,
        memory.duplicated,
        Purpose::Duplicate,
        Purpose::DuplicateRepeat,
    );
    let corrupted = chance(
        rule.corrupt,
        rule.corrupt_correlation,
        memory.corrupted,
        Purpose::Corrupt,
        Purpose::CorruptRepeat,
    );
    let overtakes = chance(
        rule.reorder,
        rule.reorder_correlation,
        memory.reordered,
        Purpose::Reorder,
        Purpose::ReorderRepeat,
    );
    // tc-netem(8): with a gap of n, the n-1 packets behind a reordered one cannot be.
    let reordered = overtakes & is_less(rule.reorder_gap as u64, memory.since_reordered + 2);
    let repeats =
        happens(rule.jitter_correlation, bits(Purpose::JitterRepeat)) & is_less(0, memory.jitter_age);
    let jitter_age = memory.jitter_age * repeats;
    let left = Memory {
        loss_state: state,
        lost,
        duplicated,
        corrupted,
        reordered,
        since_reordered: (memory.since_reordered + 1) * (reordered ^ 1),
        jitter_age: jitter_age + packets as u64,
    };
    (Events { lost, duplicated, corrupted, reordered, jitter_index: index.wrapping_sub(jitter_age) }, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn percent(percent: u64) -> u32 {
        ((percent << 32) / 100) as u32
    }
    /// Standard deviations that a mean may be off: one in two million, and the seed is fixed.
    const SIGMAS: f64 = 5.0;
    const PACKETS: u64 = 400_000;

    fn train(rule: &Rule) -> Vec<Events> {
        let mut memory = Memory::default();
        let next = |index| {
            let (events, left) = draw_all(rule, index, 1, memory);
            memory = crate::memory::unpack(crate::memory::pack(index + 1, left));
            events
        };
        (0..PACKETS).map(next).collect()
    }

    /// Mean of the events and correlation of neighbours.
    fn mean_and_correlation(events: &[bool]) -> (f64, f64) {
        let value = |event: &bool| f64::from(u8::from(*event));
        let mean = events.iter().map(value).sum::<f64>() / events.len() as f64;
        let product = |pair: &[bool]| (value(&pair[0]) - mean) * (value(&pair[1]) - mean);
        let covariance = events.windows(2).map(product).sum::<f64>() / (events.len() - 1) as f64;
        (mean, covariance / (mean * (1.0 - mean)))
    }

    /// Half width of the interval for the mean of events whose neighbours are correlated by `correlation`.
    fn tolerance(p: f64, correlation: f64) -> f64 {
        let inflation = (1.0 + correlation) / (1.0 - correlation);
        SIGMAS * (p * (1.0 - p) * inflation / PACKETS as f64).sqrt()
    }

    fn random_loss(percent_lost: u64, percent_alike: u64) -> Rule {
        Rule {
            loss_model: Model::Random as u32,
            loss: [percent(percent_lost), 0, 0, 0, 0],
            loss_correlation: percent(percent_alike),
            seed: 4,
            ..Rule::default()
        }
    }

    #[test]
    fn mean_and_correlation_are_as_asked() {
        for (lost, alike) in [(1, 0), (10, 0), (50, 0), (10, 25), (10, 50), (1, 90)] {
            let rule = random_loss(lost, alike);
            let losses: Vec<bool> = train(&rule).iter().map(|events| events.lost != 0).collect();
            let (mean, correlation) = mean_and_correlation(&losses);
            let (p, rho) = (lost as f64 / 100.0, alike as f64 / 100.0);
            assert!((mean - p).abs() < tolerance(p, rho), "{lost} %: {mean}");
            let spread = SIGMAS / (PACKETS as f64 * p * (1.0 - p)).sqrt();
            assert!((correlation - rho).abs() < spread, "{lost} % {alike} %: {correlation}");
        }
    }

    #[test]
    fn events_are_independent_of_each_other() {
        let chance = percent(30);
        let rule = Rule {
            loss_model: Model::Random as u32,
            loss: [chance, 0, 0, 0, 0],
            duplicate: chance,
            corrupt: chance,
            reorder: chance,
            ..Rule::default()
        };
        let all = train(&rule);
        let assert_product = |name: &str, both: fn(&Events) -> u64| {
            let share = all.iter().map(both).sum::<u64>() as f64 / PACKETS as f64;
            assert!((share - 0.09).abs() < tolerance(0.09, 0.0), "{name}: {share}");
        };
        assert_product("lost and duplicated", |events| events.lost & events.duplicated);
        assert_product("duplicated and corrupted", |events| events.duplicated & events.corrupted);
        assert_product("corrupted and reordered", |events| events.corrupted & events.reordered);
        assert_product("lost and reordered", |events| events.lost & events.reordered);
    }

    #[test]
    fn one_more_impairment_does_not_reshuffle_the_others() {
        let rule = random_loss(10, 25);
        let more =
            Rule { duplicate: percent(20), corrupt: percent(20), corrupt_correlation: percent(50), ..rule };
        let lost = |rule| train(rule).iter().map(|events| events.lost != 0).collect::<Vec<_>>();
        assert_eq!(lost(&rule), lost(&more));
    }

    #[test]
    fn gilbert_elliott_loses_in_bursts_of_geometric_length() {
        // A burst goes on with probability 1 - r, so its mean length is 1 / r; p / (p + r) of the packets are in one.
        let rule = Rule {
            loss_model: Model::GilbertElliott as u32,
            loss: [percent(1), percent(25), u32::MAX, 0, 0],
            seed: 9,
            ..Rule::default()
        };
        let losses: Vec<bool> = train(&rule).iter().map(|events| events.lost != 0).collect();
        let bursts: Vec<usize> =
            losses.split(|lost| !lost).map(<[bool]>::len).filter(|length| *length > 0).collect();
        let (p, r) = (0.01, 0.25);
        let share = losses.iter().filter(|lost| **lost).count() as f64 / PACKETS as f64;
        assert!((share - p / (p + r)).abs() < tolerance(p / (p + r), 1.0 - p - r), "{share}");
        let mean = bursts.iter().sum::<usize>() as f64 / bursts.len() as f64;
        let spread = SIGMAS * ((1.0 - r) / (r * r) / bursts.len() as f64).sqrt();
        assert!((mean - 1.0 / r).abs() < spread, "{mean} in {} bursts", bursts.len());
    }

    #[test]
    fn the_four_states_are_as_likely_as_their_chain_says() {
        let p = [2, 40, 20, 50, 1].map(percent);
        let rule = Rule { loss_model: Model::FourState as u32, loss: p, seed: 3, ..Rule::default() };
        let [p13, p31, p32, p23, p14] = [0.02, 0.40, 0.20, 0.50, 0.01];
        // Shares by repeated steps of the chain: received in gap and burst, lost in burst and gap.
        let mut shares = [1.0, 0.0, 0.0, 0.0];
        for _ in 0..1_000 {
            let [gap, burst, lost, alone] = shares;
            shares = [
                gap * (1.0 - p13 - p14) + lost * p31 + alone,
                burst * (1.0 - p23) + lost * p32,
                gap * p13 + burst * p23 + lost * (1.0 - p31 - p32),
                gap * p14,
            ];
        }
        let expected = shares[2] + shares[3];
        let share = train(&rule).iter().filter(|events| events.lost != 0).count() as f64 / PACKETS as f64;
        assert!((share - expected).abs() < tolerance(expected, 0.5), "{share}, not {expected}");
    }

    #[test]
    fn a_pattern_repeats() {
        let rule = Rule {
            loss_model: Model::Pattern as u32,
            loss_pattern: 0b100,
            loss_pattern_len: 4,
            ..Rule::default()
        };
        assert!(
            train(&rule).iter().zip(0u64..).all(|(events, index)| (events.lost != 0) == (index % 4 == 2))
        );
    }

    #[test]
    fn between_two_reordered_packets_is_the_gap() {
        let rule = Rule { reorder: percent(50), reorder_gap: 5, ..Rule::default() };
        let at: Vec<usize> = train(&rule)
            .iter()
            .enumerate()
            .filter(|(_, events)| events.reordered != 0)
            .map(|(index, _)| index)
            .collect();
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 5));
        // Four behind the last one cannot be, and then it takes two tries in the mean.
        let expected = PACKETS as f64 / 6.0;
        assert!((at.len() as f64 - expected).abs() < SIGMAS * expected.sqrt(), "{}", at.len());
    }

    #[test]
    fn jitter_is_that_of_the_packet_before_as_often_as_asked() {
        let rule = Rule { jitter_correlation: percent(80), seed: 5, ..Rule::default() };
        let all = train(&rule);
        let same: Vec<bool> =
            all.windows(2).map(|pair| pair[0].jitter_index == pair[1].jitter_index).collect();
        let (mean, _) = mean_and_correlation(&same);
        assert!((mean - 0.8).abs() < tolerance(0.8, 0.0), "{mean}");
        assert!(all.iter().zip(0u64..).all(|(events, index)| events.jitter_index <= index));
    }

    #[test]
    fn certainty_is_certain() {
        let rule = Rule { duplicate: u32::MAX, ..random_loss(0, 0) };
        let rule = Rule { loss: [u32::MAX, 0, 0, 0, 0], ..rule };
        assert!(
            train(&rule).iter().all(|events| (events.lost, events.duplicated, events.corrupted) == (1, 1, 0))
        );
    }
}
