//! Arguments that several commands share, and numbers within a range.

use crate::ranking::Named;
use mergevit_kernels::cuda::driver::{OpenOptions, Wait};
use mergevit_runtime::limits::MAX_THREADS;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

/// Which implementation runs, on how many threads.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct BackendArgs {
    /// Backend to run on: auto, cuda, cpu, reference, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub(crate) backend: String,
    /// CPU threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = within(1..=MAX_THREADS, "threads"))]
    pub(crate) threads: Option<usize>,
    /// First spend some seconds measuring which tile shapes are fastest on this GPU
    #[arg(long)]
    pub(crate) tune: bool,
    /// While waiting for the GPU, let the CPU `spin`, which answers soonest, or `block`, which saves power
    #[arg(long, default_value = "spin", value_name = "HOW")]
    pub(crate) wait: WaitName,
    /// Use only N multiprocessors of the GPU and leave the rest to other programs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) multiprocessors: Option<u32>,
}

/// What a thread does while it waits for a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WaitName {
    /// Ask again and again
    Spin,
    /// Sleep until the driver wakes it
    Block,
}

impl BackendArgs {
    /// How a GPU is opened.
    pub(crate) fn open(&self) -> OpenOptions {
        OpenOptions {
            wait: match self.wait {
                WaitName::Spin => Wait::Spin,
                WaitName::Block => Wait::Block,
            },
            multiprocessors: self.multiprocessors,
        }
    }
}

/// Which model runs, and how.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ModelArgs {
    /// Pack written by `mergevit-calibrate pack`
    #[arg(long, short, value_name = "M.mvit")]
    pub(crate) model: PathBuf,
    /// Merge schedule or cascade to run [default: the pack's first schedule]
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: Option<String>,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
}

/// What is said of an image.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ClassArgs {
    /// Name at most K classes, most likely first [default: 3; where any number of classes is right, those of at
    /// least 50 %, or the best]
    #[arg(long, value_name = "K", value_parser = within(TOP, "classes"))]
    pub(crate) top: Option<usize>,
    /// Class names in the place of the pack's: one a line, a JSON list, or a config.json with id2label
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Print the image's embedding, as a vector of length 1, in the place of classes
    #[arg(long, conflicts_with_all = ["top", "labels"])]
    pub(crate) embedding: bool,
}

/// Classes that `--top` may ask for. The live loop reserves room for them before it starts.
pub(crate) const TOP: RangeInclusive<usize> = 1..=100;

/// Classes that are named by default where one class is right.
const NAMED: usize = 3;

impl ClassArgs {
    /// Most classes to name.
    pub(crate) fn most(&self, named: Named) -> usize {
        self.top.unwrap_or(match named {
            Named::Best => NAMED,
            Named::Likely => *TOP.end(),
        })
    }
}

/// Parses a number of `unit` (plural, for the message) within `range`.
pub(crate) fn within<T>(
    range: RangeInclusive<T>,
    unit: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: Clone + Display + FromStr + PartialOrd,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected {} to {} {unit}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        let rate = within(0.001..=1e5, "frames per second");
        assert_eq!(rate("30"), Ok(30.0));
        for text in ["0", "-1", "1e6", "nan", "inf", "", "30 fps"] {
            let expected = "expected 0.001 to 100000 frames per second";
            assert_eq!(rate(text), Err(expected.into()), "{text}");
        }
        let top = within(super::TOP, "classes");
        assert_eq!((top("1"), top("100")), (Ok(1), Ok(100)));
        assert_eq!(top("101"), Err("expected 1 to 100 classes".into()));
    }
}
