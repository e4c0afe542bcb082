//! The order in which held frames leave: by departure time, equal times by arrival.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::arena::Span;

/// A frame that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// `CLOCK_MONOTONIC` time to send it.
    pub(super) departure_ns: u64,
    /// Where it is.
    pub(super) span: Span,
}

/// A [`Held`] with its place among equal departure times.
#[derive(Clone, Copy, Debug)]
struct Entry {
    departure_ns: u64,
    arrival: u64,
    span: Span,
}

impl Entry {
    fn key(&self) -> (u64, u64) {
        (self.departure_ns, self.arrival)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Held frames in order of departure.
///
/// Frames that arrive in order of departure (constant delay) go to a ring, at constant cost; the others to a heap.
#[derive(Debug, Default)]
pub(super) struct Queue {
    in_order: VecDeque<Entry>,
    out_of_order: BinaryHeap<Reverse<Entry>>,
    arrivals: u64,
}

impl Queue {
    /// Number of frames held.
    pub(super) fn len(&self) -> usize {
        self.in_order.len() + self.out_of_order.len()
    }

    /// Adds the frame that arrived last.
    pub(super) fn push(&mut self, held: Held) {
        let entry = Entry { departure_ns: held.departure_ns, arrival: self.arrivals, span: held.span };
        self.arrivals += 1;
        if self.in_order.back().is_none_or(|last| last.departure_ns <= entry.departure_ns) {
            self.in_order.push_back(entry);
        } else {
            self.out_of_order.push(Reverse(entry));
        }
    }

    /// Returns the departure time of the next frame to leave.
    pub(super) fn next_departure_ns(&self) -> Option<u64> {
        let ring = self.in_order.front().map(|entry| entry.departure_ns);
        let heap = self.out_of_order.peek().map(|Reverse(entry)| entry.departure_ns);
        match (ring, heap) {
            (Some(ring), Some(heap)) => Some(ring.min(heap)),
            (one, other) => one.or(other),
        }
    }

    /// Removes the next frame to leave if its time has come by `now_ns`.
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<Held> {
        let from_heap = match (self.in_order.front(), self.out_of_order.peek()) {
            (Some(ring), Some(Reverse(heap))) => heap < ring,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let entry = if from_heap {
            let due = self.out_of_order.peek().is_some_and(|Reverse(entry)| entry.departure_ns <= now_ns);
            due.then(|| self.out_of_order.pop()).flatten().map(|Reverse(entry)| entry)
        } else {
            self.in_order.pop_front_if(|entry| entry.departure_ns <= now_ns)
        }?;
        Some(Held { departure_ns: entry.departure_ns, span: entry.span })
    }

    /// Shows `relocate` where each frame is, to change it.
    pub(super) fn relocate_all(&mut self, mut relocate: impl FnMut(&mut Span)) {
        for entry in &mut self.in_order {
            relocate(&mut entry.span);
        }
        let mut entries = std::mem::take(&mut self.out_of_order).into_vec();
        for Reverse(entry) in &mut entries {
            relocate(&mut entry.span);
        }
        self.out_of_order = entries.into();
    }

    /// Gives back memory that a past peak needed.
    pub(super) fn shrink(&mut self) {
        self.in_order.shrink_to(2 * self.in_order.len());
        self.out_of_order.shrink_to(2 * self.out_of_order.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(departure_ns: u64, number: u32) -> Held {
        Held { departure_ns, span: Span { chunk: number, offset: 0, len: 1 } }
    }

    #[test]
    fn nothing_leaves_before_its_time() {
        let mut queue = Queue::default();
        queue.push(held(10, 0));
        assert_eq!(queue.pop_due(9), None);
        assert_eq!(queue.next_departure_ns(), Some(10));
        assert_eq!(queue.pop_due(10), Some(held(10, 0)));
        assert_eq!(queue.next_departure_ns(), None);
    }

    proptest! {
        #[test]
        fn frames_leave_as_a_stable_sort_of_their_departures(departures in prop::collection::vec(0_u64..50, 0..200)) {
            let mut queue = Queue::default();
            for (number, &departure_ns) in departures.iter().enumerate() {
                queue.push(held(departure_ns, number as u32));
            }
            prop_assert_eq!(queue.len(), departures.len());
            let mut expected: Vec<_> =
                departures.iter().enumerate().map(|(number, &departure_ns)| held(departure_ns, number as u32)).collect();
            expected.sort_by_key(|held| held.departure_ns);
            let left: Vec<_> = std::iter::from_fn(|| queue.pop_due(u64::MAX)).collect();
            prop_assert_eq!(left, expected);
        }

        #[test]
        fn pushes_and_pops_interleaved_keep_the_order(steps in prop::collection::vec((0_u64..100, any::<bool>()), 0..300)) {
            let mut queue = Queue::default();
            let mut model: Vec<Held> = Vec::new();
            for (number, (time_ns, push)) in steps.into_iter().enumerate() {
                if push {
                    let held = held(time_ns, number as u32);
                    queue.push(held);
                    model.push(held);
                } else {
                    // `min_by_key` returns the first of equal ones: the one that arrived first.
                    let next = model.iter().enumerate().min_by_key(|(_, held)| held.departure_ns);
                    let expected = next
                        .filter(|(_, held)| held.departure_ns <= time_ns)
                        .map(|(place, _)| place)
                        .map(|place| model.remove(place));
                    prop_assert_eq!(queue.pop_due(time_ns), expected);
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.next_departure_ns(), model.iter().map(|held| held.departure_ns).min());
            }
        }

        #[test]
        fn relocation_reaches_every_frame_and_keeps_the_order(departures in prop::collection::vec(0_u64..50, 0..100)) {
            let mut queue = Queue::default();
            let mut plain = Queue::default();
            for (number, &departure_ns) in departures.iter().enumerate() {
                queue.push(held(departure_ns, number as u32));
                plain.push(held(departure_ns, number as u32));
            }
            queue.relocate_all(|span| span.offset = 7);
            while let Some(expected) = plain.pop_due(u64::MAX) {
                let moved = queue.pop_due(u64::MAX).unwrap();
                prop_assert_eq!(moved.span, Span { offset: 7, ..expected.span });
            }
            prop_assert_eq!(queue.len(), 0);
        }
    }
}
