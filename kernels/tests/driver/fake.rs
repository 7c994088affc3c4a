//! A driver for tests: `libcuda.c` computes nothing, but counts allocations and releases, and fails on
//! demand.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The folder with the driver, compiled once: the value of `LD_LIBRARY_PATH`.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("driver");
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(folder.join("libcuda.so.1"))
            .args(["-x", "c", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a C compiler, which Rust links with");
        let mut source = compiler.stdin.take().expect("a pipe");
        let written = source.write_all(include_bytes!("libcuda.c"));
        written.expect("the compiler reads its source");
        drop(source);
        assert!(compiler.wait().expect("the compiler ends").success());
        folder
    })
}
