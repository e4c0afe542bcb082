//! What was asked for beside what was measured.

use super::super::output::Table;
use super::Body;
use super::reading::{Reading, Rtt, bits, ms};
use crate::shape::{Named as _, Shape};

/// Headers of a full-size TCP segment: 14 of Ethernet, 20 of IPv4, 32 of TCP with timestamps.
const HEADERS: f64 = 14.0 + 20.0 + 32.0;
/// Payload of a full-size TCP segment.
const PAYLOAD: f64 = 1500.0 - 20.0 - 32.0;

/// The table, and what it says.
pub(super) fn text(body: &Body) -> String {
    let mut text = table(body).to_string();
    text.push('\n');
    for line in sentences(body) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn table(body: &Body) -> Table {
    let tcp_heading = if body.during.goodput_bits_per_sec.is_some() { "TCP" } else { "" };
    let mut table = Table::new(["WHEN", "ASKED", "RTT MEDIAN", "MIN", "MAX", "ANSWERED", tcp_heading]);
    let shape = body.asked.words();
    for (when, asked, reading) in
        [("before", "-", &body.before), ("during", shape.as_str(), &body.during), ("after", "-", &body.after)]
    {
        let time = |ns: fn(&Rtt) -> u64| reading.rtt.as_ref().map_or("-".to_owned(), |rtt| ms(ns(rtt)));
        let answered = format!("{} of {}", reading.answered, reading.sent);
        let tcp = reading.goodput_bits_per_sec.map(|goodput| bits(goodput as f64)).unwrap_or_default();
        let (median, min, max) = (time(|rtt| rtt.median_ns), time(|rtt| rtt.min_ns), time(|rtt| rtt.max_ns));
        table.row([&when, &asked, &median, &min, &max, &answered, &tcp]);
    }
    table
}

fn sentences(body: &Body) -> Vec<String> {
    let mut sentences = vec![format!("Engine: {} (`shaper doctor` says why).", body.engine)];
    sentences.extend(latency(&body.asked, &body.before, &body.during));
    sentences.extend(bandwidth(&body.asked, &body.during));
    if body.restored {
        sentences.push("Links, qdiscs and filters of the namespace are the same as before.".to_owned());
    }
    sentences
}

fn latency(asked: &Shape, before: &Reading, during: &Reading) -> Option<String> {
    let (before, during) = (before.rtt?, during.rtt?);
    if asked.latency().is_zero() {
        return None;
    }
    if asked.jitter().is_zero() {
        let grown = during.median_ns.saturating_sub(before.median_ns);
        return Some(format!("Asked for {} more, the round trip took {} more.", asked.latency(), ms(grown)));
    }
    let grown = during.mean_ns.saturating_sub(before.mean_ns);
    Some(format!(
        "Asked for {} more with {} of {} jitter, the round trip took {} more in the mean, with a standard deviation of {}.",
        asked.latency(),
        asked.jitter(),
        asked.distribution().name(),
        ms(grown),
        ms(during.deviation_ns),
    ))
}

fn bandwidth(asked: &Shape, during: &Reading) -> Option<String> {
    let bandwidth = asked.bandwidth()?;
    let Some(goodput) = during.goodput_bits_per_sec else {
        return Some(format!("A short transfer would say little of {bandwidth} here, so none was measured."));
    };
    let most = most_goodput(asked)?;
    Some(format!(
        "Asked for {bandwidth}, TCP carried {}: {:.1} % of the {} that its headers leave.",
        bits(goodput as f64),
        100.0 * goodput as f64 / most,
        bits(most),
    ))
}

/// What a bandwidth leaves for payload.
fn most_goodput(asked: &Shape) -> Option<f64> {
    Some(asked.bandwidth()?.bits_per_sec() as f64 * PAYLOAD / (PAYLOAD + HEADERS))
}

/// What is so far from what was asked for that no busy machine explains it.
pub(super) fn wrong(body: &Body) -> Option<String> {
    if !body.restored {
        return Some("links, qdiscs or filters of the namespace are not the same as before".to_owned());
    }
    let (Some(before), Some(during)) = (body.before.rtt, body.during.rtt) else {
        return Some("no ping was answered".to_owned());
    };
    let asked_ns = body.asked.latency().as_ns();
    let grown_ns = during.mean_ns.saturating_sub(before.mean_ns);
    // A mean of 40 strays by a sixth of the spread, and hardly ever by more than the spread.
    if grown_ns < (asked_ns - asked_ns / 10).saturating_sub(body.asked.jitter().as_ns()) {
        return Some(format!("the round trip took {} more, not {}", ms(grown_ns), body.asked.latency()));
    }
    let (goodput, most) = (body.during.goodput_bits_per_sec?, most_goodput(&body.asked)?);
    (goodput as f64 > 1.1 * most)
        .then(|| format!("TCP carried {}, more than {}", bits(goodput as f64), bits(most)))
}

#[cfg(test)]
mod tests {
    use super::super::reading::Rtt;
    use super::*;
    use crate::shape::Parts;

    fn reading(rtt_ns: u64, goodput_bits_per_sec: Option<u64>) -> Reading {
        let rtt = Rtt {
            median_ns: rtt_ns,
            mean_ns: rtt_ns,
            min_ns: rtt_ns - 5_000,
            max_ns: rtt_ns + 5_000,
            deviation_ns: 0,
        };
        Reading { sent: 10, answered: 10, rtt: Some(rtt), goodput_bits_per_sec }
    }

    fn body(parts: Parts, during: Reading) -> Body {
        let (before, after) = (reading(50_000, None), reading(51_000, None));
        let (asked, why) = (Shape::new(parts).unwrap(), "it was asked for".to_owned());
        Body { asked, engine: "relay", why, commands: Vec::new(), before, during, after, restored: true }
    }

    #[test]
    fn asked_and_measured_stand_side_by_side() {
        let parts = Parts { latency: Some("100ms".parse().unwrap()), ..Parts::default() };
        let expected = "\
WHEN    ASKED          RTT MEDIAN  MIN         MAX         ANSWERED
before  -              0.050 ms    0.045 ms    0.055 ms    10 of 10
during  latency 100ms  100.200 ms  100.195 ms  100.205 ms  10 of 10
after   -              0.051 ms    0.046 ms    0.056 ms    10 of 10

Engine: relay (`shaper doctor` says why).
Asked for 100ms more, the round trip took 100.150 ms more.
Links, qdiscs and filters of the namespace are the same as before.
";
        let body = body(parts, reading(100_200_000, None));
        assert_eq!(text(&body), expected);
        assert_eq!(wrong(&body), None);
    }

    #[test]
    fn a_link_that_was_not_shaped_is_noticed() {
        let latency = Parts { latency: Some("100ms".parse().unwrap()), ..Parts::default() };
        assert!(wrong(&body(latency, reading(50_000, None))).is_some());
        let bandwidth = Parts { bandwidth: Some("10mbit".parse().unwrap()), ..Parts::default() };
        assert!(wrong(&body(bandwidth, reading(50_000, Some(600_000_000)))).is_some());
        assert_eq!(wrong(&body(bandwidth, reading(50_000, Some(9_550_000)))), None);
        assert!(wrong(&Body { restored: false, ..body(bandwidth, reading(50_000, None)) }).is_some());
    }
}
