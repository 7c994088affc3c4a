//! Models that give embeddings, and classes that text embeddings name.

mod common;

use common::{run, set, succeed};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// A small CLIP image tower whose embedding has 32 channels.
fn checkpoint() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/family/goldens");
    folder.join("transformers-clip").display().to_string()
}

/// Text embeddings of ten classes, `width` numbers each, on which the seed decides.
fn write_texts(path: &Path, width: usize) {
    let value = |i: usize| ((i * 7919 + 13) % 101) as f32 / 50.0 - 1.0;
    let vectors: Vec<u8> = (0..10 * width)
        .flat_map(|i| value(i).to_le_bytes())
        .collect();
    let scale = 20f32.to_le_bytes();
    let tensors = [
        (
            "text_embeddings",
            TensorView::new(Dtype::F32, vec![10, width], &vectors).unwrap(),
        ),
        (
            "logit_scale",
            TensorView::new(Dtype::F32, vec![1], &scale).unwrap(),
        ),
    ];
    let names: Vec<String> = (0..10).map(|class| format!("thing {class}")).collect();
    let names = serde_json::to_string(&names).unwrap();
    let metadata = HashMap::from([("names".to_owned(), names)]);
    let bytes = safetensors::serialize(tensors, Some(metadata)).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn report(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

#[test]
fn embeddings_are_compared_with_full_precision() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, clip, test) = (folder.path(), checkpoint(), set("test"));
    let images = set("calibration");
    succeed(
        folder,
        &format!("pack --checkpoint {clip} --images {images} --limit 32 --merge 0,4 -o %m.mvit"),
    );
    let text = succeed(
        folder,
        &format!("evaluate -m %m.mvit -c {clip} -i {test} --limit 24 --json %report.json"),
    );
    assert!(
        text.contains("cosine with FP32") && !text.contains("top-1"),
        "{text}"
    );
    let report = report(folder);
    assert_eq!(report["images"], 24);
    let unmerged = &report["schedules"][0];
    assert!(unmerged["cosine"].as_f64().unwrap() > 0.99, "{unmerged}");
    assert!(unmerged["cosine_least"].as_f64() <= unmerged["cosine"].as_f64());
    assert!(unmerged["top1"].is_null() && unmerged["agreement"].is_null());

    let alone = run(folder, &format!("evaluate -m %m.mvit -i {test} --limit 4"));
    assert_eq!(alone.status.code(), Some(2));
    let errors = String::from_utf8(alone.stderr).unwrap();
    assert!(errors.contains("--checkpoint"), "{errors}");
    let measured =
        format!("pack --checkpoint {clip} --images {images} --measure {test} -o %n.mvit");
    assert_eq!(run(folder, &measured).status.code(), Some(2));
}

#[test]
fn text_embeddings_make_a_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, clip, test) = (folder.path(), checkpoint(), set("test"));
    write_texts(&folder.join("texts"), 32);
    let pack = format!(
        "pack --checkpoint {clip} --images {} --limit 32 --text-embeddings %texts -o %m.mvit",
        set("calibration")
    );
    succeed(
        folder,
        &format!("{pack} --measure {test} --measure-limit 24"),
    );
    succeed(
        folder,
        &format!("evaluate -m %m.mvit -c {clip} -i {test} --limit 24 --json %report.json"),
    );
    let report = report(folder);
    let schedule = &report["schedules"][0];
    assert_eq!(schedule["classes"].as_array().unwrap().len(), 10);
    assert_eq!(schedule["classes"][3]["label"], "thing 3");
    assert!(schedule["agreement"].as_f64().unwrap() > 0.7, "{schedule}");
    assert!(schedule["cosine"].as_f64().unwrap() > 0.99, "{schedule}");

    write_texts(&folder.join("texts"), 31);
    let output = run(folder, &pack);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("vectors of 31 numbers"), "{errors}");
}
