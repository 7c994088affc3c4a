//! What no tensor tells is stated or asked for, never guessed.

mod common;

use common::{data, run, set};
use mergevit_calibrate::checkpoint::{Checkpoint, Defect, Stated};
use mergevit_runtime::{Interpolation, ResizeMode};

/// The model, and nothing of its images.
const MODEL: &str = r#"{"architecture": "vit_tiny_patch16_224",
    "model_args": {"embed_dim": 128, "num_heads": 2}}"#;

#[test]
fn weights_without_a_configuration_are_asked_about() {
    let weights = std::fs::read(data("garments/model.safetensors")).unwrap();
    let unknown = Checkpoint::parse(&weights, None, None).unwrap_err();
    assert!(matches!(unknown, Defect::Unstated { .. }), "{unknown}");
    let config = Some(MODEL.as_bytes());
    let error = Checkpoint::parse(&weights, config, None).unwrap_err();
    let Defect::Preprocessing { missing } = &error else {
        panic!("{error}");
    };
    assert_eq!(missing, &["mean", "std", "crop", "interpolation"]);

    let partly = Stated {
        crop: None,
        ..Stated::CLIP
    };
    let error = Checkpoint::parse_with(&weights, config, None, &partly).unwrap_err();
    assert!(matches!(&error, Defect::Preprocessing { missing } if missing == &["crop"]));
    let known = Checkpoint::parse_with(&weights, config, None, &Stated::INCEPTION).unwrap();
    assert_eq!((known.mean, known.std), ([0.5; 3], [0.5; 3]));
    let preprocessing = known.model.preprocessing;
    assert_eq!(preprocessing.interpolation, Interpolation::Bicubic);
    let side = (known.model.image_size as f64 / 0.9) as usize;
    assert_eq!(preprocessing.resize, ResizeMode::ShortestSide(side));
    let pixels = partly.at_model_resolution();
    assert!(Checkpoint::parse_with(&weights, config, None, &pixels).is_ok());
}

#[test]
fn the_program_asks_and_takes_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bare")).unwrap();
    let weights = folder.path().join("bare/model.safetensors");
    std::fs::copy(data("garments/model.safetensors"), &weights).unwrap();
    std::fs::write(folder.path().join("bare/config.json"), MODEL).unwrap();
    let images = set("calibration");
    let pack = format!("pack --checkpoint %bare --images {images} --limit 2 --output %m.mvit");
    let refused = run(folder.path(), &pack);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    for what in ["mean, std, crop, interpolation", "hint:", "--preprocessing"] {
        assert!(errors.contains(what), "{errors}");
    }
    let names: String = (0..10).map(|class| format!("name {class}\n")).collect();
    std::fs::write(folder.path().join("names.txt"), names).unwrap();
    let stated = "--preprocessing imagenet --mean 0.5,0.5,0.5 --labels %names.txt";
    common::succeed(folder.path(), &format!("{pack} {stated}"));
    let written = mergevit_runtime::Pack::open(&folder.path().join("m.mvit")).unwrap();
    assert_eq!(written.config().labels[3], "name 3");
    for (wrong, what) in [
        ("--mean 1,2", "three numbers"),
        ("--std 0,1,1", "0.001"),
        ("--crop 2", "0.05 to 1"),
    ] {
        let refused = run(folder.path(), &format!("{pack} {wrong}"));
        assert_eq!(refused.status.code(), Some(2));
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert!(errors.contains(what), "{errors}");
    }
    std::fs::write(folder.path().join("names.txt"), "one\n\nthree").unwrap();
    let refused = run(folder.path(), &format!("{pack} {stated}"));
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("names.txt: label 1"), "{errors}");
}
