//! The JSON metadata: hostile text and impossible models are refused by name.

use mergevit_runtime::aligned::AlignedBytes;
use mergevit_runtime::pack::validate;
use mergevit_runtime::{
    AttentionPooling, Defect, ModelConfig, Normalization, OutputKind, Pooling, ResizeMode,
    Schedule, ZeroShot, testing,
};

/// A pack whose metadata is replaced by `text`, its checksums right, its tensors as they were.
fn with_metadata(text: &[u8]) -> AlignedBytes {
    let config = testing::tiny();
    let old = testing::bytes(&config, &[0], 1);
    let pack = testing::pack(&config, &[0], 1);
    let first = pack.sections().next().unwrap().clone();
    let tensors = (first.offset + first.length).next_multiple_of(64);
    let moved = (first.offset + text.len()).next_multiple_of(64);
    let mut bytes = AlignedBytes::zeroed(moved + old.len() - tensors);
    bytes[..first.offset].copy_from_slice(&old[..first.offset]);
    bytes[first.offset..][..text.len()].copy_from_slice(text);
    bytes[moved..].copy_from_slice(&old[tensors..]);
    let file_length = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&file_length.to_le_bytes());
    for (index, (_, entry)) in testing::entries(&pack).enumerate() {
        let entry = &mut bytes[entry];
        if index == 0 {
            entry[16..20].copy_from_slice(&(text.len() as u32).to_le_bytes());
            entry[32..40].copy_from_slice(&(text.len() as u64).to_le_bytes());
        } else {
            let mut offset = [0; 8];
            offset.copy_from_slice(&entry[24..32]);
            let offset = u64::from_le_bytes(offset) as usize - tensors + moved;
            entry[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
        }
    }
    testing::reseal(&mut bytes);
    bytes
}

fn original() -> String {
    let config = testing::tiny();
    let bytes = testing::bytes(&config, &[0], 1);
    let pack = testing::pack(&config, &[0], 1);
    let first = pack.sections().next().unwrap();
    String::from_utf8(bytes[first.offset..][..first.length].to_vec()).unwrap()
}

#[test]
fn replaced_metadata_is_read() {
    validate(&with_metadata(original().as_bytes())).expect("nothing was changed");
    let spaced = format!("{}{}", original(), " ".repeat(100));
    validate(&with_metadata(spaced.as_bytes())).expect("white space is JSON");
}

#[test]
fn text_that_is_not_the_expected_json_is_refused() {
    let json = original();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_inside = json.replacen("\"random\"", &deep, 1);
    let huge = json.replacen("\"width\":64", "\"width\":99999999999999999999999", 1);
    let negative = json.replacen("\"width\":64", "\"width\":-64", 1);
    let float = json.replacen("\"width\":64", "\"width\":64.5", 1);
    let unknown = json.replacen("\"width\":64", "\"width\":64,\"colour\":1", 1);
    let twice = json.replacen("\"width\":64", "\"width\":64,\"width\":64", 1);
    let missing = json.replacen("\"width\":64,", "", 1);
    let half = &json[..json.len() / 2];
    let trailing = format!("{json}x");
    for text in [
        &deep,
        &deep_inside,
        &huge,
        &negative,
        &float,
        &unknown,
        &twice,
        &missing,
        half,
        &trailing,
        "",
        "null",
        "[]",
        "{}",
    ] {
        let start = &text[..text.len().min(80)];
        let result = validate(&with_metadata(text.as_bytes()));
        assert!(
            matches!(result, Err(Defect::Json(_))),
            "{start}: {result:?}"
        );
    }
    let mut binary = json.into_bytes();
    binary[10] = 0xff;
    assert!(matches!(
        validate(&with_metadata(&binary)),
        Err(Defect::Json(_))
    ));
}

#[test]
fn a_model_of_another_shape_does_not_fit_the_tensors() {
    let json = original();
    for (field, other) in [
        ("\"classes\":3", "\"classes\":4"),
        ("\"prefix\":1", "\"prefix\":2"),
        ("\"mlp\":\"plain\"", "\"mlp\":\"gated\""),
        ("\"mlp\":\"plain\"", "\"mlp\":\"gated_norm\""),
        ("\"pre_norm\":false", "\"pre_norm\":true"),
        ("\"rotary\":\"none\"", "\"rotary\":\"shared\""),
        ("\"rotary\":\"none\"", "\"rotary\":\"per_layer\""),
        ("\"token_norm\":false", "\"token_norm\":true"),
        ("\"head_width\":64", "\"head_width\":128"),
        ("\"head\":true", "\"head\":false"),
        ("\"mlp_width\":64", "\"mlp_width\":128"),
        ("\"depth\":1", "\"depth\":2"),
        ("\"width\":64,", "\"width\":128,"),
        ("\"patch_size\":2", "\"patch_size\":4"),
    ] {
        assert!(json.contains(field), "{field}");
        let text = json.replacen(field, other, 1);
        assert!(
            validate(&with_metadata(text.as_bytes())).is_err(),
            "{other}"
        );
    }
}

/// Every way to make a valid configuration impossible, with the field that must be named.
#[test]
fn impossible_models_are_refused_by_field() {
    type Change = fn(&mut ModelConfig);
    const POOLING: AttentionPooling = AttentionPooling {
        heads: 1,
        head_width: 64,
        mlp_width: 64,
    };
    let changes: [(&str, Change); 35] = [
        ("model.image_size", |c| c.image_size = 0),
        ("model.image_size", |c| c.image_size = 1),
        ("model.image_size", |c| c.image_size = 2 * 65),
        ("model.image_size", |c| c.image_size = usize::MAX - 1),
        ("model.patch_size", |c| c.patch_size = 0),
        ("model.patch_size", |c| c.patch_size = 74),
        ("model.heads", |c| c.heads = 0),
        ("model.heads", |c| c.heads = usize::MAX),
        ("model.head_width", |c| c.head_width = 72),
        ("model.head_width", |c| c.head_width = 32),
        ("model.head_width", |c| c.head_width = 0),
        ("model.width", |c| c.width = 65),
        ("model.width", |c| c.width = 4160),
        ("model.depth", |c| c.depth = 0),
        ("model.depth", |c| c.depth = 65),
        ("model.mlp_width", |c| c.mlp_width = 16_385),
        ("model.mlp_width", |c| c.mlp_width = 0),
        ("model.prefix", |c| c.prefix = 17),
        ("model.prefix", |c| c.prefix = 0),
        ("model.prefix", |c| {
            c.pooling = Pooling::ClassAndDistillation;
        }),
        ("model.norm", |c| c.norm = Normalization::None),
        ("model.classes", |c| c.classes = 65_537),
        ("model.attention_pooling", |c| {
            c.pooling = Pooling::Attention;
        }),
        ("model.attention_pooling", |c| {
            c.attention_pooling = Some(POOLING);
        }),
        ("model.attention_pooling.head_width", |c| {
            c.pooling = Pooling::Attention;
            c.attention_pooling = Some(AttentionPooling {
                head_width: 65,
                ..POOLING
            });
        }),
        ("model.token_norm", |c| {
            c.pooling = Pooling::Attention;
            c.attention_pooling = Some(POOLING);
        }),
        ("model.final_norm", |c| c.pooling = Pooling::ClassAndMean),
        ("model.classes", |c| c.head = false),
        ("model.output", |c| (c.head, c.classes) = (false, 64)),
        ("model.epsilon", |c| c.epsilon = f32::NAN),
        ("model.labels", |c| c.labels.truncate(2)),
        ("model.labels[0]", |c| c.labels[0] = String::new()),
        ("model.labels[2]", |c| c.labels[2] = " \u{a0}".into()),
        ("model.labels[1]", |c| c.labels[1] = "\u{1b}[31m".into()),
        ("model.preprocessing", |c| {
            c.preprocessing.resize = ResizeMode::Exact {
                width: 0,
                height: 9,
            };
        }),
    ];
    for (field, change) in changes {
        let mut config = testing::tiny();
        config.validate().expect("valid before the change");
        change(&mut config);
        let error = config.validate().expect_err(field);
        assert_eq!(error.field, field, "{error}");
    }
}

#[test]
fn impossible_zero_shot_classifiers_are_refused_by_field() {
    type Change = fn(&mut ModelConfig);
    let changes: [(&str, Change); 6] = [
        ("model.zero_shot", |c| c.output = OutputKind::Logits),
        ("model.labels", |c| c.labels.clear()),
        ("model.labels", |c| c.zero_shot = None),
        ("model.zero_shot.scale", |c| {
            c.zero_shot = Some(ZeroShot {
                scale: 0.0,
                bias: 0.0,
            });
        }),
        ("model.zero_shot.scale", |c| {
            c.zero_shot = Some(ZeroShot {
                scale: f32::INFINITY,
                bias: 0.0,
            });
        }),
        ("model.zero_shot.bias", |c| {
            c.zero_shot = Some(ZeroShot {
                scale: 1.0,
                bias: f32::NAN,
            });
        }),
    ];
    let family = testing::family();
    let (_, zero_shot) = family
        .iter()
        .find(|(_, config)| config.zero_shot.is_some())
        .expect("one of them");
    for (field, change) in changes {
        let mut config = zero_shot.clone();
        config.validate().expect("valid before the change");
        change(&mut config);
        let error = config.validate().expect_err(field);
        assert_eq!(error.field, field, "{error}");
    }
}

#[test]
fn impossible_schedules_are_refused_by_field() {
    let schedule = |name: &str, merge: &[u16]| Schedule::new(name, merge.into());
    let r0 = || schedule("r0", &[0]);
    for (field, schedules) in [
        ("schedules", vec![]),
        (
            "schedules",
            (0..65).map(|i| schedule(&format!("s{i}"), &[0])).collect(),
        ),
        ("schedules[1].name", vec![r0(), r0()]),
        ("schedules[0].name", vec![schedule("", &[0])]),
        ("schedules[0].name", vec![schedule("a b", &[0])]),
        ("schedules[0].merge", vec![schedule("a", &[0, 0])]),
        ("schedules[0].merge", vec![schedule("a", &[])]),
    ] {
        let writer = testing::writer(&testing::tiny(), &[0], 1).with_schedules(schedules);
        let error = writer.to_bytes().expect_err(field).to_string();
        assert!(error.contains(&format!("{field}:")), "{field}: {error}");
    }
}
