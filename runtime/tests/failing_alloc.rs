//! What becomes of a process that runs out of memory at any moment from the opening of a pack to its first answer.
//!
//! Memory whose amount a model decides is refused with an error. Small allocations are those of the standard
//! library and of dependencies, which end the process by `SIGABRT` and say how many bytes they lacked. Never is
//! there another answer, a hang or another signal. Each case is a process of its own.
#![cfg(target_os = "linux")]

use mergevit_runtime::{Engine, LoadError, ModelConfig, testing};
use std::alloc::{GlobalAlloc, Layout, System};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Allocations counted since counting began.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The first that fails, and the first that does not any more. At first, nothing is counted.
static FAILING: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

struct Failing;

/// From now on, count, and refuse those in `first..end`.
fn refuse(first: usize, end: usize) {
    COUNT.store(0, Ordering::SeqCst);
    FAILING[0].store(first, Ordering::SeqCst);
    FAILING[1].store(end, Ordering::SeqCst);
}

/// Whether this allocation succeeds.
fn grant() -> bool {
    let number = 1 + COUNT.fetch_add(1, Ordering::SeqCst);
    let [first, end] = FAILING.each_ref().map(|x| x.load(Ordering::SeqCst));
    !(first..end).contains(&number)
}

// SAFETY: every call goes to the system's allocator unchanged, or gets the null pointer that says no.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match grant() {
            // SAFETY: the caller keeps the contract of `alloc`.
            true => unsafe { System.alloc(layout) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match grant() {
            // SAFETY: the caller keeps the contract of `alloc_zeroed`.
            true => unsafe { System.alloc_zeroed(layout) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match grant() {
            // SAFETY: the caller keeps the contract of `realloc`.
            true => unsafe { System.realloc(memory, layout, size) },
            false => std::ptr::null_mut(),
        }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Exit code for an error that says what memory was refused.
const REFUSED: i32 = 1;

/// Exit code for success after more allocations than were to succeed: the failure was survived, or never came.
const ANSWERED: i32 = 0;

/// Exit code for success without a failure.
const BEYOND: i32 = 3;

/// Most seconds that a case may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

const SIGABRT: i32 = 6;

/// A small model that has everything whose amount of memory a pack decides: scores and embeddings too.
fn model() -> ModelConfig {
    let mut family = testing::family();
    family.retain(|(name, _)| *name == "own classes");
    let (_, classified) = family.pop().expect("one of the family");
    ModelConfig {
        image_size: 4,
        patch_size: 2,
        depth: 1,
        ..classified
    }
}

/// The child: the `nth` allocation fails, and all after it or none. Prints the answer.
fn child(path: &Path, nth: usize, all: bool) -> i32 {
    let options = Engine::options().backend("cpu").threads(2).max_batch(2);
    let options = options.max_frame(64, 64);
    let pixels = vec![9; model().image_bytes()];
    refuse(nth, if all { usize::MAX } else { nth + 1 });
    let mut engine = match options.load(path) {
        Ok(engine) => engine,
        Err(LoadError::OutOfMemory(_)) => return REFUSED,
        Err(error) => panic!("another error: {error}"),
    };
    let output = engine.classify_pixels(&pixels).expect("it runs");
    let failed = COUNT.load(Ordering::SeqCst) >= nth;
    refuse(0, 0);
    let bits: Vec<u32> = output.logits().iter().map(|x| x.to_bits()).collect();
    println!("answer {bits:?}");
    if failed { ANSWERED } else { BEYOND }
}

/// How a case ended: its exit code or the negative of its signal, and all that it printed.
fn run(path: &Path, nth: usize, all: bool) -> (i32, String) {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["case:", path.to_str().expect("text"), &nth.to_string()])
        .arg(if all { "all" } else { "one" })
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let start = Instant::now();
    while child.try_wait().expect("its state").is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().expect("it is killed");
            panic!("allocation {nth}: the process hangs");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("its output");
    let text = [output.stdout, output.stderr].concat();
    let status = output.status;
    let code = status.code().or(status.signal().map(|signal| -signal));
    (
        code.expect("one or the other"),
        String::from_utf8_lossy(&text).into(),
    )
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, case, path, nth, which] = &arguments[..]
        && case == "case:"
    {
        let nth = nth.parse().expect("a number");
        std::process::exit(child(Path::new(path), nth, which == "all"));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.mvit");
    let writer = testing::writer(&model(), &[0], 1);
    writer.finish(&path).expect("the pack is written");
    let (code, answer) = run(&path, usize::MAX - 1, false);
    assert_eq!(code, BEYOND, "{answer}");

    // One failure, as where another process frees memory in time; then all from some moment on.
    for all in [false, true] {
        let (mut refused, mut aborted, mut answered) = (0, 0, 0);
        let mut nth = 1;
        loop {
            let (code, text) = run(&path, nth, all);
            match code {
                REFUSED => refused += 1,
                ANSWERED => {
                    assert_eq!(text, answer, "allocation {nth}");
                    answered += 1;
                }
                BEYOND => {
                    assert_eq!(text, answer, "allocation {nth}");
                    break;
                }
                signal => {
                    assert_eq!(signal, -SIGABRT, "allocation {nth}: {text}");
                    assert!(
                        text.contains("memory allocation of "),
                        "allocation {nth}: {text}"
                    );
                    aborted += 1;
                }
            }
            nth += 1;
        }
        assert!(refused > 0 && nth > 50, "{refused} of {nth}");
        println!(
            "{} allocations: {refused} refused with an error, {aborted} ended the process, {answered} survived",
            nth - 1
        );
    }
}
