//! Counts of what happens by chance: how far they stray.

/// Returns the least and the greatest count that `trials` independent trials of probability `probability` give in all but
/// `2 * tail` of all cases; exact, because neither end is passed with more than `tail`.
///
/// The probabilities of the counts around the likeliest one are added up by their ratios, without factorials; what is left out
/// is less than rounding.
///
/// # Panics
/// When `probability` is not from 0 to 1, or `tail` not from 0 to 0.5.
pub fn central_interval(trials: u64, probability: f64, tail: f64) -> (u64, u64) {
    const NEGLIGIBLE: f64 = 1e-20;
    assert!((0.0..=1.0).contains(&probability), "a probability is from 0 to 1, not {probability}");
    assert!((0.0..=0.5).contains(&tail), "a tail is from 0 to 0.5, not {tail}");
    if probability == 0.0 || probability == 1.0 {
        let certain = if probability == 0.0 { 0 } else { trials };
        return (certain, certain);
    }
    let odds = probability / (1.0 - probability);
    let likeliest = (((trials + 1) as f64 * probability) as u64).min(trials);
    // In units of the likeliest count's probability.
    let mut weights = vec![(likeliest, 1.0)];
    let mut weight = 1.0;
    for count in (0..likeliest).rev() {
        weight *= (count + 1) as f64 / ((trials - count) as f64 * odds);
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push((count, weight));
    }
    weights.reverse();
    weight = 1.0;
    for count in likeliest + 1..=trials {
        weight *= (trials - count + 1) as f64 * odds / count as f64;
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push((count, weight));
    }
    let allowed = tail * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    let least = end(&weights, allowed);
    weights.reverse();
    (least, end(&weights, allowed))
}

/// The first count before which there is no more than `allowed`.
fn end(weights: &[(u64, f64)], allowed: f64) -> u64 {
    let mut passed = 0.0;
    let found = weights.iter().find(|(_, weight)| {
        passed += weight;
        passed > allowed
    });
    found.map_or(0, |(count, _)| *count)
}

/// Returns by how many standard errors the shares of two counts differ, each given with its number of trials; positive when the
/// first is greater, zero where both are nothing or all.
pub fn two_proportions(one: (u64, u64), other: (u64, u64)) -> f64 {
    let [(happened_one, trials_one), (happened_other, trials_other)] =
        [one, other].map(|(happened, trials)| (happened as f64, trials as f64));
    let pooled = (happened_one + happened_other) / (trials_one + trials_other);
    let error = (pooled * (1.0 - pooled) * (1.0 / trials_one + 1.0 / trials_other)).sqrt();
    let difference = happened_one / trials_one - happened_other / trials_other;
    if error > 0.0 { difference / error } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_small_numbers_are_those_counted_by_hand() {
        // Of ten coins: P(0) = 1/1024, P(0 or 1) = 11/1024.
        assert_eq!(central_interval(10, 0.5, 0.9 / 1024.0), (0, 10));
        assert_eq!(central_interval(10, 0.5, 1.1 / 1024.0), (1, 9));
        assert_eq!(central_interval(10, 0.5, 11.1 / 1024.0), (2, 8));
        assert_eq!(central_interval(3, 0.1, 0.2), (0, 1), "P(0) = 0.729, P(1) = 0.243, P(2) = 0.027");
        assert_eq!((central_interval(7, 0.0, 0.1), central_interval(7, 1.0, 0.1)), ((0, 0), (7, 7)));
    }

    #[test]
    fn the_interval_of_a_rare_event_is_that_of_poisson() {
        // Poisson tables: of mean 10, P(X <= 1) = 0.000 499 and P(X <= 2) = 0.002 77; P(X >= 23) = 0.000 34, P(X >= 22) = 0.000 70.
        assert_eq!(central_interval(100_000_000, 1e-7, 0.0005), (2, 22));
    }

    #[test]
    fn the_interval_of_many_is_near_the_normal_one() {
        for (trials, probability) in [(100_000, 0.01), (100_000, 0.5), (1_000_000, 0.1)] {
            let (low, high) = central_interval(trials, probability, 0.0005);
            let (mean, spread) =
                (trials as f64 * probability, (trials as f64 * probability * (1.0 - probability)).sqrt());
            assert!((low as f64 - (mean - 3.2905 * spread)).abs() < 2.5, "{trials} {probability}: {low}");
            assert!((high as f64 - (mean + 3.2905 * spread)).abs() < 2.5, "{trials} {probability}: {high}");
        }
    }

    #[test]
    fn two_equal_shares_differ_by_nothing_and_a_textbook_pair_by_its_z() {
        assert_eq!(two_proportions((10, 100), (20, 200)), 0.0);
        assert_eq!(two_proportions((0, 100), (0, 200)), 0.0);
        // 60 of 100 against 45 of 100: pooled 0.525, error 0.070 62.
        assert!((two_proportions((60, 100), (45, 100)) - 2.124).abs() < 0.001);
    }
}
