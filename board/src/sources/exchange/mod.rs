//! Hands frames from the thread that captures them to the loop that classifies them.
//!
//! A fixed set of slots circulates: free, being filled, ready, being read, free. Nothing here allocates after
//! [`Exchange::new`].

use super::capture::{Capture, Captured, SourceError};
use super::demand::Demand;
use super::slot::Slot;
use super::status::CameraStatus;
use crate::seal;
use mergevit_kernels::memory::OutOfMemory;
use mergevit_kernels::thread;
use std::any::Any;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// What happens to frames that the loop has not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Capturing waits until there is room: files and pipes.
    EveryFrame,
    /// A newer frame replaces an older one: cameras, and pipes with `--latest`.
    Latest,
}

/// One slot being filled, one being read, one between them.
const SLOTS: usize = 3;

/// News of a camera that the loop has not taken yet. Of more than these, the oldest go.
const NEWS: usize = 8;

/// Frames counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Frames that were replaced by newer ones.
    pub(crate) dropped: u64,
    /// Frames that a camera's driver had no buffer for.
    pub(crate) dropped_by_driver: u64,
    /// Frames that could not be used.
    pub(crate) errors: u64,
}

#[derive(Debug)]
struct State {
    free: Vec<Slot>,
    ready: VecDeque<Slot>,
    news: VecDeque<CameraStatus>,
    counts: Counts,
    stopped: bool,
    end: Option<Result<(), SourceError>>,
}

/// The slots and their state.
#[derive(Debug)]
pub(crate) struct Exchange {
    policy: Policy,
    state: Mutex<State>,
    changed: Condvar,
    /// The loop's thread, which waits for several exchanges.
    waker: OnceLock<Thread>,
    demand: OnceLock<Arc<Demand>>,
}

/// What the loop gets when it asks for a frame.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame, or one that cannot be used; give its slot back.
    Frame(Slot),
    /// A camera came or went.
    Status(CameraStatus),
    /// No frame within the given time.
    Waiting,
    /// No more frames: the source ended or failed.
    Ended(Result<(), SourceError>),
    /// No more frames are wanted.
    Stopped,
}

impl Exchange {
    /// Slots of `bytes` each.
    ///
    /// # Errors
    /// [`OutOfMemory`] for their bytes.
    pub(crate) fn new(policy: Policy, bytes: usize) -> Result<Self, OutOfMemory> {
        let mut free = Vec::with_capacity(SLOTS);
        for _ in 0..SLOTS {
            free.push(Slot::new(bytes)?);
        }
        let state = State {
            free,
            ready: VecDeque::with_capacity(SLOTS),
            news: VecDeque::with_capacity(NEWS),
            counts: Counts::default(),
            stopped: false,
            end: None,
        };
        Ok(Self {
            policy,
            state: Mutex::new(state),
            changed: Condvar::new(),
            waker: OnceLock::new(),
            demand: OnceLock::new(),
        })
    }

    /// What happens to frames that the loop has not taken yet.
    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// From now on whatever changes here unparks this thread. To be called once.
    pub(crate) fn wakes(&self, thread: Thread) {
        let _ = self.waker.set(thread);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every update is complete before it is visible, so a panic elsewhere leaves a usable state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
        if let Some(waker) = self.waker.get() {
            waker.unpark();
        }
    }

    fn wait_until(&self, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.lock(), |state| !ready(state))
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot to fill. `None` once the exchange is stopped.
    fn take_free(&self) -> Option<Slot> {
        let mut state = self.wait_until(|state| state.stopped || !state.free.is_empty());
        if state.stopped {
            None
        } else {
            state.free.pop()
        }
    }

    fn publish(&self, mut slot: Slot) {
        self.update(|state| {
            let counts = &mut state.counts;
            counts.errors += u64::from(slot.frame().is_err());
            counts.dropped += u64::from(slot.replaced);
            counts.dropped_by_driver += u64::from(slot.dropped_by_driver);
            if self.policy == Policy::Latest
                && let Some(old) = state.ready.pop_front()
            {
                // A frame that could not be used is counted already.
                let replaced = u32::from(old.frame().is_ok());
                counts.dropped += u64::from(replaced);
                // Whatever the older one was to tell of, the newer one tells.
                slot.replaced += old.replaced + replaced;
                slot.dropped_by_driver += old.dropped_by_driver;
                state.free.push(old);
            }
            state.ready.push_back(slot);
        });
    }

    fn tell(&self, status: CameraStatus) {
        self.update(|state| {
            if state.news.len() == NEWS {
                state.news.pop_front();
            }
            state.news.push_back(status);
        });
    }

    /// Gives back a slot from [`Next::Frame`].
    pub(crate) fn give_back(&self, slot: Slot) {
        self.update(|state| state.free.push(slot));
    }

    /// Ends capturing and the loop after the current frame. Callable from any thread.
    pub(crate) fn stop(&self) {
        self.update(|state| state.stopped = true);
    }

    /// Frames counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Asks a camera for its newest frame, unless one is ready. [`Exchange::next`] does it too; a loop with several
    /// cameras asks all of them before it waits for the first.
    pub(crate) fn request(&self) {
        if let Some(demand) = self.demand.get()
            && self.lock().ready.is_empty()
        {
            demand.raise();
        }
    }

    /// The oldest frame that is ready, or news of the camera; waits at most `patience` for either.
    pub(crate) fn next(&self, patience: Duration) -> Next {
        self.request();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, |state| {
                !state.stopped
                    && state.news.is_empty()
                    && state.ready.is_empty()
                    && state.end.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return Next::Stopped;
        }
        if let Some(status) = state.news.pop_front() {
            return Next::Status(status);
        }
        if let Some(slot) = state.ready.pop_front() {
            drop(state);
            if let Some(demand) = self.demand.get() {
                demand.taken();
            }
            return Next::Frame(slot);
        }
        match state.end.take() {
            Some(result) => {
                state.end = Some(Ok(()));
                Next::Ended(result)
            }
            None => Next::Waiting,
        }
    }

    /// Starts capturing on a thread of its own, and returns once that thread no longer allocates.
    ///
    /// The thread is not joined: it may hang in a read that never returns.
    pub(crate) fn start(self: &Arc<Self>, mut capture: Box<dyn Capture>) -> io::Result<()> {
        if let Some(demand) = capture.demand() {
            self.demand.get_or_init(|| demand);
        }
        let capture_allocates = capture.allocates();
        let exchange = Arc::clone(self);
        thread::spawn("capture".into(), move || {
            seal::begun();
            let pump = || exchange.pump(&mut *capture);
            let guarded = || panic::catch_unwind(AssertUnwindSafe(pump));
            let result = match capture_allocates {
                true => seal::exempt(guarded),
                false => guarded(),
            };
            // The loop would wait for ever for a thread that is gone.
            let result = result.unwrap_or_else(|payload| Err(panicked(payload)));
            exchange.update(|state| state.end = Some(result));
        })?;
        Ok(())
    }

    fn pump(&self, capture: &mut dyn Capture) -> Result<(), SourceError> {
        let mut sequence = 0;
        while let Some(mut slot) = self.take_free() {
            slot.clear();
            slot.sequence = sequence;
            match capture.capture(&mut slot)? {
                // The loop learns of unusable frames too, in their turn.
                Captured::Frame | Captured::Unusable => {
                    slot.captured = slot.stamp.unwrap_or_else(Instant::now);
                    sequence += 1;
                    self.publish(slot);
                }
                Captured::Nothing => self.give_back(slot),
                Captured::Status(status) => {
                    self.give_back(slot);
                    self.tell(status);
                }
                Captured::End => break,
            }
        }
        Ok(())
    }
}

/// A panic as an error. Its message was allocated when it was raised; nothing here allocates.
fn panicked(payload: Box<dyn Any + Send>) -> SourceError {
    let message = match payload.downcast::<String>() {
        Ok(text) => Cow::Owned(*text),
        Err(other) => Cow::Borrowed(match other.downcast_ref::<&'static str>() {
            Some(text) => *text,
            None => "a panic without a message",
        }),
    };
    SourceError::Panicked { message }
}

#[cfg(test)]
mod tests;
