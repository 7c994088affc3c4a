//! What only a Jetson has: model, L4T release, power mode, clocks.

use super::files::{entries, number, text};
use super::gpu;
use super::power_mode::PowerMode;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Jetson {
    /// E.g. `NVIDIA Jetson Orin Nano Developer Kit`.
    model: String,
    /// First line of `/etc/nv_tegra_release`: the L4T release.
    release: Option<String>,
    #[serde(flatten)]
    power_mode: PowerMode,
    clocks: Vec<Clock>,
}

/// A clock and its limit.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Clock {
    unit: String,
    current_hz: u64,
    max_hz: u64,
}

impl Jetson {
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.model.clone()];
        lines.extend(self.release.clone());
        if self.power_mode.is_known() {
            lines.push(self.power_mode.to_string());
        }
        lines.extend(self.clocks.iter().map(|clock| {
            format!(
                "{} at {} of {} MHz",
                clock.unit,
                clock.current_hz / 1_000_000,
                clock.max_hz / 1_000_000
            )
        }));
        lines
    }
}

/// Where the files are; tests read below a folder of their own.
pub(crate) const ROOT: &str = "/";

/// What this machine is called, if it is a Jetson.
pub(crate) fn model(root: &Path) -> Option<String> {
    let model = text(&root.join("proc/device-tree/model"))?;
    (model.contains("Jetson") || model.contains("NVIDIA")).then_some(model)
}

/// All of it, if this machine is a Jetson.
pub(crate) fn probe(root: &Path) -> Option<Jetson> {
    let model = model(root)?;
    let release = text(&root.join("etc/nv_tegra_release"));
    Some(Jetson {
        model,
        release: release.and_then(|text| text.lines().next().map(Into::into)),
        power_mode: PowerMode::read(root),
        clocks: clocks(root),
    })
}

/// One per cluster of processors, and one per scalable device that is a GPU.
fn clocks(root: &Path) -> Vec<Clock> {
    let policies = entries(&root.join("sys/devices/system/cpu/cpufreq"));
    let processors = policies.iter().filter_map(|policy| {
        let kilohertz = |name: &str| number(&policy.join(name));
        let cores = text(&policy.join("related_cpus"))?;
        Some(Clock {
            unit: format!("processors {cores}"),
            current_hz: kilohertz("scaling_cur_freq")? * 1000,
            max_hz: kilohertz("cpuinfo_max_freq")? * 1000,
        })
    });
    let devices = gpu::folders(root);
    let gpus = devices.iter().filter_map(|device| {
        Some(Clock {
            unit: format!("GPU {}", device.file_name()?.to_str()?),
            current_hz: number(&device.join("cur_freq"))?,
            max_hz: number(&device.join("max_freq"))?,
        })
    });
    processors.chain(gpus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_jetson_is_read_from_its_files() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let put = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        assert_eq!(probe(root.path()), None);
        put(
            "proc/device-tree/model",
            "NVIDIA Jetson Orin Nano Developer Kit\0",
        );
        put(
            "etc/nv_tegra_release",
            "# R36 (release), REVISION: 4.3\nmore\n",
        );
        put("var/lib/nvpmodel/status", "pmode:0002");
        put("etc/nvpmodel.conf", "< POWER_MODEL ID=2 NAME=25W >\n");
        let policy = "sys/devices/system/cpu/cpufreq/policy0";
        put(&format!("{policy}/related_cpus"), "0 1 2 3\n");
        put(&format!("{policy}/scaling_cur_freq"), "729600\n");
        put(&format!("{policy}/cpuinfo_max_freq"), "1728000\n");
        put("sys/class/devfreq/17000000.gpu/cur_freq", "306000000\n");
        put("sys/class/devfreq/17000000.gpu/max_freq", "1020000000\n");
        put("sys/class/devfreq/13e10000.host1x/cur_freq", "1\n");
        let jetson = probe(root.path()).expect("all the files are there");
        assert_eq!(
            jetson.lines(),
            [
                "NVIDIA Jetson Orin Nano Developer Kit",
                "# R36 (release), REVISION: 4.3",
                "power mode 25W (0002)",
                "processors 0 1 2 3 at 729 of 1728 MHz",
                "GPU 17000000.gpu at 306 of 1020 MHz",
            ]
        );
        put("proc/device-tree/model", "Some Other Board\0");
        assert_eq!(probe(root.path()), None);
    }
}
