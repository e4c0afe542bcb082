//! Who waits for a number that only grows.

use std::collections::BTreeMap;

/// One who waits; told by it when it does not wait any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    target: u64,
    number: u64,
}

/// Those who wait for a number, by the number that they wait for.
#[derive(Debug)]
pub(super) struct Waiters<W> {
    by_target: BTreeMap<Ticket, W>,
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self { by_target: BTreeMap::new() }
    }
}

impl<W> Waiters<W> {
    /// `waiter` waits until the number is `target`. `number` is that of no other waiter anywhere, ever: a ticket may be older than a
    /// state that was forgotten and is there again.
    pub(super) fn enter(&mut self, target: u64, number: u64, waiter: W) -> Ticket {
        let ticket = Ticket { target, number };
        self.by_target.insert(ticket, waiter);
        ticket
    }

    /// The one with this ticket does not wait any more; nothing, if it does not anyway.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.by_target.remove(&ticket);
    }

    /// Those who need not wait any more since the number is `reached`.
    pub(super) fn reach(&mut self, reached: u64) -> Vec<W> {
        let mut woken = Vec::new();
        while let Some(first) = self.by_target.first_entry() {
            if first.key().target > reached {
                break;
            }
            woken.push(first.remove());
        }
        woken
    }

    /// All, in vain.
    pub(super) fn dismiss(&mut self) -> Vec<W> {
        std::mem::take(&mut self.by_target).into_values().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_target.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_target.len()
    }
}
