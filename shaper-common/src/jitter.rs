//! The propagation delay and how it spreads.
//!
//! The tables are what netem's are (tc-netem(8)): 4096 equally likely values in units of 1/8192 of a standard deviation.
//! They are computed here, at compile time, from the definitions of the distributions, and normalised so that the table's
//! own mean is 0 and its own deviation 1: the delay's mean is the latency and its deviation the jitter, as asked. A user's own
//! table is taken as it is.

/// Shape of the delay's spread; discriminants of [`crate::abi::Rule::distribution`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Every delay from latency − jitter to latency + jitter is as likely.
    #[default]
    Uniform = 0,
    /// The bell curve; jitter is its standard deviation.
    Normal = 1,
    /// Pareto with index 3: a sharp lower bound and a heavy tail; jitter is its standard deviation.
    Pareto = 2,
    /// A quarter normal and three quarters Pareto, as iproute2 mixes them; jitter is its standard deviation.
    ParetoNormal = 3,
    /// A table that the user brought: [`crate::abi::Rule::table`] says which.
    Table = 4,
}

/// The tables that users brought.
pub trait Tables {
    /// The value of a table at an index below [`TABLE_LEN`], in [`TABLE_SCALE`]ths of the jitter; zero where there is no such table.
    fn value(&self, table: u32, index: usize) -> i16;
}

/// None at all.
impl Tables for () {
    fn value(&self, _: u32, _: usize) -> i16 {
        0
    }
}

/// Entries of a table.
pub const TABLE_LEN: usize = 4096;
/// One standard deviation in a table (`NETEM_DIST_SCALE`).
pub const TABLE_SCALE: i64 = 8192;
/// `i16::MAX / TABLE_SCALE`: no value is further from the mean than this many deviations.
const CUT: f64 = 32_767.0 / 8_192.0;

/// Quantiles of the normal distribution.
pub static NORMAL: [i16; TABLE_LEN] = normalise(normal());
/// Quantiles of the Pareto distribution.
pub static PARETO: [i16; TABLE_LEN] = normalise(pareto());
/// Values of the mixture.
pub static PARETO_NORMAL: [i16; TABLE_LEN] = normalise(pareto_normal());

/// The delay that 64 random bits select; never negative. `value` gives the value of the user's own table at an index.
///
/// With `jitter_ns` up to 2^42 (73 minutes) no product overflows: 2^42 × 2 × 2^20 < 2^64, 2^42 × 2^15 < 2^63.
#[inline(always)]
#[must_use]
pub fn delay_ns(
    latency_ns: u64,
    jitter_ns: u64,
    distribution: u32,
    bits: u64,
    value: impl FnOnce(usize) -> i16,
) -> u64 {
    let index = (bits >> 52) as usize & (TABLE_LEN - 1);
    let value = if distribution == Distribution::Normal as u32 {
        NORMAL[index]
    } else if distribution == Distribution::Pareto as u32 {
        PARETO[index]
    } else if distribution == Distribution::ParetoNormal as u32 {
        PARETO_NORMAL[index]
    } else if distribution == Distribution::Table as u32 {
        value(index)
    } else {
        let above_least = ((bits >> 44) * (2 * jitter_ns + 1)) >> 20;
        return (latency_ns + above_least).saturating_sub(jitter_ns);
    };
    let offset_ns = (jitter_ns as i64 * value as i64) >> 13;
    let delay_ns = latency_ns as i64 + offset_ns;
    if delay_ns < 0 { 0 } else { delay_ns as u64 }
}

/// Quantiles at (i + ½) / 4096, by the Runge–Kutta method on dx/dp = 1 / density(x), from the median outwards.
const fn normal() -> [f64; TABLE_LEN] {
    const STEPS: usize = 4;
    let mut table = [0.0; TABLE_LEN];
    let mut x = 0.0;
    let mut i = TABLE_LEN / 2;
    while i < TABLE_LEN {
        // The first quantile is half a cell from the median, each other a whole cell from the one before.
        let cell = if i == TABLE_LEN / 2 { 0.5 } else { 1.0 };
        let h = cell / TABLE_LEN as f64 / STEPS as f64;
        let mut step = 0;
        while step < STEPS {
            let k1 = slope(x);
            let k2 = slope(x + h / 2.0 * k1);
            let k3 = slope(x + h / 2.0 * k2);
            let k4 = slope(x + h * k3);
            x += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
            step += 1;
        }
        table[i] = x;
        table[TABLE_LEN - 1 - i] = -x;
        i += 1;
    }
    table
}

/// 1 / density of the normal distribution: √(2π) · exp(x² / 2).
const fn slope(x: f64) -> f64 {
    const SQRT_TWO_PI: f64 = 2.506_628_274_631_000_7;
    SQRT_TWO_PI * exp(x * x / 2.0)
}

/// exp by its Taylor series on y / 32, squared five times; y is under 10 here.
const fn exp(y: f64) -> f64 {
    let y = y / 32.0;
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1);
    while n < 14 {
        term *= y / n as f64;
        sum += term;
        n += 1;
    }
    let mut squarings = 0;
    while squarings < 5 {
        sum *= sum;
        squarings += 1;
    }
    sum
}

/// Quantiles of the Pareto distribution with index 3 and scale 1: (1 − p)^(−1/3).
const fn pareto() -> [f64; TABLE_LEN] {
    let mut table = [0.0; TABLE_LEN];
    let mut i = 0;
    while i < TABLE_LEN {
        let p = (i as f64 + 0.5) / TABLE_LEN as f64;
        table[i] = 1.0 / cube_root(1.0 - p);
        i += 1;
    }
    table
}

/// By Newton's method, from above; the argument is in (0, 1].
const fn cube_root(a: f64) -> f64 {
    let mut x = 1.0;
    let mut n = 0;
    while n < 40 {
        x -= (x * x * x - a) / (3.0 * x * x);
        n += 1;
    }
    x
}

/// ¼ normal + ¾ Pareto: each quantile of one meets a far-off quantile of the other (an odd stride visits all of them).
const fn pareto_normal() -> [f64; TABLE_LEN] {
    const STRIDE: usize = 2_531;
    let (normal, pareto) = (normal(), pareto());
    let mut table = [0.0; TABLE_LEN];
    let mut i = 0;
    while i < TABLE_LEN {
        table[i] = 0.25 * normal[i * STRIDE % TABLE_LEN] + 0.75 * pareto[i];
        i += 1;
    }
    table
}

/// Shifts and scales to mean 0 and deviation 1 after cutting what an `i16` cannot hold; the cut changes both, so repeat.
const fn normalise(mut table: [f64; TABLE_LEN]) -> [i16; TABLE_LEN] {
    let mut round = 0;
    while round < 12 {
        let (mut sum, mut squares, mut i) = (0.0, 0.0, 0);
        while i < TABLE_LEN {
            sum += table[i];
            squares += table[i] * table[i];
            i += 1;
        }
        let mean = sum / TABLE_LEN as f64;
        let deviation = square_root(squares / TABLE_LEN as f64 - mean * mean);
        i = 0;
        while i < TABLE_LEN {
            let x = (table[i] - mean) / deviation;
            table[i] = if x > CUT { CUT } else { x };
            i += 1;
        }
        round += 1;
    }
    let mut out = [0i16; TABLE_LEN];
    let mut i = 0;
    while i < TABLE_LEN {
        let scaled = table[i] * TABLE_SCALE as f64;
        out[i] = (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i16;
        i += 1;
    }
    out
}

/// By Newton's method; the argument is near 1.
const fn square_root(a: f64) -> f64 {
    let mut x = 1.0;
    let mut n = 0;
    while n < 40 {
        x = (x + a / x) / 2.0;
        n += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, draw};

    fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for v in values {
            n += 1.0;
            sum += v;
            squares += v * v;
        }
        let mean = sum / n;
        (mean, (squares / n - mean * mean).sqrt())
    }

    #[test]
    fn tables_have_mean_0_and_deviation_1() {
        for (name, table) in [("normal", &NORMAL), ("pareto", &PARETO), ("paretonormal", &PARETO_NORMAL)] {
            let (mean, deviation) = moments(table.iter().map(|&t| f64::from(t) / TABLE_SCALE as f64));
            // Rounding to 1/8192 and the last cut are all that is left.
            assert!(mean.abs() < 1e-3, "{name}: mean {mean}");
            assert!((deviation - 1.0).abs() < 1e-3, "{name}: deviation {deviation}");
        }
    }

    #[test]
    fn normal_quantiles_are_those_of_the_literature() {
        for (p, z) in [(0.841_344_7, 1.0), (0.977_249_9, 2.0), (0.998_650_1, 3.0), (0.5, 0.0)] {
            let index = (p * TABLE_LEN as f64) as usize;
            let x = f64::from(NORMAL[index]) / TABLE_SCALE as f64;
            // One cell of the table at that quantile, and the normalisation (under 0.1 %).
            let cell = 1.0 / TABLE_LEN as f64 * slope(z);
            assert!((x - z).abs() < cell + 0.001 * z + 1e-3, "quantile {p}: {x}, expected {z}");
        }
    }

    #[test]
    fn mean_and_spread_of_each_distribution_are_as_asked() {
        const N: u64 = 200_000;
        let (latency, jitter) = (100_000_000, 10_000_000);
        for (distribution, deviation) in [
            (Distribution::Uniform, jitter as f64 / 3f64.sqrt()),
            (Distribution::Normal, jitter as f64),
            (Distribution::Pareto, jitter as f64),
            (Distribution::ParetoNormal, jitter as f64),
        ] {
            let delays = (0..N).map(|i| {
                delay_ns(latency, jitter, distribution as u32, draw(42, 0, i, Purpose::Jitter), |_| 0) as f64
            });
            let (mean, spread) = moments(delays);
            // 3.29 standard errors: 99.9 %; the fourth moment of the cut Pareto table is under 14 σ⁴, so the standard
            // error of the deviation is under √(13 / 4N) σ.
            let mean_tolerance = 3.29 * deviation / (N as f64).sqrt() + 1e-3 * deviation;
            let spread_tolerance = 3.29 * deviation * (13.0 / (4.0 * N as f64)).sqrt() + 1e-3 * deviation;
            assert!((mean - latency as f64).abs() < mean_tolerance, "{distribution:?}: mean {mean}");
            assert!((spread - deviation).abs() < spread_tolerance, "{distribution:?}: deviation {spread}");
        }
    }

    #[test]
    fn a_delay_is_never_negative_and_never_overflows() {
        for distribution in 0..5 {
            for bits in [0, 1, u64::MAX, u64::MAX >> 1, 1 << 63] {
                assert!(delay_ns(0, 1 << 42, distribution, bits, |_| i16::MAX) <= 5 << 42);
                assert!(delay_ns(1, 2, distribution, bits, |_| i16::MIN) <= 11);
            }
        }
    }
}
