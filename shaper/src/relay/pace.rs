//! How to wait: exactly where frames are few, in bounded numbers of wake-ups where they are many.
//!
//! A wake-up costs several microseconds of CPU, more than the frame it is for, and comes tens of microseconds late on a virtual machine.
//! So a wake-up for a departure is asked for a little early and the rest is spun, within a budget; and wake-ups in quick succession
//! become one per 75 µs or more, in which frames gather.

/// Least time between wake-ups that go on and on, and the most that it makes a frame late where system calls are fast.
///
/// Chosen by measurement at 20 000 frames per second (Linux 6.18, two virtual CPUs): with 25 µs a frame cost 27 µs of CPU time, with
/// 50 µs 19, with 75 µs 15, with 100 µs 11.
const WAKE_NS: u64 = 75_000;
/// A wake-up and what follows are some forty system calls long. Where each takes tens of microseconds (User-mode Linux: 15 to 55),
/// wake-ups are that much further apart: one TCP flow at 10 ms made 1.0 Gbit/s there with `WAKE_NS` and 1.6 with this.
const WAKE_CALLS: u64 = 40;
/// Furthest that wake-ups are kept apart.
const WAKE_NS_MAX: u64 = 1_000_000;
/// Wake-ups that may come closer together: bursts this long leave at their exact time.
const WAKE_CREDIT: u64 = 20;
/// Most a wake-up is asked for before its time.
const LEAD_NS_MAX: u64 = 100_000;
/// One part in this many of the time may be spun.
const SPIN_SHARE: u64 = 20;
/// Most spinning saved up.
const SPIN_CREDIT_NS: u64 = 2_000_000;
/// Steps by which the lead follows the lateness of wake-ups: up in one of ten and down in nine, so that it settles at the ninth decile.
const LEAD_STEP_UP_NS: u64 = 4_500;
const LEAD_STEP_DOWN_NS: u64 = 500;

/// How to spend the time until there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// No sleep is short enough: watch the clock until this time.
    Spin(u64),
    /// Sleep until this time, or until a frame arrives.
    Wait(u64),
    /// Sleep until this time, whatever arrives.
    Doze(u64),
}

/// What recent wake-ups have cost, and how late they came.
#[derive(Debug)]
pub(super) struct Pace {
    refilled_ns: u64,
    wake_ns: u64,
    wake_credit_ns: u64,
    spin_credit_ns: u64,
    lead_ns: u64,
}

impl Pace {
    /// Starts with all credit, on a machine where a system call takes `call_ns`.
    pub(super) fn new(now_ns: u64, call_ns: u64) -> Self {
        let wake_ns = call_ns.saturating_mul(WAKE_CALLS).clamp(WAKE_NS, WAKE_NS_MAX);
        Self {
            refilled_ns: now_ns,
            wake_ns,
            wake_credit_ns: WAKE_CREDIT * wake_ns,
            spin_credit_ns: SPIN_CREDIT_NS,
            lead_ns: 0,
        }
    }

    /// Says how to wait from `now_ns` for a departure, or else until `beat_ns`.
    pub(super) fn rest(&mut self, now_ns: u64, departure_ns: Option<u64>, beat_ns: u64) -> Rest {
        let elapsed_ns = now_ns.saturating_sub(self.refilled_ns);
        self.refilled_ns = now_ns;
        self.wake_credit_ns = (self.wake_credit_ns + elapsed_ns).min(WAKE_CREDIT * self.wake_ns);
        self.spin_credit_ns = (self.spin_credit_ns + elapsed_ns / SPIN_SHARE).min(SPIN_CREDIT_NS);
        if self.wake_credit_ns < self.wake_ns {
            // By then the credit has grown to one wake-up: this one.
            let until_ns = now_ns + self.wake_ns - self.wake_credit_ns;
            self.refilled_ns = until_ns;
            self.wake_credit_ns = 0;
            return Rest::Doze(until_ns);
        }
        let Some(departure_ns) = departure_ns.filter(|departure_ns| *departure_ns <= beat_ns) else {
            self.wake_credit_ns -= self.wake_ns;
            return Rest::Wait(beat_ns);
        };
        let lead_ns = if self.spin_credit_ns >= self.lead_ns { self.lead_ns } else { 0 };
        if departure_ns <= now_ns + lead_ns {
            self.spin_credit_ns -= departure_ns.saturating_sub(now_ns);
            Rest::Spin(departure_ns)
        } else {
            self.wake_credit_ns -= self.wake_ns;
            Rest::Wait(departure_ns - lead_ns)
        }
    }

    /// Learns from a wake-up by the clock.
    pub(super) fn woke(&mut self, asked_ns: u64, now_ns: u64) {
        self.lead_ns = if now_ns.saturating_sub(asked_ns) > self.lead_ns {
            (self.lead_ns + LEAD_STEP_UP_NS).min(LEAD_NS_MAX)
        } else {
            self.lead_ns.saturating_sub(LEAD_STEP_DOWN_NS)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT_NS: u64 = 50_000_000;

    #[test]
    fn a_lone_departure_is_waited_for_exactly() {
        let mut pace = Pace::new(0, 100);
        assert_eq!(pace.rest(0, Some(1_000_000), BEAT_NS), Rest::Wait(1_000_000));
        assert_eq!(pace.rest(0, None, BEAT_NS), Rest::Wait(BEAT_NS));
        assert_eq!(pace.rest(0, Some(BEAT_NS + 1), BEAT_NS), Rest::Wait(BEAT_NS));
    }

    #[test]
    fn the_lead_settles_at_the_lateness_of_most_wake_ups() {
        let mut pace = Pace::new(0, 100);
        for round in 0..1000_u64 {
            pace.woke(0, if round % 20 == 0 { 500_000 } else { 30_000 });
        }
        assert!((25_000..45_000).contains(&pace.lead_ns), "{}", pace.lead_ns);
        let now_ns = 1_000_000_000;
        assert_eq!(pace.rest(now_ns, Some(now_ns + 10_000), now_ns + BEAT_NS), Rest::Spin(now_ns + 10_000));
        let Rest::Wait(until_ns) = pace.rest(now_ns, Some(now_ns + 1_000_000), now_ns + BEAT_NS) else {
            panic!()
        };
        assert_eq!(until_ns + pace.lead_ns, now_ns + 1_000_000);
    }

    #[test]
    fn spinning_and_wake_ups_stay_within_their_budgets() {
        let mut pace = Pace::new(0, 100);
        pace.lead_ns = LEAD_NS_MAX;
        let (mut now_ns, mut spun_ns, mut wake_ups) = (0, 0, 0);
        // A departure every 30 µs for a second, each wake-up on time.
        while now_ns < 1_000_000_000 {
            now_ns = match pace.rest(now_ns, Some(now_ns + 30_000), u64::MAX) {
                Rest::Spin(until_ns) => {
                    spun_ns += until_ns - now_ns;
                    until_ns
                }
                Rest::Wait(until_ns) | Rest::Doze(until_ns) => {
                    wake_ups += 1;
                    until_ns
                }
            };
        }
        assert!(spun_ns <= 1_000_000_000 / SPIN_SHARE + SPIN_CREDIT_NS, "{spun_ns}");
        assert!(wake_ups <= 1_000_000_000 / WAKE_NS + WAKE_CREDIT + 1, "{wake_ups}");
    }
}
