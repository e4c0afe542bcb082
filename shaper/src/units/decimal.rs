//! Exact decimal numbers with a unit behind them.

use std::fmt;

use super::error::{Error, Quantity};

/// Digits kept behind the decimal point; what follows is less than 10^-18 of a unit, and no unit has 10^18 steps.
const FRACTION_DIGITS: usize = 18;
const FRACTION_SCALE: u128 = 10u128.pow(FRACTION_DIGITS as u32);
/// Characters of a refused value that an error repeats.
const QUOTED_CHARS: usize = 40;

/// A decimal number and the text behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal<'a> {
    value: &'a str,
    quantity: Quantity,
    number: &'a str,
    unit: &'a str,
}

impl<'a> Decimal<'a> {
    /// Splits `value` into `12`, `1.5` or `.5` and a unit that is not empty.
    pub(super) fn split(value: &'a str, quantity: Quantity) -> Result<Self, Error> {
        if value.is_empty() {
            return Err(Error::Empty { quantity });
        }
        let numeral = |c: char| c.is_ascii_digit() || c == '.';
        if value.strip_prefix('-').is_some_and(|rest| rest.starts_with(numeral)) {
            return Err(Error::Negative { value: quote(value), quantity });
        }
        let integer = value.bytes().take_while(u8::is_ascii_digit).count();
        let fraction = match value.as_bytes().get(integer) {
            Some(b'.') => 1 + value.bytes().skip(integer + 1).take_while(u8::is_ascii_digit).count(),
            _ => 0,
        };
        let (number, unit) = value.split_at(integer + fraction);
        // No digit at all, or a point with none behind it.
        if number.is_empty() || fraction == 1 {
            return Err(Error::NotANumber { value: quote(value), quantity });
        }
        if unit.is_empty() {
            return Err(Error::NoUnit { value: quote(value), quantity });
        }
        Ok(Self { value, quantity, number, unit })
    }

    /// The text behind the number.
    pub(super) fn unit(&self) -> &'a str {
        self.unit
    }

    /// The number times `numerator` / `denominator`, rounded to the nearest integer.
    ///
    /// `step` and `max` are how the type prints its smallest value above zero and its largest.
    pub(super) fn scale(
        &self,
        numerator: u64,
        denominator: u8,
        step: &'static str,
        max: impl fmt::Display,
    ) -> Result<u64, Error> {
        let (numerator, denominator) = (u128::from(numerator), u128::from(denominator));
        let too_large =
            || Error::TooLarge { value: quote(self.value), quantity: self.quantity, max: max.to_string() };
        let (integer, fraction) = self.number.split_once('.').unwrap_or((self.number, ""));
        let whole = digits(integer)
            .and_then(|n| n.checked_mul(numerator))
            .filter(|n| n / denominator <= u128::from(u64::MAX))
            .ok_or_else(too_large)?;
        let kept = &fraction[..fraction.len().min(FRACTION_DIGITS)];
        let missing = u32::try_from(FRACTION_DIGITS - kept.len()).unwrap_or(0);
        let part = digits(kept).unwrap_or(0) * 10u128.pow(missing);

        // whole < 2^64 × 255 and 10^18 < 2^60, so the first product would reach 2^132 for the largest denominator;
        // the callers' is at most 8, which leaves it under 2^127. part < 2^60 and numerator < 2^64 for the second.
        debug_assert!(denominator <= 8, "denominator {denominator} may overflow");
        let scaled = whole * FRACTION_SCALE + part * numerator;
        let divisor = denominator * FRACTION_SCALE;
        let rounded = (scaled + divisor / 2) / divisor;
        if rounded == 0 && self.number.bytes().any(|b| matches!(b, b'1'..=b'9')) {
            return Err(Error::TooSmall { value: quote(self.value), quantity: self.quantity, step });
        }
        u64::try_from(rounded).map_err(|_beyond_64_bits| too_large())
    }

    /// The error for a unit that this quantity does not have.
    pub(super) fn unknown_unit(&self) -> Error {
        Error::UnknownUnit { value: quote(self.value), unit: quote(self.unit), quantity: self.quantity }
    }

    /// The error for a unit that can mean several things, with the units to write instead.
    pub(super) fn ambiguous(&self, meanings: &'static str, units: &[&str]) -> Error {
        let number = quote(self.number);
        let instead = units.iter().map(|unit| format!("`{number}{unit}`")).collect::<Vec<_>>().join(" or ");
        Error::Ambiguous { value: quote(self.value), meanings, instead }
    }
}

/// Reads ASCII digits; no digits are zero.
fn digits(text: &str) -> Option<u128> {
    text.bytes().try_fold(0u128, |n, b| n.checked_mul(10)?.checked_add(u128::from(b - b'0')))
}

/// `value` as an error repeats it: on one line, and not without end.
fn quote(value: &str) -> String {
    let mut quoted: String = value
        .chars()
        .take(QUOTED_CHARS)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if value.chars().nth(QUOTED_CHARS).is_some() {
        quoted.push('…');
    }
    quoted
}

/// Writes `value` / 10^`decimals` with no more digits than it takes.
pub(super) fn fixed_point(value: u64, decimals: u32) -> String {
    let scale = 10u64.pow(decimals);
    let (integer, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return integer.to_string();
    }
    let digits = format!("{fraction:0width$}", width = decimals as usize);
    format!("{integer}.{}", digits.trim_end_matches('0'))
}
