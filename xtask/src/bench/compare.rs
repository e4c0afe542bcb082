//! Two reports side by side: how much of the one the other is.

use super::grid::Grid;
use super::report::{Better, Reading, Report};

/// Readings of one commit repeat to about this; what differs by more is marked.
const NOISE: f64 = 0.1;

/// The readings of `after` as multiples of those of `before`, where both have them.
pub(super) fn render(before: &Report, after: &Report) -> String {
    let mut grid = Grid::default();
    for (run, reading) in after.readings() {
        let same = before.readings().find(|(other_run, other)| {
            other_run.place == run.place
                && (&other.group, &other.subject, &other.metric)
                    == (&reading.group, &reading.subject, &reading.metric)
        });
        if let Some((_, other)) = same
            && let Some(cell) = cell(other, reading)
        {
            grid.put(run.place, reading, cell);
        }
    }
    format!(
        "{} as a multiple of {}; + better, - worse, by more than {:.0} %\n{}",
        after.commit,
        before.commit,
        NOISE * 100.0,
        grid.render()
    )
}

fn cell(before: &Reading, after: &Reading) -> Option<String> {
    let (before, value) = (before.value?, after.value?);
    // There is no multiple of nothing, nor a sensible one of a reading on the other side of nothing.
    if before == value {
        return Some("1.00 ".to_owned());
    }
    if before * value <= 0.0 {
        return Some(format!("{before:.2} > {value:.2} "));
    }
    let ratio = value / before;
    let is_better = (ratio > 1.0) == (after.better == Better::More);
    let mark = match (ratio - 1.0).abs() > NOISE {
        true if is_better => '+',
        true => '-',
        false => ' ',
    };
    Some(format!("{ratio:.2}{mark}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(better: Better, value: f64) -> Reading {
        Reading {
            group: String::new(),
            subject: String::new(),
            metric: String::new(),
            unit: String::new(),
            better,
            value: Some(value),
            problem: None,
        }
    }

    #[test]
    fn what_is_better_depends_on_what_is_measured() {
        let check = |better, before, after, expected: &str| {
            assert_eq!(cell(&reading(better, before), &reading(better, after)).as_deref(), Some(expected));
        };
        check(Better::More, 10.0, 20.0, "2.00+");
        check(Better::More, 10.0, 5.0, "0.50-");
        check(Better::Less, 10.0, 5.0, "0.50+");
        check(Better::Less, 10.0, 10.5, "1.05 ");
        check(Better::Less, 0.0, 0.0, "1.00 ");
        check(Better::Less, 0.0, 0.5, "0.00 > 0.50 ");
    }
}
