//! States over several frames, parts of frames, several sources, and the frames that are kept.

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{Fixture, finish, text};
use mergevit_runtime::image;
use schema::events;
use serde_json::Value;

/// Images of two kinds that the fixture's model takes for different classes, as a folder in the order of `script`: `a`
/// and `b`. The model is random, so that which classes these are is asked of it.
fn folder(fixture: &Fixture, script: &str) -> String {
    let folder = fixture.path("images");
    std::fs::create_dir(&folder).expect("a folder");
    let seeds = kinds(fixture);
    for (index, kind) in script.chars().enumerate() {
        let seed = seeds[usize::from(kind == 'b')];
        fixture.image(&format!("images/{index:03}.png"), 32, 32, seed);
    }
    format!("file:{}", text(&folder))
}

fn class(line: &Value) -> u64 {
    line["top"][0]["class"].as_u64().expect("a class")
}

/// Seeds of two images of different classes.
fn kinds(fixture: &Fixture) -> [u64; 2] {
    let images: Vec<_> = (0..40)
        .map(|seed| fixture.image(&format!("seed{seed}.png"), 32, 32, seed))
        .collect();
    let mut classify = fixture.command("classify");
    let lines = finish(classify.arg("--json").args(&images)).code(0).json();
    let frames = &lines[1..41];
    let other = frames
        .iter()
        .position(|line| class(line) != class(&frames[0]));
    [0, other.expect("two classes among forty images") as u64]
}

/// The records of one kind.
fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn a_state_changes_once_enough_frames_agree() {
    let fixture = Fixture::new();
    let source = folder(&fixture, "aaabaabbbb");
    let mut run = fixture.source(&source);
    let lines = finish(run.args(["--json", "--consensus", "3/5"]))
        .code(0)
        .json();
    events(&lines);
    let frames = of(&lines, "frame");
    let (a, b) = (&frames[0]["top"][0]["label"], &frames[3]["top"][0]["label"]);
    assert_ne!(a, b);
    let states: Vec<&Value> = frames.iter().map(|frame| &frame["state"]).collect();
    let none = &Value::Null;
    assert_eq!(states, [none, none, a, a, a, a, a, b, b, b]);
    let changes = of(&lines, "state");
    let names: Vec<&Value> = changes.iter().map(|change| &change["state"]).collect();
    assert_eq!(names, [a, b, none]);
    assert!(changes[0]["previous"].is_null());
    assert_eq!(changes[1]["since"], frames[3]["captured"]);
    assert_eq!(changes[1]["previous"]["state"], *a);
    assert_eq!(changes[1]["previous"]["since"], frames[0]["captured"]);
    // Equal images are as good as each other: the first is the best.
    assert_eq!(changes[1]["previous"]["best"]["frame"], 0);
    assert_eq!(changes[2]["previous"]["state"], *b);
    assert_eq!(changes[2]["previous"]["best"]["frame"], 3);
}

#[test]
fn changes_alone_are_printed_where_that_is_wanted() {
    let fixture = Fixture::new();
    let source = folder(&fixture, "aab");
    let mut run = fixture.source(&source);
    run.arg("--on-change");
    let lines = finish(run.arg("--json")).code(0).json();
    assert_eq!(
        events(&lines),
        ["start", "state", "state", "state", "summary"]
    );
    let mut run = fixture.source(&source);
    let shown = finish(run.arg("--on-change")).code(0).stdout();
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(
        shown
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains(", after ")),
        "{shown}"
    );
}

#[test]
fn what_shows_nothing_is_kept_up_to_the_limit() {
    let fixture = Fixture::new();
    let source = folder(&fixture, "abab");
    let kept = fixture.path("kept");
    for (limit, most) in [("2", 2), ("1000", 6)] {
        let mut run = fixture.source(&source);
        run.args(["--json", "--threshold", "1", "--fps-limit", "20"]);
        run.args(["--save-uncertain", text(&kept), "--save-limit", limit]);
        let lines = finish(&mut run).code(0).json();
        events(&lines);
        assert!(
            of(&lines, "frame")
                .iter()
                .all(|frame| frame["state"].is_null())
        );
        let uncertain = &lines.last().expect("a summary")["uncertain"];
        let (saved, dropped) = (uncertain["saved"].as_u64(), uncertain["dropped"].as_u64());
        assert_eq!(saved.zip(dropped).map(|(s, d)| s + d), Some(4));
        let files = kept.read_dir().expect("a folder");
        let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        assert!(files.len() <= most && !files.is_empty());
        for file in files {
            let found = image::decode(&file).expect("an image");
            let is_one = kinds(&fixture).iter().any(|seed| {
                let name = fixture.path(&format!("seed{seed}.png"));
                image::decode(name).expect("an image").pixels() == found.pixels()
            });
            assert!(is_one);
        }
    }
}

#[test]
fn regions_are_what_their_images_are() {
    let fixture = Fixture::new();
    let whole = fixture.image("whole.png", 50, 40, 3);
    let picture = image::decode(&whole).expect("an image");
    let regions = ["0,0,50,40", "7,3,30,20", "20,10,100,100"];
    let parts = [(0, 0, 50, 40), (7, 3, 30, 20), (20, 10, 30, 30)];
    let parts: Vec<_> = parts
        .iter()
        .enumerate()
        .map(|(index, &(x, y, width, height))| {
            let rows = picture.pixels().chunks_exact(3 * 50).skip(y).take(height);
            let pixels: Vec<u8> = rows
                .flat_map(|row| &row[3 * x..][..3 * width])
                .copied()
                .collect();
            let part = image::Rgb::from_pixels(width, height, pixels).expect("a part");
            fixture.write(&format!("part{index}.png"), &part.to_png())
        })
        .collect();
    let mut classify = fixture.command("classify");
    let alone = finish(classify.arg("--json").args(&parts)).code(0).json();
    let mut run = fixture.source(&format!("file:{}", text(&whole)));
    run.args(["--json", "--threshold", "0.1"]);
    run.args(regions.iter().flat_map(|region| ["--region", region]));
    let lines = finish(&mut run).code(0).json();
    events(&lines);
    let frames = of(&lines, "frame");
    assert_eq!(frames.len(), 3);
    for ((frame, alone), region) in frames.iter().zip(&alone[1..]).zip(regions) {
        assert_eq!(
            (&frame["region"], &frame["frame"]),
            (&region.into(), &0.into())
        );
        assert_eq!(frame["top"], alone["top"]);
    }
    assert_eq!(of(&lines, "state").len(), 6);
    assert_eq!(lines.last().expect("a summary")["frames"], 1);
}

#[test]
fn a_region_outside_of_a_frame_is_an_error_of_that_frame() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("images")).expect("a folder");
    fixture.image("images/0.png", 20, 20, 1);
    fixture.image("images/1.png", 40, 40, 1);
    let source = format!("file:{}", text(&fixture.path("images")));
    let mut run = fixture.source(&source);
    let lines = finish(run.args(["--json", "--region", "30,30,5,5"]))
        .code(0)
        .json();
    assert_eq!(events(&lines), ["start", "error", "frame", "summary"]);
    assert_eq!(
        lines[1]["reason"],
        "region 30,30,5,5: outside of this frame"
    );
    let mut run = fixture.source(&source);
    finish(run.args(["--region", "40,0,5,5"]))
        .misused(&["--region 40,0,5,5: outside of the frames"]);
}

#[test]
fn several_sources_are_classified_as_each_alone() {
    let fixture = Fixture::new();
    let sources = [1, 2].map(|seed| {
        let name = format!("folder{seed}");
        std::fs::create_dir(fixture.path(&name)).expect("a folder");
        for index in 0..5 * seed {
            fixture.image(
                &format!("{name}/{index}.png"),
                30,
                20 + 10 * seed as u32,
                10 * seed + index,
            );
        }
        format!("file:{}", text(&fixture.path(&name)))
    });
    let mut both = fixture.source(&sources[0]);
    let lines = finish(both.args(["--json", "--source", &sources[1]]))
        .code(0)
        .json();
    events(&lines);
    assert_eq!(lines.last().expect("a summary")["frames"], 15);
    for source in &sources {
        let alone = finish(fixture.source(source).arg("--json")).code(0).json();
        let alone = of(&alone, "frame");
        let own = lines.iter().filter(|line| line["source"] == **source);
        let own: Vec<&Value> = own.collect();
        assert_eq!(own.len(), alone.len());
        for (index, (own, alone)) in own.iter().zip(alone).enumerate() {
            assert_eq!((&own["top"], &own["file"]), (&alone["top"], &alone["file"]));
            assert_eq!(own["sequence"], index);
        }
    }
    let shown = finish(fixture.source(&sources[0]).args(["--source", &sources[1]])).code(0);
    assert!(shown.stdout().lines().all(|line| line.contains("  file:")));
}

#[test]
fn the_failure_of_one_source_is_not_that_of_another() {
    let fixture = Fixture::new();
    let image = fixture.image("a.png", 20, 20, 1);
    let cut = fixture.write("cut", &[0; 150]);
    let good = format!("file:{}", text(&image));
    let bad = format!("raw:grey:10x10:{}", text(&cut));
    let mut run = fixture.source(&good);
    let finished = finish(run.args(["--json", "--source", &bad])).code(1);
    let lines = finished.json();
    events(&lines);
    assert_eq!(of(&lines, "frame").len(), 2);
    let errors = of(&lines, "error");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["source"], *bad);
    assert_eq!(finished.stderr().matches("the stream ends").count(), 1);
}

#[test]
fn decisions_that_cannot_be_made_are_refused() {
    let fixture = Fixture::new();
    let image = fixture.image("a.png", 20, 20, 1);
    let source = format!("file:{}", text(&image));
    let refused = |arguments: &[&str], reason: &str| {
        finish(fixture.source(&source).args(arguments)).misused(&[reason]);
    };
    refused(&["--consensus", "2/4"], "no majority");
    refused(&["--threshold", "1.5"], "expected 0 to 1");
    refused(&["--save-uncertain", "x"], "needs --threshold or --unknown");
    refused(&["--save-limit", "3"], "--save-uncertain");
    refused(&["--unknown"], "cannot tell");
    refused(&["--region", "1,2,3"], "expected X,Y,WIDTH,HEIGHT");
    refused(&["--source", &source], "given twice");
    refused(
        &["--min-accuracy", "0.5"],
        "--min-accuracy: no schedule reaches",
    );
    refused(
        &["--target-fps", "5", "--schedule", "r0"],
        "cannot be used with",
    );
    let many = ["--region", "0,0,1,1"].repeat(33);
    refused(&many, "at most 32");
    if cfg!(not(feature = "page")) {
        refused(&["--page", "127.0.0.1:0"], "built without it");
    }
}
