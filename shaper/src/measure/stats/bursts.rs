//! Lengths of what happens to packets in a row.

use super::chi_square;

/// Least expected count of a category of the chi-square test.
const EXPECTED_MIN: f64 = 5.0;

/// Returns the lengths of the runs of `true`; those that the ends cut are left out.
pub fn lengths(happened: &[bool]) -> Vec<usize> {
    let whole = happened.split(|&happened| !happened).map(<[bool]>::len);
    let count = whole.clone().count();
    whole.enumerate().filter(|&(n, len)| len > 0 && n > 0 && n + 1 < count).map(|(_, len)| len).collect()
}

/// Tests that lengths are geometric: that a run ends with probability `end` at each of its packets. Returns the chi-square statistic
/// and what it passes once in a thousand times; `None` for too few runs to tell.
pub fn geometric(lengths: &[usize], end: f64) -> Option<(f64, f64)> {
    let runs = lengths.len() as f64;
    let (mut observed, mut expected) = (Vec::new(), Vec::new());
    let mut length = 1;
    let mut left = runs;
    // The last category is every length from there on.
    while left * end >= EXPECTED_MIN && left * (1.0 - end) >= EXPECTED_MIN {
        observed.push(lengths.iter().filter(|&&len| len == length).count() as u64);
        expected.push(left * end);
        left *= 1.0 - end;
        length += 1;
    }
    observed.push(lengths.iter().filter(|&&len| len >= length).count() as u64);
    expected.push(left);
    let freedom = observed.len() - 1;
    (freedom > 0).then(|| (chi_square::statistic(&observed, &expected), chi_square::critical_999(freedom)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_at_the_ends_are_not_whole() {
        let happened = [1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1].map(|n| n == 1);
        assert_eq!(lengths(&happened), [1, 3]);
        assert_eq!(lengths(&[true]), [0_usize; 0]);
    }

    #[test]
    fn halving_counts_are_geometric_and_equal_ones_are_not() {
        let halving: Vec<usize> = (1..=7).flat_map(|len| vec![len; 1 << (8 - len)]).collect();
        let (statistic, critical) = geometric(&halving, 0.5).unwrap();
        assert!(statistic < critical, "{statistic} {critical}");
        let (statistic, critical) = geometric(&[1, 2, 3, 4].repeat(50), 0.5).unwrap();
        assert!(statistic > critical, "{statistic} {critical}");
        assert_eq!(geometric(&[1, 2], 0.5), None);
    }
}
