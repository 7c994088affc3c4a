//! Cascades, temperatures and classes of which any number is right, in every command.

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{
    Finished, Fixture, HEIGHT, WIDTH, config, finish, finish_with_input, mergevit, raw_frames,
    writer,
};
use mergevit_kernels::frame::PixelFormat;
use mergevit_runtime::{Cascade, Confidence, MergingEffect, ModelConfig, ScoreKind, testing};
use schema::events;
use serde_json::Value;
use std::process::Command;

/// With these schedules, `r3` first and then `r0`.
fn cascade(name: &str, threshold: f32) -> Cascade {
    Cascade {
        name: name.into(),
        first: "r3".into(),
        then: "r0".into(),
        threshold,
        wanted_agreement: 0.99,
        dataset: "photographs".into(),
        images: 200,
        agreement: 0.995,
        second_runs: 0.25,
    }
}

/// `never` and `always` say how often `r0` runs.
fn fixture() -> Fixture {
    let cascades = vec![
        cascade("never", f32::MIN_POSITIVE),
        cascade("always", f32::MAX),
    ];
    let mut schedules = testing::schedules(config().depth, &[0, 3]);
    schedules[1].merging = Some(MergingEffect {
        dataset: "photographs".into(),
        images: 256,
        agreement: Some(0.975),
        signal_to_noise_db: Some(31.25),
    });
    schedules[1].confidence = Some(Confidence {
        temperature: 2.5,
        dataset: "photographs".into(),
        images: 200,
        ece_before: 0.125,
        ece: 0.0175,
    });
    let writer = writer(&config()).with_schedules(schedules);
    Fixture::with(&writer.with_cascades(cascades))
}

/// How often each of the fixture's cascades runs its second schedule, and which schedule answers.
const CASCADES: [(&str, f64, &str); 2] = [("never", 0.0, "r3"), ("always", 1.0, "r0")];

fn under(command: &mut Command, schedule: &str) -> Finished {
    finish(command.args(["--schedule", schedule]))
}

#[test]
fn classify_gives_the_answer_that_counts_and_says_whose_it_is() {
    let fixture = fixture();
    let images = [1, 2, 3].map(|seed| fixture.image(&format!("{seed}.png"), 40, 30, seed));
    let classify = |schedule: &str, json: bool| {
        let mut command = fixture.command("classify");
        command.args(&images).args(json.then_some("--json"));
        under(&mut command, schedule).code(0)
    };
    for (name, rate, schedule) in CASCADES {
        let finished = classify(name, true);
        assert_eq!(
            events(&finished.json()),
            ["start", "frame", "frame", "frame", "summary"]
        );
        let lines = finished.json();
        assert_eq!(lines[0]["schedule"], name);
        for (line, alone) in lines
            .iter()
            .zip(classify(schedule, true).json())
            .skip(1)
            .take(3)
        {
            assert_eq!(line["top"], alone["top"]);
            assert_eq!(line["schedule"], schedule);
            assert_eq!(line["second_run"], rate > 0.0);
            assert!(alone["schedule"].is_null() && alone["second_run"].is_null());
        }
        assert_eq!(lines[4]["second_run_rate"], rate);
        assert_eq!(lines[4]["second_runs"], (3.0 * rate) as u64);
        let finished = classify(name, false);
        let lines = finished.stdout();
        assert!(
            lines
                .lines()
                .all(|line| line.ends_with(&format!(", {schedule})"))),
            "{lines}"
        );
        let twice = format!("3 images, {:.1} % ran twice", 100.0 * rate);
        assert!(finished.stderr().contains(&twice), "{}", finished.stderr());
    }
    let finished = classify("r0", true);
    assert!(finished.json()[4]["second_runs"].is_null());
    assert!(!classify("r0", false).stderr().contains("twice"));
}

#[test]
fn the_live_loop_counts_second_runs() {
    let fixture = fixture();
    let frames = raw_frames(PixelFormat::Grey, 4);
    let run = |schedule: &str, json: bool| {
        let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:-"));
        run.args(["--schedule", schedule])
            .args(json.then_some("--json"));
        finish_with_input(&mut run, &frames).code(0)
    };
    for (name, rate, schedule) in CASCADES {
        let finished = run(name, true);
        assert_eq!(events(&finished.json()).len(), 6);
        let lines = finished.json();
        for (line, alone) in lines[1..5].iter().zip(&run(schedule, true).json()[1..5]) {
            assert_eq!(line["top"], alone["top"]);
            assert_eq!(
                (&line["schedule"], &line["second_run"]),
                (&schedule.into(), &(rate > 0.0).into())
            );
        }
        assert_eq!(lines[5]["second_run_rate"], rate);
        assert_eq!(lines[5]["second_runs"], (4.0 * rate) as u64);
        let finished = run(name, false);
        assert!(finished.stdout().contains(&format!(" ms, {schedule})")));
        let twice = format!("0 with errors, {:.1} % ran twice", 100.0 * rate);
        assert!(finished.stderr().contains(&twice), "{}", finished.stderr());
    }
    assert!(!run("r0", false).stderr().contains("twice"));
}

#[test]
fn bench_says_what_each_run_costs_and_both_on_average() {
    let fixture = fixture();
    let gmac = |schedule: &str| {
        let mut command = fixture.command("bench");
        command.args(["--json", "--iterations", "1", "--no-check", "--batch", "3"]);
        under(&mut command, schedule).code(0).json()[1]["gmac"]
            .as_f64()
            .expect("a number")
    };
    let (first, then) = (gmac("r3"), gmac("r0"));
    for (name, rate, _) in CASCADES {
        let mut command = fixture.command("bench");
        command.args(["--json", "--iterations", "2", "--batch", "3"]);
        let finished = under(&mut command, name).code(0);
        assert_eq!(events(&finished.json()), ["start", "bench"]);
        let bench = &finished.json()[1];
        assert_eq!(
            (&bench["schedule"], &bench["check"]),
            (&name.into(), &"equal".into())
        );
        let near = |value: &Value, expected: f64| {
            let value = value.as_f64().expect("a number");
            assert!(
                (value - expected).abs() < 1e-9,
                "{value}, expected {expected}"
            );
        };
        near(&bench["gmac"], first + rate * then);
        let cascade = &bench["cascade"];
        near(&cascade["first"]["gmac"], first);
        near(&cascade["then"]["gmac"], then);
        near(&cascade["second_run_rate"], rate);
        near(&cascade["pack"]["gmac"], first + 0.25 * then);
        let latency = |stage: &str| cascade[stage]["latency_us_p50"].as_f64().expect("a number");
        near(
            &cascade["pack"]["latency_us"],
            latency("first") + 0.25 * latency("then"),
        );
    }
    let text = under(
        fixture.command("bench").args(["--iterations", "1"]),
        "always",
    )
    .code(0);
    let text = text.stdout();
    assert!(
        text.contains("cascade     r3, then r0 where the margin is below"),
        "{text}"
    );
    assert!(
        text.contains("100.0 % of these random images ran twice"),
        "{text}"
    );
    assert!(
        text.contains("on 200 images of photographs: 25.0 % ran twice"),
        "{text}"
    );
    let mut profile = fixture.command("bench");
    under(profile.arg("--profile"), "always").misused(&["--profile", "a cascade of r3 and r0"]);
}

#[test]
fn an_estimate_is_of_both_runs() {
    let fixture = fixture();
    let estimate = |schedule: &str, json: bool| {
        let mut command = mergevit();
        command
            .args(["bench", "--estimate", "agx-orin", "--model"])
            .arg(fixture.model());
        command.args(json.then_some("--json"));
        under(&mut command, schedule).code(0)
    };
    let latency = |schedule| estimate(schedule, true).json()[0]["latency_us"].clone();
    let (first, then) = (latency("r3"), latency("r0"));
    let finished = estimate("always", true);
    assert_eq!(events(&finished.json()), ["estimate"]);
    let line = &finished.json()[0];
    assert_eq!(line["latency_us"], first);
    assert_eq!(line["second"]["latency_us"], then);
    for end in ["low", "high"] {
        let number = |of: &Value| of[end].as_f64().expect("a number");
        let mean = number(&line["second"]["mean_latency_us"]);
        assert!((mean - number(&first) - 0.25 * number(&then)).abs() < 1e-9);
    }
    let text = estimate("always", false).stdout();
    assert!(
        text.contains("for 25.0 % of frames, as on photographs: "),
        "{text}"
    );
    let mut unknown = mergevit();
    unknown
        .args(["bench", "--estimate", "agx-orin", "--model"])
        .arg(fixture.model());
    under(&mut unknown, "r9").misused(&["expected one of r0, r3, never, always"]);
    under(fixture.command("bench").arg("--json"), "r9").misused(&["r0, r3, never, always"]);
}

#[test]
fn inspect_shows_cascades_and_what_was_measured() {
    let fixture = fixture();
    let inspect = |arguments: &[&str]| {
        finish(
            mergevit()
                .arg("inspect")
                .args(arguments)
                .arg(fixture.model()),
        )
        .code(0)
    };
    let finished = inspect(&["--json"]);
    assert_eq!(events(&finished.json()), ["pack"]);
    let pack = &finished.json()[0];
    let gmac = |index: usize| pack["schedules"][index]["gmac"].as_f64().expect("a number");
    assert_eq!(pack["cascades"][1]["name"], "always");
    assert_eq!(pack["cascades"][1]["gmac"], gmac(1) + 0.25 * gmac(0));
    assert_eq!(pack["schedules"][1]["merging"]["signal_to_noise_db"], 31.25);
    assert_eq!(pack["schedules"][1]["confidence"]["temperature"], 2.5);
    let text = inspect(&[]).stdout();
    let row = |name: &str| -> Vec<String> {
        let mut tables = text.split("\n\n").skip(1);
        let table = tables
            .find(|table| table.starts_with(name))
            .unwrap_or_else(|| panic!("{text}"));
        let row = table.lines().last().expect("a row");
        row.split("  ")
            .map(|cell| cell.trim().to_owned())
            .filter(|cell| !cell.is_empty())
            .collect()
    };
    let cascade = row("cascade");
    assert_eq!(cascade[..3], ["always", "r3", "r0"]);
    assert_eq!(cascade[4], "25.0 %");
    assert_eq!(cascade[6..], ["99.50 %", "99.00 %", "200", "photographs"]);
    assert_eq!(
        row("merging alone"),
        ["r3", "97.50 %", "31.2 dB", "256", "photographs"]
    );
    assert_eq!(
        row("confidence"),
        ["r3", "2.500", "1.75 %", "12.50 %", "200", "photographs"]
    );
}

/// The probabilities of one image's classes, by class.
fn probabilities(line: &Value) -> Vec<(u64, f64)> {
    let top = line["top"].as_array().expect("classes");
    let class = |class: &Value| {
        let probability = class["probability"].as_f64().expect("a number");
        (class["class"].as_u64().expect("a class"), probability)
    };
    top.iter().map(class).collect()
}

#[test]
fn a_temperature_changes_probabilities_and_no_order() {
    let plain = Fixture::new();
    let fitted = fixture();
    let image = plain.image("a.png", 40, 30, 5);
    let [without, with] = [&plain, &fitted].map(|fixture| {
        let mut classify = fixture.command("classify");
        classify.args(["--json", "--top", "5"]).arg(&image);
        probabilities(&under(&mut classify, "r3").code(0).json()[1])
    });
    let classes = |top: &[(u64, f64)]| top.iter().map(|(class, _)| *class).collect::<Vec<_>>();
    assert_eq!(classes(&without), classes(&with));
    // A softmax at another temperature is a power of the first, normalized again.
    let powers: Vec<f64> = without.iter().map(|(_, p)| p.powf(1.0 / 2.5)).collect();
    let sum: f64 = powers.iter().sum();
    for ((_, found), power) in with.iter().zip(powers) {
        assert!((found - power / sum).abs() < 1e-5, "{with:?}, {without:?}");
    }
}

#[test]
fn any_number_of_classes_may_be_right() {
    let model = ModelConfig {
        score_kind: ScoreKind::Sigmoid,
        ..config()
    };
    // Random weights under which two classes are likely.
    let of = |config: &ModelConfig| Fixture::with(&testing::writer(config, &[0, 3], 8));
    let (softmax, fixture) = (of(&config()), of(&model));
    let mut counts = Vec::new();
    for seed in 0..12 {
        let image = fixture.image("a.png", 40, 30, seed);
        let top = |fixture: &Fixture, arguments: &[&str]| {
            let mut classify = fixture.command("classify");
            let finished = finish(classify.arg("--json").args(arguments).arg(&image)).code(0);
            assert_eq!(events(&finished.json()), ["start", "frame", "summary"]);
            probabilities(&finished.json()[1])
        };
        let all = top(&softmax, &["--top", "5"]);
        let named = top(&fixture, &[]);
        assert!(named.iter().skip(1).all(|(_, p)| *p >= 0.5), "{named:?}");
        assert!(named.len() == 1 || named[0].1 >= 0.5);
        assert!(named.iter().zip(&all).all(|(named, all)| named.0 == all.0));
        // The two kinds of probability tell the same scores: the odds differ by one factor.
        let odds = |p: f64| p / (1.0 - p);
        if named.len() > 1 {
            let ratio = odds(named[0].1) / odds(named[1].1);
            assert!(
                (ratio / (all[0].1 / all[1].1) - 1.0).abs() < 1e-3,
                "{ratio}"
            );
        }
        assert_eq!(top(&fixture, &["--top", "1"]), named[..1]);
        counts.push(named.len());
    }
    assert!(counts.iter().any(|&count| count > 1), "{counts:?}");
    let shown = finish(mergevit().arg("inspect").arg(fixture.model()))
        .code(0)
        .stdout();
    assert!(
        shown.contains("5 classes, 5 labels, any number of them right"),
        "{shown}"
    );
}
