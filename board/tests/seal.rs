//! The seal holds: each case is a process of its own, in which an allocation must abort or must not.

#[path = "../src/seal/mod.rs"]
#[expect(
    unreachable_pub,
    reason = "the library exports its allocator; this program does not"
)]
mod seal;

#[global_allocator]
static ALLOCATOR: seal::SealedAllocator = seal::SealedAllocator;

use seal::{Overflow, Scratch, begun, exempt, seal, spawn_exempt, starting_threads};
use std::hint::black_box;
use std::process::{Command, Output};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Barrier};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Prefix of an argument that names a case; no filter of test names looks like it.
const CASE: &str = "case:";

fn main() {
    // The program runs itself with the name of a case. Options that a harness passes change nothing.
    let argument = std::env::args().nth(1).unwrap_or_default();
    match argument.strip_prefix(CASE) {
        Some("sealed") => sealed(),
        Some("other-thread") => other_thread(),
        Some("growing") => growing(),
        Some("exempt") => exempted(),
        Some("exempt-thread") => exempt_thread(),
        Some("starting-thread") => starting_thread(),
        Some("started-thread") => started_thread(),
        Some("beside-starting") => beside_starting(),
        Some("freeing") => freeing(),
        Some("scratch") => scratch(),
        Some("scratch-kept") => scratch_kept(),
        Some("scratch-small") => scratch_small(),
        Some("scratch-panic") => scratch_panic(),
        Some("scratch-again") => scratch_again(),
        Some("beside-scratch") => beside_scratch(),
        _ => judge(),
    }
}

/// Runs every case and judges how it ended.
fn judge() {
    let aborted = [
        ("sealed", 123_456, "allocate_in_main"),
        ("other-thread", 234_567, "allocate_in_thread"),
        ("started-thread", 234_567, "allocate_in_thread"),
        ("beside-starting", 234_567, "allocate_in_thread"),
        ("growing", 32, "grow_in_main"),
        ("beside-scratch", 123_456, "allocate_in_main"),
    ];
    for (case, bytes, place) in aborted {
        let output = run(case);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{case}: {stderr}");
        let expected = format!("allocation of {bytes} bytes while the allocator is sealed");
        assert!(stderr.contains(&expected), "{case}: {stderr}");
        assert!(stderr.contains(place), "{case}: {stderr}");
        assert!(!stderr.contains("went on"), "{case}: {stderr}");
    }
    let allowed = [
        "exempt",
        "exempt-thread",
        "starting-thread",
        "freeing",
        "scratch",
        "scratch-kept",
        "scratch-small",
        "scratch-panic",
        "scratch-again",
    ];
    for case in allowed {
        let output = run(case);
        assert!(output.status.success(), "{case}: {output:?}");
    }
    println!("seal: {} cases passed", aborted.len() + allowed.len());
}

fn run(case: &str) -> Output {
    let program = std::env::current_exe().expect("the test program has a path");
    let output = Command::new(program).arg(format!("{CASE}{case}")).output();
    output.expect("the test program runs")
}

#[inline(never)]
fn allocate(bytes: usize) {
    drop(black_box(Vec::<u8>::with_capacity(black_box(bytes))));
}

#[inline(never)]
fn allocate_in_main() {
    allocate(123_456);
    black_box(());
}

#[inline(never)]
fn allocate_in_thread() {
    allocate(234_567);
    black_box(());
}

#[inline(never)]
fn grow_in_main(numbers: &mut Vec<u64>) {
    numbers.extend(black_box([3, 4]));
    black_box(numbers);
}

fn sealed() {
    let seal = seal();
    allocate_in_main();
    drop(seal);
    eprintln!("went on");
}

fn other_thread() {
    let sealed = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sealed.wait();
            allocate_in_thread();
        });
        let seal = seal();
        sealed.wait();
        std::thread::sleep(Duration::from_secs(60));
        drop(seal);
    });
    eprintln!("went on");
}

fn growing() {
    let mut numbers = Vec::with_capacity(2);
    numbers.extend([1, 2]);
    let seal = seal();
    grow_in_main(&mut numbers);
    drop(seal);
    eprintln!("went on");
}

fn exempted() {
    let seal = seal();
    exempt(|| exempt(|| allocate(1)));
    exempt(|| allocate(1));
    drop(seal);
    allocate(1);
}

fn exempt_thread() {
    let sealed = Arc::new(Barrier::new(2));
    let own = Arc::clone(&sealed);
    let work = move || {
        own.wait();
        allocate(1);
    };
    let thread = spawn_exempt("exempt", work).expect("a thread starts");
    let seal = seal();
    sealed.wait();
    thread.join().expect("it ends");
    drop(seal);
}

/// Starts a thread, which waits for a word before it runs `work`.
fn start(work: fn()) -> (JoinHandle<()>, SyncSender<()>) {
    let (running, runs) = sync_channel(1);
    let (word, waits) = sync_channel::<()>(1);
    let thread = move || {
        let _ = running.send(());
        let _ = waits.recv();
        work();
    };
    let thread = Builder::new().name("started".into()).spawn(thread);
    let _ = runs.recv();
    (thread.expect("a thread starts"), word)
}

/// A thread allocates before it does anything that it is told to do: its name at least.
fn starting_thread() {
    let seal = seal();
    let (thread, word) = starting_threads(|| start(|| ()));
    drop(word);
    thread.join().expect("it ends");
    drop(seal);
}

fn started_thread() {
    let seal = seal();
    let (thread, word) = starting_threads(|| start(allocate_in_thread));
    drop(word);
    let _ = thread.join();
    drop(seal);
    eprintln!("went on");
}

/// Others' threads that start exempt no thread that has begun.
fn beside_starting() {
    let (thread, word) = start(|| {
        begun();
        allocate_in_thread();
    });
    let seal = seal();
    starting_threads(|| {
        drop(word);
        let _ = thread.join();
    });
    drop(seal);
    eprintln!("went on");
}

fn freeing() {
    let numbers = vec![black_box(1); 100];
    let seal = seal();
    drop(numbers);
    drop(seal);
}

const SCRATCH: usize = 1 << 16;

fn reserve() -> Scratch {
    Scratch::new(SCRATCH).expect("some kilobytes")
}

/// What a decoder does: blocks of several sizes and alignments, zeroed ones, vectors that grow. All bytes are checked.
#[inline(never)]
fn decode(salt: u8) -> usize {
    let mut grown = Vec::new();
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for index in 0..100_u8 {
        grown.push(u64::from(index ^ salt));
        pieces.push(vec![index ^ salt; usize::from(index)]);
    }
    let zeroed = vec![0_u32; 1000];
    let boxed = Box::new([f64::from(salt); 3]);
    assert!(zeroed.iter().all(|&number| number == 0));
    assert!((0..100).all(|index| grown[usize::from(index)] == u64::from(index ^ salt)));
    for (index, piece) in (0..100).zip(&pieces) {
        assert!(piece.iter().all(|&byte| byte == index ^ salt));
    }
    grown.len() + pieces.len() + boxed.len()
}

/// Far more work than the block has bytes.
fn scratch() {
    let mut scratch = reserve();
    let seal = seal();
    for salt in 0..=u8::MAX {
        assert_eq!(scratch.run(|| decode(salt)), Ok(203));
    }
    drop(seal);
}

/// What outlasts the work keeps its bytes, here and on another thread, which frees it; later its room is free again.
fn scratch_kept() {
    let mut scratch = reserve();
    let seal = seal();
    let mut first = Some(scratch.run(|| vec![7; 1000]).expect("it fits"));
    for round in 0..100_u8 {
        let before = first.take().expect("the round before kept one");
        let made = scratch.run(|| {
            assert!(before.iter().all(|&byte| byte == 7));
            decode(round);
            // The old one goes while the new one stays.
            drop(before);
            vec![7; 1000]
        });
        first = Some(made.expect("it fits"));
        if round % 2 == 1 {
            // Nothing lives any more: the whole block is free.
            drop(first.take());
            scratch.run(|| decode(1)).expect("it fits");
            first = Some(scratch.run(|| vec![7; 1000]).expect("it fits"));
        }
    }
    drop(seal);
    let freed = std::thread::spawn(move || drop(first));
    freed.join().expect("any thread may free it");
    let _seal = seal::seal();
    assert_eq!(scratch.run(|| decode(2)), Ok(203));
}

/// Work that does not fit is done all the same, and reported; the next has the whole block.
fn scratch_small() {
    let mut scratch = reserve();
    let seal = seal();
    for _ in 0..3 {
        let length = scratch.run(|| vec![1_u8; 2 * SCRATCH]);
        let error: Overflow = length.expect_err("it is twice the block");
        let needed = 2 * SCRATCH;
        let expected = format_in(&mut scratch, || {
            format!(
                "it needs {needed} bytes more than the {SCRATCH} that are reserved for decoding"
            )
        });
        exempt(|| assert_eq!(error.to_string(), expected));
        assert_eq!(scratch.run(|| decode(3)), Ok(203));
    }
    drop(seal);
}

fn format_in(scratch: &mut Scratch, make: impl FnOnce() -> String) -> String {
    scratch.run(make).expect("a line fits")
}

/// A panic inside leaves the block to the next work, and the thread without it.
fn scratch_panic() {
    let mut scratch = reserve();
    let seal = seal();
    for _ in 0..3 {
        let work = || scratch.run(|| decode(4) / black_box(0));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        assert!(caught.is_err());
        drop(caught);
        assert_eq!(scratch.run(|| decode(5)), Ok(203));
    }
    drop(seal);
}

/// Sources come and go, and a block is used by one at a time; not while something lives in it.
fn scratch_again() {
    let mut first = reserve();
    let kept = first.run(|| vec![8; 1000]).expect("it fits");
    drop(first);
    for round in 0..1000 {
        let (mut one, mut other) = (reserve(), reserve());
        let seal = seal();
        let lasting = one.run(|| vec![9; 1000]).expect("it fits");
        assert_eq!(other.run(|| decode(round as u8)), Ok(203));
        assert!(lasting.iter().all(|&byte| byte == 9));
        assert!(kept.iter().all(|&byte| byte == 8));
        drop(lasting);
        drop(seal);
    }
}

/// Outside the work nothing has changed.
fn beside_scratch() {
    let mut scratch = reserve();
    let seal = seal();
    scratch.run(|| decode(6)).expect("it fits");
    allocate_in_main();
    drop(seal);
    eprintln!("went on");
}
