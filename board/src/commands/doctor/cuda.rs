//! NVIDIA's driver and its devices, if there are any.

use crate::output;
use mergevit_kernels::cuda::driver::{self, DeviceInfo, OpenError};
use serde::Serialize;

#[derive(Default, Serialize)]
pub(super) struct Cuda {
    /// CUDA version of the driver, as `12.6`.
    driver_version: Option<String>,
    devices: Vec<Device>,
    /// Why no device can be used at all.
    error: Option<String>,
}

#[derive(Serialize)]
struct Device {
    name: String,
    /// Compute capability, as `8.7`.
    compute_capability: String,
    multiprocessors: u32,
    shared_bytes_per_block: u32,
    memory_bytes: usize,
    /// Highest clocks.
    clock_khz: u32,
    memory_clock_khz: u32,
    memory_bus_bits: u32,
    /// Whether it shares its memory with the processor, as on Jetson.
    integrated: bool,
    /// Which form of the kernels it loads.
    image: String,
    /// Why it cannot be used.
    refusal: Option<String>,
}

impl Device {
    /// Opens the device, to know whether it would.
    fn new(info: &DeviceInfo) -> Self {
        let refusal = driver::open(info.ordinal).err();
        Self {
            name: info.name.clone(),
            compute_capability: info.capability.to_string(),
            multiprocessors: info.multiprocessors,
            shared_bytes_per_block: info.shared_bytes,
            memory_bytes: info.memory_bytes,
            clock_khz: info.clock_khz,
            memory_clock_khz: info.memory_clock_khz,
            memory_bus_bits: info.memory_bus_bits,
            integrated: info.integrated,
            image: info.code().to_string(),
            refusal: refusal.map(|error: OpenError| error.to_string()),
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let memory = output::bytes(self.memory_bytes as u64);
        let shared = match self.integrated {
            true => "shared with the processor",
            false => "of its own",
        };
        let device = format!(
            "{}, compute capability {}, {} multiprocessors at up to {} MHz, {memory} {shared}",
            self.name,
            self.compute_capability,
            self.multiprocessors,
            self.clock_khz / 1000
        );
        let kernels = match &self.refusal {
            None => format!("{}: loads {}", self.name, self.image),
            Some(refusal) => format!("refused: {refusal}"),
        };
        [device, kernels].into_iter()
    }
}

impl Cuda {
    pub(super) fn lines(&self) -> Vec<String> {
        let version = self.driver_version.iter();
        let version = version.map(|version| format!("driver for CUDA {version}"));
        let devices = self.devices.iter().flat_map(Device::lines);
        version
            .chain(devices)
            .chain(self.error.iter().cloned())
            .collect()
    }

    /// Why a device cannot be used, which is known better here than before it was opened.
    pub(super) fn refusal(&self, device: usize) -> Option<&str> {
        self.devices.get(device)?.refusal.as_deref()
    }
}

pub(super) fn probe() -> Cuda {
    match driver::probe() {
        Ok(driver) => Cuda {
            driver_version: Some(driver.version.to_string()),
            devices: driver.devices.iter().map(Device::new).collect(),
            error: None,
        },
        Err(error) => Cuda {
            error: Some(error.to_string()),
            ..Cuda::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_something_to_say() {
        let cuda = probe();
        assert_eq!(cuda.error.is_none(), !cuda.devices.is_empty());
        assert!(!cuda.lines().is_empty());
        assert_eq!(cuda.refusal(usize::MAX), None);
    }
}
