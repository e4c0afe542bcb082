//! Distributions in files: netem's tables, and delays that somebody measured.
//!
//! Both are numbers, with comments from `#` to the end of the line. What has a unit, or says one in its first line (`# unit: ms`), is a
//! list of samples; whole numbers are netem's table.

use shaper_common::jitter::{TABLE_LEN, TABLE_SCALE};

use super::{Distribution, Table};
use crate::shape::{self, DELAY_MAX, Parts};
use crate::units::{self, Delay, quote};

/// The longest file, in bytes: 16 MiB.
pub const TEXT_MAX: usize = 16 << 20;
/// The most values of netem's tables (`NETEM_DIST_MAX`).
pub const TABLE_VALUES_MAX: usize = 16_384;
/// The most samples.
pub const SAMPLES_MAX: usize = 1_000_000;
/// One sample in so many may be further from the mean than a table can say, which is 4 deviations.
const FAR_SHARE: usize = 1_000;
/// What a first line says the unit with, behind its `#`.
const UNIT: &str = "unit:";

/// A text that is neither of the two; says the line, what is there, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is longer than [`TEXT_MAX`].
    #[error("the file has more than {} MiB, and no distribution needs them", TEXT_MAX >> 20)]
    TooLong,
    /// There is no number.
    #[error(
        "the file has no numbers: write one delay on each line (such as `12.3ms`), or a table of netem's (whole numbers)"
    )]
    Empty,
    /// A value is not what netem's tables hold.
    #[error(
        "line {line}: `{value}` is no value of netem's table: write whole numbers from {} to {}, or, for a list of delays, one on \
         each line with its unit (such as `12.3ms`)",
        i16::MIN,
        i16::MAX
    )]
    NotInTable {
        /// The line, from 1.
        line: usize,
        /// What is there, shortened.
        value: String,
    },
    /// There are more values than [`TABLE_VALUES_MAX`].
    #[error("line {line}: netem's tables have at most {TABLE_VALUES_MAX} values, and here is one more")]
    TableTooLong {
        /// The line of the first one that is too much.
        line: usize,
    },
    /// A number stands alone.
    #[error(
        "line {line}: `{value}` has no unit: write one (such as `{value}ms`), or `# unit: ms` as the first line for all numbers"
    )]
    NoUnit {
        /// The line, from 1.
        line: usize,
        /// What is there, shortened.
        value: String,
    },
    /// The numbers could be delays or a table.
    #[error(
        "line {line}: whole numbers, one on each line and none of them negative, could be delays: write `# unit: ms` (or another \
         unit) as the first line; if this is netem's table, put several on a line"
    )]
    Ambiguous {
        /// The line of the first one.
        line: usize,
    },
    /// The unit of the first line is none.
    #[error("line {line}: `{unit}` is no unit of time: write `# unit: ms` (or `ns`, `us`, `s`)")]
    NotAUnit {
        /// The line, from 1.
        line: usize,
        /// What is there, shortened.
        unit: String,
    },
    /// A number has a unit although the first line says one for all.
    #[error(
        "line {line}: `{value}` has a unit of its own, and the first line says one for all: write the number alone"
    )]
    TwoUnits {
        /// The line, from 1.
        line: usize,
        /// What is there, shortened.
        value: String,
    },
    /// A line of a list has more than one value.
    #[error("line {line}: `{value}` is more than one delay: write one on each line")]
    TwoOnALine {
        /// The line, from 1.
        line: usize,
        /// What is there, shortened.
        value: String,
    },
    /// A value is no delay.
    #[error("line {line}: {error}")]
    NotADelay {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        error: units::Error,
    },
    /// A delay is above [`DELAY_MAX`].
    #[error("line {line}: `{value}` is out of range: a delay is at most {DELAY_MAX}")]
    DelayTooLong {
        /// The line, from 1.
        line: usize,
        /// What is there, shortened.
        value: String,
    },
    /// One sample has no deviation.
    #[error("line {line}: one delay alone is no distribution: give at least 2")]
    OneSample {
        /// Its line.
        line: usize,
    },
    /// There are more samples than [`SAMPLES_MAX`].
    #[error("line {line}: at most {SAMPLES_MAX} delays are read, and here is one more")]
    TooManySamples {
        /// The line of the first one that is too much.
        line: usize,
    },
    /// Too many samples are further from the mean than a table can say.
    #[error(
        "{far} of {samples} delays are more than 4 deviations ({deviation}) away from their mean ({mean}), which is as far as a \
         table of netem's reaches; at most one in {FAR_SHARE} may be: leave out those that are no delays of the path"
    )]
    TooFar {
        /// How many.
        far: usize,
        /// Of how many.
        samples: usize,
        /// Their mean.
        mean: Delay,
        /// Their deviation.
        deviation: Delay,
    },
}

/// What a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A table of netem's, for a latency and a jitter that are said elsewhere.
    Table(&'static Table),
    /// Delays, which say everything.
    Samples {
        /// Their mean.
        latency: Delay,
        /// Their standard deviation.
        jitter: Delay,
        /// Their quantiles.
        table: &'static Table,
    },
}

impl Measured {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > TEXT_MAX {
            return Err(Error::TooLong);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let unit = unit(text);
        let has_unit = |(_, line): (usize, &str)| line.split_whitespace().any(|value| !is_whole(value));
        if unit.is_some() || lines(text).any(has_unit) && !lines(text).next().is_some_and(is_row) {
            return samples(text, unit);
        }
        table(text)
    }

    /// `parts` with this in place of their distribution.
    ///
    /// # Errors
    ///
    /// When samples meet a latency or a jitter: they have their own.
    pub fn fill(self, parts: Parts) -> Result<Parts, shape::Error> {
        match self {
            Self::Table(table) => Ok(Parts { distribution: Some(Distribution::Table(table)), ..parts }),
            Self::Samples { latency, jitter, table } => {
                for (what, given) in [("latency", parts.latency), ("jitter", parts.jitter)] {
                    if let Some(given) = given {
                        let given = given.to_string();
                        return Err(shape::Error::BesideSamples { what, given, latency, jitter });
                    }
                }
                let distribution = Some(Distribution::Table(table));
                Ok(Parts { latency: Some(latency), jitter: Some(jitter), distribution, ..parts })
            }
        }
    }
}

/// The lines that say something, numbered from 1, without comments.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bare = text.lines().map(|line| line.split_once('#').map_or(line, |(before, _)| before).trim());
    (1..).zip(bare).filter(|(_, line)| !line.is_empty())
}

/// The unit that the first line says for all, with the number of its line.
fn unit(text: &str) -> Option<(usize, &str)> {
    let (number, line) = (1..).zip(text.lines()).find(|(_, line)| !line.trim().is_empty())?;
    let unit = line.trim().strip_prefix('#')?.trim().strip_prefix(UNIT)?;
    Some((number, unit.trim()))
}

fn is_whole(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// Whether a line is one of a table: whole numbers, several of them or a negative one.
fn is_row((_, line): (usize, &str)) -> bool {
    line.split_whitespace().all(is_whole) && (line.contains('-') || line.split_whitespace().nth(1).is_some())
}

fn table(text: &str) -> Result<Measured, Error> {
    let mut values: Vec<i16> = Vec::new();
    for (line, row) in lines(text) {
        for value in row.split_whitespace() {
            if values.len() == TABLE_VALUES_MAX {
                return Err(Error::TableTooLong { line });
            }
            let value =
                value.parse().map_err(|_no_number: std::num::ParseIntError| not_in_table(line, value))?;
            values.push(value);
        }
    }
    let Some((first, _)) = lines(text).next() else { return Err(Error::Empty) };
    if !lines(text).any(is_row) {
        return Err(Error::Ambiguous { line: first });
    }
    // Any order will do where each has its place.
    if let Some(values) = values.first_chunk().filter(|_| values.len() == TABLE_LEN) {
        return Ok(Measured::Table(Table::of(values)));
    }
    values.sort_unstable();
    Ok(Measured::Table(Table::of(&std::array::from_fn(|nth| quantile(&values, nth)))))
}

fn not_in_table(line: usize, value: &str) -> Error {
    Error::NotInTable { line, value: quote(value) }
}

/// The value at (`nth` + ½) / [`TABLE_LEN`] of those that are sorted.
fn quantile<T: Copy>(sorted: &[T], nth: usize) -> T {
    sorted[(2 * nth + 1) * sorted.len() / (2 * TABLE_LEN)]
}

fn samples(text: &str, unit: Option<(usize, &str)>) -> Result<Measured, Error> {
    if let Some((line, unit)) = unit
        && (unit.contains(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == '.')
            || format!("1{unit}").parse::<Delay>().is_err())
    {
        return Err(Error::NotAUnit { line, unit: quote(unit) });
    }
    let mut samples = Vec::new();
    let mut last = 0;
    for (line, value) in lines(text) {
        if samples.len() == SAMPLES_MAX {
            return Err(Error::TooManySamples { line });
        }
        samples.push(sample(line, value, unit.map(|(_, unit)| unit))?.as_ns());
        last = line;
    }
    match samples.as_slice() {
        [] => return Err(Error::Empty),
        [_] => return Err(Error::OneSample { line: last }),
        _ => {}
    }
    samples.sort_unstable();
    of_sorted(&samples)
}

fn sample(line: usize, value: &str, unit: Option<&str>) -> Result<Delay, Error> {
    let shown = || quote(value);
    if value.contains(char::is_whitespace) {
        return Err(Error::TwoOnALine { line, value: shown() });
    }
    let is_bare = value.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    let read = match unit {
        Some(_) if !is_bare => return Err(Error::TwoUnits { line, value: shown() }),
        Some(unit) => format!("{value}{unit}").parse(),
        None => value.parse(),
    };
    let delay: Delay = read.map_err(|error| match error {
        units::Error::NoUnit { value, .. } => Error::NoUnit { line, value },
        error => Error::NotADelay { line, error },
    })?;
    if delay > DELAY_MAX {
        return Err(Error::DelayTooLong { line, value: shown() });
    }
    Ok(delay)
}

/// What delays say that are sorted, at least one.
fn of_sorted(samples: &[u64]) -> Result<Measured, Error> {
    let count = samples.len() as f64;
    let mean = samples.iter().map(|ns| *ns as f64).sum::<f64>() / count;
    let variance = samples.iter().map(|ns| (*ns as f64 - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt();
    let (latency, jitter) = (Delay::from_ns(mean.round() as u64), Delay::from_ns(deviation.round() as u64));
    if jitter.is_zero() {
        return Ok(Measured::Samples { latency, jitter, table: Table::of(&[0; TABLE_LEN]) });
    }
    // By what the kernel will multiply with.
    let (mean, deviation) = (latency.as_ns() as f64, jitter.as_ns() as f64);
    let in_table = |ns: u64| ((ns as f64 - mean) / deviation * TABLE_SCALE as f64).round();
    let far = samples.iter().filter(|ns| in_table(**ns) as i16 as f64 != in_table(**ns)).count();
    if far * FAR_SHARE > samples.len() {
        return Err(Error::TooFar { far, samples: samples.len(), mean: latency, deviation: jitter });
    }
    // A conversion to an integer keeps to the nearest one there is.
    let table = Table::of(&std::array::from_fn(|nth| in_table(quantile(samples, nth)) as i16));
    Ok(Measured::Samples { latency, jitter, table })
}

#[cfg(test)]
mod tests;
