//! Bad input gives an error that names it, the right exit code, and no output file.

mod common;

use common::{data, run, set, succeed};
use std::path::Path;

/// The command must fail with `code`, name `what` on standard error, and leave the folder as it was.
fn refuse(folder: &Path, args: &str, code: i32, what: &str) {
    let list = || {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = list();
    let output = run(folder, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args}: {errors}");
    assert!(errors.contains(what), "{args}: no {what:?} in {errors}");
    assert!(!errors.contains("panicked"), "{args}: {errors}");
    assert_eq!(list(), before, "{args}");
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let pack = "pack --checkpoint x --images idx:y --output %m.mvit";
    for (args, what) in [
        (String::new(), "Usage"),
        ("pack".into(), "--checkpoint"),
        ("pack --checkpoint x --output y".into(), "--images"),
        (format!("{pack} --observer nonsense"), "minmax"),
        (format!("{pack} --percentile 12"), "above 50"),
        (format!("{pack} --merge auto"), "does not search"),
        (format!("{pack} --merge -1"), "-1"),
        (format!("{pack} --merge 70000"), "70000"),
        (format!("{pack} --schedule 1,2"), "NAME="),
        (format!("{pack} --schedule a=1,x"), "1,x"),
        (format!("{pack} --limit 0"), "0"),
        (format!("{pack} --measure-limit 5"), "--measure"),
        (
            format!("{pack} --random-weights vit_tiny_patch16_64"),
            "cannot be used",
        ),
        ("forward --pixels a --output b".into(), "--checkpoint"),
        (
            "forward --checkpoint c --schedule r0 --pixels a --output b".into(),
            "cannot be used",
        ),
    ] {
        refuse(folder.path(), &args, 2, what);
    }
    assert!(succeed(folder.path(), "pack --help").contains("--random-weights"));
}

/// Runs `pack` with `args`, which must exit with 1 and name `what`.
fn refuse_pack(folder: &Path, args: &str, what: &str) {
    refuse(folder, &format!("pack {args} --output %m.mvit"), 1, what);
}

fn garments() -> String {
    data("garments").display().to_string()
}

#[test]
fn bad_checkpoints_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let images = set("calibration");
    for (checkpoint, what) in [("%nowhere", "nowhere"), ("%empty", "model.safetensors")] {
        let args = format!("--checkpoint {checkpoint} --images {images}");
        refuse_pack(folder.path(), &args, what);
    }
    refuse_pack(folder.path(), "--random-weights resnet50", "resnet50");
}

#[test]
fn bad_calibration_sets_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::create_dir(at("text")).unwrap();
    std::fs::write(at("text/a.png"), b"not an image").unwrap();
    let short = [0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2];
    std::fs::write(at("short.idx3"), short).unwrap();
    let none = [0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28];
    std::fs::write(at("none.idx3"), none).unwrap();
    let here = folder.path().display();
    for (images, what) in [
        ("idx:/nowhere.gz".into(), "nowhere.gz"),
        ("nonsense".into(), "folder:DIR"),
        (format!("folder:{here}/empty"), "no images"),
        (format!("folder:{here}/text"), "a.png"),
        (format!("idx:{here}/short.idx3"), "short.idx3"),
        (format!("idx:{here}/none.idx3"), "no images"),
    ] {
        let args = format!("--checkpoint {} --images {images}", garments());
        refuse_pack(folder.path(), &args, what);
    }
}

#[test]
fn bad_schedules_measurements_and_outputs_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let (checkpoint, images) = (garments(), set("calibration"));
    let small = format!("--checkpoint {checkpoint} --images {images} --limit 2");
    for (args, what) in [
        ("--schedule a=1,2", "6 layers"),
        ("--schedule r0=0,0,0,0,0,0", "r0"),
        ("--measure folder:nowhere", "nowhere"),
    ] {
        refuse_pack(folder.path(), &format!("{small} {args}"), what);
    }
    for (output, what) in [("%nowhere/m.mvit", "nowhere"), ("%empty", "empty")] {
        let args = format!("pack {small} --output {output}");
        refuse(folder.path(), &args, 1, what);
    }
}

/// Packs random weights for images of 64 x 64 into `m.mvit`.
fn pack_random(folder: &Path) {
    succeed(
        folder,
        "pack --random-weights vit_tiny_patch16_64 --output %m.mvit",
    );
}

#[test]
fn bad_packs_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    pack_random(folder.path());
    let mut bytes = std::fs::read(at("m.mvit")).unwrap();
    std::fs::write(at("short.mvit"), &bytes[..bytes.len() / 2]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(at("flipped.mvit"), bytes).unwrap();
    let other = format!("--model %m.mvit --checkpoint {}", garments());
    for (args, what) in [
        ("--model %nowhere.mvit", "nowhere.mvit"),
        ("--model %short.mvit", "short.mvit"),
        ("--model %flipped.mvit", "flipped.mvit"),
        ("--model %m.mvit --schedule r9", "r9"),
        ("--model %m.mvit --backend abacus", "abacus"),
        (&other, "made from"),
        ("--model %m.mvit --limit 2 --json %nowhere/r.json", "r.json"),
    ] {
        let args = format!("evaluate {args} --images {}", set("test"));
        refuse(folder.path(), &args, 1, what);
    }
}

#[test]
fn bad_pixels_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    pack_random(folder.path());
    std::fs::write(folder.path().join("text.safetensors"), b"not tensors").unwrap();
    let goldens = data("garments-goldens.safetensors").display().to_string();
    let (pixels, garments) = (format!("--pixels {goldens}"), garments());
    for (args, what) in [
        (format!("--model %m.mvit {pixels}"), "[N, 64, 64, 3]"),
        (
            "--model %m.mvit --pixels %text.safetensors".into(),
            "text.safetensors",
        ),
        ("--model %m.mvit --pixels %nowhere".into(), "nowhere"),
        (
            format!("--model %m.mvit --pixels {garments}/model.safetensors"),
            "expected pixels",
        ),
        (format!("--checkpoint %nowhere {pixels}"), "nowhere"),
    ] {
        let args = format!("forward {args} --output %g.safetensors");
        refuse(folder.path(), &args, 1, what);
    }
    let args = format!("forward --checkpoint {garments} {pixels} --output %nowhere/g");
    refuse(folder.path(), &args, 1, "nowhere");
}

/// A limit on memory refuses threads too: each takes two megabytes for its stack.
#[test]
#[cfg(target_os = "linux")]
fn threads_that_cannot_be_started_are_an_error() {
    let evaluate = |threads: &str| {
        let program = env!("CARGO_BIN_EXE_mergevit-calibrate");
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 300000 && exec \"$@\"", "sh", program])
            .args([
                "evaluate",
                "--model",
                "/nowhere/m.mvit",
                "--images",
                "idx:x",
            ])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .expect("the shell starts");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("errors are text")
    };
    let errors = evaluate("250");
    assert!(
        errors.starts_with("error: cannot start threads: "),
        "{errors}"
    );
    assert!(
        errors.contains("hint: set RAYON_NUM_THREADS to fewer"),
        "{errors}"
    );
    assert!(evaluate("2").contains("/nowhere/m.mvit: cannot open"));
}
