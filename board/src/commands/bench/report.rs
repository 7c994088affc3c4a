//! What a benchmark found.

use super::cascade::CascadeReport;
use super::check::Check;
use super::latency::Latencies;
use super::preprocessing::Preprocessing;
use super::profile::Profile;
use crate::output::Time;
use crate::telemetry::memory::Resident;
use crate::{model, output};
use mergevit_runtime::Engine;
use serde::Serialize;
use std::fmt;

#[derive(Serialize)]
pub(super) struct Report {
    event: &'static str,
    time: Time,
    architecture: String,
    backend: &'static str,
    /// The GPU; `None` on the processor.
    device: Option<String>,
    threads: usize,
    #[serde(skip)]
    place: String,
    schedule: String,
    /// Tokens per image: those that enter each layer, then those that leave the last.
    tokens: Vec<u16>,
    batch: usize,
    iterations: usize,
    latency_us_min: f64,
    latency_us_p50: f64,
    latency_us_p90: f64,
    latency_us_p99: f64,
    latency_us_max: f64,
    frames_per_second: f64,
    gmac: f64,
    gmac_per_second: f64,
    peak_gmac_per_second: Option<f64>,
    percent_of_peak: Option<f64>,
    #[serde(flatten)]
    preprocessing: Preprocessing,
    pack_bytes: usize,
    arena_bytes: usize,
    resident_bytes: u64,
    resident_anonymous_bytes: u64,
    resident_huge_bytes: u64,
    check: Check,
    #[serde(skip_serializing_if = "Option::is_none")]
    cascade: Option<CascadeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

/// What was measured of an engine.
pub(super) struct Measured {
    pub(super) check: Check,
    pub(super) latencies: Latencies,
    /// Work of a batch.
    pub(super) gmac: f64,
    pub(super) cascade: Option<CascadeReport>,
    pub(super) preprocess: Preprocessing,
    /// Multiply-accumulates per second that the instruction set reaches, where that was measured.
    pub(super) peak: Option<f64>,
    pub(super) resident: Resident,
    pub(super) profile: Option<Profile>,
}

impl Report {
    pub(super) fn new(engine: &Engine, measured: Measured) -> Self {
        let Measured {
            latencies,
            gmac,
            peak,
            resident,
            ..
        } = measured;
        let plan = engine.plan();
        let median = latencies.quantile_us(0.5);
        let gmac_per_second = output::ratio(gmac, median / 1e6);
        let frames = (latencies.count() * plan.batch()) as f64;
        Self {
            event: "bench",
            time: Time::now(),
            architecture: engine.pack().config().architecture.clone(),
            backend: engine.backend(),
            device: engine.device().map(String::from),
            threads: engine.threads(),
            place: model::place(engine),
            schedule: model::chosen(engine).into(),
            tokens: plan.tokens().to_vec(),
            batch: plan.batch(),
            iterations: latencies.count(),
            latency_us_min: latencies.quantile_us(0.0),
            latency_us_p50: median,
            latency_us_p90: latencies.quantile_us(0.9),
            latency_us_p99: latencies.quantile_us(0.99),
            latency_us_max: latencies.quantile_us(1.0),
            frames_per_second: output::ratio(frames, latencies.seconds()),
            gmac,
            gmac_per_second,
            peak_gmac_per_second: peak.map(|peak| peak / 1e9),
            percent_of_peak: peak.map(|peak| 100.0 * gmac_per_second * 1e9 / peak),
            preprocessing: measured.preprocess,
            pack_bytes: engine.pack().len(),
            arena_bytes: engine.arena_bytes(),
            resident_bytes: resident.total,
            resident_anonymous_bytes: resident.anonymous,
            resident_huge_bytes: resident.huge,
            check: measured.check,
            cascade: measured.cascade,
            profile: measured.profile,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = output::microseconds;
        if let Some(profile) = &self.profile {
            writeln!(f, "{profile}")?;
        }
        let peak = match (self.percent_of_peak, self.peak_gmac_per_second) {
            (Some(percent), Some(peak)) => format!(", {percent:.1} % of {peak:.0}"),
            _ => String::new(),
        };
        writeln!(f, "model       {}, batch {}", self.architecture, self.batch)?;
        writeln!(f, "backend     {}", self.place)?;
        writeln!(
            f,
            "schedule    {}: {}",
            self.schedule,
            output::arrows(&self.tokens)
        )?;
        if let Some(cascade) = &self.cascade {
            write!(f, "{cascade}")?;
        }
        writeln!(f, "check       {}", self.check)?;
        writeln!(
            f,
            "latency     p50 {}  p90 {}  p99 {}  min {}  max {}  ({} runs)",
            time(self.latency_us_p50),
            time(self.latency_us_p90),
            time(self.latency_us_p99),
            time(self.latency_us_min),
            time(self.latency_us_max),
            self.iterations
        )?;
        writeln!(f, "throughput  {:.1} frames/s", self.frames_per_second)?;
        writeln!(
            f,
            "work        {:.3} GMAC per batch, {:.0} GMAC/s{peak}",
            self.gmac, self.gmac_per_second
        )?;
        writeln!(
            f,
            "preprocess  {} for a {}x{} NV12 frame",
            time(self.preprocessing.preprocess_us_p50),
            self.preprocessing.preprocess_width,
            self.preprocessing.preprocess_height
        )?;
        writeln!(
            f,
            "memory      {} resident ({} not backed by the file, {} in huge pages), pack {}, arena {}",
            output::bytes(self.resident_bytes),
            output::bytes(self.resident_anonymous_bytes),
            output::bytes(self.resident_huge_bytes),
            output::bytes(self.pack_bytes as u64),
            output::bytes(self.arena_bytes as u64)
        )
    }
}
