//! Cameras on a real V4L2 driver: the kernel's `vivid` in a small machine, with the seal on. `.ci/vivid/guest.sh` says
//! what runs there.

#![cfg(feature = "camera")]

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::Fixture;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

const RUN: &str = env!("CARGO_MANIFEST_DIR");

/// What ran in the machine, by name.
struct Scenarios(HashMap<String, Value>);

/// What one of them printed.
struct Scenario<'a> {
    name: &'a str,
    code: i64,
    out: &'a str,
    err: &'a str,
}

impl Scenarios {
    /// Boots the machine, and waits until it has turned itself off.
    fn run() -> Self {
        let fixture = Fixture::new();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let linux = target.expect("the target folder").join("vivid/linux");
        let mut machine = Command::new(Path::new(RUN).join("../.ci/vivid/machine.py"));
        machine.arg("--linux").arg(linux);
        machine.args(["--program", env!("CARGO_BIN_EXE_mergevit")]);
        machine.arg("--model").arg(fixture.model());
        machine.arg("--folder").arg(fixture.path("machine"));
        let output = machine.output().expect("python3 is there");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        Self(serde_json::from_slice(&output.stdout).expect("a JSON object"))
    }

    fn get<'a>(&'a self, name: &'a str) -> Scenario<'a> {
        let found = self.0.get(name);
        let found = found.unwrap_or_else(|| panic!("{name}: did not run"));
        let part = |part: &str| found[part].as_str().expect("text");
        let scenario = Scenario {
            name,
            code: found["code"].as_i64().expect("an exit code"),
            out: part("out"),
            err: part("err"),
        };
        assert!(
            !scenario.err.contains("panicked"),
            "{name}: {}",
            scenario.err
        );
        scenario
    }

    /// A run that went well.
    fn run_of<'a>(&'a self, name: &'a str) -> Run<'a> {
        let scenario = self.get(name);
        assert_eq!(scenario.code, 0, "{name}: {}", scenario.err);
        scenario.lines()
    }

    /// A run that failed, and why.
    fn refusal<'a>(&'a self, name: &'a str) -> &'a str {
        let scenario = self.get(name);
        assert_eq!(scenario.code, 1, "{name}: {}", scenario.err);
        scenario.err
    }
}

impl<'a> Scenario<'a> {
    /// Its records, each of which is as the schema says.
    fn lines(self) -> Run<'a> {
        let line = |line: &str| {
            let value = serde_json::from_str(line);
            value.unwrap_or_else(|error| panic!("{}: {line}: {error}", self.name))
        };
        let lines: Vec<Value> = self.out.lines().map(line).collect();
        schema::events(&lines);
        Run {
            name: self.name,
            lines,
            err: self.err,
        }
    }
}

/// The records of a run.
struct Run<'a> {
    name: &'a str,
    lines: Vec<Value>,
    err: &'a str,
}

impl Run<'_> {
    fn of(&self, event: &str) -> Vec<&Value> {
        let lines = self.lines.iter();
        lines.filter(|line| line["event"] == event).collect()
    }

    /// How it described its camera.
    fn source(&self) -> &str {
        self.lines[0]["source"].as_str().expect("a description")
    }

    /// How often the camera was in this state, by the records, of which standard error says the same.
    fn count(&self, status: &str) -> usize {
        let records = self.of("camera");
        let count = records.iter().filter(|line| line["status"] == status);
        let count = count.count();
        let said = self
            .err
            .matches(&format!("/dev/video0: {status}: "))
            .count();
        assert_eq!(count, said, "{}: {status}: {}", self.name, self.err);
        count
    }

    fn numbers(&self, key: &str) -> Vec<u64> {
        let frames = self.of("frame");
        let number = |frame: &&Value| frame.pointer(key).and_then(Value::as_u64);
        frames.iter().filter_map(number).collect()
    }
}

#[test]
#[ignore = "boots a machine: needs QEMU, busybox, v4l2-ctl and an unpacked kernel, which .ci/install brings"]
fn a_real_driver() {
    let scenarios = Scenarios::run();
    doctor(&scenarios);
    modes(&scenarios);
    faults(&scenarios);
    losses(&scenarios);
    coming_and_going(&scenarios);
}

fn doctor(scenarios: &Scenarios) {
    let line: Value = serde_json::from_str(scenarios.get("doctor").out).expect("JSON");
    schema::events(std::slice::from_ref(&line));
    let camera = &line["cameras"][0];
    assert_eq!(
        (&camera["device"], &camera["refusal"]),
        (&"/dev/video0".into(), &Value::Null)
    );
    assert!(
        camera["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("vivid"))
    );
    // For an input of 224 pixels: 320 × 180 is too low.
    let chosen = &camera["offers"]["chosen"];
    let expected =
        serde_json::json!({"format": "nv12", "width": 640, "height": 360, "rates": [30.0]});
    assert_eq!(*chosen, expected);
    let offers = camera["offers"]["offers"].as_array().expect("a list");
    assert!(offers.len() >= 40, "{} sizes of formats", offers.len());
}

fn modes(scenarios: &Scenarios) {
    // The model's input has 32 pixels.
    let default = scenarios.run_of("default");
    assert!(
        default.source().ends_with(", nv12 320x180, 30 frames/s"),
        "{}",
        default.source()
    );
    assert_eq!(default.of("frame").len(), 5);
    let formats = ["nv12", "yuyv", "uyvy", "nv21", "i420", "rgb", "bgr", "grey"];
    for format in formats {
        for size in ["320x180", "640x360"] {
            let name = format!("{format} {size}");
            let run = scenarios.run_of(&name);
            assert!(run.source().contains(&name), "{}", run.source());
            assert_eq!(
                (run.of("frame").len(), run.of("error").len()),
                (3, 0),
                "{name}"
            );
        }
    }
    let large = scenarios.run_of("large");
    assert!(large.source().contains("1280x720"), "{}", large.source());
    let rate = scenarios.run_of("rate");
    assert!(
        rate.source().ends_with(", 15 frames/s"),
        "{}",
        rate.source()
    );
    let refusal = scenarios.refusal("no such size");
    assert!(
        refusal.contains("it offers no frames of 321x181, but nv12 320x180"),
        "{refusal}"
    );
    let refusal = scenarios.refusal("no such format");
    assert!(
        refusal.contains("it offers no frames in mjpeg, but nv12 320x180"),
        "{refusal}"
    );
}

/// After each fault of the driver, the camera streams again.
fn faults(scenarios: &Scenarios) {
    for control in ["inject_vidioc_qbuf_error", "inject_fatal_streaming_error"] {
        let run = scenarios.run_of(control);
        assert_eq!(
            (run.count("lost"), run.count("streaming")),
            (1, 1),
            "{control}"
        );
    }
    for (control, refused) in [
        ("inject_vidioc_reqbufs_error", "cannot map buffers of"),
        ("inject_vidioc_streamon_error", "cannot start"),
    ] {
        let run = scenarios.run_of(control);
        assert_eq!(
            (run.count("lost"), run.count("streaming")),
            (1, 1),
            "{control}"
        );
        assert!(run.count("waiting") >= 1, "{control}");
        assert!(run.err.contains(refused), "{control}: {}", run.err);
    }
    let run = scenarios.run_of("buffer error");
    let damaged = "the driver says that the frame is damaged";
    assert!(run.of("error").iter().any(|line| line["reason"] == damaged));
    assert_eq!((run.count("lost"), run.count("streaming")), (0, 0));
}

fn losses(scenarios: &Scenarios) {
    let run = scenarios.run_of("dropped");
    let dropped: u64 = run.numbers("/dropped/driver").iter().sum();
    assert!(dropped > 0, "half of all frames are dropped");
    let sequence = run.numbers("/sequence");
    let (first, last) = (sequence[0], sequence[sequence.len() - 1]);
    let replaced: u64 = run.numbers("/dropped/replaced").iter().skip(1).sum();
    let driver: u64 = run.numbers("/dropped/driver").iter().skip(1).sum();
    // Every number is accounted for.
    assert_eq!(last - first, 19 + replaced + driver);

    let refusal = scenarios.refusal("all dropped");
    assert!(refusal.contains("no usable frame in 1.0 s"), "{refusal}");

    let sequence = scenarios.run_of("wrapped").numbers("/sequence");
    assert!(
        sequence.is_sorted() && sequence[0] < 1 << 32,
        "{sequence:?}"
    );
    assert!(sequence[sequence.len() - 1] >= 1 << 32, "{sequence:?}");
}

fn coming_and_going(scenarios: &Scenarios) {
    let run = scenarios.run_of("disconnect");
    assert_eq!((run.count("lost"), run.count("streaming")), (100, 100));
    let (before, after) = scenarios
        .get("open files")
        .out
        .trim()
        .split_once(' ')
        .expect("two numbers");
    assert_eq!(before, after);

    let refusal = scenarios.refusal("absent");
    assert!(
        refusal.contains("/dev/video0: cannot open: No such file"),
        "{refusal}"
    );
    let run = scenarios.run_of("wait");
    assert!(
        run.source().contains("waiting for a camera"),
        "{}",
        run.source()
    );
    assert_eq!((run.count("waiting"), run.count("streaming")), (1, 1));
    assert_eq!(run.of("frame").len(), 3);
}
