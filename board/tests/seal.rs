//! The seal holds: each case is a process of its own, in which an allocation must abort or must not.

#[path = "../src/seal.rs"]
#[expect(
    unreachable_pub,
    reason = "the library exports its allocator; this program does not"
)]
mod seal;

#[global_allocator]
static ALLOCATOR: seal::SealedAllocator = seal::SealedAllocator;

use seal::{exempt, seal};
use std::hint::black_box;
use std::process::{Command, Output};
use std::sync::Barrier;
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
        Some("freeing") => freeing(),
        _ => judge(),
    }
}

/// Runs every case and judges how it ended.
fn judge() {
    for (case, bytes, place) in [
        ("sealed", 123_456, "allocate_in_main"),
        ("other-thread", 234_567, "allocate_in_thread"),
        ("growing", 32, "grow_in_main"),
    ] {
        let output = run(case);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{case}: {stderr}");
        let expected = format!("allocation of {bytes} bytes while the allocator is sealed");
        assert!(stderr.contains(&expected), "{case}: {stderr}");
        assert!(stderr.contains(place), "{case}: {stderr}");
        assert!(!stderr.contains("went on"), "{case}: {stderr}");
    }
    for case in ["exempt", "freeing"] {
        let output = run(case);
        assert!(output.status.success(), "{case}: {output:?}");
    }
    println!("seal: 5 cases passed");
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

fn freeing() {
    let numbers = vec![black_box(1); 100];
    let seal = seal();
    drop(numbers);
    drop(seal);
}
