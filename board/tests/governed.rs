//! Schedules that are chosen for a goal, and what the board draws.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{Fixture, HEIGHT, WIDTH, finish, start, text, writer};
use mergevit_kernels::frame::PixelFormat;
use mergevit_runtime::{Accuracy, ModelConfig, testing};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// A pack whose schedule `r90` takes less than half of the time of `r0`, so that noise does not turn them around, and is
/// right less often.
fn fixture() -> Fixture {
    let config = ModelConfig {
        mlp_width: 1024,
        ..testing::model(112, 8, 4, 4, 5)
    };
    let mut schedules = testing::schedules(config.depth, &[0, 90]);
    for (schedule, top1) in schedules.iter_mut().zip([0.9, 0.8]) {
        schedule.accuracy = Some(Accuracy {
            dataset: "noise".into(),
            images: 100,
            top1,
            top5: 1.0,
            agreement: top1,
            top1_fp32: None,
        });
    }
    Fixture::with(&testing::writer(&config, &[0, 90], 7).with_schedules(schedules))
}

/// Endless frames.
fn endless() -> String {
    format!("raw:grey:{WIDTH}x{HEIGHT}:/dev/zero")
}

#[test]
fn a_goal_chooses_the_schedule() {
    let fixture = fixture();
    let first = |goal: &[&str]| {
        let mut run = fixture.source(&endless());
        let finished = finish(run.args(["--json", "--max-frames", "1"]).args(goal)).code(0);
        let lines = finished.json();
        let frame = lines.iter().find(|line| line["event"] == "frame");
        let frame = frame.expect("a frame was classified");
        (frame["schedule"].clone(), finished.stderr())
    };
    assert_eq!(first(&["--target-fps", "1"]).0, "r0");
    let (schedule, stderr) = first(&["--target-fps", "100000"]);
    assert_eq!(schedule, "r90");
    assert!(
        stderr.contains("--target-fps: even the fastest"),
        "{stderr}"
    );
    assert_eq!(first(&["--min-accuracy", "0.85"]).0, "r0");
    assert_eq!(first(&["--min-accuracy", "0.75"]).0, "r90");
    // A minimum comes before a rate.
    assert_eq!(
        first(&["--target-fps", "100000", "--min-accuracy", "0.85"]).0,
        "r0"
    );
    let mut run = fixture.source(&endless());
    finish(run.args(["--min-accuracy", "0.95"]))
        .misused(&["no schedule reaches an accuracy of 95"]);
}

/// The sensors of a board that draws this many milliwatts.
fn board(root: &Path, milliwatts: u32) {
    let hwmon = root.join("sys/class/hwmon/hwmon0");
    std::fs::create_dir_all(&hwmon).expect("a folder");
    let current = milliwatts / 5;
    for (name, text) in [
        ("name", "ina3221"),
        ("in1_label", "VDD_IN"),
        ("in1_input", "5000"),
        ("curr1_input", &current.to_string()),
    ] {
        std::fs::write(hwmon.join(name), text).expect("a file");
    }
}

/// Records of a run until one is wanted.
fn until(command: &mut Command, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut child = start(command);
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let records = stdout.lines().map(|line| {
        let line = line.expect("the output is text");
        serde_json::from_str(&line).expect("a record")
    });
    let found = records.into_iter().find(|record| wanted(record));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    found.expect("the run goes on until it is killed")
}

#[test]
fn what_the_board_draws_is_told_and_added_up() {
    let fixture = Fixture::with(&writer(&common::config()));
    board(&fixture.path("root"), 6000);
    let root = fixture.path("root");
    let mut run = fixture.source(&endless());
    run.args(["--json", "--sensors", text(&root), "--fps-limit", "100"]);
    let sensors = until(&mut run, |record| record["event"] == "sensors");
    schema::events(std::slice::from_ref(&sensors));
    assert_eq!(sensors["watts"], 6.0);
    assert_eq!(sensors["rails"][0]["name"], "VDD_IN");
    assert!(sensors["joules_per_frame"].as_f64() > Some(0.0));
    let mut run = fixture.source(&endless());
    run.args(["--json", "--sensors", text(&root), "--max-frames", "20"]);
    let lines = finish(run.args(["--fps-limit", "100"])).code(0).json();
    schema::events(&lines);
    let summary = lines.last().expect("a summary");
    let (energy, each) = (
        summary["energy_j"].as_f64(),
        summary["joules_per_frame"].as_f64(),
    );
    let (energy, each) = energy.zip(each).expect("both are known");
    assert!(energy > 0.0 && (energy / 20.0 - each).abs() < 1e-9);
}

#[test]
fn goals_that_cannot_be_met_are_told() {
    let fixture = fixture();
    let mut run = fixture.source(&endless());
    run.args(["--json", "--target-fps", "100000"]);
    let goals = until(&mut run, |record| record["event"] == "goals");
    schema::events(std::slice::from_ref(&goals));
    assert_eq!(goals["missed"], serde_json::json!(["target-fps"]));
}

#[test]
fn a_board_that_draws_too_much_merges_more() {
    let fixture = fixture();
    let root = fixture.path("root");
    board(&root, 20_000);
    let mut run = fixture.source(&endless());
    run.args([
        "--json",
        "--sensors",
        text(&root),
        "--power",
        "10",
        "--target-fps",
        "5",
    ]);
    let is_wanted = |record: &Value| record["event"] == "switch" && record["reason"] == "power";
    let switch = until(&mut run, is_wanted);
    schema::events(std::slice::from_ref(&switch));
    assert_eq!(
        (&switch["from"], &switch["to"]),
        (&"r0".into(), &"r90".into())
    );
    assert_eq!(
        (&switch["reason"], &switch["watts"]),
        (&"power".into(), &20.0.into())
    );
    let nothing = fixture.path("nothing");
    let mut run = fixture.source(&endless());
    run.args(["--power", "10", "--sensors", text(&nothing)]);
    finish(run.stdin(Stdio::null())).fails(&["--power: no sensor says"]);
}

#[test]
fn the_shape_of_the_frames_does_not_matter_to_measuring() {
    let fixture = fixture();
    let frame = vec![0; PixelFormat::Grey.frame_bytes(1, 1)];
    let path = fixture.write("one", &frame);
    let mut run = fixture.source(&format!("raw:grey:1x1:{}", text(&path)));
    finish(run.args(["--target-fps", "30"])).code(0);
}
