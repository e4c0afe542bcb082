//! From an SDK's shape to ours: what netem would do of what Testground has it do, where that has a meaning.

use shaper_common::jitter::{TABLE_LEN, TABLE_SCALE};

use super::Error;
use crate::shape::{
    self, BANDWIDTH_MAX, BANDWIDTH_MIN, CORRELATION_MAX, DELAY_MAX, Distribution, Parts, Shape, Table,
};
use crate::testground::config::LinkShape;
use crate::units::{Delay, Probability, Rate};

/// Percent.
const ALL: f64 = 100.0;

/// The shape at `key`; nothing where it does nothing.
pub(super) fn of(key: &str, asked: &LinkShape) -> Result<Option<Shape>, Error> {
    let (latency, jitter) = (delay(key, "latency", asked.latency)?, delay(key, "jitter", asked.jitter)?);
    let chance = |name, share, correlation_name, correlation| {
        let share = percentage(key, name, share)?;
        let correlation = percentage(key, correlation_name, correlation)?;
        // All of it would have the first packet decide for every other: as much as there is of it.
        let correlation = correlation.min(CORRELATION_MAX);
        let is_some = !share.is_never();
        let correlation = Some(correlation).filter(|correlation| is_some && !correlation.is_never());
        Ok::<_, Error>((Some(share).filter(|_| is_some), correlation))
    };
    let loss = Some(percentage(key, "loss", asked.loss)?).filter(|loss| !loss.is_never());
    let (corrupt, corrupt_correlation) =
        chance("corrupt", asked.corrupt, "corrupt_corr", asked.corrupt_corr)?;
    let (reorder, reorder_correlation) =
        chance("reorder", asked.reorder, "reorder_corr", asked.reorder_corr)?;
    let (duplicate, duplicate_correlation) =
        chance("duplicate", asked.duplicate, "duplicate_corr", asked.duplicate_corr)?;
    let parts = Parts {
        bandwidth: bandwidth(key, asked.bandwidth)?,
        loss,
        corrupt,
        corrupt_correlation,
        duplicate,
        duplicate_correlation,
        reorder,
        reorder_correlation,
        ..spread(latency, jitter)
    };
    // Without a delay there is none to go without.
    let parts = match parts.latency {
        Some(_) => parts,
        None => Parts { reorder: None, reorder_correlation: None, ..parts },
    };
    match Shape::new(parts) {
        Ok(shape) => Ok(Some(shape)),
        Err(shape::Error::Nothing | shape::Error::OnlyZero { .. }) => Ok(None),
        Err(source) => Err(Error::Shape { key: key.to_owned(), source }),
    }
}

/// A time; to the nanosecond.
fn delay(key: &str, name: &str, ns: i64) -> Result<Delay, Error> {
    let delay = u64::try_from(ns).ok().map(Delay::from_ns).filter(|delay| *delay <= DELAY_MAX);
    delay.ok_or_else(|| Error::Number {
        key: format!("{key}.{name}"),
        value: ns.to_string(),
        legal: format!("write nanoseconds from 0 to {} ({DELAY_MAX})", DELAY_MAX.as_ns()),
    })
}

/// Latency and jitter. More jitter than latency is what netem makes of it: a packet whose time would be before now goes at once.
fn spread(latency: Delay, jitter: Delay) -> Parts {
    let some = |delay: Delay| Some(delay).filter(|delay| !delay.is_zero());
    if jitter <= latency {
        return Parts { latency: some(latency), jitter: some(jitter), ..Parts::default() };
    }
    // So that there is a latency to vary around, delays without any are counted from the jitter.
    let middle = if latency.is_zero() { jitter } else { latency };
    let distribution = Some(Distribution::Table(cut(latency, jitter, middle)));
    Parts { latency: some(middle), jitter: some(jitter), distribution, ..Parts::default() }
}

/// The delays from `latency` − `jitter` to `latency` + `jitter`, each as likely, those below zero put to zero; as distances from
/// `middle`, which is `latency` or `jitter`. There are no more such tables than they have steps, so that those who ask for many
/// use little memory.
fn cut(latency: Delay, jitter: Delay, middle: Delay) -> &'static Table {
    let scale = TABLE_SCALE;
    let jitter_ns = u128::from(jitter.as_ns());
    let below = (u128::from(latency.as_ns()) * TABLE_SCALE as u128 + jitter_ns / 2) / jitter_ns;
    let below = i64::try_from(below).unwrap_or(scale).min(scale);
    let shift = if middle == latency { 0 } else { scale };
    let values: [i16; TABLE_LEN] = std::array::from_fn(|nth| {
        let (nth, len) = (nth as i64, TABLE_LEN as i64);
        let even = (2 * nth + 1) * scale / len - scale;
        (even.max(-below) - shift) as i16
    });
    Table::of(&values)
}

/// A rate; in whole bytes per second, as there. Zero, and more than can be told from no limit, is none.
fn bandwidth(key: &str, bits_per_sec: u64) -> Result<Option<Rate>, Error> {
    let rate = Rate::from_bytes_per_sec(bits_per_sec / 8);
    if bits_per_sec == 0 || rate > BANDWIDTH_MAX {
        return Ok(None);
    }
    if rate < BANDWIDTH_MIN {
        return Err(Error::Number {
            key: format!("{key}.bandwidth"),
            value: bits_per_sec.to_string(),
            legal: format!(
                "write bits per second, at least {} ({BANDWIDTH_MIN}), or 0 for no limit",
                BANDWIDTH_MIN.bits_per_sec()
            ),
        });
    }
    Ok(Some(rate))
}

/// A share, to the nearest 2^-32.
fn percentage(key: &str, name: &str, percent: f64) -> Result<Probability, Error> {
    if !(0.0..=ALL).contains(&percent) {
        return Err(Error::Number {
            key: format!("{key}.{name}"),
            value: percent.to_string(),
            legal: "write percent, from 0 to 100, such as 0.1".to_owned(),
        });
    }
    let steps = (percent / ALL * 2f64.powi(32)).round();
    // A cast of what is more than there is gives the most, which is always.
    Ok(Probability::from_2_32nds(steps as u32))
}
