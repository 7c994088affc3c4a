//! The program on the fake CUDA driver of the kernels' tests, which computes nothing: how devices are described
//! and chosen, and that running frames on one does not allocate.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;
#[path = "../../kernels/tests/driver/fake.rs"]
mod fake;

use common::{Fixture, HEIGHT, WIDTH, finish, finish_with_input, mergevit, raw_frames};
use mergevit_kernels::frame::PixelFormat;
use std::process::Command;

/// The program with the fake driver, configured by environment variables.
fn with_driver<'a>(command: &'a mut Command, settings: &[(&str, &str)]) -> &'a mut Command {
    command
        .env("LD_LIBRARY_PATH", fake::folder())
        .envs(settings.iter().copied())
}

#[test]
fn frames_on_a_device_allocate_nothing() {
    let fixture = Fixture::new();
    for (format, name) in [(PixelFormat::Nv12, "nv12"), (PixelFormat::Rgb, "rgb")] {
        let source = format!("raw:{name}:{WIDTH}x{HEIGHT}:-");
        let mut run = fixture.source(&source);
        run.args(["--json", "--backend", "cuda"]);
        let run = with_driver(&mut run, &[]);
        let lines = finish_with_input(run, &raw_frames(format, 40))
            .code(0)
            .json();
        let summary = lines.last().expect("a summary");
        assert_eq!(
            (&summary["frames"], &summary["errors"]),
            (&40.into(), &0.into())
        );
    }
}

#[test]
fn a_device_is_described_and_chosen() {
    let mut doctor = mergevit();
    let doctor = with_driver(doctor.args(["doctor", "--json"]), &[("FAKE_DEVICES", "2")]);
    let report = &finish(doctor).code(0).json()[0];
    assert_eq!(report["cuda"]["driver_version"], "12.6");
    let device = &report["cuda"]["devices"][1];
    assert_eq!(device["name"], "Fake 1");
    assert_eq!(device["compute_capability"], "8.7");
    assert_eq!(device["code"], "sm_87 machine code");
    assert!(device["refusal"].is_null());
    let names = [0, 1].map(|index| &report["backends"][index]["name"]);
    assert_eq!(names, ["cuda", "cuda:1"]);
    assert_eq!(report["backends"][0]["chosen"], true);
}

#[test]
fn what_is_missing_is_said_everywhere() {
    let fixture = Fixture::new();
    for (settings, reason) in [
        (
            [("FAKE_CAPABILITY", "75"), ("FAKE_DEVICES", "1")],
            "Fake 0: compute capability 7.5, expected 8.0 or later",
        ),
        (
            [("FAKE_CAPABILITY", "90"), ("FAKE_VERSION", "11080")],
            "Fake 0: driver for CUDA 11.8, expected 12.0 or later",
        ),
        (
            [("FAKE_CAPABILITY", "87"), ("FAKE_DEVICES", "0")],
            "the NVIDIA driver finds no device",
        ),
        (
            [
                ("FAKE_CAPABILITY", "90"),
                ("FAKE_FAIL", "cuModuleLoadDataEx"),
            ],
            "Fake 0: the driver refuses compute_80 PTX",
        ),
    ] {
        let mut doctor = mergevit();
        let doctor = with_driver(doctor.arg("doctor"), &settings);
        let text = finish(doctor).code(0).stdout();
        assert!(
            text.contains(&format!("refused: {reason}")),
            "{reason}: {text}"
        );
        let mut bench = fixture.command("bench");
        let bench = with_driver(bench.args(["--backend", "cuda"]), &settings);
        finish(bench).fails(&[&format!("backend cuda: {reason}"), "--backend cpu"]);
        // By default the best backend left runs; the start says why the device does not.
        let mut bench = fixture.command("bench");
        bench.args(["--iterations", "1", "--no-check"]);
        let finished = finish(with_driver(&mut bench, &settings)).code(0);
        assert!(finished.stdout().contains("backend     cpu/"));
        assert!(finished.stderr().contains(reason), "{reason}");
    }
}
