//! Video devices as the kernel describes them, and what they offer.

use crate::output::Escaped;
use crate::sources::{self, Offers};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Camera {
    device: PathBuf,
    name: Option<String>,
    /// Which node of its device this is: a webcam's second node carries metadata, not frames.
    index: Option<u32>,
    /// What it offers; `None` without camera support, or where it does not say.
    offers: Option<Offers>,
    /// Why `run` cannot use it.
    refusal: Option<String>,
}

impl fmt::Display for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("unknown");
        write!(f, "{}  {}", self.device.display(), Escaped(name))?;
        match self.index {
            Some(index) if index > 0 => write!(f, " (node {index}, likely metadata)")?,
            _ => {}
        }
        match &self.refusal {
            Some(refusal) => write!(f, ": {}", Escaped(refusal)),
            None => Ok(()),
        }
    }
}

impl Camera {
    /// What it offers, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let Some(offers) = &self.offers else {
            return Vec::new();
        };
        let offered = offers.offers.iter().map(|offer| format!("  {offer}"));
        let chosen = offers.chosen.iter().map(|offer| {
            format!("  run takes {offer} for an input of 224 pixels, unless told otherwise")
        });
        offered.chain(chosen).collect()
    }
}

pub(super) fn list() -> Vec<Camera> {
    let mut cameras = list_at(Path::new("/dev"), Path::new("/sys/class/video4linux"));
    for camera in &mut cameras {
        match sources::offers(&camera.device) {
            Ok(offers) => camera.offers = offers,
            Err(refusal) => camera.refusal = Some(refusal),
        }
    }
    cameras
}

fn list_at(devices: &Path, classes: &Path) -> Vec<Camera> {
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("video")?
                .parse()
                .ok()
        })
        .collect();
    numbers.sort_unstable();
    let camera = |number| {
        let node = format!("video{number}");
        let read = |name: &str| fs::read_to_string(classes.join(&node).join(name)).ok();
        Camera {
            name: read("name").map(|name| name.trim().into()),
            index: read("index").and_then(|index| index.trim().parse().ok()),
            device: devices.join(&node),
            offers: None,
            refusal: None,
        }
    };
    numbers.into_iter().map(camera).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Offer;

    #[test]
    fn devices_are_named_by_the_kernel() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let (devices, classes) = (root.path().join("dev"), root.path().join("sys"));
        assert_eq!(list_at(&devices, &classes), []);
        fs::create_dir_all(classes.join("video2")).expect("a folder");
        fs::create_dir_all(&devices).expect("a folder");
        for device in ["video10", "video2", "video", "videoX", "null"] {
            fs::write(devices.join(device), "").expect("a file");
        }
        fs::write(classes.join("video2/name"), "A \x1b[31mWebcam\n").expect("a file");
        fs::write(classes.join("video2/index"), "1\n").expect("a file");
        let mut cameras = list_at(&devices, &classes);
        let lines: Vec<_> = cameras.iter().map(ToString::to_string).collect();
        let device = |name: &str| devices.join(name).display().to_string();
        assert_eq!(
            lines,
            [
                format!(
                    "{}  A \\u{{1b}}[31mWebcam (node 1, likely metadata)",
                    device("video2")
                ),
                format!("{}  unknown", device("video10")),
            ]
        );
        let offer = |rates: &[f64]| Offer {
            format: "yuyv".into(),
            width: 640,
            height: 480,
            rates: rates.into(),
        };
        cameras[0].offers = Some(Offers {
            offers: vec![offer(&[30.0, 7.5]), offer(&[])],
            chosen: Some(offer(&[30.0])),
        });
        let lines = cameras[0].lines();
        let taken = "  run takes yuyv 640x480 at 30 frames/s for an input of 224 pixels, unless told otherwise";
        assert_eq!(
            lines,
            [
                "  yuyv 640x480 at 30, 7.5 frames/s",
                "  yuyv 640x480",
                taken
            ]
        );
        cameras[1].refusal = Some("cannot open".into());
        assert!(cameras[1].to_string().ends_with("unknown: cannot open"));
    }
}
