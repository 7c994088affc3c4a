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
//! until the next frame.

use super::error::MakeError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle, Thread};

/// Turns of the spin loop before a worker parks: some 50 microseconds.
const SPINS: u32 = 20_000;

/// The gate's parts: how many workers are inside, whether more may come in, the number of the step.
const COUNT: usize = 0xffff;
const OPEN: usize = 0x1_0000;
const STEP: usize = 0x2_0000;

/// Called as `task(thread, index)`; `thread` is below [`Team::threads`] and names scratch space.
type Task<'a> = &'a (dyn Fn(usize, usize) + Sync + 'a);

/// One cache line each: some write `next` while others poll `gate`.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded<T>(T);

#[derive(Debug, Default)]
struct Shared {
    /// [`COUNT`], [`OPEN`] and, above them, the step.
    gate: Padded<AtomicUsize>,
    /// Next task of the step.
    next: Padded<AtomicUsize>,
    tasks: AtomicUsize,
    /// The step's closure: a pointer to the caller's `Task`, valid while the gate is open or anybody inside.
    job: AtomicPtr<()>,
    started: AtomicUsize,
    panicked: AtomicBool,
    quit: AtomicBool,
}

/// The threads; dropped, they end.
#[derive(Debug)]
pub(super) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    parked: Arc<[Padded<AtomicBool>]>,
    handles: Vec<Thread>,
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
            Builder::new()
                .name(format!("mergevit-{number}"))
                .spawn(work)
        })
    }

    /// As [`new`](Self::new), with `spawn(number, work)` in the operating system's place.
    fn spawned_by(
        threads: usize,
        spawn: impl Fn(usize, Work) -> io::Result<JoinHandle<()>>,
    ) -> Result<Self, MakeError> {
        let helpers = threads.clamp(1, COUNT) - 1;
        // Dropped on an error, it ends the threads that it has.
        let mut team = Self {
            shared: Arc::default(),
            workers: Vec::with_capacity(helpers),
            parked: (0..helpers).map(|_| Padded::default()).collect(),
            handles: Vec::with_capacity(helpers),
        };
        let refused = |helper: usize, source| MakeError::Thread {
            number: helper + 2,
            threads,
            source,
        };
        for helper in 0..helpers {
            let (shared, parked) = (Arc::clone(&team.shared), Arc::clone(&team.parked));
            let number = helper + 1;
            let work = move || work(&shared, &parked[helper].0, number);
            let worker = spawn(number, Box::new(work)).map_err(|error| refused(helper, error))?;
            team.handles.push(worker.thread().clone());
            team.workers.push(worker);
        }
        // A thread allocates while it starts; frames must not.
        while team.shared.started.load(Ordering::Acquire) < helpers {
            if let Some(helper) = team.workers.iter().position(JoinHandle::is_finished) {
                return Err(refused(helper, io::Error::other("it ended at once")));
            }
            std::thread::yield_now();
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
        let shared = &*self.shared;
        // Nobody is inside: `Closing` waited for that at the end of the step before.
        shared
            .job
            .store((&raw const task).cast_mut().cast(), Ordering::Relaxed);
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.0.store(0, Ordering::Relaxed);
        shared.panicked.store(false, Ordering::Relaxed);
        // SeqCst pairs with the worker's `parked` store and `gate` load: one of the two sees the other.
        shared.gate.0.fetch_add(STEP + OPEN, Ordering::SeqCst);
        let closing = Closing(shared);
        self.unpark();
        drain(shared, task, 0);
        drop(closing);
        assert!(
            !shared.panicked.load(Ordering::Relaxed),
            "a worker thread panicked"
        );
    }

    fn unpark(&self) {
        for (parked, handle) in self.parked.iter().zip(&self.handles) {
            if parked.0.load(Ordering::SeqCst) {
                handle.unpark();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::SeqCst);
        for (worker, handle) in self.workers.drain(..).zip(&self.handles) {
            handle.unpark();
            // A worker's panic was already reported by `run`.
            let _ = worker.join();
        }
    }
}

/// Closes the gate and waits until nobody is inside, also when the caller's own task panics: the step's
/// closure lives on the caller's stack.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let gate = &self.0.gate.0;
        gate.fetch_and(!OPEN, Ordering::Relaxed);
        let mut turns = 0u32;
        while gate.load(Ordering::Acquire) & COUNT != 0 {
            std::hint::spin_loop();
            turns += 1;
            // More threads than processors: let the others have one.
            if turns > SPINS {
                std::thread::yield_now();
            }
        }
    }
}

fn drain(shared: &Shared, task: Task<'_>, thread: usize) {
    let tasks = shared.tasks.load(Ordering::Relaxed);
    loop {
        let index = shared.next.0.fetch_add(1, Ordering::Relaxed);
        if index >= tasks {
            return;
        }
        task(thread, index);
    }
}

fn work(shared: &Shared, parked: &AtomicBool, thread: usize) {
    shared.started.fetch_add(1, Ordering::Release);
    let mut step = 0;
    while enter(shared, parked, &mut step) {
        let job = shared.job.load(Ordering::Relaxed).cast::<Task<'_>>();
        // SAFETY: `run` stored a pointer to its own live argument before it opened the gate through which
        // this thread has just come, and does not return before this thread has left.
        let task = unsafe { *job };
        let drained = std::panic::AssertUnwindSafe(|| drain(shared, task, thread));
        if std::panic::catch_unwind(drained).is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.gate.0.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for a step newer than `step` and goes in; `false` when the team ends. Spins first, parks then.
fn enter(shared: &Shared, parked: &AtomicBool, step: &mut usize) -> bool {
    let gate = &shared.gate.0;
    let inviting = |value: usize| value & OPEN != 0 && value / STEP != *step;
    let mut turns = 0u32;
    loop {
        let value = gate.load(Ordering::Relaxed);
        if inviting(value) {
            // Acquire: see what `run` stored before it opened the gate.
            let entered =
                gate.compare_exchange_weak(value, value + 1, Ordering::Acquire, Ordering::Relaxed);
            if entered.is_ok() {
                *step = value / STEP;
                return true;
            }
        } else if turns < SPINS {
            turns += 1;
            std::hint::spin_loop();
        } else {
            parked.store(true, Ordering::SeqCst);
            let quit = shared.quit.load(Ordering::SeqCst);
            if !quit && !inviting(gate.load(Ordering::SeqCst)) {
                std::thread::park();
            }
            parked.store(false, Ordering::Relaxed);
            if quit {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_in_every_step() {
        for threads in 1..=4 {
            let mut team = Team::new(threads).expect("some threads");
            for tasks in [0usize, 1, 2, 3, 17, 200] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..50 {
                    team.run(tasks, &|thread, index| {
                        assert!(thread < threads);
                        counts[index].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 50));
            }
        }
    }

    #[test]
    fn parked_workers_wake_up() {
        let mut team = Team::new(3).expect("three threads");
        for _ in 0..5 {
            let sum = AtomicUsize::new(0);
            team.run(100, &|_, index| {
                sum.fetch_add(index, Ordering::Relaxed);
            });
            assert_eq!(sum.load(Ordering::Relaxed), 4950);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_team_whole() {
        let mut team = Team::new(3).expect("three threads");
        // Twice as many panics as threads, on whichever thread takes the task, the caller's included.
        for planted in [0, 1, 33, 62, 63, 0] {
            let mut step = |panics: bool| {
                let sum = AtomicUsize::new(0);
                let run = std::panic::AssertUnwindSafe(|| {
                    team.run(64, &|_, index| {
                        assert!(!panics || index != planted, "planted");
                        sum.fetch_add(index, Ordering::Relaxed);
                    });
                });
                let result = std::panic::catch_unwind(run);
                (result.is_err(), sum.into_inner())
            };
            assert!(step(true).0);
            assert_eq!(step(false), (false, 64 * 63 / 2));
        }
    }

    /// Every task panics on every thread at once, and the team is dropped while the caller unwinds.
    #[test]
    fn nobody_waits_for_threads_that_panicked() {
        let result = std::panic::catch_unwind(|| {
            let mut team = Team::new(4).expect("four threads");
            team.run(64, &|_, _| panic!("planted"));
        });
        assert!(result.is_err());
    }

    #[test]
    fn a_refused_thread_is_an_error_and_ends_the_others() {
        for refused in 1..4 {
            let alive = Arc::new(());
            let spawn = |number, work: Work| {
                if number == refused {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let alive = Arc::clone(&alive);
                Builder::new().spawn(move || {
                    work();
                    drop(alive);
                })
            };
            let error = Team::spawned_by(4, spawn).expect_err("one is missing");
            let expected = format!("cannot start thread {} of 4: ", refused + 1);
            assert!(error.to_string().starts_with(&expected), "{error}");
            assert_eq!(Arc::strong_count(&alive), 1, "a thread is left");
        }
    }

    #[test]
    fn a_thread_that_ends_at_once_is_an_error() {
        let spawn = |number, work: Work| match number {
            2 => Builder::new().spawn(|| {}),
            _ => Builder::new().spawn(work),
        };
        let error = Team::spawned_by(3, spawn).expect_err("one has ended");
        assert_eq!(
            error.to_string(),
            "cannot start thread 3 of 3: it ended at once"
        );
    }
}
