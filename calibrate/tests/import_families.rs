//! One small model of each family: what its configuration and names are taken to mean. The models are the seeds of the
//! fuzz target `checkpoint`; `tests/family` compares results with those of the libraries.

use mergevit_calibrate::checkpoint::{Checkpoint, Defect, Stated};
use mergevit_runtime::{
    ActivationName, Mlp, ModelConfig, Normalization, OutputKind, Pooling, RotaryKind,
};
use std::path::Path;

const WIDTH: usize = 64;

/// The files of a seed: `config.json`, `preprocessor_config.json`, `model.safetensors`.
fn seed(name: &str) -> (String, Vec<u8>, Vec<u8>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/checkpoint");
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let mut parts = bytes.splitn(4, |&byte| byte == 0);
    let mut next = || parts.next().unwrap();
    let (config, preprocessor, header, values) = (next(), next(), next(), next());
    let (length, pattern) = values.split_first_chunk::<4>().unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    let end = file.len() + u32::from_le_bytes(*length) as usize;
    while file.len() < end {
        file.extend_from_slice(pattern);
    }
    file.truncate(end);
    (
        String::from_utf8(config.to_vec()).unwrap(),
        preprocessor.to_vec(),
        file,
    )
}

fn import(name: &str, stated: &Stated) -> Result<Checkpoint, Defect> {
    let (config, preprocessor, file) = seed(name);
    let given = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty());
    let (config, preprocessor) = (given(config.into_bytes()), given(preprocessor));
    Checkpoint::parse_with(&file, config.as_deref(), preprocessor.as_deref(), stated)
}

fn model(name: &str) -> ModelConfig {
    import(name, &Stated::IMAGENET).unwrap().model
}

#[test]
fn eva_has_a_gated_mlp_with_a_norm_and_shared_rotary_positions() {
    let found = import("timm_eva", &Stated::IMAGENET).unwrap();
    let model = &found.model;
    assert_eq!((model.heads, model.head_width, model.prefix), (2, 32, 1));
    assert_eq!(
        (model.mlp, model.activation),
        (Mlp::GatedNorm, ActivationName::Silu)
    );
    assert_eq!((model.mlp_width, model.mlp_row()), (40, 64));
    assert_eq!(
        (model.rotary, model.pooling),
        (RotaryKind::Shared, Pooling::Mean)
    );
    assert_eq!(
        (model.token_norm, model.final_norm),
        (false, Normalization::Layer)
    );
    let block = &found.weights.blocks[0];
    assert!(
        block.qkv_bias[WIDTH..2 * WIDTH].iter().all(|x| *x == 0.0),
        "keys have no bias"
    );
    assert!(block.qkv_bias[2 * WIDTH..].iter().any(|x| *x != 0.0));
    let norm = block.inner_norm.as_ref().unwrap();
    assert!(norm.gain[40..].iter().all(|x| *x == 0.0) && norm.gain[..40].iter().any(|x| *x != 0.0));
    assert!(block.fc1_weight[80 * WIDTH..].iter().all(|x| *x == 0.0));
    assert!((found.score_factor - 32f32.sqrt().recip()).abs() < 1e-7);
}

#[test]
fn learned_rotary_positions_are_each_layers_own() {
    let found = import("timm_mixed", &Stated::IMAGENET).unwrap();
    assert_eq!(found.model.rotary, RotaryKind::PerLayer);
    assert_eq!(found.weights.blocks[0].rotary.len(), 2 * 16 * 3);
    assert!(found.weights.rotary.is_empty());
    // No table: the patches' rows are zeros, the class token's is its own.
    let (class, patches) = found.weights.position.split_at(WIDTH);
    assert!(class.iter().any(|x| *x != 0.0) && patches.iter().all(|x| *x == 0.0));
}

#[test]
fn siglip_pools_by_attention_and_gives_an_embedding() {
    let model = model("siglip");
    assert_eq!((model.prefix, model.pooling), (0, Pooling::Attention));
    assert_eq!((model.heads, model.head_width), (4, 32));
    let pooling = model.attention_pooling.unwrap();
    assert_eq!(
        (pooling.heads, pooling.head_width, pooling.mlp_width),
        (4, 32, 40)
    );
    assert_eq!(
        (model.head, model.output, model.classes),
        (false, OutputKind::Embedding, WIDTH)
    );
    assert_eq!(model.activation, ActivationName::GeluTanh);
    assert!(model.token_norm && model.final_norm == Normalization::None);
}

#[test]
fn open_clip_projects_and_its_other_tensors_are_named() {
    let found = import("open_clip", &Stated::default()).unwrap();
    let model = &found.model;
    assert_eq!(
        (model.heads, model.activation),
        (2, ActivationName::QuickGelu)
    );
    assert!(model.pre_norm && model.head && model.output == OutputKind::Embedding);
    assert_eq!((model.classes, model.epsilon), (32, 1e-5));
    assert!(found.weights.patch_bias.iter().all(|x| *x == 0.0));
    assert!(
        found.warnings[0].contains("logit_scale"),
        "{:?}",
        found.warnings
    );
}

#[test]
fn positions_are_resampled_to_the_size_that_is_asked_for() {
    let asked = |size| Stated {
        image_size: Some(size),
        ..Stated::IMAGENET
    };
    for name in ["timm", "timm_eva", "timm_mixed", "torchvision", "open_clip"] {
        let found = import(name, &asked(8)).unwrap();
        assert_eq!(found.model.image_size, 8, "{name}");
        assert_eq!(found.weights.position.len(), 17 * WIDTH, "{name}");
        let same = import(name, &asked(4)).unwrap();
        let plain = import(name, &Stated::IMAGENET).unwrap();
        assert_eq!(same.weights, plain.weights, "{name}");
    }
    // The last column and row of pixels belong to no patch.
    let odd = import("timm", &asked(7)).unwrap();
    assert_eq!((odd.model.image_size, odd.model.side()), (7, 3));
    let small = import("timm", &asked(1)).unwrap_err().to_string();
    assert!(small.contains("smaller than a patch"), "{small}");
}
