//! How much a reading says about the next one.

/// Returns the correlation of each reading with the next; `None` when all are the same, or fewer than two.
pub fn lag1(readings: &[f64]) -> Option<f64> {
    let mean = readings.iter().sum::<f64>() / readings.len() as f64;
    let squares: f64 = readings.iter().map(|reading| (reading - mean).powi(2)).sum();
    let products: f64 = readings.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    (squares > 0.0).then(|| products / squares)
}

/// Returns the standard error of [`lag1`] over `n` readings, each of which is with probability `rho` the one before it and else
/// drawn anew from a distribution of kurtosis `kurtosis`.
///
/// With x as the reading less its mean, the next one's part that x does not foretell, e = x' − ρx, has E\[e² | x\] =
/// (1 − ρ)σ² + ρ(1 − ρ)x²; the estimate strays by Σxe / Σx², whose variance is E\[x²e²\] / nσ⁴ = (1 − ρ)(1 + ρκ) / n.
pub fn lag1_error(rho: f64, kurtosis: f64, n: usize) -> f64 {
    ((1.0 - rho) * (1.0 + rho * kurtosis) / n as f64).sqrt()
}

/// Returns as how many independent readings `n` count, of which each is with probability `rho` the one before it: the mean of any
/// function of them has a variance (1 + ρ) / (1 − ρ) times as large.
pub fn independent(rho: f64, n: usize) -> f64 {
    n as f64 * (1.0 - rho) / (1.0 + rho)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternating_readings_correlate_negatively_and_equal_ones_not_at_all() {
        let alternating: Vec<f64> = (0..1000).map(|n| f64::from(n % 2)).collect();
        assert!((lag1(&alternating).unwrap() + 0.999).abs() < 1e-9);
        assert_eq!(lag1(&[4.0; 5]), None);
        assert_eq!(lag1(&[]), None);
    }

    #[test]
    fn a_repeating_series_correlates_as_it_repeats_within_its_error() {
        const N: usize = 40_000;
        // Bits of the golden ratio's multiples under a mixing function: any generator does.
        let bits = |n: usize| {
            let mut z = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as f64 / u64::MAX as f64
        };
        for rho in [0.0, 0.5, 0.8] {
            let mut readings = vec![bits(1)];
            for n in 1..N {
                let repeats = bits(2 * n) < rho;
                readings.push(if repeats { readings[n - 1] } else { bits(2 * n + 1) });
            }
            // A uniform distribution has kurtosis 1.8.
            let off = lag1(&readings).unwrap() - rho;
            assert!(off.abs() < 3.29 * lag1_error(rho, 1.8, N), "{rho}: {off} off");
        }
    }

    #[test]
    fn the_error_without_memory_is_one_over_root_n() {
        assert!((lag1_error(0.0, 9.0, 10_000) - 0.01).abs() < 1e-12);
        assert!((independent(0.8, 900) - 100.0).abs() < 1e-9);
    }
}
