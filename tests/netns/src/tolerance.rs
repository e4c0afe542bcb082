//! How far a reading may be from what was asked, each as a formula with its reason.

use std::time::Duration;

use shaper::measure::stats::{binomial, chain, correlation};

use crate::family::Family;

/// The normal quantile for 99.9 % two-sided: one honest trial in a thousand fails by chance.
pub const Z_999: f64 = 3.29;

/// What is left out at each end of an interval for 99.9 %.
pub const TAIL_999: f64 = 0.0005;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// Returns the bytes that TCP puts before its payload on an Ethernet wire: 14 of Ethernet, the IP header, 20 of TCP and 12 of its
/// timestamps option.
pub const fn tcp_headers(family: Family) -> usize {
    ETHERNET + family.ip_header_len() + 20 + 12
}

/// Returns the bytes that UDP puts before its payload on an Ethernet wire.
pub const fn udp_headers(family: Family) -> usize {
    ETHERNET + family.ip_header_len() + 8
}

/// Bytes of a full frame of Ethernet, whose MTU is 1500.
pub const FULL_FRAME: usize = ETHERNET + 1500;

/// How far the median round trip may be from baseline plus latency: what the issue promises of a link shaped on one side, 0.5 ms.
pub const RTT_MEDIAN_NS: f64 = 0.5e6;

/// Returns how far the median round trip may be when packets are held `times` on their way there and back: each time is a timer
/// and a hand-off of its own.
pub const fn rtt_median_ns(times: u32) -> f64 {
    RTT_MEDIAN_NS * times as f64
}

/// Share by which goodput may miss the rate less headers: what the issue promises, 2 %.
pub const GOODPUT_SHARE: f64 = 0.02;

/// Share of TCP segments that may be repeats on a path that loses none on purpose: an unshaped veth at 20 Gbit/s, whose sender
/// overruns the receiving side's backlog (`netdev_max_backlog`) at times, was seen to need 0.5 %. A storm, such as reordering or
/// a starved queue makes, is tens of percent.
pub const REPEATED_SHARE_MAX: f64 = 0.02;

/// How late a single packet may be noticed on a busy machine with two processors: a scheduling period of CFS/EEVDF with a few
/// runnable threads (3 ms each).
pub const WORST_WAKEUP: Duration = Duration::from_millis(10);

/// Returns the goodput in bits per second of TCP through a bottleneck that counts whole Ethernet frames, all of them full.
pub const fn goodput_bits_per_sec(family: Family, rate_bits_per_sec: f64) -> f64 {
    rate_bits_per_sec * (FULL_FRAME - tcp_headers(family)) as f64 / FULL_FRAME as f64
}

/// Returns how far the mean of `n` independent readings of deviation `sigma_ns` may stray: the central limit theorem's z·σ/√n,
/// plus `bias_ns` for the lateness that every reading shares.
pub fn mean_ns(sigma_ns: f64, n: usize, bias_ns: f64) -> f64 {
    Z_999 * sigma_ns / (n as f64).sqrt() + bias_ns
}

/// Returns by which share the deviation of `n` independent readings may stray.
///
/// The variance of a sample has a standard error of σ²·√((κ − 1)/n), κ being the kurtosis (1.8 for a uniform distribution, 3
/// for a normal one, more for heavy tails); the deviation, its square root, half of that in relative terms.
pub fn deviation_share(kurtosis: f64, n: usize) -> f64 {
    Z_999 / 2.0 * ((kurtosis - 1.0) / n as f64).sqrt()
}

/// Returns the time in nanoseconds that a frame of `bytes` takes through a bottleneck.
pub const fn serialisation_ns(bytes: usize, rate_bits_per_sec: f64) -> f64 {
    bytes as f64 * 8.0 / rate_bits_per_sec * 1e9
}

/// Returns the least and the greatest count of `n` packets to which something happens with probability `p` each: the exact binomial
/// interval of 99.9 %.
pub fn count(n: usize, p: f64) -> (u64, u64) {
    binomial::central_interval(n as u64, p, TAIL_999)
}

/// Returns the same where packets depend on those before them: the mean of the chain's long run, and z times the deviation that its
/// memory gives the count.
pub fn count_of_chain(n: usize, run: &chain::LongRun) -> (u64, u64) {
    let (mean, slack) = (n as f64 * run.share, Z_999 * run.count_deviation(n));
    ((mean - slack).max(0.0).ceil() as u64, (mean + slack).floor() as u64)
}

/// Returns the same where something can happen again only `gap` packets after it did, and from then on with probability `p` at each:
/// from one to the next there are gap - 1 packets and a geometric number of others.
///
/// By the renewal theorem the count has mean n/μ and variance nσ²/μ³, μ = gap - 1 + 1/p and σ² = (1 - p)/p² being those of the
/// distance.
pub fn count_with_gap(n: usize, p: f64, gap: u32) -> (u64, u64) {
    let (n, distance) = (n as f64, f64::from(gap) - 1.0 + 1.0 / p);
    let slack = Z_999 * (n * (1.0 - p) / (p * p) / distance.powi(3)).sqrt();
    ((n / distance - slack).ceil() as u64, (n / distance + slack).floor() as u64)
}

/// Returns the least and the greatest mean length of `n` bursts that end with probability `end` at each of their packets: the mean and
/// the deviation of a geometric distribution are 1/p and √(1 - p)/p. It is skewed to longer ones, and so is the mean of a few; a
/// quarter more than the central limit theorem's is enough from five bursts on that are longer than one packet (as a Poisson
/// distribution of mean 5, which 14 are passed once in two thousand times, 5 + 3.29·√5 being 12.4).
pub fn mean_burst(end: f64, n: usize) -> (f64, f64) {
    let (mean, slack) = (1.0 / end, Z_999 * (1.0 - end).sqrt() / end / (n as f64).sqrt());
    (mean - slack, mean + 1.25 * slack)
}

/// Returns the least and the greatest correlation of `n` packets with the next ones, each of which repeats the one before it with
/// probability `rho` and else is drawn anew from a distribution of kurtosis `kurtosis`.
pub fn correlation(rho: f64, kurtosis: f64, n: usize) -> (f64, f64) {
    let slack = Z_999 * correlation::lag1_error(rho, kurtosis, n);
    (rho - slack, rho + slack)
}

/// The kurtosis of what happens with probability `p` or does not.
pub fn kurtosis_of_chance(p: f64) -> f64 {
    1.0 / (p * (1.0 - p)) - 3.0
}
