//! The team: every task once, sleep and wake, panics, refused threads.

use super::*;
use std::time::Duration;

/// A step of two tasks, one on each thread of `team`; `late` runs on the worker once the caller is done.
fn step_of_two(team: &mut Team, late: impl Fn() + Sync) {
    let (inside, caller) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = AtomicUsize::new(0);
    team.run(2, &|thread, _| {
        // Both are in a task: none of them takes both.
        inside.fetch_add(1, Ordering::SeqCst);
        while inside.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        if thread == 0 {
            caller.store(true, Ordering::SeqCst);
        } else {
            while !caller.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            late();
        }
        done.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(done.into_inner(), 2);
}

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
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A worker that is held up far longer than the caller spins: the caller sleeps, and is woken.
#[test]
fn the_caller_sleeps_until_a_late_worker_has_left() {
    let mut team = Team::new(2).expect("two threads");
    let before = sleeps();
    for _ in 0..20 {
        team.workers[0].barred = team.workers[0].barred.map(|_| Instant::now());
        step_of_two(&mut team, || std::thread::sleep(Duration::from_millis(20)));
    }
    // A thread that yields is switched "involuntarily" in the kernel's words: it does not sleep.
    assert!(sleeps() - before >= 20);
}

#[test]
fn who_stalls_a_step_stays_out_for_a_while() {
    let mut team = Team::new(2).expect("two threads");
    let start = Instant::now();
    step_of_two(&mut team, || {
        // However busy the machine is: many times what the caller's task took.
        std::thread::sleep(start.elapsed() * 20 + Duration::from_millis(20));
    });
    assert!(team.workers[0].barred.is_some());
    // Far in the future, so that it is not over before the next step.
    team.workers[0].barred = Some(Instant::now() + Duration::from_secs(3600));
    team.run(100, &|thread, _| {
        assert_eq!(thread, 0);
        std::thread::sleep(Duration::from_micros(100));
    });
    // Its time out is over: this step ends only with both threads.
    team.workers[0].barred = Some(Instant::now());
    step_of_two(&mut team, || {});
}

/// The worker's task takes as long as the caller's, which is longer than anybody spins.
#[test]
fn a_long_task_is_no_stall() {
    let mut team = Team::new(2).expect("two threads");
    let start = Instant::now();
    team.run(3, &|_, _| std::thread::sleep(Duration::from_millis(20)));
    let (two, worker) = (Duration::from_millis(40), &team.workers[0]);
    // On a machine that held the worker up, this step has shown nothing.
    assert!(worker.barred.is_none() || start.elapsed() > two * 2);
}

/// How often this thread has gone to sleep (proc_pid_status(5)).
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux has it");
    let mut words = status.split_whitespace();
    words.find(|&word| word == "voluntary_ctxt_switches:");
    words.next().and_then(|n| n.parse().ok()).expect("a number")
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
            thread::spawn(format!("worker-{number}"), move || {
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
