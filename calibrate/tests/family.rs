//! Checkpoints of every feature of the model family, imported and run in full precision, against the libraries that
//! wrote them. `tests/family/goldens.py` makes the files; `tests/family/check.py` and `census.py` check many more, with
//! the libraries at hand.

use mergevit_calibrate::checkpoint::Checkpoint;
use mergevit_calibrate::fp32::Forward;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// Of the largest output: what rounding does to a float32 network that sums in another order.
const TOLERANCE: f32 = 2e-5;
/// Fewer would mean that the folder was not found.
const AT_LEAST: usize = 15;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/family/goldens")
}

/// The names of the checkpoints: folders, with `NAME.truth.safetensors` beside each.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(goldens()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// The error of a checkpoint's output, relative to the largest, or why there is none.
fn error(name: &str) -> Result<f32, String> {
    let bytes = std::fs::read(goldens().join(format!("{name}.truth.safetensors"))).unwrap();
    let truth = SafeTensors::deserialize(&bytes).unwrap();
    let kind = ["logits", "embedding"]
        .into_iter()
        .find(|kind| truth.names().contains(kind))
        .unwrap();
    let want: Vec<f32> = bytemuck::pod_collect_to_vec(truth.tensor(kind).unwrap().data());
    let checkpoint = Checkpoint::load(goldens().join(name)).map_err(|error| error.to_string())?;
    let merge = vec![0; checkpoint.model.depth];
    let pixels = truth.tensor("pixels").unwrap();
    let outputs = Forward::new(&checkpoint).classify(pixels.data(), &merge);
    let got: Vec<f32> = outputs.into_iter().flat_map(|o| o.logits).collect();
    if got.len() != want.len() {
        return Err(format!("{} numbers, expected {}", got.len(), want.len()));
    }
    let largest = want.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let differences = got.iter().zip(&want).map(|(got, want)| (got - want).abs());
    // Not `f32::max`, which would hide what is no number.
    let worse = |max: f32, x: f32| if max.is_nan() || x <= max { max } else { x };
    let error = differences.fold(0.0, worse);
    Ok(error / largest)
}

#[test]
fn every_feature_computes_what_its_library_does() {
    let names = names();
    assert!(names.len() >= AT_LEAST, "{names:?}");
    let wrong: Vec<String> = names
        .iter()
        .filter_map(|name| match error(name) {
            Ok(error) if error <= TOLERANCE => None,
            Ok(error) => Some(format!("{name}: off by {error:.1e} of the largest output")),
            Err(reason) => Some(format!("{name}: {reason}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
