//! `mergevit classify`: classifies image files, one line each.

use crate::answer::Answer;
use crate::args::{ClassArgs, ModelArgs};
use crate::cascade::{Decision, Schedule, SecondRuns};
use crate::failure::Failure;
use crate::file_name::FileName;
use crate::output::Time;
use crate::records::{ErrorRecord, FrameRecord};
use crate::sources::{OpenError, list_images};
use crate::{model, output, start};
use mergevit_kernels::frame::MAX_SIDE;
use mergevit_runtime::Engine;
use mergevit_runtime::image::{self, Rgb};
use mergevit_runtime::words::Count;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit classify -m model.mvit --top 1 photo.png other.jpg\n\
                        \x20 mergevit classify -m model.mvit --json photos/\n\
                        \x20 curl https://example.org/photo.jpg | mergevit classify -m model.mvit -")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG, JPEG, WebP or BMP files, folders of them (not their sub-folders), or '-' for one on standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    classes: ClassArgs,
    /// Print one JSON object per line: the start, each image or what is wrong with it, then a summary
    #[arg(long)]
    json: bool,
}

/// All images.
#[derive(Debug, Serialize)]
struct Summary {
    event: &'static str,
    time: Time,
    frames: u64,
    /// Images that could not be used.
    errors: u64,
    #[serde(flatten)]
    second_runs: SecondRuns,
}

/// Stands for standard input.
const STANDARD_INPUT: &str = "-";

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let mut engine = model::load(&args.model, 1, (MAX_SIDE, MAX_SIDE))?;
    let labels = model::labels(&args.classes, &engine)?;
    start::announce("classify", &engine, None, args.json)?;
    let answer = model::answer(&args.classes, &engine);
    let second_runs = engine.cascade().map(|_| 0);
    let mut classifier = Classifier {
        model: &args.model,
        engine: &mut engine,
        labels,
        answer,
        json: args.json,
        frames: 0,
        errors: 0,
        second_runs,
    };
    for path in &args.images {
        if path.as_os_str() == STANDARD_INPUT {
            let image = image::decode_reader(io::stdin().lock());
            classifier.classify(path, image.map_err(|why| format!("standard input: {why}")))?;
            continue;
        }
        match images(path) {
            Ok(images) => {
                for path in &images {
                    let image = image::decode(path);
                    classifier.classify(path, image.map_err(|why| why.to_string()))?;
                }
            }
            Err(why) => classifier.fail(path, &why.to_string())?,
        }
    }
    classifier.finish()
}

/// The images of a folder, of which there must be one; or `path` itself, whatever it is.
fn images(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let images = list_images(path)?;
    match images.is_empty() {
        true => Err(OpenError::NoImages {
            folder: path.into(),
        }),
        false => Ok(images),
    }
}

/// Classifies images one after the other, and prints what comes of them.
struct Classifier<'a> {
    model: &'a ModelArgs,
    engine: &'a mut Engine,
    labels: Vec<String>,
    answer: Answer,
    json: bool,
    frames: u64,
    errors: u64,
    /// Images that ran twice; `None` without a cascade.
    second_runs: Option<u64>,
}

impl Classifier<'_> {
    /// Classifies one image, if it could be read. Fails where standard output does.
    fn classify(&mut self, path: &Path, image: Result<Rgb, String>) -> Result<(), Failure> {
        let image = match image {
            Ok(image) => image,
            Err(reason) => return self.fail(path, &reason),
        };
        let begin = Instant::now();
        let output = match self.engine.classify(&[image.frame()]) {
            Ok(output) => output,
            Err(error) => return self.fail(path, &format!("{}: {error}", path.display())),
        };
        let latency_us = begin.elapsed().as_secs_f64() * 1e6;
        self.answer.take(&output, 0);
        model::check(self.model, self.engine)?;
        let decision = Decision::of(self.engine, &self.answer);
        if let Some(second_runs) = &mut self.second_runs {
            *second_runs += u64::from(self.answer.is_second_run());
        }
        let file = FileName::from(path);
        let record = FrameRecord {
            event: "frame",
            time: Time::now(),
            frame: self.frames,
            file: Some(&file),
            answer: self.answer.view(&self.labels),
            decision,
            latency_us,
        };
        self.frames += 1;
        if self.json {
            return output::print_json(&record);
        }
        let latency = output::microseconds(latency_us);
        let schedule = Schedule(decision);
        output::print(&format!(
            "{file}: {}  ({latency}{schedule})\n",
            record.answer
        ))
    }

    /// Reports what has no class, and why.
    fn fail(&mut self, path: &Path, reason: &str) -> Result<(), Failure> {
        self.errors += 1;
        output::error(&format_args!("error: {reason}"));
        if self.json {
            let file = FileName::from(path);
            output::print_json(&ErrorRecord::new(Some(&file), reason))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        let Self { frames, errors, .. } = self;
        let images = frames + errors;
        let second_runs = SecondRuns::new(self.second_runs, frames);
        if self.json {
            output::print_json(&Summary {
                event: "summary",
                time: Time::now(),
                frames,
                errors,
                second_runs,
            })?;
        } else if self.second_runs.is_some() {
            output::note(&format!("{}{second_runs}", Count(frames, "image")));
        }
        if errors == 0 {
            return Ok(());
        }
        if images > 1 {
            output::error(&format_args!("{errors} of {images} images failed"));
        }
        Err(Failure::Reported)
    }
}
