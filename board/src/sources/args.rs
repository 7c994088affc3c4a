//! Options of the command line that say how sources are read.

use super::encoding::{Encoding, parse_encoding};
use super::names::{parse_color, parse_size};
use super::source::{CameraOptions, SourceOptions};
use super::spec::SourceSpec;
use crate::args::within;
use mergevit_kernels::frame::ColorSpace;
use std::time::Duration;

/// How sources are read.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SourceArgs {
    /// Start again at the end of a file or folder
    #[arg(long = "loop")]
    pub(crate) repeat: bool,
    /// Of a pipe too, take the newest frame, and drop those that there is no time for
    #[arg(long)]
    pub(crate) latest: bool,
    /// Frame size to ask a camera for [default: its smallest that the model needs not enlarge]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    pub(crate) size: Option<(usize, usize)>,
    /// Frames per second to ask a camera for [default: 30]
    #[arg(long, value_name = "FPS", value_parser = within(1.0..=1000.0, "frames per second"))]
    pub(crate) fps: Option<f64>,
    /// Format to ask a camera for: rgb, bgr, grey, yuyv, uyvy, nv12, nv21, i420 or mjpeg [default: whichever is fast
    /// enough at the least cost]
    #[arg(long, value_name = "FORMAT", value_parser = parse_encoding)]
    pub(crate) format: Option<Encoding>,
    /// Wait for a camera that is not plugged in yet
    #[arg(long)]
    pub(crate) wait: bool,
    /// Open a camera again that gives no usable frame for SECONDS [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = within(0.1..=600.0, "seconds"))]
    pub(crate) stall: Option<f64>,
    /// Colour space of YUV frames: bt601, bt601-full, bt709 or bt709-full [default: the source's, or
    /// else bt601]
    #[arg(long, value_name = "NAME", value_parser = parse_color)]
    pub(crate) color: Option<ColorSpace>,
}

impl SourceArgs {
    /// The options for a model whose input is a square of `side` pixels.
    pub(crate) fn options(&self, side: usize) -> SourceOptions {
        let usual = CameraOptions::default();
        SourceOptions {
            repeat: self.repeat,
            color: self.color,
            latest: self.latest,
            camera: CameraOptions {
                least: side,
                fps: self.fps.unwrap_or(usual.fps),
                size: self.size,
                format: self.format,
                wait: self.wait,
                stall: self.stall.map_or(usual.stall, Duration::from_secs_f64),
            },
        }
    }

    /// Refuses options that fit none of the sources.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(crate) fn check(&self, sources: &[&SourceSpec]) -> Result<(), String> {
        let of_cameras = [
            ("--size", self.size.is_some()),
            ("--fps", self.fps.is_some()),
            ("--format", self.format.is_some()),
            ("--wait", self.wait),
            ("--stall", self.stall.is_some()),
        ];
        let given = of_cameras.iter().find(|(_, given)| *given);
        if let Some((name, _)) = given
            && !sources.iter().any(|source| source.is_camera())
        {
            return Err(format!("{name} is for cameras"));
        }
        if self.latest && !sources.iter().any(|source| source.is_stream()) {
            return Err("--latest is for streams: of a camera, the newest frame always wins, of a folder, none".into());
        }
        if self.repeat && sources.iter().any(|source| source.is_once()) {
            return Err("--loop needs frames that can be read again: a file or a folder".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_refused_where_they_mean_nothing() {
        let source = |text: &str| SourceSpec::parse(text.as_ref()).expect("a source");
        let (camera, images, pipe) = (source("v4l2:a"), source("file:a"), source("y4m:-"));
        let sized = SourceArgs {
            size: Some((1, 1)),
            ..SourceArgs::default()
        };
        let latest = SourceArgs {
            latest: true,
            ..SourceArgs::default()
        };
        let repeated = SourceArgs {
            repeat: true,
            ..SourceArgs::default()
        };
        let wait = SourceArgs {
            wait: true,
            ..SourceArgs::default()
        };
        for (args, source, expected) in [
            (&sized, &camera, ""),
            (&sized, &images, "--size is for cameras"),
            (&wait, &pipe, "--wait is for cameras"),
            (&latest, &pipe, ""),
            (&latest, &camera, "--latest is for streams"),
            (&latest, &images, "--latest is for streams"),
            (&repeated, &images, ""),
            (&repeated, &camera, "--loop needs frames"),
            (&repeated, &pipe, "--loop needs frames"),
        ] {
            let result = args.check(&[source]);
            match expected {
                "" => assert_eq!(result, Ok(())),
                _ => assert!(result.expect_err("it fits none").starts_with(expected)),
            }
        }
        // Of several sources, one is enough.
        assert_eq!(sized.check(&[&images, &camera]), Ok(()));
    }
}
