//! Classifiers of made-up embeddings: whether what is said of them is true.

use super::assess::answers;
use super::*;
use mergevit_kernels::testing::Random;

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

/// Images of four classes around a direction each, far enough apart if `signal` is large.
fn images(seed: u64, count: usize, signal: f32) -> Features {
    let mut random = Random(seed);
    let mut features = Features::new(32, 4);
    for i in 0..count {
        let mut row = random.f32s(32, 1.0);
        row[i % 4] += signal;
        features.push(&row, i % 4);
    }
    features
}

const KINDS: [HeadKind; 2] = [HeadKind::Linear, HeadKind::Prototypes];

fn options(kind: HeadKind) -> HeadOptions {
    HeadOptions {
        kind,
        ..HeadOptions::default()
    }
}

#[test]
fn what_it_says_of_images_it_has_not_seen_is_true_of_others() {
    let (some, others) = (images(1, 200, 2.0), images(2, 4000, 2.0));
    for kind in KINDS {
        let assessment = assess(&some, &labels(4), &options(kind), &|| ());
        assert_eq!(assessment.images(), 200, "every image once");
        let head = make(&some, &labels(4), &options(kind));
        let truth = answers(&head, &others);
        let (said, is) = (assessment.accuracy().unwrap(), truth.accuracy().unwrap());
        assert!((0.5..0.999).contains(&is), "{kind:?}: {is}");
        assert!((said - is).abs() < 0.08, "{kind:?}: {said} {is}");
        let error = truth.reliability.expected_error().unwrap();
        assert!(error < 0.08, "{kind:?}: {error}");
        let unknown = truth.unknown as f64 / truth.images() as f64;
        assert!(unknown < 0.04, "{kind:?}: {unknown}");
    }
}

/// Labels that mean nothing are guessed as often as chance has it: nothing leaks from what is held out.
#[test]
fn meaningless_labels_are_not_recognized() {
    let noise = images(3, 240, 0.0);
    for kind in KINDS {
        let assessment = assess(&noise, &labels(4), &options(kind), &|| ());
        let right = assessment.accuracy().unwrap();
        assert!((right - 0.25).abs() < 0.1, "{kind:?}: {right}");
    }
}

#[test]
fn images_of_no_class_are_unknown() {
    let known = images(4, 400, 12.0);
    let mut strange = Features::new(32, 4);
    let mut random = Random(5);
    for _ in 0..100 {
        let mut row = random.f32s(32, 1.0);
        row[20] += 12.0;
        strange.push(&row, 0);
    }
    for kind in KINDS {
        let head = make(&known, &labels(4), &options(kind));
        assert_eq!(answers(&head, &strange).unknown, 100, "{kind:?}");
        let sure = HeadOptions {
            unknown: None,
            ..options(kind)
        };
        let head = make(&known, &labels(4), &sure);
        assert_eq!(head.classes.unknown, None);
        assert_eq!(answers(&head, &strange).unknown, 0);
    }
}

#[test]
fn a_class_added_to_prototypes_is_what_it_would_have_been_among_them() {
    let all = images(6, 120, 4.0);
    let options = options(HeadKind::Prototypes);
    let mut first = Features::new(32, 3);
    let mut last = Features::new(32, 1);
    for (i, &label) in all.labels().iter().enumerate() {
        match label {
            3 => last.push(all.row(i), 0),
            _ => first.push(all.row(i), label),
        }
    }
    let whole = make(&all, &labels(4), &options).classes;
    let three = make(&first, &labels(3), &options).classes;
    let (added, assessment) = with_class(three.clone(), "class 3".into(), &last, Some(0.01));
    assert_eq!(added.classes.vectors, whole.vectors);
    assert_eq!(added.classes.labels, whole.labels);
    assert_eq!(added.classes.kind, three.kind, "the others' scores stay");
    let (before, after) = (three.unknown.unwrap(), added.classes.unknown.unwrap());
    assert_eq!(after.thresholds[..3], before.thresholds);
    assert_eq!(after.centers, whole.unknown.unwrap().centers);
    assert_eq!(assessment.images(), 30);
    assert!(assessment.accuracy().unwrap() > 0.9);
}

#[test]
fn a_few_images_are_enough_to_begin_with() {
    for kind in KINDS {
        let few = images(7, 8, 6.0);
        let head = make(&few, &labels(4), &options(kind));
        assert!(head.temperature.is_err(), "too few to fit one");
        let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
        let unknown = head.classes.unknown.as_ref().unwrap();
        assert!(finite(&head.classes.vectors) && finite(&unknown.thresholds));
        let assessment = assess(&few, &labels(4), &options(kind), &|| ());
        assert_eq!(assessment.images(), 8);
    }
}
