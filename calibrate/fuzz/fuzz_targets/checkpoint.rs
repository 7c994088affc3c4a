//! Any bytes give a valid checkpoint or an error.
//!
//! An input is `config.json`, `preprocessor_config.json` and the header of `model.safetensors`, each with a
//! zero byte after it; then four little-endian bytes with the number of bytes of values; then the first
//! values, which are repeated to that length, so that a seed of 3 kB can be a model of 100 kB. An empty
//! configuration counts as absent. What it does not say of the preprocessing is stated, as a user would.

#![no_main]

use mergevit_calibrate::checkpoint::{Checkpoint, Defect, Stated, Weights};

const MAX_VALUES: u32 = 1 << 18;

/// A safetensors file with this header and a correct length prefix.
fn safetensors(header: &[u8], values: &[u8]) -> Vec<u8> {
    let (length, pattern) = values.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let length = u32::from_le_bytes(*length).min(MAX_VALUES) as usize;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    if pattern.is_empty() {
        file.resize(file.len() + length, 0);
    } else {
        let end = file.len() + length;
        file.extend(pattern.repeat(length.div_ceil(pattern.len())));
        file.truncate(end);
    }
    file
}

/// Checks that every tensor has the size that the model's dimensions give, and is finite.
fn check(checkpoint: &Checkpoint) {
    let model = &checkpoint.model;
    model.validate().expect("an imported model is valid");
    let (width, mlp, classes) = (model.width, model.mlp_width, model.classes);
    let tokens = (model.image_size / model.patch_size).pow(2) + usize::from(model.class_token);
    let Weights {
        patch_weight,
        patch_bias,
        position,
        blocks,
        final_norm_gain,
        final_norm_bias,
        head_weight,
        head_bias,
    } = &checkpoint.weights;
    let mut tensors = vec![
        (patch_weight, width * 3 * model.patch_size.pow(2)),
        (patch_bias, width),
        (position, tokens * width),
        (final_norm_gain, width),
        (final_norm_bias, width),
        (head_weight, classes * width),
        (head_bias, classes),
    ];
    assert_eq!(blocks.len(), model.depth);
    for block in blocks {
        tensors.extend([
            (&block.norm1_gain, width),
            (&block.norm1_bias, width),
            (&block.qkv_weight, 3 * width * width),
            (&block.qkv_bias, 3 * width),
            (&block.proj_weight, width * width),
            (&block.proj_bias, width),
            (&block.norm2_gain, width),
            (&block.norm2_bias, width),
            (&block.fc1_weight, mlp * width),
            (&block.fc1_bias, mlp),
            (&block.fc2_weight, width * mlp),
            (&block.fc2_bias, width),
        ]);
    }
    for (tensor, len) in tensors {
        assert_eq!(tensor.len(), len);
        assert!(tensor.iter().all(|x| x.is_finite()));
    }
    assert!(checkpoint.mean.iter().all(|x| x.is_finite()));
    assert!(checkpoint.std.iter().all(|x| x.is_finite() && *x > 0.0));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(4, |&byte| byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (config, preprocessor, header, values) = (next(), next(), next(), next());
    let given = |text| Some(text).filter(|text: &&[u8]| !text.is_empty());
    let file = safetensors(header, values);
    let (config, preprocessor) = (given(config), given(preprocessor));
    let parse = |stated: &Stated| Checkpoint::parse_with(&file, config, preprocessor, stated);
    let mut checkpoint = parse(&Stated::default());
    if let Err(Defect::Preprocessing { missing }) = &checkpoint {
        assert!(!missing.is_empty());
        checkpoint = parse(&Stated::IMAGENET);
        let still = matches!(checkpoint, Err(Defect::Preprocessing { .. }));
        assert!(!still, "all of it is stated");
    }
    if let Ok(checkpoint) = checkpoint {
        check(&checkpoint);
    }
});
