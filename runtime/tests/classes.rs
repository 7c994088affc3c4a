//! Classes that a pack is given for its embeddings.

use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Classes, Defect, EmbeddingClassifier, Pack, PackWriter, ScoreKind, TensorKind, Unknown,
    WriteError,
};

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

#[test]
fn classes_are_given_to_embeddings_and_replaced() {
    let mut family = testing::family().into_iter();
    let (_, config) = family.find(|(name, _)| *name == "headless").unwrap();
    let pack = testing::pack(&config, &[0], 5);
    let columns = config.classes;
    let rewritten = |pack: &Pack, classes: &Classes| {
        let writer = PackWriter::from_pack(pack).with_classes(classes.clone());
        Pack::from_memory(writer.expect("a row a class").to_bytes().unwrap()).unwrap()
    };
    let by_cosine = Classes::by_cosine(
        50.0,
        1.5,
        labels(&["cat", "dog"]),
        Random(8).f32s(2 * columns, 3.0),
    );
    let named = rewritten(&pack, &by_cosine);
    assert_eq!(named.config().classifier, Some(by_cosine.kind));
    assert_eq!(named.config().labels, by_cosine.labels);
    let is_direction = |tensor: &[f32], vectors: &[f32]| {
        let rows = tensor.chunks(columns).zip(vectors.chunks(columns));
        for (row, vector) in rows {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            let near = |(a, b): (&f32, &f32)| (a - b / length).abs() < 1e-6;
            assert!(row.iter().zip(vector).all(near));
        }
    };
    let tensor = |pack: &Pack, kind| pack.tensor_f32(kind, None).map(<[f32]>::to_vec);
    let rows = tensor(&named, TensorKind::ClassVector).unwrap();
    is_direction(&rows, &by_cosine.vectors);
    let weight = |pack: &Pack| {
        let weight = pack.tensor_i8(TensorKind::Fc2Weight, Some(2));
        weight.unwrap().to_vec()
    };
    assert_eq!(weight(&named), weight(&pack), "all else is what it was");

    // Others take their place, and are left again: the same file.
    let linear = Classes {
        labels: labels(&["a", "b", "c"]),
        kind: EmbeddingClassifier::Linear,
        scores: ScoreKind::Sigmoid,
        vectors: Random(9).f32s(3 * columns, 1.0),
        bias: vec![1.0, 0.0, -1.0],
        unknown: Some(Unknown {
            centers: Random(10).f32s(3 * columns, 2.0),
            thresholds: vec![0.5, -1.0, 1.0],
        }),
    };
    let other = rewritten(&named, &linear);
    assert_eq!(other.config().score_kind, ScoreKind::Sigmoid);
    assert_eq!(
        tensor(&other, TensorKind::ClassVector),
        Some(linear.vectors.clone())
    );
    assert_eq!(
        tensor(&other, TensorKind::ClassBias),
        Some(linear.bias.clone())
    );
    let unknown = linear.unknown.as_ref().unwrap();
    let centers = tensor(&other, TensorKind::ClassCenter).unwrap();
    is_direction(&centers, &unknown.centers);
    let thresholds = tensor(&other, TensorKind::ClassThreshold);
    assert_eq!(thresholds.as_ref(), Some(&unknown.thresholds));
    let again = rewritten(&other, &by_cosine);
    assert_eq!(again.hash(), named.hash());
}

#[test]
fn impossible_classes_are_refused() {
    let mut family = testing::family().into_iter();
    let (_, config) = family.find(|(name, _)| *name == "headless").unwrap();
    let pack = testing::pack(&config, &[0], 5);
    let columns = config.classes;
    let two = || Classes::by_cosine(50.0, 1.5, labels(&["cat", "dog"]), vec![1.0; 2 * columns]);
    let error = |classes| match PackWriter::from_pack(&pack).with_classes(classes) {
        Ok(writer) => writer
            .to_bytes()
            .map(drop)
            .expect_err("refused when written"),
        Err(error) => error,
    };
    let unknown = |thresholds| {
        Some(Unknown {
            centers: vec![1.0; 2 * columns],
            thresholds,
        })
    };
    let shapes = [
        Classes {
            vectors: vec![1.0; 3 * columns],
            ..two()
        },
        Classes {
            kind: EmbeddingClassifier::Linear,
            bias: vec![0.0; 3],
            ..two()
        },
        Classes {
            unknown: unknown(vec![0.0]),
            ..two()
        },
    ];
    for classes in shapes {
        let error = error(classes);
        assert!(matches!(error, WriteError::Shape { .. }), "{error}");
    }
    let values = [
        Classes {
            vectors: vec![0.0; 2 * columns],
            ..two()
        },
        Classes {
            unknown: unknown(vec![0.0, 1.5]),
            ..two()
        },
    ];
    for classes in values {
        let error = error(classes);
        let value = matches!(error, WriteError::Defect(Defect::Value { .. }));
        assert!(value, "{error}");
    }
}
