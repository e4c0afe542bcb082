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
        if behind_sign(value).is_some() {
            return Err(Error::Negative { value: quote(value), quantity });
        }
        Self::split_signed(value, quantity).map(|(decimal, _)| decimal)
    }

    /// As [`Self::split`], of a value that may have a minus sign; says whether it has.
    pub(super) fn split_signed(value: &'a str, quantity: Quantity) -> Result<(Self, bool), Error> {
        if value.is_empty() {
            return Err(Error::Empty { quantity });
        }
        let negative = behind_sign(value);
        let magnitude = negative.unwrap_or(value);
        let integer = magnitude.bytes().take_while(u8::is_ascii_digit).count();
        let fraction = match magnitude.as_bytes().get(integer) {
            Some(b'.') => 1 + magnitude.bytes().skip(integer + 1).take_while(u8::is_ascii_digit).count(),
            _ => 0,
        };
        let (number, unit) = magnitude.split_at(integer + fraction);
        // No digit at all, or a point with none behind it.
        if number.is_empty() || fraction == 1 {
            return Err(Error::NotANumber { value: quote(value), quantity });
        }
        if unit.is_empty() {
            return Err(Error::NoUnit { value: quote(value), quantity });
        }
        Ok((Self { value, quantity, number, unit }, negative.is_some()))
    }

    /// The text behind the number.
    pub(super) fn unit(&self) -> &'a str {
        self.unit
    }

    /// Says whether the number is more than `limit`.
    pub(super) fn exceeds(&self, limit: u128) -> bool {
        let (integer, fraction) = self.number.split_once('.').unwrap_or((self.number, ""));
        let beyond = fraction.bytes().any(|b| b != b'0');
        digits(integer).is_none_or(|n| n > limit || (n == limit && beyond))
    }

    /// The error for a number that is more than `max`.
    pub(super) fn too_large(&self, max: impl fmt::Display) -> Error {
        Error::TooLarge { value: quote(self.value), quantity: self.quantity, max: max.to_string() }
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
        let (integer, fraction) = self.number.split_once('.').unwrap_or((self.number, ""));
        let whole = digits(integer)
            .and_then(|n| n.checked_mul(numerator))
            .filter(|n| n / denominator <= u128::from(u64::MAX))
            .ok_or_else(|| self.too_large(&max))?;
        let kept = &fraction[..fraction.len().min(FRACTION_DIGITS)];
        let missing = u32::try_from(FRACTION_DIGITS - kept.len()).unwrap_or(0);
        let part = digits(kept).unwrap_or(0) * 10u128.pow(missing);

        // part < 2^60, numerator < 2^64 and divisor < 2^68: what is added is under 2^125.
        let divisor = denominator * FRACTION_SCALE;
        let scaled = whole
            .checked_mul(FRACTION_SCALE)
            .and_then(|scaled| scaled.checked_add(part * numerator + divisor / 2))
            .ok_or_else(|| self.too_large(&max))?;
        let rounded = scaled / divisor;
        if rounded == 0 && self.number.bytes().any(|b| matches!(b, b'1'..=b'9')) {
            return Err(Error::TooSmall { value: quote(self.value), quantity: self.quantity, step });
        }
        u64::try_from(rounded).map_err(|_beyond_64_bits| self.too_large(&max))
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

/// The number behind a minus sign, if there is one.
fn behind_sign(value: &str) -> Option<&str> {
    value.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
}

/// Reads ASCII digits; no digits are zero.
fn digits(text: &str) -> Option<u128> {
    text.bytes().try_fold(0u128, |n, b| n.checked_mul(10)?.checked_add(u128::from(b - b'0')))
}

/// `value` as an error repeats it: on one line, and not without end.
pub(crate) fn quote(value: &str) -> String {
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
