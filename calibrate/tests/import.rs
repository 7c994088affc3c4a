//! The same small model under three namings, and every way in which a checkpoint can be wrong.

use mergevit_calibrate::checkpoint::{Checkpoint, Defect, Stated};
use mergevit_runtime::{Pooling, ResizeMode, ScoreKind};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;

const WIDTH: usize = 64;
const MLP: usize = 128;
const PATCH: usize = 8;
const TOKENS: usize = 5;
const CLASSES: usize = 3;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Different values in every tensor, the same ones in every run.
fn tensor(key: &str, shape: &[usize]) -> (Vec<usize>, Vec<f32>) {
    let seed = key
        .bytes()
        .fold(17u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    let value = |i: usize| {
        let mixed = (seed ^ i as u32).wrapping_mul(2_654_435_761) >> 16;
        mixed as f32 / 65_536.0 - 0.5
    };
    (
        shape.to_vec(),
        (0..shape.iter().product()).map(value).collect(),
    )
}

/// Names of one family: globals, layer prefix, and the parts of a layer.
struct Family {
    globals: [(&'static str, &'static str); 8],
    layer: &'static str,
    parts: [(&'static str, &'static str); 6],
    split: bool,
}

const KEYS: [(&str, &[usize]); 8] = [
    ("patch.weight", &[WIDTH, 3, PATCH, PATCH]),
    ("patch.bias", &[WIDTH]),
    ("class", &[1, 1, WIDTH]),
    ("position", &[1, TOKENS, WIDTH]),
    ("norm.weight", &[WIDTH]),
    ("norm.bias", &[WIDTH]),
    ("head.weight", &[CLASSES, WIDTH]),
    ("head.bias", &[CLASSES]),
];

const TIMM: Family = Family {
    globals: [
        ("patch.weight", "patch_embed.proj.weight"),
        ("patch.bias", "patch_embed.proj.bias"),
        ("class", "cls_token"),
        ("position", "pos_embed"),
        ("norm.weight", "norm.weight"),
        ("norm.bias", "norm.bias"),
        ("head.weight", "head.weight"),
        ("head.bias", "head.bias"),
    ],
    layer: "blocks.{}.",
    parts: [
        ("norm1", "norm1"),
        ("qkv", "attn.qkv"),
        ("proj", "attn.proj"),
        ("norm2", "norm2"),
        ("fc1", "mlp.fc1"),
        ("fc2", "mlp.fc2"),
    ],
    split: false,
};

const TRANSFORMERS: Family = Family {
    globals: [
        (
            "patch.weight",
            "vit.embeddings.patch_embeddings.projection.weight",
        ),
        (
            "patch.bias",
            "vit.embeddings.patch_embeddings.projection.bias",
        ),
        ("class", "vit.embeddings.cls_token"),
        ("position", "vit.embeddings.position_embeddings"),
        ("norm.weight", "vit.layernorm.weight"),
        ("norm.bias", "vit.layernorm.bias"),
        ("head.weight", "classifier.weight"),
        ("head.bias", "classifier.bias"),
    ],
    layer: "vit.encoder.layer.{}.",
    parts: [
        ("norm1", "layernorm_before"),
        ("qkv", "attention.attention."),
        ("proj", "attention.output.dense"),
        ("norm2", "layernorm_after"),
        ("fc1", "intermediate.dense"),
        ("fc2", "output.dense"),
    ],
    split: true,
};

const TORCHVISION: Family = Family {
    globals: [
        ("patch.weight", "conv_proj.weight"),
        ("patch.bias", "conv_proj.bias"),
        ("class", "class_token"),
        ("position", "encoder.pos_embedding"),
        ("norm.weight", "encoder.ln.weight"),
        ("norm.bias", "encoder.ln.bias"),
        ("head.weight", "heads.head.weight"),
        ("head.bias", "heads.head.bias"),
    ],
    layer: "encoder.layers.encoder_layer_{}.",
    parts: [
        ("norm1", "ln_1"),
        ("qkv", "self_attention.in_proj"),
        ("proj", "self_attention.out_proj"),
        ("norm2", "ln_2"),
        ("fc1", "mlp.0"),
        ("fc2", "mlp.3"),
    ],
    split: false,
};

fn model(family: &Family) -> Tensors {
    let mut tensors = Tensors::new();
    for ((key, shape), (_, name)) in KEYS.iter().zip(&family.globals) {
        tensors.insert((*name).into(), tensor(key, shape));
    }
    for layer in 0..2 {
        for (part, name) in &family.parts {
            let shape: [usize; 2] = match *part {
                "qkv" => [3 * WIDTH, WIDTH],
                "fc1" => [MLP, WIDTH],
                "fc2" => [WIDTH, MLP],
                _ => [WIDTH, WIDTH],
            };
            let shape = if part.starts_with("norm") {
                &shape[..1]
            } else {
                &shape[..]
            };
            for (suffix, shape) in [("weight", shape), ("bias", &shape[..1])] {
                let value = tensor(&format!("{layer}.{part}.{suffix}"), shape);
                let start = family.layer.replace("{}", &layer.to_string());
                if *part == "qkv" && family.split {
                    let third = value.1.len() / 3;
                    let mut rows = shape.to_vec();
                    rows[0] /= 3;
                    for (i, which) in ["query", "key", "value"].iter().enumerate() {
                        let data = value.1[i * third..(i + 1) * third].to_vec();
                        tensors.insert(
                            format!("{start}{name}{which}.{suffix}"),
                            (rows.clone(), data),
                        );
                    }
                } else {
                    let join = if name.ends_with("in_proj") { "_" } else { "." };
                    tensors.insert(format!("{start}{name}{join}{suffix}"), value);
                }
            }
        }
    }
    tensors
}

fn bytes(tensors: &Tensors) -> Vec<u8> {
    let raw: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, data))| {
            (
                name,
                shape,
                data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views: Vec<(&String, TensorView<'_>)> = raw
        .iter()
        .map(|(name, shape, data)| {
            (
                *name,
                TensorView::new(Dtype::F32, (*shape).clone(), data).unwrap(),
            )
        })
        .collect();
    safetensors::serialize(views, None).unwrap()
}

const TIMM_CONFIG: &str = r#"{"architecture": "vit_tiny_patch16_224", "num_classes": 3,
    "global_pool": "token", "model_args": {"embed_dim": 64, "num_heads": 1, "global_pool": "token"},
    "pretrained_cfg": {"input_size": [3, 16, 16], "interpolation": "bicubic", "crop_pct": 0.9,
    "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "label_names": ["a", "b", "c"]}}"#;

fn parse(tensors: &Tensors, config: &str) -> Result<Checkpoint, Defect> {
    Checkpoint::parse(&bytes(tensors), Some(config.as_bytes()), None)
}

/// The defect of the timm model after `change`.
fn defect(config: &str, change: impl FnOnce(&mut Tensors)) -> Defect {
    let mut tensors = model(&TIMM);
    change(&mut tensors);
    parse(&tensors, config).expect_err("must be refused")
}

#[test]
fn three_namings_import_to_the_same_weights() {
    let timm = parse(&model(&TIMM), TIMM_CONFIG).unwrap();
    let transformers = r#"{"model_type": "vit", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1,
        "intermediate_size": 128, "image_size": 16, "patch_size": 8, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "id2label": {"0": "a", "1": "b", "2": "c"}}"#;
    let preprocessor =
        br#"{"size": {"height": 16, "width": 16}, "resample": 3, "image_mean": [0, 0, 0],
        "image_std": [1, 1, 1]}"#;
    let file = bytes(&model(&TRANSFORMERS));
    let hf = Checkpoint::parse(&file, Some(transformers.as_bytes()), Some(preprocessor)).unwrap();
    let file = bytes(&model(&TORCHVISION));
    let config = br#"{"architecture": "vit_b_16", "model_args": {"num_heads": 1}}"#;
    let torchvision = Checkpoint::parse_with(&file, Some(config), None, &Stated::IMAGENET).unwrap();
    assert_eq!(timm.weights, hf.weights);
    assert_eq!(timm.weights, torchvision.weights);
    assert_eq!(timm.weights.blocks.len(), 2);
    assert_eq!(timm.model.labels, hf.model.labels);
    assert_eq!(
        (timm.model.image_size, torchvision.model.image_size),
        (16, 16)
    );
    assert_eq!(
        timm.model.preprocessing.resize,
        ResizeMode::ShortestSide(17)
    );
    assert_eq!(
        hf.model.preprocessing.resize,
        ResizeMode::Exact {
            width: 16,
            height: 16
        }
    );
    assert_eq!((timm.mean, hf.std), ([0.5, 0.4, 0.3], [1.0; 3]));
    assert_eq!(hf.model.epsilon, 1e-12);
}

#[test]
fn what_a_classifier_was_trained_for_decides_what_its_scores_say() {
    let import = |problem: &str| {
        let config = format!(
            r#"{{"model_type": "vit", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1,
            "intermediate_size": 128, "image_size": 16, "patch_size": 8{problem}}}"#
        );
        let preprocessor = br#"{"size": {"height": 16, "width": 16}, "resample": 3}"#;
        let file = bytes(&model(&TRANSFORMERS));
        Checkpoint::parse(&file, Some(config.as_bytes()), Some(preprocessor))
    };
    for (problem, expected) in [
        ("", ScoreKind::Softmax),
        (r#", "problem_type": null"#, ScoreKind::Softmax),
        (
            r#", "problem_type": "single_label_classification""#,
            ScoreKind::Softmax,
        ),
        (
            r#", "problem_type": "multi_label_classification""#,
            ScoreKind::Sigmoid,
        ),
    ] {
        assert_eq!(import(problem).unwrap().model.score_kind, expected);
    }
    for (problem, text) in [
        (
            r#", "problem_type": "regression""#,
            "a model for regression",
        ),
        (
            r#", "problem_type": "ranking""#,
            "problem_type: found \"ranking\", expected single",
        ),
        (
            r#", "problem_type": 3"#,
            "problem_type: found 3, expected text",
        ),
    ] {
        let error = import(problem).expect_err(text).to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn layer_scale_class_token_and_absent_biases_are_folded() {
    let mut tensors = model(&TIMM);
    let plain = parse(&tensors, TIMM_CONFIG).unwrap();
    let class = tensors["cls_token"].1.clone();
    let position = tensors["pos_embed"].1.clone();
    assert_eq!(plain.weights.position[3], position[3] + class[3]);
    assert_eq!(plain.weights.position[WIDTH], position[WIDTH]);

    for layer in 0..2 {
        let scale = |value| (vec![WIDTH], vec![value; WIDTH]);
        tensors.insert(format!("blocks.{layer}.ls1.gamma"), scale(2.0));
        tensors.insert(format!("blocks.{layer}.ls2.gamma"), scale(0.5));
        tensors.remove(&format!("blocks.{layer}.attn.qkv.bias"));
    }
    let scaled = parse(&tensors, TIMM_CONFIG).unwrap();
    let (before, after) = (&plain.weights.blocks[1], &scaled.weights.blocks[1]);
    assert_eq!(after.proj_weight[5], 2.0 * before.proj_weight[5]);
    assert_eq!(after.fc2_bias[5], 0.5 * before.fc2_bias[5]);
    assert!(scaled.weights.blocks[0].qkv_bias.iter().all(|&b| b == 0.0));

    // What the first layer has, all must have.
    tensors.remove("blocks.1.ls1.gamma");
    let uneven = parse(&tensors, TIMM_CONFIG).unwrap_err().to_string();
    assert!(uneven.contains("blocks.1.ls1.gamma"), "{uneven}");
}

#[test]
fn mean_pooling_is_recognized_by_fc_norm() {
    let mut tensors = model(&TIMM);
    for suffix in ["weight", "bias"] {
        let norm = tensors.remove(&format!("norm.{suffix}")).unwrap();
        tensors.insert(format!("fc_norm.{suffix}"), norm);
    }
    let config = TIMM_CONFIG.replace("\"token\"", "\"avg\"");
    assert_eq!(
        parse(&tensors, &config).unwrap().model.pooling,
        Pooling::Mean
    );
    // timm takes the pooling from the architecture and model_args, whatever is written beside them.
    let beside = TIMM_CONFIG.replacen("\"token\"", "\"avg\"", 1);
    let error = parse(&tensors, &beside).expect_err("two poolings");
    assert!(error.to_string().contains("global_pool"), "{error}");
}

#[test]
fn all_missing_and_unknown_tensors_are_named_at_once() {
    let error = defect(TIMM_CONFIG, |tensors| {
        tensors.remove("norm.bias");
        tensors.remove("blocks.1.mlp.fc2.weight");
        tensors.insert("blocks.0.extra".into(), tensor("x", &[2]));
        tensors.insert("surprise".into(), tensor("y", &[2]));
    });
    let text = error.to_string();
    for name in ["norm.bias", "blocks.1.mlp.fc2.weight", "blocks.0.extra"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(!text.contains("surprise"), "{text}");
}

#[test]
fn tensors_beside_the_model_are_ignored_and_named() {
    let mut tensors = model(&TIMM);
    tensors.insert("decoder.weight".into(), tensor("x", &[2]));
    let found = parse(&tensors, TIMM_CONFIG).unwrap();
    let [warning] = &found.warnings[..] else {
        panic!("{:?}", found.warnings);
    };
    assert!(warning.contains("decoder"), "{warning}");
    assert!(
        parse(&model(&TIMM), TIMM_CONFIG)
            .unwrap()
            .warnings
            .is_empty()
    );
}

#[test]
fn where_a_resize_or_a_new_head_left_the_configuration_behind_the_tensors_win() {
    for (from, to, what) in [
        ("[3, 16, 16]", "[3, 24, 24]", "24 pixels"),
        ("\"num_classes\": 3", "\"num_classes\": 4", "4 classes"),
    ] {
        let config = TIMM_CONFIG.replacen(from, to, 1);
        let found = parse(&model(&TIMM), &config).unwrap();
        assert_eq!((found.model.image_size, found.model.classes), (16, 3));
        assert!(found.warnings[0].contains(what), "{:?}", found.warnings);
    }
}

#[test]
fn wrong_shapes_types_and_values_are_named() {
    let shape = defect(TIMM_CONFIG, |tensors| {
        tensors.insert("blocks.1.attn.proj.weight".into(), tensor("x", &[64, 65]));
    });
    let text = shape.to_string();
    assert!(
        text.contains("blocks.1.attn.proj.weight") && text.contains("[64, 65]"),
        "{text}"
    );

    for value in [f32::NAN, f32::INFINITY] {
        let error = defect(TIMM_CONFIG, |tensors| {
            tensors.get_mut("blocks.0.mlp.fc1.weight").unwrap().1[77] = value;
        });
        assert!(
            matches!(&error, Defect::NonFinite { tensor, index: 77, .. }
            if tensor == "blocks.0.mlp.fc1.weight"),
            "{error}"
        );
    }

    let mut raw = bytes(&model(&TIMM));
    let at = raw.windows(3).position(|w| w == b"F32").unwrap();
    raw[at..at + 3].copy_from_slice(b"I32");
    let error = Checkpoint::parse(&raw, Some(TIMM_CONFIG.as_bytes()), None).unwrap_err();
    assert!(matches!(error, Defect::Type { .. }), "{error}");
}

#[test]
fn a_missing_tensor_does_not_make_the_others_unknown() {
    for name in [
        "head.weight",
        "patch_embed.proj.weight",
        "blocks.0.mlp.fc1.weight",
    ] {
        let error = defect(TIMM_CONFIG, |tensors| drop(tensors.remove(name)));
        let Defect::Names { missing, unknown } = &error else {
            panic!("{error}");
        };
        assert_eq!(
            (&missing[..], &unknown[..]),
            (&[name.to_owned()][..], &[][..])
        );
    }
}

#[test]
fn a_layer_scale_without_its_matrix_or_beyond_f32_is_an_error() {
    let gamma = |value| (vec![WIDTH], vec![value; WIDTH]);
    let missing = defect(TIMM_CONFIG, |tensors| {
        tensors.insert("blocks.0.ls1.gamma".into(), gamma(1.0));
        tensors.insert("blocks.1.ls1.gamma".into(), gamma(1.0));
        tensors.remove("blocks.0.attn.proj.weight");
    });
    assert!(
        matches!(&missing, Defect::Names { missing, .. } if missing == &["blocks.0.attn.proj.weight"])
    );
    let overflow = defect(TIMM_CONFIG, |tensors| {
        tensors.insert("blocks.0.ls2.gamma".into(), gamma(3e38));
        tensors.insert("blocks.1.ls2.gamma".into(), gamma(1.0));
        tensors.get_mut("blocks.0.mlp.fc2.weight").unwrap().1[7] = 3e38;
    });
    assert!(
        matches!(&overflow, Defect::NonFinite { tensor, index: 7, .. }
            if tensor.contains("blocks.0.ls2.gamma")),
        "{overflow}"
    );
}

#[test]
fn shapes_of_the_wrong_rank_or_of_huge_sides_are_named() {
    for (name, shape) in [
        ("patch_embed.proj.weight", vec![WIDTH, 1, PATCH, PATCH]),
        ("pos_embed", vec![1, TOKENS, WIDTH, 1]),
        ("blocks.0.mlp.fc1.weight", vec![MLP, WIDTH, 1, 1]),
        ("head.weight", vec![CLASSES]),
    ] {
        let values = vec![0.0; shape.iter().product()];
        let error = defect(TIMM_CONFIG, |tensors| {
            tensors.insert(name.into(), (shape, values));
        });
        assert!(error.to_string().contains(name), "{error}");
    }
    // A position table and patches that hold nothing, and would overflow if multiplied.
    let error = defect(TIMM_CONFIG, |tensors| {
        let patch = vec![0, 3, 1 << 60, 1 << 60];
        tensors.insert("patch_embed.proj.weight".into(), (patch, Vec::new()));
        tensors.insert("pos_embed".into(), (vec![1, (1 << 40) + 1, 0], Vec::new()));
        tensors.insert("blocks.0.mlp.fc1.weight".into(), (vec![MLP, 0], Vec::new()));
        tensors.insert("head.weight".into(), (vec![CLASSES, 0], Vec::new()));
    });
    assert!(error.to_string().contains("0 channels"), "{error}");
}

#[test]
fn what_the_kernels_cannot_run_is_refused() {
    let cases = [
        ("unknown tensors: reg_token", "reg_token", [1, 4, WIDTH]),
        ("unknown tensors: dist_token", "dist_token", [1, 1, WIDTH]),
        ("square number", "pos_embed", [1, 6, WIDTH]),
    ];
    for (what, name, shape) in cases {
        let error = defect(TIMM_CONFIG, |tensors| {
            tensors.insert(name.into(), tensor(name, &shape));
        });
        assert!(error.to_string().contains(what), "{error}");
    }
    for (config, what) in [
        (r#"{"model_type": "vit", "hidden_act": "relu"}"#, "relu"),
        (
            r#"{"model_type": "vit", "num_attention_heads": 5}"#,
            "5 heads do not divide",
        ),
        (r#"{"model_type": "beit"}"#, "relative position bias"),
        ("{}", "model_type"),
    ] {
        let error = parse(&model(&TRANSFORMERS), config).expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
    }
    for (from, to, what) in [
        (
            "\"model_args\": {",
            "\"model_args\": {\"qk_norm\": true, ",
            "qk_norm",
        ),
        ("\"embed_dim\": 64, ", "", "192"),
        (
            "vit_tiny_patch16_224",
            "vit_base_patch16_rpn_224",
            "res-post-norm",
        ),
        ("\"architecture\"", "\"architektur\"", "architecture"),
    ] {
        let error = parse(&model(&TIMM), &TIMM_CONFIG.replacen(from, to, 1)).expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
    }
    let unknown = Tensors::from([("decoder.weight".into(), tensor("z", &[4]))]);
    assert!(matches!(
        parse(&unknown, TIMM_CONFIG),
        Err(Defect::Naming { .. })
    ));
}

#[test]
fn configuration_that_contradicts_the_tensors_is_named() {
    for (from, to, field) in [
        ("[3, 16, 16]", "[3, 16, 24]", "input_size"),
        ("\"bicubic\"", "\"lanczos\"", "interpolation"),
        ("0.9", "-1", "crop_pct"),
        ("[0.5, 0.4, 0.3]", "[0.5, 0.4]", "mean"),
        ("[0.2, 0.3, 0.4]", "[0.2, 0, 0.4]", "std"),
        ("[\"a\", \"b\", \"c\"]", "[\"a\"]", "label_names"),
        ("{\"architecture\"", "[{\"architecture\"", "whole file"),
    ] {
        let config = TIMM_CONFIG.replacen(from, to, 1);
        let error = parse(&model(&TIMM), &config).expect_err(field);
        assert!(error.to_string().contains(field), "{field}: {error}");
    }
}

#[test]
fn truncated_and_damaged_files_are_errors() {
    let whole = bytes(&model(&TIMM));
    for cut in (0..whole.len()).step_by(997).chain(0..64) {
        assert!(Checkpoint::parse(&whole[..cut], Some(TIMM_CONFIG.as_bytes()), None).is_err());
    }
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in 0..8 + header {
        let mut bad = whole.clone();
        bad[at] ^= 0x15;
        // A changed name or number may still parse; it must not panic.
        let _ = Checkpoint::parse(&bad, Some(TIMM_CONFIG.as_bytes()), None);
    }
    let absurd = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    assert!(matches!(
        Checkpoint::parse(&absurd, None, None),
        Err(Defect::Format(_))
    ));
}

#[test]
fn random_weights_are_reproducible_and_names_are_checked() {
    let one = Checkpoint::random("vit_tiny_patch32_224", 7).unwrap();
    assert_eq!(one, Checkpoint::random("vit_tiny_patch32_224", 7).unwrap());
    assert_ne!(
        one.weights,
        Checkpoint::random("vit_tiny_patch32_224", 8)
            .unwrap()
            .weights
    );
    for name in [
        "vit_huge_patch14_224",
        "resnet50",
        "vit_base_patch16_225",
        "vit_base_patch8_1024",
    ] {
        assert!(Checkpoint::random(name, 0).is_err(), "{name}");
    }
    let missing = Checkpoint::load("no/such/folder").unwrap_err();
    assert!(missing.to_string().contains("no/such/folder"));
}
