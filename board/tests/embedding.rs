//! Packs that give embeddings, with classes that text embeddings name and without.

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{Fixture, finish, mergevit, text};
use mergevit_runtime::{Engine, ModelConfig, image, testing};
use schema::events;
use serde_json::Value;
use std::path::Path;

/// A small model of the family by its name.
fn model(name: &str) -> ModelConfig {
    let mut family = testing::family().into_iter();
    let (_, config) = family
        .find(|(other, _)| *other == name)
        .expect("one of them");
    config
}

/// The embedding of length 1 that the engine gives of an image file.
fn expected(fixture: &Fixture, path: &Path) -> Vec<f32> {
    let mut engine = Engine::load(fixture.model()).expect("it loads");
    let image = image::decode(path).expect("it reads");
    let output = engine.classify(&[image.frame()]).expect("it runs");
    output.unit_embedding(0).expect("an embedding").to_vec()
}

/// The numbers of a record.
fn numbers(record: &Value) -> Vec<f32> {
    let list = record["embedding"].as_array().expect("a list");
    let number = |value: &Value| value.to_string().parse().expect("a number");
    list.iter().map(number).collect()
}

#[test]
fn an_embedding_is_printed_where_it_is_asked_for() {
    for name in ["headless", "headless, attention pooling", "zero-shot"] {
        let fixture = Fixture::of(&model(name));
        let path = fixture.image("a.png", 61, 43, 3);
        let expected = expected(&fixture, &path);
        assert_eq!(expected.len(), model(name).classes);

        let mut command = fixture.command("classify");
        command.arg(&path).arg("--embedding");
        let line = finish(&mut command).code(0).stdout();
        let (_, rest) = line.split_once("a.png: ").expect("the file's name");
        let (vector, _) = rest.split_once("  (").expect("the time");
        let printed: Vec<f32> = vector
            .split(' ')
            .map(|n| n.parse().expect("a number"))
            .collect();
        assert_eq!(printed, expected, "{name}");

        let lines = finish(command.arg("--json")).code(0).json();
        events(&lines);
        assert_eq!(numbers(&lines[1]), expected, "{name}");
        assert!(lines[1].get("top").is_none());

        // The live loop, sealed.
        let mut run = fixture.source(&format!("file:{}", text(&path)));
        let lines = finish(run.args(["--embedding", "--json"])).code(0).json();
        events(&lines);
        assert_eq!(numbers(&lines[1]), expected, "{name}");
    }
}

#[test]
fn text_embeddings_name_classes() {
    let fixture = Fixture::of(&model("zero-shot"));
    let path = fixture.image("a.png", 61, 43, 3);
    let lines = finish(fixture.command("classify").arg(&path).arg("--json"))
        .code(0)
        .json();
    events(&lines);
    let top = lines[1]["top"].as_array().expect("a list");
    assert_eq!(top.len(), 3);
    let labels = model("zero-shot").labels;
    for entry in top {
        let class = entry["class"].as_u64().expect("a class") as usize;
        assert_eq!(entry["label"], labels[class]);
    }
    // Other names for the same classes, of which there are as many as text embeddings.
    let names = fixture.write("names.txt", b"a\nb\nc\nd\n");
    let mut command = fixture.command("classify");
    finish(command.arg(&path).arg("--labels").arg(&names)).code(0);
    let names = fixture.write("names.txt", b"a\nb\nc\n");
    let mut command = fixture.command("classify");
    let finished = finish(command.arg(&path).arg("--labels").arg(&names));
    finished.misused(&["3 labels, expected 4"]);
}

#[test]
fn an_image_of_no_class_is_called_unknown_in_every_form() {
    let fixture = Fixture::of(&model("own classes"));
    let path = fixture.image("a.png", 61, 43, 3);
    let mut engine = Engine::load(fixture.model()).expect("it loads");
    let image = image::decode(&path).expect("it reads");
    let output = engine.classify(&[image.frame()]).expect("it runs");
    let is_unknown = output.is_unknown(0).expect("the pack can tell");

    let mut command = fixture.command("classify");
    let line = finish(command.arg(&path)).code(0).stdout();
    assert_eq!(
        line.contains("a.png: unknown, nearest "),
        is_unknown,
        "{line}"
    );
    let mut run = fixture.source(&format!("file:{}", text(&path)));
    for command in [command.arg("--json"), run.arg("--json")] {
        let lines = finish(command).code(0).json();
        events(&lines);
        assert_eq!(lines[1]["unknown"], is_unknown);
        assert!(lines[1]["top"].is_array());
    }
}

#[test]
fn what_a_model_does_not_give_is_refused() {
    let fixture = Fixture::of(&model("headless"));
    let path = fixture.image("a.png", 61, 43, 3);
    let source = format!("file:{}", text(&path));
    for command in [
        fixture.command("classify").arg(&path),
        &mut fixture.source(&source),
    ] {
        finish(command).misused(&["gives embeddings, and no classes", "--embedding"]);
    }
    let classifier = Fixture::new();
    let mut command = classifier.command("classify");
    finish(command.arg(&path).arg("--embedding")).misused(&["gives classes, and no embedding"]);
    let mut command = fixture.command("classify");
    let both = command.arg(&path).args(["--embedding", "--top", "2"]);
    finish(both).misused(&["--embedding", "--top"]);
}

#[test]
fn a_benchmark_checks_embeddings() {
    let fixture = Fixture::of(&model("headless, attention pooling"));
    let mut command = fixture.command("bench");
    command.args([
        "--json",
        "--iterations",
        "2",
        "--profile",
        "--schedule",
        "r3",
    ]);
    let lines = finish(&mut command).code(0).json();
    events(&lines);
    let report = lines.last().expect("a report");
    assert_eq!(report["check"], "equal");
    let kinds = report["profile"]["kinds"].as_array().expect("a list");
    assert!(kinds.iter().any(|kind| kind["name"] == "pool_attention"));
}

#[test]
fn every_model_is_inspected_and_estimated() {
    for (name, config) in testing::family() {
        let fixture = Fixture::of(&config);
        let mut estimate = mergevit();
        estimate.args(["bench", "--estimate", "agx-orin", "--json", "--model"]);
        events(&finish(estimate.arg(fixture.model())).code(0).json());
        let mut command = mergevit();
        command.arg("inspect").arg(fixture.model());
        let shown = finish(&mut command).code(0).stdout();
        for part in ["shape", "activation", "pooling", "output"] {
            assert!(shown.contains(part), "{name}: {part} is not in: {shown}");
        }
        events(&finish(command.arg("--json")).code(0).json());
    }
    let shown = |name| {
        let fixture = Fixture::of(&model(name));
        finish(mergevit().arg("inspect").arg(fixture.model()))
            .code(0)
            .stdout()
    };
    for (name, part) in [
        ("plain", "behind 1 class token"),
        ("gated, inner norm", "gated MLP with a norm 100"),
        ("gated, inner norm", "rotary positions"),
        ("heads of 96", "2 heads of 96"),
        (
            "class and mean",
            "layer norm of all tokens, then class token and mean of the patches",
        ),
        ("headless", "embedding of 128 channels"),
        ("zero-shot", "4 classes by cosine, scale 100, bias -3.5"),
        ("own classes", "3 classes by a linear layer, or unknown"),
    ] {
        let shown = shown(name);
        assert!(shown.contains(part), "{part} is not in: {shown}");
    }
}
