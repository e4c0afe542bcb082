//! The two-sample test of Kolmogorov and Smirnov: do two samples come from one distribution?

/// Returns the greatest difference between the shares of two samples at or below any value; `None` when one is empty.
pub fn distance(one: &[u64], other: &[u64]) -> Option<f64> {
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let [one, other] = [one, other].map(|sample| {
        let mut sorted = sample.to_vec();
        sorted.sort_unstable();
        sorted
    });
    let (mut below_one, mut below_other, mut greatest) = (0, 0, 0.0_f64);
    while let (Some(&a), Some(&b)) = (one.get(below_one), other.get(below_other)) {
        // Equal values are one step, or their order would count.
        let value = a.min(b);
        below_one += one[below_one..].iter().take_while(|&&reading| reading == value).count();
        below_other += other[below_other..].iter().take_while(|&&reading| reading == value).count();
        let share = |below: usize, of: usize| below as f64 / of as f64;
        greatest = greatest.max((share(below_one, one.len()) - share(below_other, other.len())).abs());
    }
    Some(greatest)
}

/// Returns the distance that samples of `one` and `other` independent readings pass once in a thousand times.
///
/// Asymptotic, from the first term of Kolmogorov's series, whose second is below 10⁻¹² here; from some 50 readings on it is a little
/// too high. Sizes need not be whole: dependent readings count as fewer ([`super::correlation::independent`]).
pub fn critical_999(one: f64, other: f64) -> f64 {
    const TAIL: f64 = 0.001;
    (-(TAIL / 2.0_f64).ln() / 2.0).sqrt() * ((one + other) / (one * other)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_small_samples() {
        assert_eq!(distance(&[1, 2, 3, 4], &[4, 3, 2, 1]), Some(0.0));
        assert_eq!(distance(&[1, 2], &[3, 4]), Some(1.0));
        assert_eq!(distance(&[1, 2, 3, 4], &[3, 4, 5, 6]), Some(0.5));
        assert_eq!(distance(&[1, 1, 1, 5], &[1, 5, 5, 5]), Some(0.5), "equal values are one step");
        assert_eq!(distance(&[], &[1]), None);
    }

    #[test]
    fn the_critical_distance_is_that_of_the_tables() {
        // c(0.001) = 1.949.
        assert!((critical_999(100.0, 100.0) - 1.949 * (2.0_f64 / 100.0).sqrt()).abs() < 1e-3);
    }
}
