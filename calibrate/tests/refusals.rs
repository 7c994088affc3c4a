//! What bad input gets: an error that names it, the right exit code, no output file.

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

#[test]
fn bad_checkpoints_and_sets_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    write("text/a.png", b"not an image");
    write(
        "short.idx3",
        &[0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2],
    );
    write(
        "none.idx3",
        &[0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28],
    );
    let garments = data("garments").display().to_string();
    let (images, checkpoint) = (set("calibration"), format!("--checkpoint {garments}"));
    for (args, what) in [
        (
            format!("--checkpoint %nowhere --images {images}"),
            "nowhere",
        ),
        (
            format!("--checkpoint %empty --images {images}"),
            "model.safetensors",
        ),
        (
            format!("{checkpoint} --images idx:/nowhere.gz"),
            "nowhere.gz",
        ),
        (format!("{checkpoint} --images nonsense"), "folder:DIR"),
        (
            format!(
                "{checkpoint} --images folder:{}/empty",
                folder.path().display()
            ),
            "no images",
        ),
        (
            format!(
                "{checkpoint} --images folder:{}/text",
                folder.path().display()
            ),
            "a.png",
        ),
        (
            format!(
                "{checkpoint} --images idx:{}/short.idx3",
                folder.path().display()
            ),
            "short.idx3",
        ),
        (
            format!(
                "{checkpoint} --images idx:{}/none.idx3",
                folder.path().display()
            ),
            "no images",
        ),
        (
            format!("{checkpoint} --images {images} --limit 2 --schedule a=1,2"),
            "6 layers",
        ),
        (
            format!("{checkpoint} --images {images} --limit 2 --schedule r0=0,0,0,0,0,0"),
            "r0",
        ),
        (
            format!("{checkpoint} --images {images} --limit 2 --measure folder:nowhere"),
            "nowhere",
        ),
        ("--random-weights resnet50".into(), "resnet50"),
    ] {
        refuse(
            folder.path(),
            &format!("pack {args} --output %m.mvit"),
            1,
            what,
        );
    }
    let small = format!("pack {checkpoint} --images {images} --limit 2 --output");
    refuse(
        folder.path(),
        &format!("{small} %nowhere/m.mvit"),
        1,
        "nowhere",
    );
    refuse(folder.path(), &format!("{small} %empty"), 1, "empty");
}

#[test]
fn bad_packs_and_pixels_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    succeed(
        folder.path(),
        "pack --random-weights vit_tiny_patch16_64 --output %m.mvit",
    );
    let mut bytes = std::fs::read(at("m.mvit")).unwrap();
    std::fs::write(at("short.mvit"), &bytes[..bytes.len() / 2]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(at("flipped.mvit"), bytes).unwrap();
    let (images, garments) = (set("test"), data("garments").display().to_string());
    for (args, what) in [
        ("--model %nowhere.mvit".into(), "nowhere.mvit"),
        ("--model %short.mvit".into(), "short.mvit"),
        ("--model %flipped.mvit".into(), "flipped.mvit"),
        ("--model %m.mvit --schedule r9".into(), "r9"),
        ("--model %m.mvit --backend abacus".into(), "abacus"),
        (
            format!("--model %m.mvit --checkpoint {garments}"),
            "made from",
        ),
        (
            "--model %m.mvit --limit 2 --json %nowhere/r.json".into(),
            "r.json",
        ),
    ] {
        refuse(
            folder.path(),
            &format!("evaluate {args} --images {images}"),
            1,
            what,
        );
    }
    let goldens = data("garments-goldens.safetensors");
    std::fs::write(at("text.safetensors"), b"not tensors").unwrap();
    for (args, what) in [
        (
            format!("--model %m.mvit --pixels {}", goldens.display()),
            "[N, 64, 64, 3]",
        ),
        (
            "--model %m.mvit --pixels %text.safetensors".into(),
            "text.safetensors",
        ),
        ("--model %m.mvit --pixels %nowhere".into(), "nowhere"),
        (
            format!("--model %m.mvit --pixels {garments}/model.safetensors"),
            "expected pixels",
        ),
        (
            format!("--checkpoint %nowhere --pixels {}", goldens.display()),
            "nowhere",
        ),
        (
            format!(
                "--checkpoint {garments} --pixels {} --output %nowhere/g",
                goldens.display()
            ),
            "nowhere",
        ),
    ] {
        let output = if args.contains("--output") {
            ""
        } else {
            "--output %g.safetensors"
        };
        refuse(folder.path(), &format!("forward {args} {output}"), 1, what);
    }
}
