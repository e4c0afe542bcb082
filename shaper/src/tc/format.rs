//! Values as `tc` prints and takes them: the largest unit that shows the value exactly.

/// Prints a time: `20ms`, `1500us`.
pub(super) fn time(time_ns: u64) -> String {
    exact(time_ns, &[(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")], "ns")
}

/// Prints a rate in bits per second: `10mbit`.
pub(super) fn rate(rate_bytes_per_sec: u64) -> String {
    let bits_per_sec = u128::from(rate_bytes_per_sec) * 8;
    match u64::try_from(bits_per_sec) {
        Ok(bits) => exact(bits, &[(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1000, "kbit")], "bit"),
        Err(_) => format!("{bits_per_sec}bit"),
    }
}

/// Prints a probability, of which `u32::MAX` is always: `0.1%`.
///
/// The shortest decimal that tc reads as this value or, where that makes no difference, as its neighbour: tc counts in
/// shares of 2^32 - 1, others in shares of 2^32.
pub(super) fn percent(probability: u32) -> String {
    let always = f64::from(u32::MAX);
    let tolerance = u32::from(probability > 1 << 20 && probability < u32::MAX);
    let mut text = String::new();
    // Nine decimals of a percent are finer than 2^-32.
    for decimals in 0..=9 {
        text = format!("{:.decimals$}", f64::from(probability) / always * 100.0);
        let read = text.parse::<f64>().map(|percent| (percent / 100.0 * always).round_ties_even() as u32);
        if read.is_ok_and(|read| read.abs_diff(probability) <= tolerance) {
            break;
        }
    }
    text + "%"
}

fn exact(value: u64, units: &[(u64, &str)], base: &str) -> String {
    match units.iter().find(|(factor, _)| value != 0 && value.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{}{unit}", value / factor),
        None => format!("{value}{base}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_as_short_as_tc_reads_it() {
        for (probability, text) in [
            (0, "0%"),
            (u32::MAX, "100%"),
            (1 << 31, "50%"),
            (3 << 30, "75%"),
            (4_294_967, "0.1%"),
            (42_949_673, "1%"),
            (1, "0.00000002%"),
            (u32::MAX - 5, "99.9999999%"),
        ] {
            assert_eq!(percent(probability), text);
        }
    }

    #[test]
    fn the_largest_exact_unit_is_taken() {
        assert_eq!(time(20_000_000), "20ms");
        assert_eq!(time(1_500_000), "1500us");
        assert_eq!(time(7), "7ns");
        assert_eq!(time(0), "0ns");
        assert_eq!(rate(1_250_000), "10mbit");
        assert_eq!(rate(12_500_000_000), "100gbit");
        assert_eq!(rate(1), "8bit");
        assert_eq!(rate(u64::MAX), "147573952589676412920bit");
    }
}
