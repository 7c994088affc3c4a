//! The command line.

use crate::bench::ModuleName;
use crate::sources::{SourceSpec, parse_color, parse_size};
use clap::{Args, Parser, Subcommand};
use mergevit_kernels::frame::ColorSpace;
use mergevit_kernels::ops::MAX_BATCH;
use mergevit_runtime::limits::MAX_THREADS;
use std::path::PathBuf;
use std::time::Duration;

/// Classifies images and live camera frames with a merged-token INT8 Vision Transformer.
#[derive(Debug, Parser)]
#[command(name = "mergevit", version, about, arg_required_else_help = true)]
#[command(args_override_self = true)]
#[command(after_help = "Start with `mergevit demo`; it needs no files.\n\
                        Exit codes: 0 fine, 1 the work failed, 2 wrong usage.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Classify embedded frames with an embedded model, with and without token merging
    Demo(DemoArgs),
    /// Classify image files, one line per image
    Classify(ClassifyArgs),
    /// Classify the frames of a camera, a folder, a Y4M stream or a raw pipe as they come
    Run(RunArgs),
    /// Check a backend against the reference, then measure it
    Bench(BenchArgs),
    /// Show what a pack holds
    Inspect(InspectArgs),
    /// Show what this machine offers: instruction sets, GPU, cameras, and which backends run
    Doctor(DoctorArgs),
}

/// Which implementation runs, on how many threads.
#[derive(Args, Clone, Debug)]
pub(crate) struct BackendArgs {
    /// Backend: auto, cuda, cpu, reference, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub(crate) backend: String,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Measure on the GPU, for some seconds at the start, which tile shapes are fastest there
    #[arg(long)]
    pub(crate) tune: bool,
}

/// Which model runs, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct ModelArgs {
    /// Pack made by mergevit-calibrate
    #[arg(long, short, value_name = "M.mvit")]
    pub(crate) model: PathBuf,
    /// Merge schedule of the pack [default: its first]
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: Option<String>,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Embedded frames to classify [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) frames: Option<u16>,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    /// One JSON object per line: each frame, then each schedule
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ClassifyArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// PNG or JPEG files
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// Classes to name
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = top)]
    pub(crate) top: usize,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// v4l2:DEVICE, file:FOLDER-OR-IMAGE, y4m:PATH, or raw:FORMAT:WIDTHxHEIGHT:PATH; PATH '-' is standard
    /// input
    #[arg(long, short, value_name = "SOURCE")]
    pub(crate) source: SourceSpec,
    /// Stop after so many frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_frames: Option<u64>,
    /// At most so many frames a second
    #[arg(long, value_name = "FPS", value_parser = rate)]
    pub(crate) fps_limit: Option<f64>,
    /// Start again at the end of a file or folder
    #[arg(long = "loop")]
    pub(crate) repeat: bool,
    /// Size to ask a camera for
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    pub(crate) size: Option<(usize, usize)>,
    /// Colour space of YUV frames: bt601, bt601-full, bt709 or bt709-full [default: what the source says,
    /// else bt601]
    #[arg(long, value_name = "NAME", value_parser = parse_color)]
    pub(crate) color: Option<ColorSpace>,
    /// Classes to name
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = top)]
    pub(crate) top: usize,
    /// One JSON object per line: each frame, then a summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not abort when the loop allocates memory; for debugging
    #[arg(long)]
    pub(crate) no_seal: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Images a batch
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = batch)]
    pub(crate) batch: usize,
    /// Time so many runs [default: as many as --seconds allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) iterations: Option<u32>,
    /// Time runs for so long
    #[arg(long, default_value = "3", value_name = "S", value_parser = seconds, conflicts_with = "iterations")]
    pub(crate) seconds: Duration,
    /// Do not compare with the reference first
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Also show time, work and traffic of each operation
    #[arg(long)]
    pub(crate) profile: bool,
    /// Read counts from standard input, one a line; answer each with so many latencies in microseconds
    #[arg(long, conflicts_with_all = ["profile", "iterations", "json"])]
    pub(crate) serve: bool,
    /// Measure nothing: estimate what the plan takes on a Jetson module
    #[arg(long, value_name = "MODULE", conflicts_with_all = ["profile", "iterations", "seconds", "serve", "backend", "threads"])]
    pub(crate) estimate: Option<ModuleName>,
    /// End with one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// Pack made by mergevit-calibrate
    #[arg(value_name = "M.mvit")]
    pub(crate) pack: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Most classes that a line names.
pub(crate) const MAX_TOP: usize = 100;

fn number<T>(text: &str, expected: &str, holds: impl Fn(&T) -> bool) -> Result<T, String>
where
    T: std::str::FromStr,
{
    let number = text.parse().ok().filter(holds);
    number.ok_or_else(|| format!("expected {expected}"))
}

fn threads(text: &str) -> Result<usize, String> {
    number(text, &format!("1 to {MAX_THREADS}"), |threads| {
        (1..=MAX_THREADS).contains(threads)
    })
}

fn top(text: &str) -> Result<usize, String> {
    number(text, &format!("1 to {MAX_TOP}"), |top| {
        (1..=MAX_TOP).contains(top)
    })
}

fn batch(text: &str) -> Result<usize, String> {
    number(text, &format!("1 to {MAX_BATCH}"), |batch| {
        (1..=MAX_BATCH).contains(batch)
    })
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, "0.001 to 100000 frames a second", |rate| {
        (0.001..=1e5).contains(rate)
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = number(text, "0.01 to 86400 seconds", |seconds| {
        (0.01..=86400.0).contains(seconds)
    })?;
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
