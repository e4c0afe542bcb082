//! What packets get: round trips, TCP, floods of small packets, and the processor time they cost.

use std::time::Duration;

use shaper::measure::{ping, stats, tcp, udp};
use shaper_netns_tests::node::Node;
use shaper_netns_tests::world::World;

use crate::cpu;
use crate::record::{Metric, Recorder, attempt};
use crate::subject::{Direction, Subject};

const GROUP: &str = "traffic";

/// Slow start and the tuning of buffers at the longest delay measured with TCP take about half of this.
const WARM_UP: Duration = Duration::from_millis(700);

/// One-way delays with which round trips are measured.
const RTT_AT_MS: [u64; 2] = [1, 100];

/// One-way delays with which TCP is measured.
const TCP_AT_MS: [u64; 2] = [1, 10];

const FLOWS: [usize; 2] = [1, 8];

const TCP_ATTEMPTS: usize = 2;

/// The delay under a flood of small packets.
const FLOOD_AT: Duration = Duration::from_millis(1);

/// With 42 bytes of headers and 4 of checksum, an Ethernet frame of the least size, 64 bytes.
const FLOOD_PAYLOAD: usize = 18;

/// Finds out how fast a flood is, to make the next one last as long as asked.
const FLOOD_PILOT: usize = 20_000;
const FLOOD_MAX: f64 = 4e6;

/// A fresh link with or without a delay, and which way the traffic goes that is to meet it.
struct Bench<'a> {
    world: World,
    subject: Subject,
    direction: Direction,
    duration: Duration,
    recorder: &'a mut Recorder,
}

/// Measures all there is for one subject.
pub(crate) fn measure(subject: Subject, direction: Direction, duration: Duration, recorder: &mut Recorder) {
    match attempt(|| Ok(World::new())) {
        Ok(world) => Bench { world, subject, direction, duration, recorder }.all(),
        Err(problem) => eprintln!("{GROUP}/{subject}: {problem}"),
    }
}

impl Bench<'_> {
    fn all(&mut self) {
        let unshaped = self.ping();
        if self.subject == Subject::Unshaped {
            self.write_rtt("rtt", ", 0 ms", &unshaped, 0.0);
            FLOWS.iter().for_each(|&flows| self.tcp(flows, 0));
            self.flood();
            return;
        }
        for ms in RTT_AT_MS {
            let delayed = self.delayed(Duration::from_millis(ms)).and_then(|()| self.ping());
            let expected_ns = unshaped.as_ref().map_or(0.0, |(rtt, _)| rtt.p50) + ms as f64 * 1e6;
            self.write_rtt("rtt over asked", &format!(", {ms} ms"), &delayed, expected_ns);
        }
        for ms in TCP_AT_MS {
            FLOWS.iter().for_each(|&flows| self.tcp(flows, ms));
        }
        self.flood();
    }

    fn delayed(&self, latency: Duration) -> Result<(), String> {
        attempt(|| self.subject.shape(&self.world, self.direction, latency))
    }

    /// From where the delayed packets come, and where they go.
    fn ends(&self) -> (&Node, &Node) {
        match self.direction {
            Direction::Egress => (&self.world.inst, &self.world.peer),
            Direction::Ingress => (&self.world.peer, &self.world.inst),
        }
    }

    /// Round trips, and the share of requests without a reply.
    fn ping(&self) -> Result<(stats::Summary, f64), String> {
        let interval = Duration::from_millis(4);
        let count = (self.duration.as_millis() / interval.as_millis()).clamp(20, 10_000) as usize;
        attempt(|| {
            // Neighbours resolved and caches warm.
            self.world.baseline_ns();
            let pings = self.world.ping(&ping::Train { count, interval, ..Default::default() });
            let rtt = stats::Summary::of(pings.rtt_ns.iter().flatten().copied()).ok_or("no reply at all")?;
            Ok((rtt, (count - rtt.count) as f64 / count as f64))
        })
    }

    fn write_rtt(
        &mut self,
        name: &str,
        at: &str,
        pings: &Result<(stats::Summary, f64), String>,
        expected_ns: f64,
    ) {
        let readings = pings.as_ref().map(|(rtt, lost)| {
            let [p50, p99] = [rtt.p50, rtt.p99].map(|ns| (ns - expected_ns) / 1e3);
            [p50, p99, lost * 100.0]
        });
        let (p50, p99, lost) =
            (format!("{name}{at}, p50"), format!("{name}{at}, p99"), format!("rtt lost{at}"));
        let metrics = [Metric::less(&p50, "us"), Metric::less(&p99, "us"), Metric::less(&lost, "%")];
        self.write(metrics, &readings.map_err(Clone::clone));
    }

    /// The better of some attempts: a flow that a hiccup made leave slow start early needs longer than one to recover.
    fn tcp(&mut self, flows: usize, ms: u64) {
        let measured = attempt(|| {
            if ms > 0 {
                self.subject.shape(&self.world, self.direction, Duration::from_millis(ms))?;
            }
            let mut best = [0.0; 3];
            for _ in 0..TCP_ATTEMPTS {
                let readings = self.transfer(flows, ms)?;
                if readings[0] > best[0] {
                    best = readings;
                }
            }
            Ok(best)
        });
        let plural = if flows == 1 { "" } else { "s" };
        let at = format!("{flows} flow{plural}, {ms} ms");
        let [goodput, cost, repeated] =
            ["tcp", "tcp cpu", "tcp repeated"].map(|what| format!("{what}, {at}"));
        let metrics =
            [Metric::more(&goodput, "Gbit/s"), Metric::less(&cost, "s/Gbit"), Metric::less(&repeated, "%")];
        self.write(metrics, &measured);
    }

    /// Goodput in Gbit/s, processor seconds for each Gbit, and percent of the segments that were repeats.
    fn transfer(&self, flows: usize, ms: u64) -> Result<[f64; 3], String> {
        let bulk = tcp::Bulk { warm_up: WARM_UP, duration: self.duration };
        let (from, to) = self.ends();
        let listener = to.tcp_listener(to.ipv4(0), tcp::Buffers::default());
        let callers = from.tcp_callers(&listener, flows, tcp::Buffers::default());
        let (report, busy) = cpu::busy_during(WARM_UP, self.duration, || tcp::run(&listener, callers, &bulk));
        let report = report.map_err(|error| error.to_string())?;
        let rtt_min_us = report.flows.iter().map(|flow| u64::from(flow.rtt_min_us)).min().unwrap_or_default();
        check_delay(Duration::from_micros(rtt_min_us), Duration::from_millis(ms))?;
        let gbit_per_s = report.goodput_bits_per_sec() / 1e9;
        Ok([gbit_per_s, busy / gbit_per_s, report.retransmit_share() * 100.0])
    }

    fn flood(&mut self) {
        let measured = attempt(|| {
            if self.subject != Subject::Unshaped {
                self.subject.shape(&self.world, self.direction, FLOOD_AT)?;
            }
            let (from, to) = self.ends();
            let receiver = to.udp_receiver(to.ipv4(0));
            let sender = from.udp_sender(&receiver);
            let flood = |count| {
                let train = udp::Train {
                    count,
                    payload: FLOOD_PAYLOAD,
                    interval: Duration::ZERO,
                    drain: Duration::from_millis(300),
                    ..Default::default()
                };
                udp::run(&sender, &receiver, &train).map_err(|error| error.to_string())
            };
            let pilot = flood(FLOOD_PILOT)?.departure_rate().ok_or("nothing was sent")?;
            let count = (pilot * self.duration.as_secs_f64()).clamp(FLOOD_PILOT as f64, FLOOD_MAX);
            let begin = cpu::Sample::take();
            let report = flood(count as usize)?;
            let busy_s = cpu::Sample::take().busy_s_since(&begin);
            if self.subject != Subject::Unshaped {
                let least_ns = report.delay().map_or(0.0, |delay| delay.min);
                check_delay(Duration::from_nanos(least_ns as u64), FLOOD_AT)?;
            }
            let arrived = report.arrivals.len() as f64;
            let rate = report.arrival_rate().ok_or("nothing arrived")?;
            let lost = report.lost() as f64 / report.sent() as f64;
            Ok([rate / 1e3, lost * 100.0, busy_s / arrived * 1e6])
        });
        let metrics = [
            Metric::more("udp 64 bytes, received", "kpps"),
            Metric::less("udp 64 bytes, lost", "%"),
            Metric::less("udp 64 bytes, cpu", "us/packet"),
        ];
        self.write(metrics, &measured);
    }

    fn write<const N: usize>(&mut self, metrics: [Metric<'_>; N], values: &Result<[f64; N], String>) {
        self.recorder.write(GROUP, &self.subject.to_string(), metrics, values);
    }
}

/// A link whose packets pass unshaped is fast, but not what is to be measured.
fn check_delay(least: Duration, asked: Duration) -> Result<(), String> {
    // TCP's clock, and that of arrivals, may be off by some microseconds.
    if least < asked.mul_f64(0.95) {
        return Err(format!("packets passed unshaped: some needed {least:?} where {asked:?} was asked for"));
    }
    Ok(())
}
