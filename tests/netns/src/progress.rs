//! What a trial is doing at the moment, for the message about one that hangs.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

/// The last thing a trial said it was doing; shared between its thread and the runner.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<String>>);

thread_local! {
    static CURRENT: RefCell<Option<Progress>> = const { RefCell::new(None) };
}

impl Progress {
    /// Makes this the progress that [`note`] writes to on the calling thread.
    pub fn enter(&self) {
        CURRENT.with_borrow_mut(|current| *current = Some(self.clone()));
    }

    /// Returns what the trial last said.
    pub fn read(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Says what the calling trial does from now on; a no-op outside a trial.
pub fn note(doing: impl Into<String>) {
    CURRENT.with_borrow(|current| {
        if let Some(Progress(text)) = current {
            *text.lock().unwrap_or_else(PoisonError::into_inner) = doing.into();
        }
    });
}
