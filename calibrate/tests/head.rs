//! `head`: classifiers of one's own classes, from images to the answers of the pack.

mod common;

use common::{data, run, set, succeed};
use mergevit_calibrate::Dataset;
use mergevit_runtime::{EmbeddingClassifier, Engine, Pack, TensorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A folder with a pack of the shipped checkpoint without its classifier, `backbone.mvit`.
fn backbone() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (checkpoint, images) = (data("garments").display().to_string(), set("calibration"));
        succeed(
            folder.path(),
            &format!(
                "pack --headless -c {checkpoint} -i {images} --limit 32 --merge 0,8 -o %backbone.mvit -q"
            ),
        );
        folder
    });
    folder.path()
}

/// A folder with `count` pictures of each of these colours, each a little different, in a folder named by the colour.
fn colours(colours: &[(&str, [u8; 3])], count: u8) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, colour) in colours {
        picture_class(&root.path().join(name), *colour, count);
    }
    root
}

fn picture_class(folder: &Path, colour: [u8; 3], count: u8) {
    // Not all in one folder.
    std::fs::create_dir_all(folder.join("more")).unwrap();
    for i in 0..count {
        let place = if i % 2 == 0 { "" } else { "more/" };
        let own = |x: u32, y: u32| {
            let shade = ((x * 7 + y * 3 + u32::from(i) * 11) % 40) as u8;
            image::Rgb(colour.map(|c| c.saturating_sub(shade)))
        };
        image::RgbImage::from_fn(40, 30, own)
            .save(folder.join(format!("{place}{i}.png")))
            .unwrap();
    }
}

const THREE: [(&str, [u8; 3]); 3] = [
    ("blue", [40, 60, 250]),
    ("green", [40, 250, 60]),
    ("red", [250, 40, 60]),
];

fn open(path: &Path) -> Pack {
    Pack::open(path).unwrap()
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn errors(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    assert!(!output.status.success(), "{args}");
    String::from_utf8(output.stderr).unwrap()
}

fn model() -> PathBuf {
    backbone().join("backbone.mvit")
}

#[test]
fn the_classes_of_a_trained_network_are_learned_again_without_its_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let (model, images) = (model().display().to_string(), set("calibration"));
    for kind in ["linear", "prototypes"] {
        let printed = succeed(
            folder.path(),
            &format!("head -m {model} -i {images} --kind {kind} -o %m.mvit --json %head.json"),
        );
        assert_eq!(
            printed.trim(),
            folder.path().join("m.mvit").display().to_string()
        );
        let pack = open(&folder.path().join("m.mvit"));
        assert!(pack.config().unknown && pack.config().labels.len() == 10);
        let settings = &pack.provenance().settings;
        assert_eq!(settings["head"], kind);
        let r0 = &pack.schedules()[0];
        assert!(r0.confidence.is_some() && pack.schedules()[1].confidence.is_none());

        // What is said of held-out images is true of the test set.
        let report = json(&folder.path().join("head.json"));
        let said = report["schedules"][0]["top1"].as_f64().unwrap();
        succeed(
            folder.path(),
            &format!(
                "evaluate -m %m.mvit -i {} --schedule r0 --json %test.json",
                set("test")
            ),
        );
        let test = json(&folder.path().join("test.json"));
        let is = test["schedules"][0]["top1"].as_f64().unwrap();
        assert!(is > 0.7, "{kind}: {is}");
        assert!((said - is).abs() < 0.1, "{kind}: {said} {is}");
        let counted: u64 = report["schedules"][0]["classes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|class| class["images"].as_u64().unwrap())
            .sum();
        assert_eq!(report["images"], counted);
    }
}

#[test]
fn the_pack_says_what_it_learned_from_and_knows_it_again() {
    let root = colours(&THREE, 12);
    let folder = tempfile::tempdir().unwrap();
    let images = format!("folder:{}", root.path().display());
    let model = model().display().to_string();
    let args = format!("head -m {model} -i {images} --schedule r8 -o %m.mvit --report %m.html");
    succeed(folder.path(), &args);
    let pack = open(&folder.path().join("m.mvit"));
    assert_eq!(pack.config().labels, ["blue", "green", "red"]);
    assert_eq!(pack.config().classifier, Some(EmbeddingClassifier::Linear));
    assert_eq!(pack.provenance().settings["head_images"], "36");
    assert_eq!(pack.provenance().settings["head_schedule"], "r8");
    assert!(pack.schedules()[0].confidence.is_none());
    assert!(pack.schedules()[1].confidence.is_some());
    let page = std::fs::read_to_string(folder.path().join("m.html")).unwrap();
    assert!(page.contains("green"));

    let (set, names) = Dataset::open_own(&images).unwrap();
    assert_eq!(names, pack.config().labels);
    let (pixels, labels) = set.pixels(0..set.len(), pack.config()).unwrap();
    let image = pack.config().image_bytes();
    let mut engine = Engine::options().build(pack).unwrap();
    engine.set_schedule("r8").unwrap();
    for (pixels, label) in pixels.chunks(image).zip(labels) {
        let output = engine.classify_pixels(pixels).unwrap();
        assert_eq!(Some(output.best(0).class), label);
        assert_eq!(output.is_unknown(0), Some(false));
    }

    // The same images, the same file.
    succeed(folder.path(), &args.replace("%m.mvit", "%again.mvit"));
    let again = open(&folder.path().join("again.mvit"));
    assert_eq!(again.hash(), open(&folder.path().join("m.mvit")).hash());
}

#[test]
fn a_class_is_added_to_prototypes_and_the_others_stay() {
    let root = colours(&THREE[..2], 10);
    let folder = tempfile::tempdir().unwrap();
    let more = folder.path().join("red");
    picture_class(&more, THREE[2].1, 10);
    let images = format!("folder:{}", root.path().display());
    let model = model().display().to_string();
    succeed(
        folder.path(),
        &format!("head -m {model} -i {images} --kind prototypes -o %two.mvit"),
    );
    succeed(folder.path(), "head -m %two.mvit --add %red -o %three.mvit");
    let (two, three) = (
        open(&folder.path().join("two.mvit")),
        open(&folder.path().join("three.mvit")),
    );
    assert_eq!(three.config().labels, ["blue", "green", "red"]);
    for kind in [
        TensorKind::ClassVector,
        TensorKind::ClassCenter,
        TensorKind::ClassThreshold,
    ] {
        let before = two.tensor_f32(kind, None).unwrap();
        let after = three.tensor_f32(kind, None).unwrap();
        assert_eq!(after[..before.len()], *before, "{kind}");
        assert_eq!(after.len(), before.len() / 2 * 3);
    }
    // The same again under another name, and with the images of the others.
    let twice = errors(folder.path(), "head -m %three.mvit --add %red -o %no.mvit");
    assert!(twice.contains("both named \"red\""), "{twice}");
    succeed(
        folder.path(),
        &format!("head -m %two.mvit -i {images} --add %red --kind linear -o %linear.mvit"),
    );
    let linear = open(&folder.path().join("linear.mvit"));
    assert_eq!(linear.config().labels, ["blue", "green", "red"]);
    let no = errors(folder.path(), "head -m %linear.mvit --add %red -o %no.mvit");
    assert!(
        no.contains("linear classifier") && no.contains("hint: give images of all"),
        "{no}"
    );
    assert!(!folder.path().join("no.mvit").exists());
}

#[test]
fn a_list_names_files_and_classes() {
    let root = colours(&THREE[..2], 8);
    let folder = tempfile::tempdir().unwrap();
    let mut list = String::from("path,label\n");
    for (name, label) in [("blue", "sky, at noon"), ("green", "grass")] {
        for i in 0..8 {
            let place = if i % 2 == 0 { "" } else { "more/" };
            let path = root.path().join(name).join(format!("{place}{i}.png"));
            list += &format!("\"{}\",\"{label}\"\n", path.display());
        }
    }
    std::fs::write(folder.path().join("set.csv"), list).unwrap();
    let model = model().display().to_string();
    let spec = format!("list:{}", folder.path().join("set.csv").display());
    succeed(
        folder.path(),
        &format!("head -m {model} -i {spec} --no-unknown --cache %kept -o %m.mvit -q"),
    );
    let pack = open(&folder.path().join("m.mvit"));
    assert_eq!(pack.config().labels, ["grass", "sky, at noon"]);
    assert!(!pack.config().unknown);
    // From what was kept, without the originals' pixels.
    let kept = std::fs::read_dir(folder.path().join("kept"))
        .unwrap()
        .count();
    assert!(kept > 4, "{kept}");
    succeed(
        folder.path(),
        &format!("head -m {model} -i {spec} --no-unknown --cache %kept -o %again.mvit -q"),
    );
    assert_eq!(open(&folder.path().join("again.mvit")).hash(), pack.hash());
}

#[test]
fn what_cannot_be_learned_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let model = model().display().to_string();
    let embedded = concat!(env!("CARGO_MANIFEST_DIR"), "/../board/assets/garments.mvit");
    let root = colours(&THREE, 3);
    let three = root.path().display();
    let of = errors(
        folder.path(),
        &format!("head -m {embedded} -i folder:{three} -o %m.mvit"),
    );
    assert!(of.contains("scores 10 classes of its own"), "{of}");
    assert!(of.contains("pack --headless"), "{of}");

    let one = colours(&THREE[..1], 3);
    let few = colours(&THREE, 1);
    let flat = root.path().join("red");
    std::fs::remove_dir_all(flat.join("more")).unwrap();
    for (spec, reason) in [
        (
            format!("folder:{}", one.path().display()),
            "one class, \"blue\"",
        ),
        (
            format!("folder:{}", few.path().display()),
            "class \"blue\" has 1 image, expected 2",
        ),
        (
            format!("folder:{}", flat.display()),
            "not every image has a label",
        ),
    ] {
        let error = errors(
            folder.path(),
            &format!("head -m {model} -i {spec} -o %m.mvit"),
        );
        assert!(error.contains(reason), "{error}");
    }
    assert!(!folder.path().join("m.mvit").exists());
    // Few are enough, with a warning.
    let output = run(
        folder.path(),
        &format!("head -m {model} -i folder:{three} -o %m.mvit"),
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("fewer than 10 images of 3 of 3 classes"),
        "{text}"
    );
}
