//! What the command line says of a run.

use crate::args::{self, ClassArgs, ModelArgs};
use crate::failure::Failure;
use crate::governor::Goals;
use crate::live::{Consensus, MAX_IMAGES, Model, Region, Rules, Sensing, Settings};
use crate::sources::{Source, SourceArgs, SourceSpec};
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit run -m model.mvit -s v4l2:/dev/video0 --size 1280x720\n\
                        \x20 mergevit run -m model.mvit -s file:photos/ --json\n\
                        \x20 ffmpeg -i film.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | mergevit run -m model.mvit -s y4m:-")]
pub(crate) struct Args {
    /// Take flags from the table [run] of a TOML file; those on the command line win. What --page and --mqtt start has
    /// tables of its own there, [page] and [mqtt]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// v4l2:DEVICE, file:FOLDER-OR-IMAGE, y4m:PATH, mjpeg:PATH or raw:FORMAT:WIDTHxHEIGHT:PATH, where PATH '-' is
    /// standard input and FORMAT is rgb, bgr, grey, yuyv, uyvy, nv12, nv21 or i420; several times for several sources
    #[arg(long, short, required = true, value_name = "SOURCE", value_parser = OsStringValueParser::new().try_map(|text| Named::parse(&text)))]
    pub(super) source: Vec<Named>,
    /// Stop after N frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_frames: Option<u64>,
    /// Classify at most FPS frames per second
    #[arg(long, value_name = "FPS", value_parser = args::within(0.001..=1e5, "frames per second"))]
    pub(super) fps_limit: Option<f64>,
    #[command(flatten)]
    pub(super) sources: SourceArgs,
    #[command(flatten)]
    pub(super) classes: ClassArgs,
    /// Classify this part of each frame in the place of the whole, in pixels from the upper left corner; several times
    /// for several parts
    #[arg(long, value_name = "X,Y,WIDTH,HEIGHT", value_parser = Region::from_str)]
    pub(super) region: Vec<Region>,
    #[command(flatten)]
    pub(super) decisions: DecisionArgs,
    #[command(flatten)]
    pub(super) goal: GoalArgs,
    #[command(flatten)]
    pub(super) service: ServiceArgs,
    /// Print one JSON object per line: each frame, then a summary
    #[arg(long)]
    pub(super) json: bool,
    /// Where the files of sensors are
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub(super) sensors: PathBuf,
    /// Do not abort when the live loop allocates memory (for debugging)
    #[arg(long)]
    pub(super) no_seal: bool,
}

/// A source, and how the command line names it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) spec: SourceSpec,
}

impl Named {
    fn parse(text: &OsStr) -> Result<Self, String> {
        SourceSpec::parse(text).map(|spec| Self {
            name: text.to_string_lossy().into_owned(),
            spec,
        })
    }
}

/// What is decided from several frames.
#[derive(clap::Args, Debug)]
pub(super) struct DecisionArgs {
    /// Least probability of a class that counts, 0 to 1: below it, a source shows nothing
    #[arg(long, value_name = "P", value_parser = args::within(0.0..=1.0f32, "(a probability)"))]
    threshold: Option<f32>,
    /// A source shows what N of its last M frames agree on, and until then what it showed before [default: 1/1]
    #[arg(long, value_name = "N/M", value_parser = Consensus::from_str)]
    consensus: Option<Consensus>,
    /// Call it unknown where the pack knows no such image, or no class reaches --threshold
    #[arg(long)]
    unknown: bool,
    /// Print a line for each change of what a source shows, and none for its frames
    #[arg(long)]
    pub(super) on_change: bool,
    /// Save frames that show nothing or the unknown as PNG files into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(super) save_uncertain: Option<PathBuf>,
    /// Save frames until the folder has N PNG files
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        requires = "save_uncertain"
    )]
    pub(super) save_limit: u64,
}

/// What schedules are chosen for.
#[derive(clap::Args, Debug)]
pub(super) struct GoalArgs {
    /// Hold this many frames per second, by merging more where the board is too slow
    #[arg(long, value_name = "FPS", conflicts_with = "schedule", value_parser = args::within(0.001..=1e5, "frames per second"))]
    target_fps: Option<f64>,
    /// Keep the board at this power or below, by fewer frames and then by merging more
    #[arg(long, value_name = "WATTS", conflicts_with = "schedule", value_parser = args::within(0.1..=1e4, "watts"))]
    power: Option<f64>,
    /// Run no schedule of which the pack says less, 0 to 1: how often its first class is right, or, where that was not
    /// measured, how often it is that of the model without merging
    #[arg(long, value_name = "SHARE", conflicts_with = "schedule", value_parser = args::within(0.0..=1.0, "(a share)"))]
    min_accuracy: Option<f64>,
}

/// Who watches.
#[derive(clap::Args, Debug)]
pub(super) struct ServiceArgs {
    /// Serve programs that watch the run at a Unix socket of this name: they get what --json prints, and pictures
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Start `mergevit page` at this address, and again where it ends
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) page: Option<String>,
    /// The page's --token
    #[arg(long, value_name = "FILE", requires = "page")]
    pub(super) page_token: Option<PathBuf>,
    /// A name for the page's --host; several times for several names
    #[arg(long = "page-host", value_name = "NAME", requires = "page")]
    pub(super) page_hosts: Vec<String>,
    /// Start `mergevit mqtt` with this broker, and again where it ends
    #[arg(long, value_name = "URL")]
    pub(super) mqtt: Option<String>,
    /// The broker's --user
    #[arg(long, value_name = "NAME", requires_all = ["mqtt", "mqtt_password_file"])]
    pub(super) mqtt_user: Option<String>,
    /// The broker's --password-file
    #[arg(long, value_name = "FILE", requires_all = ["mqtt", "mqtt_user"])]
    pub(super) mqtt_password_file: Option<PathBuf>,
}

impl Args {
    /// Refuses options that contradict each other.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let specs: Vec<_> = self.source.iter().map(|source| &source.spec).collect();
        self.sources.check(&specs).map_err(Failure::Usage)?;
        let refuse = |message: String| Err(Failure::Usage(message));
        for (index, source) in self.source.iter().enumerate() {
            if self.source[..index]
                .iter()
                .any(|other| other.name == source.name)
            {
                return refuse(format!("--source {}: given twice", source.name));
            }
        }
        let images = self.source.len() * self.regions_per_frame();
        if images > MAX_IMAGES {
            return refuse(format!(
                "{images} images at a time, of all sources and regions, at most {MAX_IMAGES}"
            ));
        }
        if self.classes.embedding && self.rules().is_some() {
            return refuse("--embedding has no classes to decide by".into());
        }
        let decisions = &self.decisions;
        let is_unsure = decisions.threshold.is_some() || decisions.unknown;
        match decisions.save_uncertain.is_some() && !is_unsure {
            true => refuse("--save-uncertain needs --threshold or --unknown".into()),
            false => Ok(()),
        }
    }

    /// Refuses regions that no frame has.
    pub(super) fn check_regions(&self, sources: &[Source]) -> Result<(), Failure> {
        for region in &self.region {
            for (named, source) in self.source.iter().zip(sources) {
                let (width, height) = (source.max_width, source.max_height);
                if !region.touches(width, height) {
                    return Err(Failure::Usage(format!(
                        "--region {}: outside of the frames of {}, {width}x{height}",
                        region.name, named.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses a power that cannot be seen.
    pub(super) fn check_power(&self, sensing: Option<&Sensing>) -> Result<(), Failure> {
        let is_seen = sensing.is_some_and(|sensing| sensing.watts().is_some());
        match self.goal.power.is_some() && !is_seen {
            true => Err(
                Failure::work(&"--power: no sensor says what this machine draws")
                    .hint("`mergevit doctor` lists the sensors that there are"),
            ),
            false => Ok(()),
        }
    }

    /// Refuses what the model cannot do.
    pub(super) fn check_model(&self, model: &Model) -> Result<(), Failure> {
        let DecisionArgs {
            unknown, threshold, ..
        } = self.decisions;
        let can_tell = model.engine.pack().config().unknown;
        match unknown && threshold.is_none() && !can_tell {
            true => Err(Failure::Usage(
                "--unknown: this pack cannot tell what is of none of its classes; --threshold can"
                    .into(),
            )),
            false => Ok(()),
        }
    }

    /// Images of each frame.
    pub(super) fn regions_per_frame(&self) -> usize {
        self.region.len().max(1)
    }

    /// Whether programs watch the run.
    pub(super) fn needs_socket(&self) -> bool {
        let ServiceArgs {
            socket, page, mqtt, ..
        } = &self.service;
        socket.is_some() || page.is_some() || mqtt.is_some()
    }

    /// How states are decided; `None` if they are not.
    fn rules(&self) -> Option<Rules> {
        let DecisionArgs {
            threshold,
            consensus,
            unknown,
            on_change,
            ..
        } = self.decisions;
        let decides = threshold.is_some() || consensus.is_some() || unknown || on_change;
        decides.then(|| Rules {
            threshold,
            unknown,
            consensus: consensus.unwrap_or_default(),
        })
    }

    /// What schedules are chosen for.
    pub(super) fn goals(&self) -> Goals {
        Goals {
            frames_per_second: self.goal.target_fps,
            watts: self.goal.power,
            accuracy: self.goal.min_accuracy,
        }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            max_frames: self.max_frames,
            fps_limit: self.fps_limit,
            regions: self.region.clone(),
            rules: self.rules(),
        }
    }
}
