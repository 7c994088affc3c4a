//! Clock and load of a Jetson's GPU.

use super::files::{Number, entries, is_named};
use std::path::{Path, PathBuf};

/// Names under which JetPack has had GPUs among the devices whose frequency scales: `17000000.gpu` (6, 7),
/// `17000000.ga10b` (5), `17000000.gv11b` (Xavier), `17000000.gp10b` (TX2).
const NAMES: [&str; 4] = ["gpu", "ga10b", "gv11b", "gp10b"];

/// A GPU whose frequency scales.
#[derive(Debug, Default)]
pub(super) struct Gpu {
    clock: Option<Number>,
    /// Thousandths.
    load: Option<Number>,
}

impl Gpu {
    /// The first that is there.
    pub(super) fn find(root: &Path) -> Self {
        let folder = folders(root).into_iter().next();
        let open = |file: &str| Number::open(&folder.as_ref()?.join(file));
        Self {
            clock: open("cur_freq"),
            load: open("device/load"),
        }
    }

    /// In hertz.
    pub(super) fn clock(&self) -> Option<u64> {
        self.clock.as_ref()?.count()
    }

    /// As a share, 0..=1.
    pub(super) fn load(&self) -> Option<f64> {
        let load = self.load.as_ref()?.count()?;
        (load <= 1000).then_some(load as f64 / 1e3)
    }
}

/// The folders of the GPUs among the devices whose frequency scales.
pub(super) fn folders(root: &Path) -> Vec<PathBuf> {
    let mut devices = entries(&root.join("sys/class/devfreq"));
    devices.retain(|device| is_named(device, |name| NAMES.iter().any(|gpu| name.contains(gpu))));
    devices
}
