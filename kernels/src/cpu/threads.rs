//! A fixed team of threads that run the parts of one operation.
//!
//! Why not a library: a frame has a hundred parallel steps of tens of microseconds, and none of them may
//! allocate. Work-stealing pools allocate when work is handed over from outside. Here a step is one
//! epoch: the caller publishes a closure and a number of tasks, everybody takes tasks from one counter,
//! and the caller returns when all have left. Idle workers spin for a short while (the next step of the
//! same frame is microseconds away), then park until the next frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};

/// Turns of the spin loop before a worker parks: some 50 microseconds.
const SPINS: u32 = 20_000;

/// Called as `task(thread, index)`; `thread` is below [`Team::threads`] and names scratch space.
type Task<'a> = &'a (dyn Fn(usize, usize) + Sync + 'a);

/// One cache line each: workers write `left` and `next` while others poll `epoch`.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded<T>(T);

#[derive(Debug, Default)]
struct Shared {
    /// Grows by one per step. Odd values never occur twice: a worker runs a step once.
    epoch: Padded<AtomicUsize>,
    /// Next task of the step.
    next: Padded<AtomicUsize>,
    /// Workers that have not left the step.
    inside: Padded<AtomicUsize>,
    tasks: AtomicUsize,
    /// The step's closure: a pointer to the caller's `Task`, valid while `inside` is not zero.
    job: AtomicPtr<()>,
    panicked: AtomicBool,
    quit: AtomicBool,
}

/// The threads; dropped, they end.
#[derive(Debug)]
pub(super) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    parked: Arc<[Padded<AtomicBool>]>,
    handles: Box<[Thread]>,
}

impl Team {
    /// A team of `threads`, the caller's included; at least one.
    pub(super) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let helpers = threads.max(1) - 1;
        let parked: Arc<[_]> = (0..helpers).map(|_| Padded::default()).collect();
        let workers: Vec<_> = (0..helpers)
            .map(|index| {
                let (shared, parked) = (Arc::clone(&shared), Arc::clone(&parked));
                std::thread::Builder::new()
                    .name(format!("mergevit-{}", index + 1))
                    .spawn(move || work(&shared, &parked[index].0, index + 1))
                    .expect("the operating system refused a thread")
            })
            .collect();
        let handles = workers.iter().map(|w| w.thread().clone()).collect();
        let mut team = Self {
            shared,
            workers,
            parked,
            handles,
        };
        // A thread allocates while it starts: one empty step waits until every worker is past that.
        team.run(threads, &|_, _| {});
        team
    }

    /// Threads, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(thread, index)` for every index below `tasks`; returns when all are done.
    pub(super) fn run(&mut self, tasks: usize, task: Task<'_>) {
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|index| task(0, index));
            return;
        }
        let shared = &*self.shared;
        shared
            .job
            .store((&raw const task).cast_mut().cast(), Ordering::Relaxed);
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.0.store(0, Ordering::Relaxed);
        shared.inside.0.store(self.workers.len(), Ordering::Relaxed);
        // SeqCst pairs with the worker's `parked` store and `epoch` load: one of the two sees the other.
        shared.epoch.0.fetch_add(1, Ordering::SeqCst);
        for (parked, handle) in self.parked.iter().zip(&self.handles) {
            if parked.0.load(Ordering::SeqCst) {
                handle.unpark();
            }
        }
        let leave = WaitForWorkers(shared);
        drain(shared, task, 0);
        drop(leave);
        assert!(
            !shared.panicked.load(Ordering::Relaxed),
            "a worker thread panicked"
        );
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::Relaxed);
        self.shared.epoch.0.fetch_add(1, Ordering::SeqCst);
        for (worker, handle) in self.workers.drain(..).zip(&self.handles) {
            handle.unpark();
            // A worker's panic was already reported by `run`.
            let _ = worker.join();
        }
    }
}

/// Keeps the step's closure alive until nobody uses it, also when the caller's own task panics.
struct WaitForWorkers<'a>(&'a Shared);

impl Drop for WaitForWorkers<'_> {
    fn drop(&mut self) {
        let mut turns = 0u32;
        while self.0.inside.0.load(Ordering::Acquire) != 0 {
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
    let mut seen = 0;
    loop {
        seen = next_epoch(shared, parked, seen);
        if shared.quit.load(Ordering::Relaxed) {
            return;
        }
        let job = shared.job.load(Ordering::Relaxed).cast::<Task<'_>>();
        // SAFETY: `run` stored a pointer to its own live argument before it raised the epoch that this
        // thread has just acquired, and does not return before this thread has lowered `inside`.
        let task = unsafe { *job };
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drain(shared, task, thread)));
        if result.is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.inside.0.fetch_sub(1, Ordering::Release);
    }
}

/// Waits until the epoch differs from `seen`, spinning first, parked then.
fn next_epoch(shared: &Shared, parked: &AtomicBool, seen: usize) -> usize {
    let mut turns = 0u32;
    loop {
        let epoch = shared.epoch.0.load(Ordering::Acquire);
        if epoch != seen {
            return epoch;
        }
        if turns < SPINS {
            turns += 1;
            std::hint::spin_loop();
            continue;
        }
        parked.store(true, Ordering::SeqCst);
        if shared.epoch.0.load(Ordering::SeqCst) == seen {
            std::thread::park();
        }
        parked.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_in_every_step() {
        for threads in 1..=4 {
            let mut team = Team::new(threads);
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
        let mut team = Team::new(3);
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
    fn a_panic_reaches_the_caller() {
        let result = std::panic::catch_unwind(|| {
            let mut team = Team::new(2);
            team.run(64, &|_, index| assert!(index != 33, "planted"));
        });
        assert!(result.is_err());
    }
}
