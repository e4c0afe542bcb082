//! Who in this process waits for what the server has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    State(Arc<str>),
    Topic(Arc<str>),
}

impl What {
    fn name(&self) -> &str {
        match self {
            Self::State(name) | Self::Topic(name) => name,
        }
    }
}

/// All who wait for one thing.
#[derive(Debug, Default)]
struct Wake {
    notify: Arc<Notify>,
    is_forgotten: AtomicBool,
}

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    wakes: Mutex<HashMap<What, Arc<Wake>>>,
}

impl Wakes {
    /// Waits for a thing until what is returned is dropped.
    pub(super) fn enlist(self: &Arc<Self>, what: What) -> Enlisted {
        let wake = Arc::clone(self.lock().entry(what.clone()).or_default());
        Enlisted { wakes: Arc::clone(self), what, wake }
    }

    /// Wakes those who wait for a thing.
    pub(super) fn wake(&self, what: &What) {
        if let Some(wake) = self.lock().get(what) {
            wake.notify.notify_waiters();
        }
    }

    /// Wakes all.
    pub(super) fn wake_all(&self) {
        self.lock().values().for_each(|wake| wake.notify.notify_waiters());
    }

    /// Tells those who wait for things whose names begin so that they wait in vain.
    pub(super) fn forget(&self, prefix: &str) {
        let mut wakes = self.lock();
        wakes.retain(|what, wake| {
            let is_forgotten = what.name().starts_with(prefix);
            if is_forgotten {
                wake.is_forgotten.store(true, Ordering::Release);
                wake.notify.notify_waiters();
            }
            !is_forgotten
        });
    }

    /// How many things are waited for.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<What, Arc<Wake>>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Enlisted {
    wakes: Arc<Wakes>,
    what: What,
    wake: Arc<Wake>,
}

impl Enlisted {
    /// Ends when something happens from now on, whether or not it is awaited meanwhile.
    pub(super) fn woken(&self) -> OwnedNotified {
        Arc::clone(&self.wake.notify).notified_owned()
    }

    /// Whether the thing is no more.
    pub(super) fn is_forgotten(&self) -> bool {
        self.wake.is_forgotten.load(Ordering::Acquire)
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        let mut wakes = self.wakes.lock();
        // This one, and the one in the map, under whose lock alone others are made.
        let is_last = Arc::strong_count(&self.wake) == 2;
        if is_last && wakes.get(&self.what).is_some_and(|wake| Arc::ptr_eq(wake, &self.wake)) {
            wakes.remove(&self.what);
        }
    }
}
