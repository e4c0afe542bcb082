//! Which key may be meant.

/// Letters of a key that are looked at; every key is shorter.
const KEY_CHARS: usize = 32;
/// What other tools, and our flags, call a key.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("delay", "latency"),
    ("rate", "bandwidth"),
    ("time_limit", "for"),
    ("timeout", "for"),
    ("duration", "for"),
    ("destination", "to"),
    ("peer", "to"),
    ("interface", "dev"),
    ("link", "dev"),
];

/// The question which of `known` is meant by `key`, or the list of them all.
pub(super) fn advice(key: &str, known: &[&str]) -> String {
    nearest(key, known).map_or_else(
        || {
            let all: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
            format!("the keys here are {}", crate::prose::list(all))
        },
        |nearest| format!("did you mean `{nearest}`?"),
    )
}

/// The one of `known` that `key` most looks like, the first where several do.
pub(crate) fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let key: Vec<char> =
        key.chars().take(KEY_CHARS).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect();
    let other = OTHER_NAMES.iter().find(|(other, _)| other.chars().eq(key.iter().copied()));
    if let Some((_, ours)) = other
        && let Some(ours) = known.iter().find(|known| *known == ours)
    {
        return Some(ours);
    }
    let near = |known: &&'k str| {
        let letters: Vec<char> = known.chars().collect();
        let distance = distance(&key, &letters);
        // A third of the letters may be wrong, so that `x` does not look like `to`.
        (distance * 3 <= letters.len().max(key.len())).then_some((distance, *known))
    };
    known.iter().filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// Letters to change, add, leave out or swap with the next one to make `b` of `a` (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known =
            ["to", "for", "filter", "latency", "loss", "loss_correlation", "bandwidth", "direction", "dev"];
        for (key, meant) in [
            ("latancy", Some("latency")),
            ("latnecy", Some("latency")),
            ("Loss", Some("loss")),
            ("los", Some("loss")),
            ("loss-correlation", Some("loss_correlation")),
            ("delay", Some("latency")),
            ("rate", Some("bandwidth")),
            ("time-limit", Some("for")),
            ("dircetion", Some("direction")),
            ("x", None),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(key, &known), meant, "{key}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), &known), None);
        assert_eq!(advice("x", &["to", "for"]), "the keys here are `to` and `for`");
    }
}
