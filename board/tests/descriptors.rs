//! The program with standard input, output and error closed, in all combinations.
#![cfg(unix)]

mod common;

use common::{Fixture, finish, text};
use std::process::{Command, Output, Stdio};

/// Closings of a shell, each with its place in the bits of a combination.
const CLOSINGS: [(u8, &str); 3] = [(1, "<&-"), (2, ">&-"), (4, "2>&-")];

/// Runs with those of the three descriptors closed that `closed` names, bit by bit.
fn run(arguments: &[&str], closed: u8) -> Output {
    let closings = CLOSINGS.iter().filter(|(bit, _)| closed & bit != 0);
    let closings: Vec<&str> = closings.map(|(_, closing)| *closing).collect();
    let mut shell = Command::new("sh");
    let script = format!("exec \"$@\" {}", closings.join(" "));
    shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_mergevit")]);
    let output = shell.args(arguments).stdin(Stdio::null()).output();
    output.expect("a shell runs")
}

/// A closed descriptor is as good as the null device: what a command opens must not get its number, or results would
/// be written into a file that is only read.
#[test]
fn closed_descriptors_change_nothing_else() {
    let fixture = Fixture::new();
    let (model, image) = (fixture.model(), fixture.image("a.png", 8, 8, 1));
    let (model, image) = (text(&model), text(&image));
    let before = [model, image].map(|file| std::fs::read(file).expect("it reads"));
    let folder = format!("file:{image}");
    let commands: [(i32, &[&str]); 9] = [
        (0, &["inspect", model]),
        (0, &["doctor"]),
        (0, &["demo", "--frames", "1", "--threads", "1"]),
        (0, &["classify", "-m", model, "--threads", "1", image]),
        (1, &["classify", "-m", model, "--threads", "1", "-"]),
        (0, &["run", "-m", model, "--threads", "1", "-s", &folder]),
        (1, &["run", "-m", model, "--threads", "1", "-s", "y4m:-"]),
        (0, &["bench", "-m", model, "--threads", "1", "--serve"]),
        (2, &["fly"]),
    ];
    for (code, command) in commands {
        let whole = run(command, 0);
        for closed in 0..8 {
            let output = run(command, closed);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
            let is_as_expected = |bit, bytes: &[u8], whole: &[u8]| match closed & bit {
                0 => bytes.is_empty() == whole.is_empty(),
                _ => bytes.is_empty(),
            };
            assert!(
                is_as_expected(2, &output.stdout, &whole.stdout),
                "{command:?}"
            );
            assert!(
                is_as_expected(4, &output.stderr, &whole.stderr),
                "{command:?}"
            );
        }
    }
    let after = [model, image].map(|file| std::fs::read(file).expect("it reads"));
    assert!(before == after);
    finish(fixture.command("classify").arg(image)).code(0);
}
