//! What other threads ask of the live loop: to stop, to hold a schedule, to load its model again.

use crate::sources::Exchange;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// Requests to the loop. Making one never waits, and wakes the loop.
#[derive(Debug)]
pub(crate) struct Control {
    /// The loop's.
    thread: Thread,
    stopped: AtomicBool,
    reload: AtomicBool,
    /// 0: nothing is asked. 1: no schedule is to be held. n + 2: the n-th is.
    hold: AtomicU64,
    exchanges: OnceLock<Box<[Arc<Exchange>]>>,
}

/// Which schedule somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The n-th of the model's schedules and, after these, cascades.
    Choice(usize),
    /// None: whatever the loop chooses.
    Release,
}

impl Control {
    /// For a loop that will run on this thread.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: std::thread::current(),
            stopped: AtomicBool::new(false),
            reload: AtomicBool::new(false),
            hold: AtomicU64::new(0),
            exchanges: OnceLock::new(),
        })
    }

    /// From now on these wake the loop, and stop with it. To be called once.
    pub(crate) fn connect(&self, exchanges: impl IntoIterator<Item = Arc<Exchange>>) {
        let exchanges: Box<[_]> = exchanges.into_iter().collect();
        for exchange in &exchanges {
            exchange.wakes(self.thread.clone());
        }
        let _ = self.exchanges.set(exchanges);
        if self.is_stopped() {
            self.stop();
        }
    }

    /// Wakes the loop, if it waits.
    pub(crate) fn wake(&self) {
        self.thread.unpark();
    }

    /// Ends the loop after its current frames. Returns whether that was asked for before.
    pub(crate) fn stop(&self) -> bool {
        let before = self.stopped.swap(true, Ordering::AcqRel);
        self.stop_sources();
        self.wake();
        before
    }

    /// Ends capturing.
    pub(crate) fn stop_sources(&self) {
        for exchange in self.exchanges.get().into_iter().flatten() {
            exchange.stop();
        }
    }

    /// Whether the loop is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Asks for the model to be loaded again.
    pub(crate) fn reload(&self) {
        self.reload.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether that was asked for since the last call.
    pub(crate) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
    }

    /// Asks for a schedule.
    pub(crate) fn hold(&self, hold: Hold) {
        let request = match hold {
            Hold::Release => 1,
            Hold::Choice(index) => index as u64 + 2,
        };
        self.hold.store(request, Ordering::Release);
        self.wake();
    }

    /// What was last asked for since the last call.
    pub(crate) fn take_hold(&self) -> Option<Hold> {
        match self.hold.swap(0, Ordering::AcqRel) {
            0 => None,
            1 => Some(Hold::Release),
            request => Some(Hold::Choice((request - 2) as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_request_counts_and_is_taken_once() {
        let control = Control::new();
        assert_eq!(control.take_hold(), None);
        control.hold(Hold::Choice(0));
        control.hold(Hold::Choice(3));
        assert_eq!(control.take_hold(), Some(Hold::Choice(3)));
        control.hold(Hold::Release);
        assert_eq!(control.take_hold(), Some(Hold::Release));
        assert_eq!(control.take_hold(), None);
        assert!(!control.take_reload());
        control.reload();
        assert!(control.take_reload() && !control.take_reload());
        assert!(!control.is_stopped());
        assert!(!control.stop() && control.stop() && control.is_stopped());
    }
}
