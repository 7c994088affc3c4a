//! The JSON metadata: hostile text and impossible models are refused by name.

use mergevit_runtime::aligned::AlignedBytes;
use mergevit_runtime::pack::validate;
use mergevit_runtime::{
    AttentionPooling, Cascade, Confidence, Defect, EmbeddingClassifier, MergingEffect, ModelConfig,
    Normalization, OutputKind, Pack, Pooling, Ranking, ResizeMode, Schedule, ScoreKind, testing,
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
fn impossible_classifiers_of_embeddings_are_refused_by_field() {
    const fn cosine(scale: f32, bias: f32) -> Option<EmbeddingClassifier> {
        Some(EmbeddingClassifier::Cosine { scale, bias })
    }
    type Change = fn(&mut ModelConfig);
    let changes: [(&str, Change); 7] = [
        ("model.classifier", |c| c.output = OutputKind::Logits),
        ("model.labels", |c| c.labels.clear()),
        ("model.labels", |c| c.classifier = None),
        ("model.classifier.scale", |c| {
            c.classifier = cosine(0.0, 0.0);
        }),
        ("model.classifier.scale", |c| {
            c.classifier = cosine(f32::INFINITY, 0.0);
        }),
        ("model.classifier.bias", |c| {
            c.classifier = cosine(1.0, f32::NAN);
        }),
        ("model.unknown", |c| {
            c.classifier = None;
            c.labels.clear();
            c.unknown = true;
        }),
    ];
    let family = testing::family();
    let (_, classified) = family
        .iter()
        .find(|(_, config)| config.classifier.is_some())
        .expect("one of them");
    for (field, change) in changes {
        let mut config = classified.clone();
        config.validate().expect("valid before the change");
        change(&mut config);
        let error = config.validate().expect_err(field);
        assert_eq!(error.field, field, "{error}");
    }
}

#[test]
fn a_classifier_is_its_kind_and_what_that_needs() {
    let read = serde_json::from_str::<EmbeddingClassifier>;
    for (text, expected) in [
        (r#"{"kind":"linear"}"#, EmbeddingClassifier::Linear),
        (
            r#"{"kind":"cosine","scale":2.0,"bias":0.5}"#,
            EmbeddingClassifier::Cosine {
                scale: 2.0,
                bias: 0.5,
            },
        ),
    ] {
        let found = read(text).expect(text);
        assert_eq!(found, expected);
        assert_eq!(serde_json::to_string(&found).unwrap(), text);
    }
    assert!(read(r#"{"kind":"cosine","scale":2.0}"#).is_ok());
    for text in [
        r#"{"kind":"linear","bias":0.5}"#,
        r#"{"kind":"cosine"}"#,
        r#"{"kind":"cosine","scale":2.0,"more":1}"#,
        r#"{"kind":"linear","kind":"linear"}"#,
        r#"{"kind":"nearest"}"#,
        r"{}",
    ] {
        assert!(read(text).is_err(), "{text}");
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

#[test]
fn only_a_class_token_can_rank() {
    let classless = ModelConfig {
        prefix: 0,
        pooling: Pooling::Mean,
        ..testing::tiny()
    };
    let write = |config: &ModelConfig, ranking| {
        let schedule = Schedule::constant(1, 1).ranked_by(ranking);
        let writer = testing::writer(config, &[0], 1).with_schedules(vec![schedule]);
        writer.to_bytes().map_err(|error| error.to_string())
    };
    for ranking in Ranking::ALL {
        assert!(write(&testing::tiny(), ranking).is_ok(), "{ranking:?}");
    }
    assert!(write(&classless, Ranking::Similarity).is_ok());
    let error = write(&classless, Ranking::ClassAttention).unwrap_err();
    assert!(
        error.contains("schedules[0].ranking: class-attention"),
        "{error}"
    );
}

fn cascade() -> Cascade {
    Cascade {
        name: "cascade".into(),
        first: "r1".into(),
        then: "r0".into(),
        threshold: 1.5,
        wanted_agreement: 0.99,
        dataset: "photographs".into(),
        images: 256,
        agreement: 0.995,
        second_runs: 0.15,
    }
}

#[test]
fn impossible_cascades_are_refused_by_field() {
    type Change = fn(&mut Cascade);
    let changes: [(&str, &str, Change); 14] = [
        ("name", "expected 1 to 256 letters", |c| {
            c.name = "two words".into();
        }),
        ("name", "r0, expected a name not used before", |c| {
            c.name = "r0".into();
        }),
        ("first", "r2, expected a schedule of this pack", |c| {
            c.first = "r2".into();
        }),
        ("then", "r2, expected a schedule of this pack", |c| {
            c.then = "r2".into();
        }),
        ("then", "cascade, expected a schedule of this pack", |c| {
            c.then = "cascade".into();
        }),
        (
            "then",
            "r1, expected another schedule than the first",
            |c| c.then = "r1".into(),
        ),
        ("threshold", "0, expected finite and above 0", |c| {
            c.threshold = 0.0;
        }),
        ("threshold", "-1, expected", |c| c.threshold = -1.0),
        ("dataset", "expected no control characters", |c| {
            c.dataset = "\u{1b}".into();
        }),
        ("wanted_agreement", "1.5, expected a fraction", |c| {
            c.wanted_agreement = 1.5;
        }),
        ("agreement", "-0.1, expected a fraction", |c| {
            c.agreement = -0.1;
        }),
        ("second_runs", "2, expected a fraction", |c| {
            c.second_runs = 2.0;
        }),
        ("threshold", "inf, expected", |c| {
            c.threshold = f32::INFINITY;
        }),
        ("threshold", "NaN, expected", |c| c.threshold = f32::NAN),
    ];
    let write = |cascades| {
        let writer = testing::writer(&testing::tiny(), &[0, 1], 1);
        writer.with_cascades(cascades).to_bytes()
    };
    write(vec![cascade()]).expect("valid before the change");
    for (field, message, change) in changes {
        let mut changed = cascade();
        change(&mut changed);
        let error = write(vec![changed]).expect_err(field).to_string();
        let found = error.contains(&format!("cascades[0].{field}:")) && error.contains(message);
        assert!(found, "{field}: {error}");
    }
    let error = write(vec![cascade(), cascade()]).expect_err("the same name twice");
    let text = error.to_string();
    assert!(
        text.contains("cascades[1].name: cascade, expected a name not used"),
        "{text}"
    );
    let numbered = |i| Cascade {
        name: format!("c{i}"),
        ..cascade()
    };
    let error = write((0..17).map(numbered).collect()).expect_err("too many");
    assert!(
        error.to_string().contains("cascades: 17, expected 0 to 16"),
        "{error}"
    );
}

/// What a reader checks too, whoever wrote the pack.
#[test]
fn a_reader_refuses_impossible_cascades() {
    let json = original();
    let with = |cascades: &str| {
        let text = json.replacen(
            "\"provenance\"",
            &format!("\"cascades\":{cascades},\"provenance\""),
            1,
        );
        validate(&with_metadata(text.as_bytes()))
    };
    with("[]").expect("none is none");
    let one = serde_json::to_string(&[cascade()]).expect("it serializes");
    let error = with(&one).expect_err("it has no schedule r1").to_string();
    assert!(error.contains("cascades[0].first: r1"), "{error}");
    for text in ["[{}]", "{}", &one.replacen("\"first\"", "\"second\"", 1)] {
        assert!(matches!(with(text), Err(Defect::Json(_))), "{text}");
    }
}

#[test]
fn a_model_without_classes_has_no_cascades() {
    let mut family = testing::family();
    family.retain(|(_, config)| !config.classifies());
    assert!(!family.is_empty());
    for (name, config) in family {
        let writer = testing::writer(&config, &[0, 1], 1).with_cascades(vec![cascade()]);
        let error = writer.to_bytes().expect_err(name).to_string();
        assert!(
            error.contains("cascades: present, expected none"),
            "{error}"
        );
    }
}

#[test]
fn impossible_measurements_are_refused_by_field() {
    type Change = fn(&mut Schedule);
    const MERGING: MergingEffect = MergingEffect {
        dataset: String::new(),
        images: 256,
        agreement: Some(0.5),
        signal_to_noise_db: Some(-3.0),
    };
    const CONFIDENCE: Confidence = Confidence {
        temperature: 0.5,
        dataset: String::new(),
        images: 256,
        ece_before: 0.1,
        ece: 0.05,
    };
    let valid = || {
        let mut schedule = Schedule::constant(0, 1);
        schedule.merging = Some(MERGING);
        schedule.confidence = Some(CONFIDENCE);
        schedule
    };
    fn merging(schedule: &mut Schedule) -> &mut MergingEffect {
        schedule.merging.as_mut().expect("it has one")
    }
    fn confidence(schedule: &mut Schedule) -> &mut Confidence {
        schedule.confidence.as_mut().expect("it has one")
    }
    let changes: [(&str, Change); 8] = [
        ("merging.dataset", |s| merging(s).dataset = "\n".into()),
        ("merging.agreement", |s| merging(s).agreement = Some(1.1)),
        ("merging.signal_to_noise_db", |s| {
            merging(s).signal_to_noise_db = Some(f64::INFINITY);
        }),
        ("confidence.temperature", |s| {
            confidence(s).temperature = 0.0;
        }),
        ("confidence.temperature", |s| {
            confidence(s).temperature = f32::INFINITY;
        }),
        ("confidence.dataset", |s| {
            confidence(s).dataset = "\n".into();
        }),
        ("confidence.ece_before", |s| confidence(s).ece_before = 1.1),
        ("confidence.ece", |s| confidence(s).ece = f64::NAN),
    ];
    let write = |schedule| {
        let writer = testing::writer(&testing::tiny(), &[0], 1);
        writer.with_schedules(vec![schedule]).to_bytes()
    };
    write(valid()).expect("valid before the change");
    for (field, change) in changes {
        let mut schedule = valid();
        change(&mut schedule);
        let error = write(schedule).expect_err(field).to_string();
        assert!(
            error.contains(&format!("schedules[0].{field}:")),
            "{field}: {error}"
        );
    }
}

#[test]
fn what_was_measured_is_read_as_it_was_written() {
    let mut schedules = testing::schedules(1, &[0, 1]);
    schedules[0].confidence = Some(Confidence {
        temperature: 1.25,
        dataset: "photographs".into(),
        images: 100,
        ece_before: 0.07,
        ece: 0.02,
    });
    schedules[1].ranking = Ranking::ClassAttention;
    schedules[1].merging = Some(MergingEffect {
        dataset: "photographs".into(),
        images: 256,
        agreement: Some(0.98),
        signal_to_noise_db: None,
    });
    let config = ModelConfig {
        score_kind: ScoreKind::Sigmoid,
        ..testing::tiny()
    };
    let writer = testing::writer(&config, &[0], 1).with_schedules(schedules.clone());
    let bytes = writer.with_cascades(vec![cascade()]).to_bytes().unwrap();
    let pack = Pack::from_memory(bytes).unwrap();
    assert_eq!(pack.schedules(), schedules);
    assert_eq!(pack.cascades(), [cascade()]);
    assert_eq!(pack.config(), &config);
    assert_eq!(pack.schedules()[0].temperature(), 1.25);
    assert_eq!(pack.schedules()[1].temperature(), 1.0);
}
