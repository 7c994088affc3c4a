//! Images and folders that cannot be read: skipped, named and counted, or an error. Never a silent part of a result.

mod common;

use common::{data, run, succeed};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A folder with a pack of the test checkpoint, `m.mvit`, and with `set`: `count` images of its class 0 and as many of
/// its class 1, all different.
fn folder(count: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = data("garments").display().to_string();
    let images = common::set("calibration");
    let args = format!(
        "pack --checkpoint {checkpoint} --images {images} --limit 4 --observer minmax --output %m.mvit"
    );
    succeed(folder.path(), &args);
    for class in [0, 1] {
        fs::create_dir_all(folder.path().join(format!("set/{class}"))).unwrap();
        for i in 0..count {
            let pixel = image::Rgb([i, 90 * class, 255 - i]);
            let image = image::RgbImage::from_pixel(8, 8, pixel);
            image.save(at(&folder, class, i)).unwrap();
        }
    }
    folder
}

fn at(folder: &tempfile::TempDir, class: u8, i: u8) -> std::path::PathBuf {
    folder.path().join(format!("set/{class}/{i:03}.png"))
}

fn evaluate(folder: &Path) -> String {
    format!(
        "evaluate --model %m.mvit --images folder:{}/set --class-folders subset --json %r.json",
        folder.display()
    )
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("r.json")).unwrap()).unwrap()
}

/// Over more than two batches, with a whole batch that cannot be read.
#[test]
fn skipped_images_are_named_counted_and_change_nothing_else() {
    let folder = folder(80);
    let bad: Vec<_> = (0..70).map(|i| at(&folder, 1, i)).collect();
    for (i, path) in bad.iter().enumerate() {
        let whole = fs::read(path).unwrap();
        let rest = [&b"no image"[..], &[], &whole[..whole.len() / 2]][i % 3];
        fs::write(path, rest).unwrap();
    }
    let output = run(folder.path(), &evaluate(folder.path()));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(errors.matches("warning: skipped: ").count(), 5, "{errors}");
    for what in [
        "set/1/000.png: not an image",
        "set/1/001.png: an empty file",
        "set/1/002.png: truncated",
        "warning: more are skipped and counted",
        "warning: set: 70 of 160 images skipped",
    ] {
        assert!(errors.contains(what), "no {what:?} in {errors}");
    }
    let with = report(folder.path());
    assert_eq!(
        (&with["images"], &with["skipped"]),
        (&90.into(), &70.into())
    );
    assert_eq!(with["labelled"], 90);

    for path in &bad {
        fs::remove_file(path).unwrap();
    }
    succeed(folder.path(), &evaluate(folder.path()));
    let without = report(folder.path());
    assert_eq!(
        (&without["images"], &without["skipped"]),
        (&90.into(), &0.into())
    );
    assert_eq!(with["schedules"], without["schedules"]);
}

#[test]
fn a_strict_run_ends_at_the_first_image_that_cannot_be_read() {
    let folder = folder(3);
    fs::write(at(&folder, 1, 1), b"no image").unwrap();
    let set = format!("folder:{}/set", folder.path().display());
    let checkpoint = data("garments").display().to_string();
    let pack = format!(
        "pack --checkpoint {checkpoint} --images {set} --observer minmax --output %new.mvit"
    );
    for (args, output_name) in [(evaluate(folder.path()), "r.json"), (pack, "new.mvit")] {
        let output = run(folder.path(), &format!("{args} --strict"));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}: {errors}");
        assert!(
            errors.contains("set/1/001.png: not an image"),
            "{args}: {errors}"
        );
        assert!(!folder.path().join(output_name).exists(), "{args}");
        succeed(folder.path(), &args);
    }
    assert_eq!(report(folder.path())["skipped"], 1);
    fs::remove_file(at(&folder, 1, 1)).unwrap();
    succeed(
        folder.path(),
        &format!("{} --strict", evaluate(folder.path())),
    );
    assert_eq!(report(folder.path())["skipped"], 0);
}

/// As root, who may read everything, the program runs as `nobody`.
fn run_unprivileged(folder: &Path) -> (Option<i32>, String) {
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder, open).unwrap();
    // Where it was built, nobody else may come.
    let program = folder.join("program");
    fs::copy(env!("CARGO_BIN_EXE_mergevit-calibrate"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["evaluate", "--model", "m.mvit", "--images", "folder:set"]);
    command.args(["--class-folders", "subset", "--json", "-"]);
    command.current_dir(folder);
    if fs::metadata(folder).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    let output = command.output().expect("the program starts");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), text.concat())
}

#[test]
fn what_may_not_be_read_is_said() {
    let folder = folder(2);
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&folder.path().join("m.mvit"), 0o644);
    allow(&at(&folder, 1, 0), 0o000);
    let (code, text) = run_unprivileged(folder.path());
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("skipped: set/1/000.png: cannot open: Permission denied"),
        "{text}"
    );
    assert!(text.contains("\"skipped\": 1"), "{text}");

    // A folder's images are unknown: without them, the set would be another.
    let locked = folder.path().join("set/1");
    allow(&locked, 0o000);
    let (code, text) = run_unprivileged(folder.path());
    allow(&locked, 0o755);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("error: set/1: Permission denied"), "{text}");
}

/// Linux takes any bytes as a name; macOS does not.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_read_and_shown() {
    let folder = folder(2);
    let name = |bytes: &[u8]| folder.path().join("set/1").join(OsStr::from_bytes(bytes));
    fs::rename(at(&folder, 1, 0), name(b"caf\xe9.png")).unwrap();
    fs::write(name(b"\xff.png"), b"no image").unwrap();
    let output = run(folder.path(), &evaluate(folder.path()));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(
        errors.contains("set/1/\u{fffd}.png: not an image"),
        "{errors}"
    );
    let found = report(folder.path());
    assert_eq!(
        (&found["images"], &found["skipped"]),
        (&4.into(), &1.into())
    );

    // A class folder of such a name is no class, however it looks.
    let other = folder
        .path()
        .join("set")
        .join(OsStr::from_bytes(b"caf\xe9"));
    fs::rename(folder.path().join("set/1"), other).unwrap();
    fs::remove_dir_all(folder.path().join("set/0")).unwrap();
    let output = run(folder.path(), &evaluate(folder.path()));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("caf\u{fffd}"), "{errors}");

    // A pack may have such a name too; a set's name is a word, and must be text.
    let pack = folder.path().join(OsStr::from_bytes(b"m\xff.mvit"));
    fs::rename(folder.path().join("m.mvit"), &pack).unwrap();
    let program = |set: &OsStr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mergevit-calibrate"));
        command
            .arg("evaluate")
            .arg("--model")
            .arg(&pack)
            .arg("--images")
            .arg(set);
        command.args(["--limit", "2", "--json", "-"]);
        let output = command.output().expect("the program starts");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), text.concat())
    };
    let (code, text) = program(OsStr::new(&common::set("test")));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("m\u{fffd}.mvit"), "{text}");
    let (code, text) = program(OsStr::from_bytes(b"folder:\xff"));
    assert_eq!(code, Some(2), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}
