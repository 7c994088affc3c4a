//! The gate that workers come through into a step, and how both sides wait at it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Turns of the spin loop before a thread sleeps: some 50 to 200 microseconds.
const SPINS: u32 = 20_000;

/// The parts of [`Gate::state`]: how many workers are inside, whether more may come in, the number of the step.
pub(super) const COUNT: usize = 0xffff;
const OPEN: usize = 0x1_0000;
const STEP: usize = 0x2_0000;

/// One cache line each: some write what others poll.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Padded<T>(pub(super) T);

/// What the caller and one worker tell each other.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// The worker sleeps, or is about to.
    pub(super) parked: AtomicBool,
    /// The worker is inside the gate.
    pub(super) inside: AtomicBool,
    /// The worker is to stay out.
    pub(super) barred: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    /// [`COUNT`], [`OPEN`] and, above them, the step.
    state: Padded<AtomicUsize>,
    /// The caller sleeps, or is about to, until `COUNT` is zero.
    waiting: AtomicBool,
    left: Condvar,
    /// Guards no data: only with it is there no moment between the caller's last look and its sleep.
    sleep: Mutex<()>,
    quit: AtomicBool,
}

impl Gate {
    /// Begins a step. SeqCst pairs with [`enter`](Self::enter)'s store of `parked` and load of the state: either the
    /// worker sees the open gate, or the caller sees the worker parked.
    pub(super) fn open(&self) {
        self.state.0.fetch_add(STEP + OPEN, Ordering::SeqCst);
    }

    /// Nobody comes in any more.
    pub(super) fn close(&self) {
        self.state.0.fetch_and(!OPEN, Ordering::Relaxed);
    }

    /// No worker comes in again; those that are parked are still to be woken.
    pub(super) fn end(&self) {
        self.quit.store(true, Ordering::SeqCst);
    }

    /// Waits a short while until nobody is inside the closed gate; `false` where somebody still is.
    pub(super) fn spin_until_empty(&self) -> bool {
        for _ in 0..SPINS {
            if self.state.0.load(Ordering::Acquire) & COUNT == 0 {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// Sleeps until nobody is inside the closed gate.
    pub(super) fn sleep_until_empty(&self) {
        if self.state.0.load(Ordering::Acquire) & COUNT == 0 {
            return;
        }
        // SeqCst pairs with `leave`: the caller sees the gate empty, or the last worker sees it waiting.
        self.waiting.store(true, Ordering::SeqCst);
        let mut sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        while self.state.0.load(Ordering::SeqCst) & COUNT != 0 {
            let woken = self.left.wait(sleep);
            sleep = woken.unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.store(false, Ordering::Relaxed);
    }

    /// A worker waits for a step newer than `step` and goes in; `false` when the team ends. Spins first, parks then.
    pub(super) fn enter(&self, seat: &Seat, step: &mut usize) -> bool {
        let inviting = |state: usize| {
            state & OPEN != 0 && state / STEP != *step && !seat.barred.load(Ordering::Relaxed)
        };
        let mut turns = 0u32;
        loop {
            let state = self.state.0.load(Ordering::Relaxed);
            if inviting(state) {
                // Before the gate, so that the caller finds it set for everyone whom the gate counts.
                seat.inside.store(true, Ordering::Relaxed);
                // Acquire: see what the caller stored before it opened the gate. Release: for `inside`.
                let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
                let entered =
                    self.state
                        .0
                        .compare_exchange_weak(state, state + 1, success, failure);
                if entered.is_ok() {
                    *step = state / STEP;
                    return true;
                }
                seat.inside.store(false, Ordering::Relaxed);
            } else if turns < SPINS {
                turns += 1;
                std::hint::spin_loop();
            } else {
                seat.parked.store(true, Ordering::SeqCst);
                let quit = self.quit.load(Ordering::SeqCst);
                if !quit && !inviting(self.state.0.load(Ordering::SeqCst)) {
                    std::thread::park();
                }
                seat.parked.store(false, Ordering::Relaxed);
                if quit {
                    return false;
                }
            }
        }
    }

    /// A worker leaves, and wakes the caller if that sleeps until the last one has left.
    pub(super) fn leave(&self, seat: &Seat) {
        seat.inside.store(false, Ordering::Relaxed);
        let before = self.state.0.fetch_sub(1, Ordering::SeqCst);
        if before & COUNT == 1 && self.waiting.load(Ordering::SeqCst) {
            // Who has the lock knows that the caller sleeps, or has yet to look at the gate.
            drop(self.sleep.lock());
            self.left.notify_one();
        }
    }
}
