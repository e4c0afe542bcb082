//! Tables of delays, each kept once for the life of the process.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use shaper_common::jitter::{TABLE_LEN, TABLE_SCALE};

use super::base64;

/// What a table's text begins with.
pub(super) const PREFIX: &str = "table:";
/// Characters of base64 in a table's text.
pub(super) const TEXT_LEN: usize = (TABLE_LEN * 2).div_ceil(3) * 4;

/// Equally likely values of a delay's distance from the latency, in 1/8192 of the jitter.
///
/// Two tables of the same values are one: rules may refer to it by the thousand, and copy what refers to it.
pub struct Table {
    values: [i16; TABLE_LEN],
    number: u32,
    text: OnceLock<String>,
}

/// All tables there are.
#[derive(Default)]
struct Known {
    by_values: HashMap<&'static [i16; TABLE_LEN], &'static Table>,
    by_number: Vec<&'static Table>,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

impl Table {
    /// The table of these values.
    #[must_use]
    pub fn of(values: &[i16; TABLE_LEN]) -> &'static Self {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known.by_values.get(values) {
            return table;
        }
        // Never freed: there are as many as a user brings.
        let number = u32::try_from(known.by_number.len()).unwrap_or(u32::MAX);
        let table: &'static Self =
            Box::leak(Box::new(Self { values: *values, number, text: OnceLock::new() }));
        known.by_values.insert(&table.values, table);
        known.by_number.push(table);
        table
    }

    /// The table that has a [`Self::number`].
    #[must_use]
    pub fn numbered(number: u32) -> Option<&'static Self> {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_number.get(number as usize).copied()
    }

    /// What tells the table from others in this process.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[i16; TABLE_LEN] {
        &self.values
    }

    /// Mean and standard deviation of the values, in units of the jitter.
    #[must_use]
    pub fn moments(&self) -> (f64, f64) {
        let mean_of = |of: fn(f64) -> f64| {
            let sum: f64 = self.values.iter().map(|value| of(f64::from(*value) / TABLE_SCALE as f64)).sum();
            sum / TABLE_LEN as f64
        };
        let mean = mean_of(|x| x);
        (mean, (mean_of(|x| x * x) - mean * mean).max(0.0).sqrt())
    }

    /// The least value, in [`TABLE_SCALE`]ths of the jitter.
    #[must_use]
    pub fn least(&self) -> i16 {
        self.values.iter().copied().min().unwrap_or(0)
    }

    /// The table as text, `table:` and base64, from which [`super::Distribution`] is read.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let bytes: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            format!("{PREFIX}{}", base64::encode(&bytes))
        })
    }

    /// The table of a text.
    pub(super) fn from_text(text: &str) -> Option<&'static Self> {
        let text = text.strip_prefix(PREFIX).filter(|text| text.len() == TEXT_LEN)?;
        let bytes = base64::decode(text)?;
        let (pairs, []) = bytes.as_chunks::<2>() else { return None };
        let values: Vec<i16> = pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
        values.first_chunk().filter(|_| values.len() == TABLE_LEN).map(Self::of)
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Table {}

impl Hash for Table {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.number)
    }
}

/// How many values, their mean and deviation.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mean, deviation) = self.moments();
        // No minus in front of a zero.
        let mean = if mean.abs() < 0.0005 { 0.0 } else { mean };
        write!(f, "table ({TABLE_LEN} values, mean {mean:.3}, deviation {deviation:.3})")
    }
}
