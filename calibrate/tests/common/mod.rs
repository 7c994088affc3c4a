//! Running the program on the files in `tests/data`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file or folder of the shipped test data.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A shipped set: `calibration` or `test`.
pub(crate) fn set(name: &str) -> String {
    let file = |kind| {
        data(&format!("fashion-mnist/{name}-{kind}.gz"))
            .display()
            .to_string()
    };
    format!("idx:{},{}", file("images.idx3"), file("labels.idx1"))
}

/// Runs `mergevit-calibrate` with arguments separated by blanks, `%` standing for a path in `folder`.
pub(crate) fn run(folder: &Path, args: &str) -> Output {
    let folder = folder.display().to_string();
    let args = args.split_whitespace().map(|arg| {
        arg.strip_prefix('%')
            .map_or_else(|| arg.to_owned(), |name| format!("{folder}/{name}"))
    });
    Command::new(env!("CARGO_BIN_EXE_mergevit-calibrate"))
        .args(args)
        .output()
        .expect("the program starts")
}

/// Like [`run`]; the program must succeed. Returns its standard output.
pub(crate) fn succeed(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args}: {errors}");
    String::from_utf8(output.stdout).expect("output is text")
}
