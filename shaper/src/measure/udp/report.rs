//! What became of a packet train.

use crate::measure::stats;

/// One packet's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which packet of the train, from 0.
    pub sequence: u32,
    /// When it reached the receiver's namespace, `CLOCK_MONOTONIC`.
    pub at_ns: u64,
}

/// What became of a train.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// When each packet was handed to the kernel, by sequence number.
    pub departures_ns: Vec<u64>,
    /// Packets the sender's own kernel refused (`ENOBUFS`); they are among `departures_ns` and count as lost.
    pub refused: usize,
    /// Every arrival, in order of arrival, duplicates included.
    pub arrivals: Vec<Arrival>,
    /// Packets that arrived other than they were sent; they count as lost as well.
    pub damaged: usize,
    /// Packets that crossed the link but found the receiving socket full: the instrument's fault, not the link's.
    pub receiver_drops: u32,
}

impl Report {
    /// Number of packets sent.
    pub fn sent(&self) -> usize {
        self.departures_ns.len()
    }

    /// Number of packets that never arrived, less those the receiving socket had no room for.
    pub fn lost(&self) -> usize {
        self.missing().len().saturating_sub(self.receiver_drops as usize)
    }

    /// Sequence numbers of the packets that never arrived, those the receiving socket had no room for included.
    pub fn missing(&self) -> Vec<usize> {
        let first = self.first_arrivals();
        (0..first.len()).filter(|&sequence| first[sequence].is_none()).collect()
    }

    /// How often each packet arrived, by sequence number.
    pub fn copies(&self) -> Vec<u32> {
        let mut copies = vec![0; self.departures_ns.len()];
        for arrival in &self.arrivals {
            copies[arrival.sequence as usize] += 1;
        }
        copies
    }

    /// Number of arrivals of packets that had arrived before.
    pub fn duplicates(&self) -> usize {
        self.arrivals.len() - self.first_arrivals().iter().flatten().count()
    }

    /// Number of arrivals behind a packet sent after them (RFC 4737's reordered packets).
    pub fn reordered(&self) -> usize {
        let mut expected = 0;
        self.arrivals
            .iter()
            .filter(|arrival| {
                let late = arrival.sequence < expected;
                expected = expected.max(arrival.sequence + 1);
                late
            })
            .count()
    }

    /// The one-way delay in nanoseconds of each packet that arrived, by sequence number.
    pub fn delays_ns(&self) -> Vec<u64> {
        self.delays_by_sequence().into_iter().flatten().collect()
    }

    /// The one-way delay in nanoseconds of each packet, by sequence number; `None` for those that never arrived.
    pub fn delays_by_sequence(&self) -> Vec<Option<u64>> {
        let arrived = self.first_arrivals().into_iter().zip(&self.departures_ns);
        arrived.map(|(arrived, departed)| arrived.map(|at_ns| at_ns.saturating_sub(*departed))).collect()
    }

    /// Location and spread of [`Report::delays_ns`]; `None` when nothing arrived.
    pub fn delay(&self) -> Option<stats::Summary> {
        stats::Summary::of(self.delays_ns())
    }

    /// Packets per second between the first and the last arrival; `None` for fewer than two.
    pub fn arrival_rate(&self) -> Option<f64> {
        rate(self.arrivals.first()?.at_ns, self.arrivals.last()?.at_ns, self.arrivals.len())
    }

    /// Packets per second between the first and the last departure; `None` for fewer than two.
    pub fn departure_rate(&self) -> Option<f64> {
        rate(*self.departures_ns.first()?, *self.departures_ns.last()?, self.departures_ns.len())
    }

    fn first_arrivals(&self) -> Vec<Option<u64>> {
        let mut first = vec![None; self.departures_ns.len()];
        for arrival in &self.arrivals {
            first[arrival.sequence as usize].get_or_insert(arrival.at_ns);
        }
        first
    }
}

fn rate(first_ns: u64, last_ns: u64, count: usize) -> Option<f64> {
    let seconds = last_ns.checked_sub(first_ns).filter(|&ns| ns > 0)? as f64 / 1e9;
    Some((count - 1) as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(departures: usize, arrivals: &[(u32, u64)]) -> Report {
        Report {
            departures_ns: (0..departures as u64).map(|n| n * 10).collect(),
            arrivals: arrivals.iter().map(|&(sequence, at_ns)| Arrival { sequence, at_ns }).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn a_report_tells_loss_order_and_duplicates_apart() {
        let report = report(5, &[(0, 100), (2, 120), (1, 130), (2, 140), (4, 150)]);
        assert_eq!((report.sent(), report.lost(), report.duplicates()), (5, 1, 1));
        assert_eq!(report.missing(), [3]);
        assert_eq!(report.reordered(), 2, "1 behind 2, and the second 2 behind itself");
        assert_eq!(report.delays_ns(), [100, 120, 100, 110]);
        assert_eq!(report.copies(), [1, 1, 2, 0, 1]);
        assert_eq!(report.arrival_rate(), Some(4.0 / 50e-9));
    }

    #[test]
    fn drops_of_the_instrument_are_not_losses_of_the_link() {
        let mut report = report(4, &[(0, 100)]);
        report.receiver_drops = 2;
        assert_eq!(report.lost(), 1);
    }

    #[test]
    fn a_rate_needs_two_arrivals() {
        assert_eq!(report(1, &[(0, 5)]).arrival_rate(), None);
        assert_eq!(report(1, &[]).arrival_rate(), None);
    }
}
