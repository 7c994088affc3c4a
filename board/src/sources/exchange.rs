//! Hands frames from the thread that captures them to the loop that classifies them.
//!
//! A fixed set of slots circulates: free, being filled, ready, being read, free. Nothing here allocates after
//! [`Exchange::new`].

use super::capture::{Capture, Captured, SourceError};
use super::slot::Slot;
use crate::seal;
use mergevit_kernels::memory::OutOfMemory;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// What happens to frames that the loop has not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Capturing waits until there is room: files and pipes.
    EveryFrame,
    /// A newer frame replaces an older one: cameras.
    Latest,
}

/// One slot being filled, one being read, one between them.
const SLOTS: usize = 3;

/// Frames counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Frames that were replaced by newer ones.
    pub(crate) dropped: u64,
    /// Frames that could not be used.
    pub(crate) errors: u64,
}

#[derive(Debug)]
struct State {
    free: Vec<Slot>,
    ready: VecDeque<Slot>,
    counts: Counts,
    started: bool,
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
}

/// What the loop gets when it asks for a frame.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame, or one that cannot be used; give its slot back.
    Frame(Slot),
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
            counts: Counts::default(),
            started: false,
            stopped: false,
            end: None,
        };
        Ok(Self {
            policy,
            state: Mutex::new(state),
            changed: Condvar::new(),
            waker: OnceLock::new(),
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

    fn publish(&self, slot: Slot) {
        self.update(|state| {
            if self.policy == Policy::Latest
                && let Some(old) = state.ready.pop_front()
            {
                // A frame that could not be used is counted already.
                state.counts.dropped += u64::from(old.frame().is_ok());
                state.free.push(old);
            }
            state.ready.push_back(slot);
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

    /// The oldest frame that is ready; waits at most `patience` for one.
    pub(crate) fn next(&self, patience: Duration) -> Next {
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, |state| {
                !state.stopped && state.ready.is_empty() && state.end.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return Next::Stopped;
        }
        if let Some(slot) = state.ready.pop_front() {
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
        let exchange = Arc::clone(self);
        std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                exchange.update(|state| state.started = true);
                let result = if capture.allocates() {
                    seal::exempt(|| exchange.pump(&mut *capture))
                } else {
                    exchange.pump(&mut *capture)
                };
                exchange.update(|state| state.end = Some(result));
            })?;
        drop(self.wait_until(|state| state.started));
        Ok(())
    }

    fn pump(&self, capture: &mut dyn Capture) -> Result<(), SourceError> {
        while let Some(mut slot) = self.take_free() {
            slot.clear();
            match capture.capture(&mut slot)? {
                // The loop learns of unusable frames too, in their turn.
                Captured::Frame | Captured::Unusable => {
                    slot.captured = Instant::now();
                    if slot.frame().is_err() {
                        self.update(|state| state.counts.errors += 1);
                    }
                    self.publish(slot);
                }
                Captured::Nothing => self.give_back(slot),
                Captured::End => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::{FrameLayout, PixelFormat};

    /// Slots of one byte.
    fn exchange(policy: Policy) -> Exchange {
        Exchange::new(policy, 1).expect("a few bytes")
    }

    /// Frames of one grey pixel that counts up; every fifth is unusable.
    struct Counter {
        next: u8,
        end: Result<u8, ()>,
    }

    impl Capture for Counter {
        fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
            match self.end {
                Ok(end) if self.next == end => return Ok(Captured::End),
                Err(()) if self.next == 3 => {
                    return Err(SourceError::Truncated {
                        frame: 3,
                        found: 0,
                        expected: 1,
                    });
                }
                _ => {}
            }
            let layout = FrameLayout::packed(PixelFormat::Grey, 1, 1).expect("a valid size");
            slot.prepare(layout, 1).expect("one byte fits")[0] = self.next;
            slot.name = usize::from(self.next);
            self.next += 1;
            Ok(match self.next % 5 {
                0 => {
                    slot.reject("a fifth one");
                    Captured::Unusable
                }
                _ => Captured::Frame,
            })
        }
    }

    fn drain(exchange: &Exchange) -> (Vec<usize>, Result<(), SourceError>) {
        let mut names = Vec::new();
        loop {
            match exchange.next(Duration::from_secs(60)) {
                Next::Frame(slot) => {
                    match slot.frame() {
                        Ok(_) => names.push(slot.name),
                        Err(reason) => assert_eq!((reason, slot.name % 5), ("a fifth one", 4)),
                    }
                    exchange.give_back(slot);
                }
                Next::Waiting => panic!("no frame came for a minute"),
                Next::Stopped => panic!("nobody stopped it"),
                Next::Ended(result) => return (names, result),
            }
        }
    }

    #[test]
    fn every_frame_arrives_in_order() {
        let exchange = Arc::new(exchange(Policy::EveryFrame));
        let counter = Counter {
            next: 0,
            end: Ok(50),
        };
        exchange.start(Box::new(counter)).expect("a thread starts");
        let (names, result) = drain(&exchange);
        assert!(result.is_ok());
        let expected: Vec<usize> = (0..50).filter(|i| (i + 1) % 5 != 0).collect();
        assert_eq!(names, expected);
        let counts = Counts {
            dropped: 0,
            errors: 10,
        };
        assert_eq!(exchange.counts(), counts);
    }

    #[test]
    fn an_error_comes_after_the_frames_before_it() {
        let exchange = Arc::new(exchange(Policy::EveryFrame));
        let counter = Counter {
            next: 0,
            end: Err(()),
        };
        exchange.start(Box::new(counter)).expect("a thread starts");
        let (names, result) = drain(&exchange);
        assert_eq!(names, [0, 1, 2]);
        assert!(matches!(
            result,
            Err(SourceError::Truncated { frame: 3, .. })
        ));
    }

    #[test]
    fn the_latest_frame_replaces_an_older_one() {
        let exchange = exchange(Policy::Latest);
        for name in 0..10 {
            let mut slot = exchange.take_free().expect("a slot is always free");
            slot.name = name;
            let layout = FrameLayout::packed(PixelFormat::Grey, 1, 1).expect("a valid size");
            slot.prepare(layout, 1).expect("one byte fits");
            exchange.publish(slot);
        }
        let Next::Frame(slot) = exchange.next(Duration::ZERO) else {
            panic!("a frame is ready");
        };
        assert_eq!(slot.name, 9);
        assert_eq!(exchange.counts().dropped, 9);
        assert!(matches!(exchange.next(Duration::ZERO), Next::Waiting));
    }

    #[test]
    fn stopping_ends_both_sides() {
        let exchange = Arc::new(exchange(Policy::EveryFrame));
        let counter = Counter {
            next: 0,
            end: Ok(100),
        };
        exchange.start(Box::new(counter)).expect("a thread starts");
        exchange.stop();
        assert!(matches!(
            exchange.next(Duration::from_secs(60)),
            Next::Stopped
        ));
        assert!(exchange.take_free().is_none());
    }
}
