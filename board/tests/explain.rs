//! `mergevit explain`: the picture it writes, and what it says of it.

mod common;

use common::{Fixture, config, finish, text};
use mergevit_runtime::Engine;
use mergevit_runtime::image::{self, Rgb, merged_tokens};
use mergevit_runtime::inspect::{pixels_of, token_map};
use std::path::Path;

fn explain(
    fixture: &Fixture,
    image: &Path,
    output: &Path,
    schedule: &str,
) -> std::process::Command {
    let mut command = fixture.command("explain");
    command.arg(image).arg("--output").arg(output);
    command.args(["--schedule", schedule, "--zoom", "3"]);
    command
}

#[test]
fn the_picture_is_of_what_the_engine_merged() {
    let fixture = Fixture::new();
    let photo = fixture.image("a.png", 61, 43, 3);
    let output = fixture.path("tokens.png");
    let mut engine = Engine::load(fixture.model()).expect("it loads");
    engine.set_schedule("r3").expect("the pack has it");
    let pixels = pixels_of(
        &config(),
        &image::decode(&photo).expect("it decodes").frame(),
    );
    let map = token_map(&mut engine, &pixels).expect("it runs");
    let best = engine
        .classify_pixels(&pixels)
        .expect("it runs")
        .best(0)
        .to_string();

    let stdout = finish(&mut explain(&fixture, &photo, &output, "r3"))
        .code(0)
        .stdout();
    let mut tokens = map.clone();
    tokens.sort_unstable();
    tokens.dedup();
    let said = format!("16 patches as {} tokens", tokens.len());
    assert!(tokens.len() < 16 && stdout.contains(&said), "{stdout}");
    assert!(
        stdout.starts_with(&format!("{}: {best}  r3: ", text(&photo))),
        "{stdout}"
    );
    let found: Rgb = image::decode(&output).expect("a picture");
    assert_eq!(found, merged_tokens(&pixels, &map, 3));
    assert_eq!((found.width(), found.height()), (96, 96));

    // Without merging it is the image as the network sees it.
    let stdout = finish(&mut explain(&fixture, &photo, &output, "r0"))
        .code(0)
        .stdout();
    assert!(
        stdout.contains("16 patches as 16 tokens, 1 in the largest"),
        "{stdout}"
    );
    let whole = image::decode(&output).expect("a picture");
    let same = |(at, x): (usize, &u8)| {
        let (pixel, colour) = (at / 3, at % 3);
        let source = (pixel / 96 / 3 * 32 + pixel % 96 / 3) * 3 + colour;
        pixels[source] == *x
    };
    assert!(whole.pixels().iter().enumerate().all(same));
}

#[test]
fn inputs_are_not_replaced_and_failures_are_named() {
    let fixture = Fixture::new();
    let photo = fixture.image("a.png", 20, 20, 3);
    let before = std::fs::read(&photo).expect("it reads");
    for output in [&photo, &fixture.model()] {
        let stderr = finish(&mut explain(&fixture, &photo, output, "r3"))
            .code(2)
            .stderr();
        assert!(stderr.contains("is an input of this command"), "{stderr}");
    }
    assert_eq!(std::fs::read(&photo).expect("it reads"), before);
    let output = fixture.path("out.png");
    let text = fixture.write("b.png", b"no picture");
    let stderr = finish(&mut explain(&fixture, &text, &output, "r3"))
        .code(1)
        .stderr();
    assert!(stderr.contains("b.png"), "{stderr}");
    let stderr = finish(&mut explain(&fixture, &photo, &output, "r4"))
        .code(2)
        .stderr();
    assert!(stderr.contains("r4") && stderr.contains("r3"), "{stderr}");
    assert!(!output.exists());
}
