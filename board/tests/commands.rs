//! What each command prints, and that every way to the same image gives the same result.

mod common;

use common::{Fixture, config, finish, finish_with_input, mergevit, text};
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::Engine;
use serde_json::Value;

/// (class, probability) of each entry of a `top` list.
fn ranking(top: &Value) -> Vec<(u64, f64)> {
    let entry = |entry: &Value| {
        let class = entry["class"].as_u64().expect("a class");
        assert_eq!(entry["label"], format!("class {class}"));
        (class, entry["probability"].as_f64().expect("a number"))
    };
    top.as_array().expect("a list").iter().map(entry).collect()
}

#[test]
fn classify_gives_what_the_engine_gives() {
    let fixture = Fixture::new();
    let (width, height) = (61, 43);
    let path = fixture.image("a.png", width, height, 3);
    let pixels = image::open(&path)
        .expect("the image reads")
        .into_rgb8()
        .into_raw();
    let mut engine = Engine::load(fixture.model()).expect("it loads");
    engine.set_schedule("r3").expect("the pack has it");
    let (width, height) = (width as usize, height as usize);
    let frame = Frame::packed(PixelFormat::Rgb, width, height, &pixels).expect("a valid frame");
    let output = engine.classify(&[frame]).expect("it runs");
    let top = output.top(0).take(5);
    let expected: Vec<_> = top.map(|top| top.class as u64).collect();
    assert_eq!(expected.len(), 5);

    let mut command = fixture.command("classify");
    command
        .arg(&path)
        .args(["--json", "--top", "5", "--schedule", "r3"]);
    let lines = finish(&mut command).code(0).json();
    // The start, the image, the summary.
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["file"], text(&path));
    let found = ranking(&lines[1]["top"]);
    let classes: Vec<_> = found.iter().map(|(class, _)| *class).collect();
    assert_eq!(classes, expected);
    let sum: f64 = found.iter().map(|(_, probability)| probability).sum();
    assert!((sum - 1.0).abs() < 1e-5);

    // The same frame through the live loop, from a folder and from a pipe.
    let source = format!("file:{}", text(&path));
    let mut run = fixture.source(&source);
    run.args(["--json", "--top", "5", "--schedule", "r3"]);
    let from_file = finish(&mut run).code(0).json();
    assert_eq!(from_file[1]["top"], lines[1]["top"]);
    assert_eq!(from_file[1]["file"], text(&path));
    let mut run = fixture.source(&format!("raw:rgb:{width}x{height}:-"));
    run.args(["--json", "--top", "5", "--schedule", "r3"]);
    let from_pipe = finish_with_input(&mut run, &pixels).code(0).json();
    assert_eq!(from_pipe[1]["top"], lines[1]["top"]);
}

#[test]
fn classify_prints_a_line_for_each_image_and_goes_on_after_a_bad_one() {
    let fixture = Fixture::new();
    let good = [
        fixture.image("a.png", 9, 200, 1),
        fixture.image("b.jpg", 300, 8, 2),
    ];
    let bad = fixture.write("bad.png", b"\x89PNG\r\n\x1a\nnot really");
    let missing = fixture.path("missing.png");
    let mut command = fixture.command("classify");
    command.args([&good[0], &bad, &missing, &good[1]]);
    let finished = finish(&mut command).fails(&[
        "bad.png: damaged or unsupported",
        "missing.png: cannot open",
        "2 of 4 images failed",
    ]);
    let stdout = finished.stdout();
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("a.png: class "));
    assert!(lines[1].contains("b.jpg: class "));
}

#[test]
fn bench_reports_the_promised_keys() {
    let fixture = Fixture::new();
    for (backend, batch) in [("cpu", 1), ("cpu/portable", 3), ("reference", 2)] {
        let batch = batch.to_string();
        let mut command = fixture.command("bench");
        command.args([
            "--json",
            "--iterations",
            "5",
            "--backend",
            backend,
            "--batch",
            &batch,
        ]);
        command.args(["--schedule", "r3", "--profile"]);
        let finished = finish(&mut command).code(0);
        let stdout = finished.stdout();
        let last = stdout.lines().last().expect("there is output");
        let report: Value = serde_json::from_str(last).expect("the last line is JSON");
        for key in [
            "latency_us_p50",
            "latency_us_p99",
            "frames_per_second",
            "arena_bytes",
            "resident_bytes",
            "preprocess_us_p50",
        ] {
            assert!(report[key].as_f64() > Some(0.0), "{key}: {}", report[key]);
        }
        assert_eq!(report["schedule"], "r3");
        assert_eq!(report["batch"].to_string(), batch);
        assert_eq!(report["iterations"], 5);
        assert_eq!(report["tokens"], serde_json::json!([17, 14, 14]));
        let reference = backend == "reference";
        let check = if reference { "is_reference" } else { "equal" };
        assert_eq!(report["check"], check);
        let profile = &report["profile"];
        let operations = profile["operations"].as_array().expect("a list");
        let macs = |row: &Value| row["macs"].as_u64().expect("a count");
        let kinds = profile["kinds"].as_array().expect("a list");
        let (total, kinds) = kinds.split_last().expect("there is a total");
        assert_eq!(total["name"], "total");
        assert_eq!(operations.iter().map(macs).sum::<u64>(), macs(total));
        assert_eq!(kinds.iter().map(macs).sum::<u64>(), macs(total));
        assert!(kinds.iter().any(|kind| kind["name"] == "projection"));
    }
}

#[test]
fn bench_serves_counts_until_an_empty_line() {
    let fixture = Fixture::new();
    let mut command = fixture.command("bench");
    command.args(["--serve", "--no-check"]);
    let finished = finish_with_input(&mut command, b"3\n1\n\n5\n").code(0);
    let stdout = finished.stdout();
    let counts: Vec<_> = stdout
        .lines()
        .map(|line| {
            let times = line
                .split(' ')
                .map(|time| time.parse::<f64>().expect("a time"));
            times.filter(|time| *time > 0.0).count()
        })
        .collect();
    assert_eq!(counts, [3, 1]);
    let mut command = fixture.command("bench");
    finish_with_input(command.arg("--serve"), b"").code(0);
    let mut command = fixture.command("bench");
    finish_with_input(command.arg("--serve"), b"0\n").fails(&["standard input: count \"0\""]);
    // A line without an end is not waited for, nor repeated.
    let zeros = vec![0; 1 << 20];
    let refused = finish_with_input(&mut command, &zeros).fails(&["expected 1 to 1000000"]);
    assert!(refused.stderr().len() < 2000);
}

#[test]
fn inspect_shows_everything() {
    let fixture = Fixture::new();
    let mut command = mergevit();
    let finished = finish(command.arg("inspect").arg(fixture.model()).arg("--json")).code(0);
    let report = &finished.json()[0];
    assert_eq!(report["format_version"], 3);
    assert_eq!(report["model"]["classes"], config().classes);
    assert_eq!(report["schedules"][1]["name"], "r3");
    assert_eq!(
        report["schedules"][1]["tokens"],
        serde_json::json!([17, 14, 14])
    );
    let sections = report["sections"].as_array().expect("a list");
    let lengths = sections
        .iter()
        .map(|s| s["length_bytes"].as_u64().expect("a length"));
    assert!(lengths.sum::<u64>() < report["file_bytes"].as_u64().expect("a length"));
    let mut command = mergevit();
    let inspect = command.arg("inspect").arg(fixture.model());
    let short = finish(&mut *inspect).code(0).stdout();
    assert!(!short.contains("QkvWeight") && short.contains("--sections"));
    let folded = "not recorded; folded into the patch embedding";
    assert!(short.contains(folded), "{short}");
    let stdout = finish(inspect.arg("--sections")).code(0).stdout();
    for part in [
        "QkvWeight",
        "192x64",
        "r3",
        "17→14",
        "not measured",
        "checkpoint",
    ] {
        assert!(stdout.contains(part), "{part} is not in: {stdout}");
    }
}

#[test]
fn doctor_lists_backends_and_says_why_not() {
    let stdout = finish(mergevit().arg("doctor")).code(0).stdout();
    for part in ["processor", "cuda", "reference", "camera"] {
        assert!(stdout.contains(part), "{part} is not in: {stdout}");
    }
    let report = &finish(mergevit().args(["doctor", "--json"])).code(0).json()[0];
    let backends = report["backends"].as_array().expect("a list");
    let chosen: Vec<_> = backends.iter().filter(|b| b["chosen"] == true).collect();
    assert_eq!(chosen.len(), 1);
    for backend in backends {
        assert_eq!(backend["available"] == true, backend["refusal"].is_null());
    }
    assert_eq!(report["camera_support"], cfg!(feature = "camera"));
}

#[test]
fn demo_needs_nothing() {
    let finished = finish(mergevit().args(["demo", "--frames", "6"])).code(0);
    let stdout = finished.stdout();
    for part in [
        "backend",
        "tokens 197→",
        "schedule  merged",
        "accuracy",
        "r0",
    ] {
        assert!(stdout.contains(part), "{part} is not in: {stdout}");
    }
    assert!(!stdout.contains('\x1b'), "no colours outside a terminal");
    let lines = finish(mergevit().args(["demo", "--frames", "6", "--json"]))
        .code(0)
        .json();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str()).collect();
    assert_eq!(events[..2], [Some("start"), Some("frame")]);
    let schedules: Vec<_> = lines.iter().filter(|l| l["event"] == "schedule").collect();
    assert!(schedules.len() >= 2);
    for schedule in schedules {
        assert_eq!(schedule["frames"], 6);
        assert!(schedule["top1"].as_f64() <= Some(1.0));
    }
}
