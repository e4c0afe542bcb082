//! Two reports side by side: how much of the one the other is.

use super::grid::Grid;
use super::report::{Better, Reading, Report, digits};

/// Readings of one commit repeat to about this; what differs by more is marked.
const NOISE: f64 = 0.1;

/// The same for shares, in percent.
const SHARE_NOISE: f64 = 1.0;

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
        "{} as a multiple of {}, shares as they were and are; + better, - worse, by more than {:.0} %\n{}",
        after.commit,
        before.commit,
        NOISE * 100.0,
        grid.render()
    )
}

fn cell(before: &Reading, after: &Reading) -> Option<String> {
    let (from, to) = (before.value?, after.value?);
    let ratio = to / from;
    // A share is compared by its difference; and nothing has no multiple.
    let is_share = after.unit == "%" || !ratio.is_finite() || ratio <= 0.0;
    let is_same = match after.unit.as_str() {
        "%" => (to - from).abs() < SHARE_NOISE,
        _ => from == to || (ratio - 1.0).abs() <= NOISE,
    };
    let mark = match is_same {
        true => ' ',
        false if (to > from) == (after.better == Better::More) => '+',
        false => '-',
    };
    Some(match is_share {
        true if is_same => "same ".to_owned(),
        true => format!("{}>{}{mark}", digits(from), digits(to)),
        false => format!("{ratio:.2}{mark}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(unit: &str, better: Better, value: f64) -> Reading {
        Reading {
            group: String::new(),
            subject: String::new(),
            metric: String::new(),
            unit: unit.into(),
            better,
            value: Some(value),
            problem: None,
        }
    }

    #[test]
    fn what_is_better_depends_on_what_is_measured() {
        let check = |unit, better, before, after, expected: &str| {
            let cell = cell(&reading(unit, better, before), &reading(unit, better, after));
            assert_eq!(cell.as_deref(), Some(expected));
        };
        check("kpps", Better::More, 10.0, 20.0, "2.00+");
        check("kpps", Better::More, 10.0, 5.0, "0.50-");
        check("us", Better::Less, 10.0, 5.0, "0.50+");
        check("us", Better::Less, 10.0, 10.5, "1.05 ");
        check("us", Better::Less, -2.0, 5.0, "-2.00>5.00-");
        check("%", Better::Less, 0.0, 0.02, "same ");
        check("%", Better::Less, 30.0, 0.0, "30.0>0+");
    }
}
