//! The full-precision forward pass against an independent float64 implementation.
//!
//! Six images of the small model are shipped. `MERGEVIT_GOLDENS=FILE` with `MERGEVIT_CHECKPOINT=DIR` checks
//! another file of the same layout instead.

use mergevit_calibrate::checkpoint::Checkpoint;
use mergevit_calibrate::fp32::Forward;
use mergevit_runtime::Pooling;
use safetensors::SafeTensors;
use std::path::PathBuf;

fn path(variable: &str, shipped: &str) -> PathBuf {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::env::var_os(variable).map_or(data.join(shipped), PathBuf::from)
}

fn words(file: &SafeTensors<'_>, name: &str) -> Vec<[u8; 4]> {
    file.tensor(name)
        .unwrap()
        .data()
        .as_chunks::<4>()
        .0
        .to_vec()
}

/// How many patches each token of each image stands for at the end.
fn sizes(checkpoint: &Checkpoint, pixels: &[u8], merge: &[usize]) -> Vec<u32> {
    let outputs = Forward::new(checkpoint).classify(pixels, merge);
    outputs
        .into_iter()
        .flat_map(|output| output.sizes)
        .collect()
}

#[test]
fn logits_and_sizes_are_the_goldens() {
    let checkpoint = Checkpoint::load(path("MERGEVIT_CHECKPOINT", "garments")).unwrap();
    let bytes = std::fs::read(path("MERGEVIT_GOLDENS", "garments-goldens.safetensors")).unwrap();
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let pixels = goldens.tensor("pixels").unwrap().data();
    for r in [0, 8, 16] {
        let merge = vec![r; checkpoint.model.depth];
        let outputs = Forward::new(&checkpoint).classify(pixels, &merge);
        let want: Vec<f32> = words(&goldens, &format!("logits_r{r}"))
            .into_iter()
            .map(f32::from_le_bytes)
            .collect();
        let largest = want.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let got: Vec<f32> = outputs
            .iter()
            .flat_map(|o| o.logits.iter().copied())
            .collect();
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(&want) {
            assert!(
                (got - want).abs() <= 1e-3 * largest,
                "r = {r}: {got}, expected {want}"
            );
        }
        let want: Vec<u32> = words(&goldens, &format!("sizes_r{r}"))
            .into_iter()
            .map(u32::from_le_bytes)
            .collect();
        // The goldens merge in the last layer too, on which the class token does not depend. The mean does.
        let mut all = Checkpoint::load(path("MERGEVIT_CHECKPOINT", "garments")).unwrap();
        all.model.pooling = Pooling::Mean;
        assert_eq!(sizes(&all, pixels, &merge), want, "r = {r}");
        let seen = sizes(&all, pixels, &merge[1..]);
        assert_eq!(sizes(&checkpoint, pixels, &merge), seen, "r = {r}");
    }
}
