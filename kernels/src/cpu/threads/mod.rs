//! A fixed team of threads that run the parts of one operation.
//!
//! Why not a library: a frame has a hundred parallel steps of tens of microseconds, and none of them may
//! allocate. Work-stealing pools allocate when work is handed over from outside. Here the caller opens a
//! gate with a closure and a number of tasks behind it; it and every worker that comes through take tasks
//! from one counter; the caller closes the gate when no task is left, and returns when all inside have
//! left. A worker that the operating system runs too late finds the gate closed, and nobody waits for it:
//! a busy machine slows a step down to one thread's speed, not to a scheduler's time slice.
//!
//! Idle workers spin for a short while (the next step of the same frame is microseconds away), then park
//! until the next frame. The caller, too, spins and then sleeps until the last worker has left: on a busy
//! machine that worker does not run, and who yields instead of sleeping gives whole time slices to others.
//!
//! A worker that the operating system stops in the middle of a task keeps everybody waiting for a time slice.
//! It stays out of the steps that follow for [`SHARE`] times as long, so that other processes on this thread's
//! processor cost a team about what the thread was worth, not a time slice of every thread again and again.

mod gate;
#[cfg(test)]
mod tests;

use super::error::MakeError;
use crate::thread;
use gate::{COUNT, Gate, Padded, Seat};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Instant;

/// A wait for a worker is a stall where it takes so many times as long as one of the caller's tasks of the step did.
const STALL: u32 = 4;

/// A worker stays out for so many times the stall that it caused.
const SHARE: u32 = 8;

/// Called as `task(thread, index)`; `thread` is below [`Team::threads`] and names scratch space.
type Task<'a> = &'a (dyn Fn(usize, usize) + Sync + 'a);

#[derive(Debug, Default)]
struct Shared {
    gate: Gate,
    /// Next task of the step.
    next: Padded<AtomicUsize>,
    tasks: AtomicUsize,
    /// The step's closure: a pointer to the caller's `Task`, valid while the gate is open or anybody inside.
    job: AtomicPtr<()>,
    panicked: AtomicBool,
}

/// A worker as the caller has it.
#[derive(Debug)]
struct Worker {
    thread: JoinHandle<()>,
    handle: Thread,
    seat: Arc<Padded<Seat>>,
    /// The caller slept in the last step that made it, and the worker was inside then.
    late: bool,
    /// Until when it stays out of the team's steps.
    barred: Option<Instant>,
}

/// The threads; dropped, they end.
#[derive(Debug)]
pub(super) struct Team {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

/// What a worker does from its start to its end.
type Work = Box<dyn FnOnce() + Send>;

impl Team {
    /// A team of `threads`, the caller's included; at least one.
    ///
    /// # Errors
    /// [`MakeError::Thread`]; those that were started have ended then.
    pub(super) fn new(threads: usize) -> Result<Self, MakeError> {
        Self::spawned_by(threads, |number, work| {
            thread::spawn_if_room(format!("mergevit-{number}"), work)
        })
    }

    /// As [`new`](Self::new), with `spawn(number, work)` in the operating system's place. Frames must not allocate, and
    /// a thread does so while it starts: `spawn` returns after that.
    fn spawned_by(
        threads: usize,
        spawn: impl Fn(usize, Work) -> io::Result<JoinHandle<()>>,
    ) -> Result<Self, MakeError> {
        let helpers = threads.clamp(1, COUNT) - 1;
        // Dropped on an error, it ends the threads that it has.
        let mut team = Self {
            shared: Arc::default(),
            workers: Vec::with_capacity(helpers),
        };
        let refused = |helper: usize, source| MakeError::Thread {
            number: helper + 2,
            threads,
            source,
        };
        for helper in 0..helpers {
            let seat = Arc::<Padded<Seat>>::default();
            let (shared, mine, number) = (Arc::clone(&team.shared), Arc::clone(&seat), helper + 1);
            let work = move || work(&shared, &mine.0, number);
            let thread = spawn(number, Box::new(work)).map_err(|error| refused(helper, error))?;
            team.workers.push(Worker {
                handle: thread.thread().clone(),
                thread,
                seat,
                late: false,
                barred: None,
            });
        }
        Ok(team)
    }

    /// Threads, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(thread, index)` for every index below `tasks`; returns when all are done.
    ///
    /// A task that panics takes its thread's share of the step with it; the others finish theirs. Then this panics
    /// too, whichever thread it was. The team stays as it was, ready for the next step.
    pub(super) fn run(&mut self, tasks: usize, task: Task<'_>) {
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|index| task(0, index));
            return;
        }
        // Nobody is inside: the step before has waited for that.
        let shared = &*self.shared;
        let job = (&raw const task).cast_mut().cast();
        shared.job.store(job, Ordering::Relaxed);
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.0.store(0, Ordering::Relaxed);
        shared.panicked.store(false, Ordering::Relaxed);
        let start = Instant::now();
        self.workers
            .iter_mut()
            .for_each(|worker| worker.admit(start));
        shared.gate.open();
        let closing = Closing(&shared.gate);
        self.workers.iter().for_each(Worker::unpark);
        let done = drain(shared, task, 0);
        let drained = Instant::now();
        shared.gate.close();
        let late = !shared.gate.spin_until_empty();
        if late {
            self.workers.iter_mut().for_each(Worker::note_late);
        }
        drop(closing);
        if late {
            // A worker that takes long is at a long task, where the caller's took long too.
            let usual = (drained - start).checked_div(done);
            let stall = drained.elapsed();
            if usual.is_some_and(|usual| stall > usual * STALL) {
                let until = drained + stall * (1 + SHARE);
                self.workers.iter_mut().for_each(|worker| worker.bar(until));
            }
        }
        assert!(
            !shared.panicked.load(Ordering::Relaxed),
            "a worker thread panicked"
        );
    }
}

impl Worker {
    /// Lets the worker into the steps again if its time out is over `now`.
    fn admit(&mut self, now: Instant) {
        if self.barred.is_some_and(|until| until <= now) {
            self.barred = None;
            self.seat.0.barred.store(false, Ordering::Relaxed);
        }
    }

    fn unpark(&self) {
        if self.barred.is_none() && self.seat.0.parked.load(Ordering::SeqCst) {
            self.handle.unpark();
        }
    }

    /// Remembers whether the worker is what the caller is about to sleep for.
    fn note_late(&mut self) {
        self.late = self.seat.0.inside.load(Ordering::Relaxed);
    }

    /// Keeps the worker out until `until`, if it was late.
    fn bar(&mut self, until: Instant) {
        if self.late {
            self.barred = Some(until);
            self.seat.0.barred.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.gate.end();
        for worker in self.workers.drain(..) {
            worker.handle.unpark();
            // A worker's panic was already reported by `run`.
            let _ = worker.thread.join();
        }
    }
}

/// Closes the gate and waits until nobody is inside, also when the caller's own task panics: the step's
/// closure lives on the caller's stack.
struct Closing<'a>(&'a Gate);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
        self.0.sleep_until_empty();
    }
}

/// Takes tasks until none is left; returns how many it has done.
fn drain(shared: &Shared, task: Task<'_>, thread: usize) -> u32 {
    let tasks = shared.tasks.load(Ordering::Relaxed);
    let mut done = 0;
    loop {
        let index = shared.next.0.fetch_add(1, Ordering::Relaxed);
        if index >= tasks {
            return done;
        }
        task(thread, index);
        done += 1;
    }
}

fn work(shared: &Shared, seat: &Seat, thread: usize) {
    let mut step = 0;
    while shared.gate.enter(seat, &mut step) {
        let job = shared.job.load(Ordering::Relaxed).cast::<Task<'_>>();
        // SAFETY: `run` stored a pointer to its own live argument before it opened the gate through which
        // this thread has just come, and does not return before this thread has left.
        let task = unsafe { *job };
        let drained = std::panic::AssertUnwindSafe(|| drain(shared, task, thread));
        if std::panic::catch_unwind(drained).is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.gate.leave(seat);
    }
}
