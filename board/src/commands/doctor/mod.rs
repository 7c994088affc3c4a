//! `mergevit doctor`: what this machine offers, and which backends can use it.

mod cameras;
mod cpu;
mod cuda;

use crate::failure::Failure;
use crate::output;
use crate::output::Time;
use crate::sensors::{Sensors, View, jetson};
use crate::telemetry::memory;
use mergevit_runtime::backends;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    event: &'static str,
    time: Time,
    version: &'static str,
    cpu: cpu::Cpu,
    memory_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    backends: Vec<Backend>,
    cuda: cuda::Cuda,
    jetson: Option<jetson::Jetson>,
    sensors: View<'a>,
    camera_support: bool,
    cameras: Vec<cameras::Camera>,
}

#[derive(Serialize)]
struct Backend {
    name: &'static str,
    available: bool,
    /// Why it is not available.
    refusal: Option<String>,
    /// Whether it runs by default.
    chosen: bool,
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let memory = memory::machine();
    let cuda = cuda::probe();
    let root = Path::new(jetson::ROOT);
    let mut sensors = Sensors::open(root);
    let reading = sensors.measure();
    let report = Report {
        event: "doctor",
        time: Time::now(),
        version: env!("CARGO_PKG_VERSION"),
        cpu: cpu::probe(),
        memory_bytes: memory.map(|(total, _)| total),
        memory_available_bytes: memory.map(|(_, available)| available),
        backends: list_backends(&cuda),
        cuda,
        jetson: jetson::probe(root),
        sensors: View {
            names: sensors.names(),
            reading: &reading,
        },
        camera_support: cfg!(feature = "camera"),
        cameras: cameras::list(),
    };
    if args.json {
        output::print_json(&report)
    } else {
        output::print(&text(&report))
    }
}

fn list_backends(cuda: &cuda::Cuda) -> Vec<Backend> {
    let mut chosen = false;
    let mut devices = 0..;
    let known = backends().map(|backend| {
        let device = match backend.name.starts_with("cuda") {
            true => devices.next(),
            false => None,
        };
        let refusal = device.and_then(|device| cuda.refusal(device));
        let refusal = refusal.map(String::from).or(backend.refusal);
        let best = refusal.is_none() && !chosen;
        chosen |= best;
        Backend {
            name: backend.name,
            available: refusal.is_none(),
            refusal,
            chosen: best,
        }
    });
    known.collect()
}

fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<13} {value}");
    };
    line("mergevit", report.version);
    line("processor", &report.cpu.model);
    let cores = format!("{} usable, {}", report.cpu.threads, report.cpu.architecture);
    line("threads", &cores);
    line("instructions", &report.cpu.instruction_sets.join(" "));
    if let (Some(total), Some(available)) = (report.memory_bytes, report.memory_available_bytes) {
        let (total, available) = (output::bytes(total), output::bytes(available));
        line("memory", &format!("{total}, {available} available"));
    }
    for backend in &report.backends {
        let state = match (&backend.refusal, backend.chosen) {
            (Some(refusal), _) => format!("refused: {refusal}"),
            (None, true) => "available, chosen unless --backend names another".into(),
            (None, false) => "available".into(),
        };
        line("backend", &format!("{:<18} {state}", backend.name));
    }
    for value in report.cuda.lines() {
        line("cuda", &value);
    }
    match &report.jetson {
        Some(jetson) => jetson
            .lines()
            .iter()
            .for_each(|value| line("jetson", value)),
        None => line("jetson", "not a Jetson"),
    }
    for value in report.sensors.lines() {
        line("sensors", &value);
    }
    if report.cameras.is_empty() {
        line("camera", "no /dev/video* device");
    }
    for camera in &report.cameras {
        line("camera", &camera.to_string());
        camera.lines().iter().for_each(|value| line("", value));
    }
    let support = match report.camera_support {
        true => "V4L2 cameras are built in",
        false => "built without V4L2 cameras; `--features camera` adds them",
    };
    line("sources", support);
    text
}
