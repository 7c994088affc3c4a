//! What becomes of a program that is refused threads or memory.
#![cfg(target_os = "linux")]

mod common;

use common::{Finished, Fixture, finish, text};
use std::process::Command;

/// `mergevit ARGUMENTS` with at most so many bytes of address space.
fn within(bytes: u64, arguments: &[&str]) -> Finished {
    let mut shell = Command::new("sh");
    let limit = format!("ulimit -v {} && exec \"$@\"", bytes / 1024);
    shell.args(["-c", &limit, "sh", env!("CARGO_BIN_EXE_mergevit")]);
    finish(shell.args(arguments))
}

/// A limit on memory refuses threads too: each takes two megabytes for its stack, and more while it starts.
#[test]
fn too_many_threads_are_refused_by_name() {
    let fixture = Fixture::new();
    let model = fixture.model();
    let bench = |threads, bytes| {
        let rest = ["--backend", "cpu", "--iterations", "1", "--no-check"];
        let mut arguments = vec!["bench", "--model", text(&model), "--threads", threads];
        arguments.extend(rest);
        within(bytes, &arguments)
    };
    // Memory ends at another step of the last thread's start each time.
    for step in 0..32 {
        bench("256", (200 << 20) + step * 76 * 1024).fails(&[
            "error: cannot start thread ",
            " of 256: ",
            "hint: `--threads 1`",
        ]);
    }
    bench("1", 200 << 20).code(0);
}

#[test]
fn frames_that_do_not_fit_into_memory_are_refused() {
    let fixture = Fixture::new();
    let model = fixture.model();
    let run = |size: &str| {
        let source = format!("raw:rgb:{size}:/dev/zero");
        let arguments = ["run", "--model", text(&model), "--threads", "1", "--source"];
        let rest = [source.as_str(), "--max-frames", "1"];
        within(200 << 20, &[&arguments[..], &rest[..]].concat())
    };
    run("8192x8192").fails(&[
        "error: cannot reserve 201326592 bytes of memory for a frame",
        "hint: ",
    ]);
    run("32x32").code(0);
}
