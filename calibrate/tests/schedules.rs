//! `pack` chooses schedules, cascades and temperatures on held-out images, and `evaluate` finds what it promised.

mod common;

use common::{data, run, set, succeed};
use flate2::read::GzDecoder;
use mergevit_runtime::{Pack, Plan, Schedule, ScoreKind};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Packs the garments with `more` arguments, and returns what was said.
fn pack(folder: &Path, more: &str) -> String {
    let checkpoint = data("garments").display().to_string();
    let output = run(
        folder,
        &format!("pack --checkpoint {checkpoint} --output %m.mvit --limit 32 {more}"),
    );
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{more}: {errors}");
    errors
}

fn open(folder: &Path) -> Pack {
    Pack::open(&folder.join("m.mvit")).unwrap()
}

/// Multiply-accumulates of one image.
fn macs(pack: &Pack, schedule: &Schedule) -> f64 {
    let plan = Plan::new(pack.config(), schedule, 1).unwrap();
    plan.cost().macs as f64
}

#[test]
fn searched_schedules_cost_what_their_names_say_and_a_cascade_keeps_its_promise() {
    let folder = tempfile::tempdir().unwrap();
    let images = set("calibration");
    let args = format!(
        "--images {images} --merge auto --gmac 0.7 --choose-limit 100 --validate-limit 60 --agreement 98 \
         --json %p.json --report %p.html"
    );
    let said = pack(folder.path(), &args);
    let own = open(folder.path());
    let schedules = own.schedules();
    let names: Vec<_> = schedules.iter().map(|own| own.name.as_str()).collect();
    assert_eq!(
        names[..4],
        ["r0", "auto-88.8", "auto-81.3", "auto-70"],
        "{said}"
    );
    for (schedule, share) in schedules[1..].iter().zip([0.8875, 0.8125, 0.7]) {
        let found = macs(&own, schedule) / macs(&own, &schedules[0]);
        assert!(found <= share && found > share - 0.02, "{found} {share}");
        let effect = schedule.merging.as_ref().unwrap();
        assert_eq!(effect.images, 60);
        assert!(effect.agreement.unwrap() > 0.9 && effect.signal_to_noise_db.unwrap() > 5.0);
        assert!(said.contains(&schedule.name));
    }
    assert!(schedules[0].merging.is_none());
    // The set's labels are the model's classes.
    for schedule in schedules {
        let confidence = schedule.confidence.as_ref().unwrap();
        assert_eq!(confidence.images, 60);
        assert!(
            (0.3..3.0).contains(&confidence.temperature),
            "{confidence:?}"
        );
    }
    let cascade = &own.cascades()[0];
    assert_eq!(
        (cascade.name.as_str(), cascade.then.as_str()),
        ("cascade", "r0")
    );
    assert_eq!((cascade.images, cascade.wanted_agreement), (60, 0.98));
    assert!(cascade.agreement > 0.9 && cascade.second_runs < 0.5);

    check_report(folder.path(), &own);
    evaluate(folder.path(), &own);
}

/// The report of the pack shows what the search saw, measured on what it chose with.
fn check_report(folder: &Path, own: &Pack) {
    let text = fs::read_to_string(folder.join("p.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["pack_hash"], own.hash());
    assert_eq!(
        (&report["images"], &report["labelled"]),
        (&60.into(), &60.into())
    );
    assert_eq!(report["front_basis"]["images"], 100);
    assert_eq!(report["front_basis"]["reference"], "INT8 without merging");
    let points = report["front"].as_array().unwrap();
    let point = |name: &str| points.iter().find(|own| own["name"] == name).unwrap();
    for schedule in own.schedules() {
        let found = point(&schedule.name)["gmac"].as_f64().unwrap();
        assert!((found - macs(own, schedule) / 1e9).abs() < 1e-9);
    }
    assert!(point("auto-70")["chosen"].as_bool().unwrap());
    // Those that came close are there, too, and are not in the pack.
    assert!(points.iter().any(|own| own["chosen"] == false));
    let page = fs::read_to_string(folder.join("p.html")).unwrap();
    assert!(page.contains("auto-81.3"));
}

/// The row of the cascade says what the runs of its schedules say.
fn evaluate(folder: &Path, own: &Pack) {
    let (checkpoint, images) = (data("garments").display().to_string(), set("test"));
    let args = format!("evaluate --model %m.mvit --images {images} --limit 64 --schedule cascade");
    succeed(
        folder,
        &format!("{args} --checkpoint {checkpoint} --json %r.json"),
    );
    let text = fs::read_to_string(folder.join("r.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let row = &report["cascades"][0];
    let again = row["second_runs"].as_f64().unwrap();
    let schedules = report["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 2);
    let gmac = |name: &Value| {
        let found = schedules.iter().find(|own| own["name"] == *name).unwrap();
        found["gmac"].as_f64().unwrap()
    };
    let expected = gmac(&row["first"]) + again * gmac(&row["then"]);
    assert!((row["gmac"].as_f64().unwrap() - expected).abs() < 1e-9);
    assert!(row["agreement_then"].as_f64().unwrap() >= 0.9);
    for schedule in schedules {
        assert!(schedule["signal_to_noise_db"].as_f64().unwrap() > 5.0);
        assert!(schedule["ece"].as_f64().unwrap() < 0.2);
        let name = schedule["name"].as_str().unwrap();
        let stored = own.schedules().iter().find(|own| own.name == name);
        let stored = f64::from(stored.unwrap().temperature());
        assert_eq!(schedule["temperature"].as_f64(), Some(stored));
    }
}

#[test]
fn a_schedule_that_loses_too_much_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let images = set("calibration");
    let args = format!("--images {images} --merge 0,60 --choose-limit 8 --validate-limit 40");
    let said = pack(folder.path(), &args);
    let own = open(folder.path());
    let agreement = own.schedules()[1].merging.as_ref().unwrap().agreement;
    assert!(agreement.unwrap() < 0.988, "{agreement:?}");
    for what in [
        "warning: merging loses more than it should",
        "r60 keeps",
        "of 40 decisions",
        "--merge auto",
        "--agreement",
        // Eight images are too few for a temperature.
        "no temperature is fitted: 8 images with a label, expected 30 or more",
    ] {
        assert!(said.contains(what), "no {what:?} in {said}");
    }
    assert!(own.schedules().iter().all(|own| own.confidence.is_none()));
}

/// How sure answers may be depends on how often each class occurs: a set without one of them tells the wrong temperature.
#[test]
fn a_set_that_lacks_a_class_tells_no_temperature() {
    let folder = tempfile::tempdir().unwrap();
    let packed = File::open(data("fashion-mnist/calibration-labels.idx1.gz")).unwrap();
    let mut labels = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut labels).unwrap();
    // Behind a header of 8 bytes: what was the last class is called the first.
    let last = labels[8..].iter_mut().filter(|label| **label == 9);
    last.for_each(|label| *label = 0);
    let path = folder.path().join("labels.idx1");
    fs::write(&path, labels).unwrap();
    let images = data("fashion-mnist/calibration-images.idx3.gz");
    let args = format!(
        "--images idx:{},{} --choose-limit 60 --validate-limit 40",
        images.display(),
        path.display()
    );
    let said = pack(folder.path(), &args);
    let expected = "no temperature is fitted: the set has images of 9 of the 10 classes only";
    assert!(said.contains(expected), "{said}");
    let own = open(folder.path());
    assert!(own.schedules()[0].confidence.is_none());
}

#[test]
fn without_labels_and_without_merging_nothing_is_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let images = data("fashion-mnist/calibration-images.idx3.gz");
    let said = pack(
        folder.path(),
        &format!("--images idx:{} --multi-label", images.display()),
    );
    let own = open(folder.path());
    assert_eq!(own.config().score_kind, ScoreKind::Sigmoid);
    assert!(own.schedules()[0].confidence.is_none());
    assert!(
        !said.contains("answering") && !said.contains("temperature"),
        "{said}"
    );
}

#[test]
fn latency_on_this_machine_and_on_a_module_can_be_the_cost() {
    let folder = tempfile::tempdir().unwrap();
    let images = data("fashion-mnist/calibration-images.idx3.gz");
    // On the module this small model waits for launches and the processor more than for what merging saves.
    for (target, percent) in [("this-machine", 90), ("orin-nano-super", 95)] {
        let args = format!(
            "--images idx:{} --merge auto --target {target} --latency 0.{percent} --choose-limit 4 --validate-limit 4 \
             --agreement 75",
            images.display()
        );
        pack(folder.path(), &args);
        let own = open(folder.path());
        assert_eq!(
            own.schedules()[3].name,
            format!("auto-{percent}"),
            "{target}"
        );
        assert!(!own.schedules()[3].is_unmerged());
    }
}
