//! Bad input gives an error that names it, the right exit code, and no output file.

mod common;

use common::{data, run, set, succeed};
use std::path::Path;

/// The command must fail with `code`, name `what` on standard error, and leave the folder as it was. What it
/// said.
fn refuse(folder: &Path, args: &str, code: i32, what: &str) -> String {
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
    errors.into_owned()
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
        (format!("{pack} --merge 0,x"), "or auto"),
        (format!("{pack} --merge -1"), "-1"),
        (format!("{pack} --merge -1"), "expected 0 or more tokens"),
        (format!("{pack} --merge 8,-1"), "expected 0 or more tokens"),
        (
            format!("{pack} --merge 0,8,0"),
            "two schedules are named r0",
        ),
        (format!("{pack} --schedule a=1 --schedule a=2"), "named a"),
        (format!("{pack} --limit -5"), "expected 1 or more images"),
        (format!("{pack} --percentile 99"), "--observer percentile"),
        (
            format!("{pack} --observer mse --percentile 99"),
            "--observer percentile",
        ),
        (format!("{pack} --quiet -v"), "cannot be used"),
        (format!("{pack} --merge 70000"), "70000"),
        (format!("{pack} --schedule 1,2"), "NAME="),
        (format!("{pack} --schedule a=1,x"), "1,x"),
        (format!("{pack} --limit 0"), "0"),
        (format!("{pack} --measure-limit 5"), "--measure"),
        (
            format!("{pack} --random-weights vit_tiny_patch16_64"),
            "cannot be used",
        ),
        (
            "pack --random-weights vit_tiny_patch16_64 --output %m.mvit --json %m.json".into(),
            "a report needs images",
        ),
        (
            "pack --random-weights vit_tiny_patch16_64 --output %m.mvit --merge auto".into(),
            "random weights have none",
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

#[test]
fn wrong_usage_of_the_search_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let pack = "pack --checkpoint x --images idx:y --output %m.mvit";
    for (args, what) in [
        (format!("{pack} --gmac 0.6"), "--gmac is for --merge auto"),
        (
            format!("{pack} --target orin-nx"),
            "--target is for --merge auto",
        ),
        (format!("{pack} --merge auto --gmac 60"), "between 0 and 1"),
        (format!("{pack} --merge auto --latency 0.5"), "--target"),
        (
            format!("{pack} --merge auto --target orin-nx --gmac 0.5"),
            "cannot be used",
        ),
        (
            format!("{pack} --merge auto --target orin"),
            "orin-nano-super, orin-nx, agx-orin, this-machine",
        ),
        (
            format!("{pack} --merge auto --choose-limit 0"),
            "need images to choose with",
        ),
        (format!("{pack} --merge auto --agreement 100"), "below 100"),
        (
            format!("{pack} --merge auto --schedule auto-60=1"),
            "two schedules are named auto-60",
        ),
    ] {
        refuse(folder.path(), &args, 2, what);
    }
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
fn bad_schedules_measurements_and_outputs_are_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let (checkpoint, images) = (garments(), set("calibration"));
    let small = format!("--checkpoint {checkpoint} --images {images} --limit 2");
    let unlabelled = set("test");
    let unlabelled = unlabelled.split_once(',').unwrap().0;
    for (args, code, what) in [
        ("--schedule a=1,2", 2, "6 layers"),
        ("--schedule r0=0,0,0,0,0,0", 2, "r0"),
        ("--schedule b/c=0,0,0,0,0,0", 2, "b/c"),
        ("--merge 99", 2, "at most 98 of this model's 197 tokens"),
        ("--schedule a=0,0,0,0,0,99", 2, "at most 98"),
        ("--merge auto --gmac 0.05", 2, "costs as little as 5 %"),
        ("--merge 8 --agreement 99", 2, "no schedule without merging"),
        ("--agreement 99", 2, "no schedule that merges"),
        ("--measure folder:nowhere", 1, "nowhere"),
        (&format!("--measure {unlabelled}"), 2, "no labels"),
    ] {
        let args = format!("pack {small} {args} --output %m.mvit");
        refuse_at_once(folder.path(), &args, code, what);
    }
    for (output, what) in [
        ("%nowhere/m.mvit", "nowhere"),
        ("%empty", "empty"),
        ("%new/", "a folder"),
        ("/proc/m.mvit", "/proc/m.mvit"),
    ] {
        let args = format!("pack {small} --output {output}");
        refuse_at_once(folder.path(), &args, 1, what);
    }
}

/// Like [`refuse`], and before the work begins.
fn refuse_at_once(folder: &Path, args: &str, code: i32, what: &str) -> String {
    let errors = refuse(folder, args, code, what);
    for phase in ["observing", "comparing", "measuring"] {
        assert!(!errors.contains(phase), "{args}: {errors}");
    }
    errors
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
    for (args, code, what) in [
        ("--model %nowhere.mvit", 1, "nowhere.mvit"),
        ("--model %short.mvit", 1, "short.mvit"),
        ("--model %flipped.mvit", 1, "flipped.mvit"),
        ("--model %m.mvit --schedule r9", 2, "expected one of r0"),
        ("--model %m.mvit --backend abacus", 2, "abacus"),
        (&other, 1, "made from"),
        (
            "--model %m.mvit --limit 2 --json %nowhere/r.json",
            1,
            "r.json",
        ),
        (
            "--model %m.mvit --json %m.mvit",
            2,
            "would replace what --model reads",
        ),
        ("--model %m.mvit --json %r --report %./r", 2, "both name"),
        ("--model %m.mvit --json - --report -", 2, "both name"),
    ] {
        let args = format!("evaluate {args} --images {}", set("test"));
        refuse_at_once(folder.path(), &args, code, what);
    }
    let images = set("test");
    let unlabelled = images.split_once(',').unwrap().0;
    let args = format!("evaluate --model %m.mvit --images {unlabelled}");
    refuse_at_once(folder.path(), &args, 2, "no labels");
}

#[test]
fn another_checkpoint_than_the_packs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("finetuned");
    std::fs::create_dir(&copy).unwrap();
    let file = |name: &str| std::fs::read(data("garments").join(name)).unwrap();
    std::fs::write(copy.join("config.json"), file("config.json")).unwrap();
    let mut weights = file("model.safetensors");
    let last = weights.len() - 4;
    weights[last] ^= 1;
    std::fs::write(copy.join("model.safetensors"), weights).unwrap();
    let pack = data("../../../board/assets/garments.mvit");
    let args = format!(
        "evaluate --model {} --images {}",
        pack.display(),
        set("test")
    );
    let args = format!("{args} --checkpoint %finetuned");
    let errors = refuse_at_once(folder.path(), &args, 1, "made from checkpoint xxh3-64:");
    assert_eq!(errors.matches("xxh3-64:").count(), 2, "{errors}");
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
    for (args, what) in [
        ("--output %m.mvit", "would replace what --model reads"),
        (
            "--output %g --merge 9",
            "at most 8 of this model's 17 tokens",
        ),
        ("--output %g --schedule r9", "expected one of r0"),
    ] {
        let args = format!("forward --model %m.mvit {pixels} {args}");
        refuse(folder.path(), &args, 2, what);
    }
}

/// A limit on memory refuses threads too: each takes two megabytes for its stack, and more while it starts.
#[test]
#[cfg(target_os = "linux")]
fn threads_that_cannot_be_started_are_an_error() {
    let evaluate = |threads: &str, kilobytes: u32| {
        let program = env!("CARGO_BIN_EXE_mergevit-calibrate");
        let limit = format!("ulimit -v {kilobytes} && exec \"$@\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &limit, "sh", program])
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
    // Memory ends at another step of the last thread's start each time.
    for step in 0..32 {
        let errors = evaluate("250", 300_000 + 76 * step);
        assert!(
            errors.starts_with("error: cannot start threads: "),
            "{errors}"
        );
        assert!(
            errors.contains("hint: set RAYON_NUM_THREADS to fewer"),
            "{errors}"
        );
    }
    assert!(evaluate("2", 300_000).contains("/nowhere/m.mvit: cannot open"));
}

/// Opening a pipe that nobody writes to would wait for ever, and `/dev/zero` never ends.
#[test]
fn pipes_and_devices_are_refused_instead_of_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(at(name)).status();
        assert!(made.expect("mkfifo runs").success());
    };
    pack_random(folder.path());
    let weights = Path::new(&garments()).join("model.safetensors");
    std::fs::create_dir(at("weights")).unwrap();
    pipe("weights/model.safetensors");
    for name in ["config.json", "preprocessor_config.json"] {
        let checkpoint = at(name).with_extension("");
        std::fs::create_dir(&checkpoint).unwrap();
        std::os::unix::fs::symlink(&weights, checkpoint.join("model.safetensors")).unwrap();
        pipe(&format!("{}/{name}", name.trim_end_matches(".json")));
    }
    pipe("pipe");
    let (garments, images) = (garments(), set("calibration"));
    let here = folder.path().display();
    for (args, what) in [
        (
            format!("--checkpoint %weights --images {images}"),
            "model.safetensors: a named pipe",
        ),
        (
            format!("--checkpoint %config --images {images}"),
            "config.json: a named pipe",
        ),
        (
            format!("--checkpoint %preprocessor_config --images {images}"),
            "preprocessor_config.json: a named pipe",
        ),
        (
            format!("--checkpoint {garments} --images {images} --labels %pipe"),
            "pipe: cannot read: a named pipe",
        ),
        (
            format!("--checkpoint {garments} --images {images} --labels /dev/zero"),
            "/dev/zero: cannot read: a device",
        ),
        (
            format!("--checkpoint {garments} --images idx:{here}/pipe"),
            "pipe: a named pipe",
        ),
        (
            format!("--checkpoint {garments} --images idx:/dev/zero"),
            "/dev/zero: a device",
        ),
    ] {
        let what = format!("{what}, expected a regular file");
        refuse_pack(folder.path(), &args, &what);
    }
    for (pixels, what) in [("%pipe", "a named pipe"), ("/dev/zero", "a device")] {
        let args = format!("forward --model %m.mvit --pixels {pixels} --output %g.safetensors");
        refuse(
            folder.path(),
            &args,
            1,
            &format!("{what}, expected a regular file"),
        );
    }
}
