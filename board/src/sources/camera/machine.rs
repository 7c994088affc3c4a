//! The video devices of this machine.

use super::driver::{Driver, Hardware, System};
use super::v4l2::VideoDevice;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// This machine's devices, or those of a folder that stands for its root.
pub(super) struct Machine {
    root: PathBuf,
}

impl Machine {
    /// `/`, or what stands for it in a test.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }
}

impl System for Machine {
    fn open(&self, device: &Path) -> io::Result<Box<dyn Driver>> {
        Ok(Box::new(VideoDevice::open(device)?))
    }

    fn devices(&self) -> Vec<PathBuf> {
        let folder = self.root.join("dev");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut numbers: Vec<u32> = entries
            .filter_map(|entry| entry.file_name().to_str().and_then(number))
            .collect();
        numbers.sort_unstable();
        let device = |number| folder.join(format!("video{number}"));
        numbers.into_iter().map(device).collect()
    }

    /// From sysfs, as udev does for `/dev/v4l/by-id`, which containers lack. A name there without a serial number is
    /// that of a model, of which there may be two.
    fn hardware(&self, device: &Path) -> Hardware {
        // A name in /dev/v4l is a link.
        let node = device.canonicalize().unwrap_or_else(|_| device.into());
        let Some(name) = node.file_name() else {
            return Hardware::default();
        };
        let folder = self.root.join("sys/class/video4linux").join(name);
        let read = |path: &str| {
            let text = fs::read_to_string(folder.join(path)).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Hardware {
            // The interface's device is its USB port; the serial number is the whole device's.
            serial: read("device/../serial"),
            index: read("index").and_then(|index| index.parse().ok()),
        }
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The number in `video7`.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix("video")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn serial_numbers_are_the_usb_devices() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| root.path().join(path);
        for folder in ["dev/v4l/by-id", "usb/1-1/1-1:1.0", "platform/isp"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for (node, device) in [("video2", "usb/1-1/1-1:1.0"), ("video10", "platform/isp")] {
            let class = at("sys/class/video4linux").join(node);
            fs::create_dir_all(&class).expect("a folder");
            symlink(at(device), class.join("device")).expect("a link");
            fs::write(class.join("index"), "1\n").expect("a file");
            fs::write(at("dev").join(node), "").expect("a file");
        }
        fs::write(at("usb/1-1/serial"), " A1B2 \n").expect("a file");
        for other in ["video", "videos3", "null"] {
            fs::write(at("dev").join(other), "").expect("a file");
        }
        symlink("../../video2", at("dev/v4l/by-id/usb-cam")).expect("a link");

        let machine = Machine::new(root.path());
        let devices = [at("dev/video2"), at("dev/video10")];
        assert_eq!(machine.devices(), devices);
        let known = Hardware {
            serial: Some("A1B2".into()),
            index: Some(1),
        };
        assert_eq!(machine.hardware(&devices[0]), known);
        assert_eq!(machine.hardware(&at("dev/v4l/by-id/usb-cam")), known);
        assert_eq!(machine.hardware(&devices[1]).serial, None);
        assert_eq!(machine.hardware(Path::new("/nowhere")), Hardware::default());
    }
}
