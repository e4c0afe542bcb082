//! What a list of readings says: quantiles, mean, deviation. Pure; floats, because nothing here decides about a packet.

pub mod binomial;
pub mod bursts;
pub mod chain;
pub mod chi_square;
pub mod correlation;
pub mod kolmogorov;

/// Location and spread of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of readings.
    pub count: usize,
    /// Least reading.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median: half of the readings are at or below it.
    pub p50: f64,
    /// 99 % of the readings are at or below it.
    pub p99: f64,
    /// Greatest reading.
    pub max: f64,
    /// Standard deviation of the sample (divisor `count - 1`); zero for a single reading.
    pub deviation: f64,
}

impl Summary {
    /// Summarises `readings`, in any order; `None` when there are none.
    pub fn of(readings: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut sorted: Vec<u64> = readings.into_iter().collect();
        sorted.sort_unstable();
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let mean = mean(&sorted)?;
        Some(Self {
            count: sorted.len(),
            min: min as f64,
            mean,
            p50: quantile(&sorted, 0.5)?,
            p99: quantile(&sorted, 0.99)?,
            max: max as f64,
            deviation: deviation(&sorted).unwrap_or(0.0),
        })
    }
}

/// Returns the `q`-quantile of readings in ascending order, `q` from 0 to 1, interpolated between neighbours.
///
/// # Panics
/// When `q` is outside 0 to 1.
pub fn quantile(sorted: &[u64], q: f64) -> Option<f64> {
    assert!((0.0..=1.0).contains(&q), "a quantile is from 0 to 1, not {q}");
    let last = sorted.len().checked_sub(1)?;
    let position = q * last as f64;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let (low, high) = (sorted[below] as f64, sorted[above] as f64);
    Some(low + (high - low) * (position - below as f64))
}

/// Returns the arithmetic mean.
pub fn mean(readings: &[u64]) -> Option<f64> {
    // Summed as integers: exact up to 2^64 readings of 2^64.
    let sum: u128 = readings.iter().map(|&reading| u128::from(reading)).sum();
    (!readings.is_empty()).then(|| sum as f64 / readings.len() as f64)
}

/// Returns the standard deviation of the sample (divisor `n - 1`); `None` for fewer than two readings.
pub fn deviation(readings: &[u64]) -> Option<f64> {
    let divisor = readings.len().checked_sub(1).filter(|&n| n > 0)? as f64;
    Some((central_moment_sum(readings, 2)? / divisor).sqrt())
}

/// Returns the kurtosis of the sample, `m4 / m2²`: 1.8 for a uniform distribution, 3 for a normal one, more for heavy tails.
///
/// It says how far a sample's deviation may stray: the standard error of the variance is about `σ²·√((kurtosis − 1) / n)`.
pub fn kurtosis(readings: &[u64]) -> Option<f64> {
    let n = readings.len() as f64;
    let variance = central_moment_sum(readings, 2)? / n;
    let fourth = central_moment_sum(readings, 4)? / n;
    (variance > 0.0).then(|| fourth / (variance * variance))
}

fn central_moment_sum(readings: &[u64], power: i32) -> Option<f64> {
    let mean = mean(readings)?;
    Some(readings.iter().map(|&reading| (reading as f64 - mean).powi(power)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= 1e-9 * right.abs().max(1.0)
    }

    #[test]
    fn summary_of_a_known_sample() {
        let summary = Summary::of([9, 2, 4, 4, 4, 5, 5, 7]).unwrap();
        assert_eq!((summary.count, summary.min, summary.max), (8, 2.0, 9.0));
        assert!(close(summary.mean, 5.0));
        assert!(close(summary.p50, 4.5));
        assert!(close(summary.deviation, (32.0_f64 / 7.0).sqrt()));
    }

    #[test]
    fn nothing_has_no_summary_and_one_reading_no_spread() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of([7]).unwrap().deviation, 0.0);
        assert_eq!(deviation(&[7]), None);
        assert_eq!(mean(&[]), None);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        let sorted = [10, 20, 30, 40, 50];
        for (q, expected) in [(0.0, 10.0), (0.25, 20.0), (0.5, 30.0), (0.6, 34.0), (1.0, 50.0)] {
            assert!(close(quantile(&sorted, q).unwrap(), expected), "q {q}");
        }
    }

    #[test]
    fn the_mean_of_large_readings_is_exact() {
        assert!(close(mean(&[u64::MAX, u64::MAX]).unwrap(), u64::MAX as f64));
    }

    #[test]
    fn kurtosis_of_two_points_is_one_and_of_a_ramp_near_uniform() {
        assert!(close(kurtosis(&[0, 10, 0, 10]).unwrap(), 1.0));
        let ramp: Vec<u64> = (0..10_000).collect();
        assert!((kurtosis(&ramp).unwrap() - 1.8).abs() < 0.001);
        assert_eq!(kurtosis(&[3, 3, 3]), None);
    }
}
