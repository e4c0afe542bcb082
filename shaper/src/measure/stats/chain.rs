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
    /// How many times as large as that of independent packets the variance of a count is; infinite where the chain leaves its first
    /// state for good.
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

    /// Returns the long run of the chain, from its first state; exactly, however long its memory is.
    ///
    /// From the first state it must not be chance in which of several sets of states the chain stays for good.
    ///
    /// # Panics
    /// When there is no state, or the rows are not as long as the chain has states.
    pub fn long_run(&self) -> LongRun {
        let states = self.happens.len();
        assert!(self.transitions.len() == states && self.transitions.iter().all(|row| row.len() == states));
        let reachable = self.reachable();
        let happens: Vec<f64> = reachable.iter().map(|&state| self.happens[state]).collect();
        let leaves = self.leaves(&reachable);
        let states = reachable.len();
        // What leaves a state comes in from others; one of these equations follows from the rest and gives way to: all add up to 1.
        let mut balance: Vec<Vec<f64>> =
            (0..states).map(|to| (0..states).map(|from| leaves[from][to]).collect()).collect();
        balance[states - 1] = vec![1.0; states];
        let mut sum = vec![0.0; states];
        sum[states - 1] = 1.0;
        let shares: Vec<f64> = solve(balance, sum).iter().map(|share| share.clamp(0.0, 1.0)).collect();
        let share = dot(&shares, &happens);
        let variance = share * (1.0 - share);
        if shares[0] < NEGLIGIBLE {
            // It never comes back: how often something happened depends on when it left.
            return LongRun { share, correlation: 0.0, inflation: f64::INFINITY };
        }
        if variance < NEGLIGIBLE {
            return LongRun { share, correlation: 0.0, inflation: 1.0 };
        }
        // The fundamental matrix (Kemeny and Snell): applied to what happens, it adds up over all packets to come how much more
        // than in the long run happens after each state.
        let fundamental = leaves
            .iter()
            .map(|row| row.iter().zip(&shares).map(|(leaves, share)| leaves + share).collect())
            .collect();
        let ahead = solve(fundamental, happens.clone());
        let covariances: f64 = (0..states).map(|i| shares[i] * happens[i] * (ahead[i] - happens[i])).sum();
        let next = |from: usize| happens[from] - dot(&leaves[from], &happens);
        let both: f64 = (0..states).map(|from| shares[from] * happens[from] * next(from)).sum();
        LongRun {
            share,
            correlation: (both - share * share) / variance,
            inflation: (1.0 + 2.0 * covariances / variance).max(0.0),
        }
    }

    /// The states that the first one leads to, itself included.
    fn reachable(&self) -> Vec<usize> {
        let mut found = vec![0];
        let mut next = 0;
        while let Some(&from) = found.get(next) {
            let new: Vec<usize> = (0..self.happens.len())
                .filter(|to| self.transitions[from][*to] > 0.0 && !found.contains(to))
                .collect();
            found.extend(new);
            next += 1;
        }
        found
    }

    /// The identity less the transitions. What leaves a state is added up, not taken from 1: so it is exact where it is tiny.
    fn leaves(&self, states: &[usize]) -> Vec<Vec<f64>> {
        let row = |(at, &from): (usize, &usize)| {
            let mut row: Vec<f64> = states.iter().map(|&to| -self.transitions[from][to]).collect();
            row[at] = 0.0;
            row[at] = -row.iter().sum::<f64>();
            row
        };
        states.iter().enumerate().map(row).collect()
    }
}

/// Shares and variances below this are rounding.
const NEGLIGIBLE: f64 = 1e-15;

/// Solves linear equations by elimination with pivots; they must have one solution.
fn solve(mut left: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for column in 0..n {
        let size = |row: &usize| left[*row][column].abs();
        let pivot = (column..n).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(column);
        left.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..n {
            let factor = left[row][column] / left[column][column];
            let above = left[column].clone();
            left[row].iter_mut().zip(&above).for_each(|(cell, above)| *cell -= factor * above);
            right[row] -= factor * right[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| left[row][k] * right[k]).sum();
        right[row] = (right[row] - known) / left[row][row];
    }
    right
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
    #[test]
    fn a_memory_of_a_billion_packets_is_exact() {
        let (p, r) = (1.0 / 4_294_967_296.0, 3.0 / 4_294_967_296.0);
        let chain = Chain { transitions: vec![vec![1.0 - p, p], vec![r, 1.0 - r]], happens: vec![0.0, 1.0] };
        let run = chain.long_run();
        assert!(close(run.share, 0.25), "{run:?}");
        // (1 + memory) / (1 - memory), the memory being 1 - p - r.
        assert!(close(run.inflation * (p + r), 2.0 - p - r), "{run:?}");
    }

    #[test]
    fn a_chain_that_leaves_for_good_has_a_share_and_no_spread() {
        let chain = Chain { transitions: vec![vec![0.9, 0.1], vec![0.0, 1.0]], happens: vec![0.0, 1.0] };
        let run = chain.long_run();
        assert!(close(run.share, 1.0) && run.inflation.is_infinite(), "{run:?}");
        // What cannot be reached does not matter.
        let chain = Chain { transitions: vec![vec![1.0, 0.0], vec![0.5, 0.5]], happens: vec![0.25, 1.0] };
        let run = chain.long_run();
        assert!(close(run.share, 0.25) && close(run.inflation, 1.0), "{run:?}");
    }

    #[test]
    fn a_chain_that_goes_to_and_fro_does_not_spread() {
        let run = Chain { transitions: vec![vec![0.0, 1.0], vec![1.0, 0.0]], happens: vec![0.0, 1.0] };
        let run = run.long_run();
        assert!(
            close(run.share, 0.5) && close(run.correlation, -1.0) && close(run.inflation, 0.0),
            "{run:?}"
        );
    }
}
