//! What a Markov chain makes happen in the long run: the models of loss are such chains.

/// A chain whose steps are packets: the state decides how likely something happens to the packet.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Probability of state `to` after state `from`, by `from` and then `to`; each row adds up to 1.
    pub transitions: Vec<Vec<f64>>,
    /// Probability that it happens in each state.
    pub happens: Vec<f64>,
}

/// What happens in the long run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongRun {
    /// Share of the packets to which it happens.
    pub share: f64,
    /// Correlation of what happens to a packet and to the next.
    pub correlation: f64,
    /// How many times as large as that of independent packets the variance of a count is.
    pub inflation: f64,
}

impl Chain {
    /// The chain of what happens to a packet with `probability`, drawn anew, or with `correlation` as to the packet before.
    pub fn repeating(probability: f64, correlation: f64) -> Self {
        let to = |state: usize, from: usize| {
            let drawn = if state == 1 { probability } else { 1.0 - probability };
            (1.0 - correlation) * drawn + if state == from { correlation } else { 0.0 }
        };
        Self {
            transitions: (0..2).map(|from| (0..2).map(|state| to(state, from)).collect()).collect(),
            happens: vec![0.0, 1.0],
        }
    }

    /// Returns the long run of the chain, from its first state.
    ///
    /// By iteration until nothing changes, so the chain must forget: what it is now has to matter less and less.
    ///
    /// # Panics
    /// When the rows are not as long as the chain has states.
    pub fn long_run(&self) -> LongRun {
        const STEPS_MAX: usize = 1_000_000;
        const NEGLIGIBLE: f64 = 1e-12;
        let states = self.happens.len();
        assert!(self.transitions.len() == states && self.transitions.iter().all(|row| row.len() == states));
        let mut shares = vec![0.0; states];
        shares[0] = 1.0;
        for _ in 0..STEPS_MAX {
            let next = self.step(&shares);
            let change: f64 = next.iter().zip(&shares).map(|(new, old)| (new - old).abs()).sum();
            shares = next;
            if change < NEGLIGIBLE / 1e3 {
                break;
            }
        }
        let share = dot(&shares, &self.happens);
        let variance = share * (1.0 - share);
        // Where it happened, the chain goes on from the states in which it did.
        let mut after: Vec<f64> = shares.iter().zip(&self.happens).map(|(share, p)| share * p).collect();
        let mut covariances = Vec::new();
        while covariances.len() < STEPS_MAX {
            after = self.step(&after);
            let covariance = dot(&after, &self.happens) - share * share;
            covariances.push(covariance);
            if covariance.abs() < NEGLIGIBLE {
                break;
            }
        }
        LongRun {
            share,
            correlation: covariances[0] / variance,
            inflation: 1.0 + 2.0 * covariances.iter().sum::<f64>() / variance,
        }
    }

    fn step(&self, shares: &[f64]) -> Vec<f64> {
        (0..shares.len())
            .map(|to| shares.iter().zip(&self.transitions).map(|(share, row)| share * row[to]).sum())
            .collect()
    }
}

impl LongRun {
    /// Returns the standard deviation of how often it happens to `packets` packets.
    pub fn count_deviation(&self, packets: usize) -> f64 {
        (packets as f64 * self.share * (1.0 - self.share) * self.inflation).sqrt()
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= 1e-6
    }

    #[test]
    fn repeating_keeps_the_share_and_correlates_as_it_repeats() {
        let run = Chain::repeating(0.1, 0.5).long_run();
        assert!(close(run.share, 0.1) && close(run.correlation, 0.5), "{run:?}");
        assert!(close(run.inflation, 1.5 / 0.5), "(1 + rho) / (1 - rho): {run:?}");
        let run = Chain::repeating(0.1, 0.0).long_run();
        assert!(close(run.correlation, 0.0) && close(run.inflation, 1.0), "{run:?}");
        assert!(close(run.count_deviation(10_000), 30.0));
    }

    #[test]
    fn gilbert_elliott_in_the_long_run_is_the_closed_form() {
        let (p, r, in_bad, in_good) = (0.02, 0.3, 0.7, 0.01);
        let chain =
            Chain { transitions: vec![vec![1.0 - p, p], vec![r, 1.0 - r]], happens: vec![in_good, in_bad] };
        let run = chain.long_run();
        let bad = p / (p + r);
        let share = bad * in_bad + (1.0 - bad) * in_good;
        assert!(close(run.share, share), "{run:?}");
        let memory = 1.0 - p - r;
        let covariance = (in_bad - in_good).powi(2) * bad * (1.0 - bad) * memory;
        assert!(close(run.correlation, covariance / (share * (1.0 - share))), "{run:?}");
    }
}
