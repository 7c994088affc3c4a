//! Video devices as the kernel describes them; none is opened.

use crate::output::Escaped;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Camera {
    device: PathBuf,
    name: Option<String>,
    /// Which node of its device this is: a webcam's second node carries metadata, not frames.
    index: Option<u32>,
}

impl fmt::Display for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("unknown");
        write!(f, "{}  {}", self.device.display(), Escaped(name))?;
        match self.index {
            Some(index) if index > 0 => write!(f, " (node {index}, likely metadata)"),
            _ => Ok(()),
        }
    }
}

pub(super) fn list() -> Vec<Camera> {
    list_at(Path::new("/dev"), Path::new("/sys/class/video4linux"))
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
        }
    };
    numbers.into_iter().map(camera).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let lines = list_at(&devices, &classes);
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
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
    }
}
