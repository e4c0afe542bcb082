//! The table at the end.

use std::time::Duration;

use super::report::Row;

const HEADINGS: [&str; 7] = ["tier", "kernel", "engine", "passed", "failed", "skipped", "seconds"];

/// Columns of numbers, which are aligned to the right.
const FIRST_NUMBER: usize = 3;

/// The table, what was taken again, what failed, and the sums on the last line; and whether nothing failed.
pub(crate) fn render(rows: &[Row], wall: Duration) -> (String, bool) {
    let lines: Vec<[String; 7]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let widths: [usize; 7] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    });
    let reasons = std::iter::once("why skipped".to_owned()).chain(rows.iter().map(why_skipped));

    let mut text = String::new();
    for (line, reason) in lines.iter().zip(reasons) {
        let mut out = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) =
                if column < FIRST_NUMBER { ("", padding.as_str()) } else { (padding.as_str(), "") };
            out.push_str(&format!("{before}{cell}{after}  "));
        }
        out.push_str(&reason);
        text.push_str(out.trim_end());
        text.push('\n');
    }
    for row in rows {
        text.extend(row.retaken.iter().map(|retaken| below("RETAKEN", row, retaken)));
    }
    for row in rows {
        text.extend(row.failures.iter().map(|failure| below("FAILED", row, failure)));
    }
    let sum = |count: fn(&Row) -> usize| rows.iter().map(count).sum::<usize>();
    let failed = sum(|row| row.failed);
    text.push_str(&format!("wall time {:.0} s\n", wall.as_secs_f64()));
    text.push_str(&format!(
        "{} passed, {failed} failed, {} skipped, {} taken again\n",
        sum(|row| row.passed),
        sum(|row| row.skipped),
        sum(|row| row.retaken.len())
    ));
    (text, failed == 0)
}

fn below(word: &str, row: &Row, what: &str) -> String {
    format!("{word} {} {} {}: {what}\n", row.tier, row.kernel, row.engine)
}

fn cells(row: &Row) -> [String; 7] {
    [
        row.tier.clone(),
        row.kernel.clone(),
        row.engine.clone(),
        row.passed.to_string(),
        row.failed.to_string(),
        row.skipped.to_string(),
        format!("{:.1}", row.time.as_secs_f64()),
    ]
}

fn why_skipped(row: &Row) -> String {
    let reasons = row.skip_reasons.iter().map(|(reason, count)| format!("{count}x {reason}"));
    reasons.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_sums_come_last() {
        let mut unit = Row::new("unit", "-").took(Duration::from_millis(1240));
        unit.passed = 120;
        let netem = Row { engine: "netem".into(), ..Row::new("native", "6.18.44") };
        let netem = netem.skipped("no sch_netem").skipped("no sch_netem");
        let relay = Row { engine: "relay".into(), ..Row::new("native", "6.18.44") }.passed().failed("tcp");
        let relay = relay.retaken("tcp: slow").retaken("ping: late");
        let (text, is_success) = render(&[unit, netem, relay], Duration::from_secs(61));
        let expected = "\
tier    kernel   engine  passed  failed  skipped  seconds  why skipped
unit    -        -          120       0        0      1.2
native  6.18.44  netem        0       0        2      0.0  2x no sch_netem
native  6.18.44  relay        1       1        0      0.0
RETAKEN native 6.18.44 relay: tcp: slow
RETAKEN native 6.18.44 relay: ping: late
FAILED native 6.18.44 relay: tcp
wall time 61 s
121 passed, 1 failed, 2 skipped, 2 taken again
";
        assert_eq!(text, expected);
        assert!(!is_success);
    }

    #[test]
    fn nothing_failed_is_success_even_with_skips() {
        let (text, is_success) = render(&[Row::new("native", "6.18").skipped("needs root")], Duration::ZERO);
        assert!(text.ends_with("\n0 passed, 0 failed, 1 skipped, 0 taken again\n"), "{text}");
        assert!(is_success);
    }
}
