//! NVIDIA's driver and its devices, if any.

use crate::output;
use mergevit_kernels::cuda::driver::{self, DeviceInfo, Driver, KernelResources, OpenOptions};
use serde::Serialize;

#[derive(Default, Serialize)]
pub(super) struct Cuda {
    /// CUDA version of the driver, e.g. `12.6`.
    driver_version: Option<String>,
    devices: Vec<Device>,
    /// Why no device can be used at all.
    error: Option<String>,
}

#[derive(Serialize)]
struct Device {
    name: String,
    /// E.g. `8.7`.
    compute_capability: String,
    multiprocessors: u32,
    shared_bytes_per_block: u32,
    l2_bytes: u32,
    memory_bytes: usize,
    /// Highest clock of the multiprocessors.
    clock_khz: u32,
    memory_clock_khz: u32,
    memory_bus_bits: u32,
    /// Whether it shares its memory with the processor, as on Jetson.
    integrated: bool,
    /// Which form of the kernels it loads.
    code: String,
    /// As the driver has loaded them; none of a device that cannot be used.
    kernels: Vec<LoadedKernel>,
    /// Why it cannot be used.
    refusal: Option<String>,
}

/// What a kernel takes of a device.
#[derive(Serialize)]
struct LoadedKernel {
    name: &'static str,
    registers: u32,
    /// Of a thread: registers for which there was no room.
    local_bytes: u32,
}

impl From<KernelResources> for LoadedKernel {
    fn from(resources: KernelResources) -> Self {
        Self {
            name: resources.kernel.name(),
            registers: resources.registers,
            local_bytes: resources.local_bytes,
        }
    }
}

impl Device {
    /// Describes a device, and opens it to learn whether it can be used.
    fn new(info: &DeviceInfo) -> Self {
        let opened = driver::open(info.ordinal, &OpenOptions::default());
        let loaded = |driver: &Driver| driver.resources().map(LoadedKernel::from).collect();
        Self {
            name: info.name.clone(),
            compute_capability: info.capability.to_string(),
            multiprocessors: info.multiprocessors,
            shared_bytes_per_block: info.shared_bytes,
            l2_bytes: info.l2_bytes,
            memory_bytes: info.memory_bytes,
            clock_khz: info.clock_khz,
            memory_clock_khz: info.memory_clock_khz,
            memory_bus_bits: info.memory_bus_bits,
            integrated: info.integrated,
            code: info.code().to_string(),
            kernels: opened.as_ref().map_or_else(|_| Vec::new(), loaded),
            refusal: opened.err().map(|error| error.to_string()),
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let memory = output::bytes(self.memory_bytes as u64);
        let shared = match self.integrated {
            true => "shared with the processor",
            false => "dedicated",
        };
        let device = format!(
            "{}, compute capability {}, {} multiprocessors at up to {} MHz, {} KB of L2 cache, {memory} {shared}",
            self.name,
            self.compute_capability,
            self.multiprocessors,
            self.clock_khz / 1000,
            self.l2_bytes / 1024
        );
        let kernels = match &self.refusal {
            None => format!("{}: loads {}, {}", self.name, self.code, self.registers()),
            Some(refusal) => format!("refused: {refusal}"),
        };
        [device, kernels].into_iter()
    }
}

impl Device {
    /// Whether all kernels found room in registers.
    fn registers(&self) -> String {
        let spills = |kernel: &&LoadedKernel| kernel.local_bytes > 0;
        let spilled: Vec<_> = self
            .kernels
            .iter()
            .filter(spills)
            .map(|kernel| {
                let LoadedKernel {
                    name,
                    registers,
                    local_bytes,
                } = kernel;
                format!("{name} ({local_bytes} bytes beside {registers} registers)")
            })
            .collect();
        let count = self.kernels.len();
        match spilled.len() {
            0 => format!("{count} kernels without spilled registers"),
            some => format!(
                "SPILLED REGISTERS in {some} of {count} kernels, which will be slow: {}",
                spilled.join(", ")
            ),
        }
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

    /// Why a device cannot be used. Opening it reveals more than the backend's own refusal.
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

    fn kernel(name: &'static str, registers: u32, local_bytes: u32) -> LoadedKernel {
        LoadedKernel {
            name,
            registers,
            local_bytes,
        }
    }

    fn orin() -> Device {
        Device {
            name: "Orin".into(),
            compute_capability: "8.7".into(),
            multiprocessors: 8,
            shared_bytes_per_block: 163 << 10,
            l2_bytes: 4 << 20,
            memory_bytes: 7_990_000_000,
            clock_khz: 1_020_000,
            memory_clock_khz: 3_199_000,
            memory_bus_bits: 128,
            integrated: true,
            code: "sm_87 machine code".into(),
            kernels: vec![kernel("head", 34, 0), kernel("merge_norm_wide", 136, 0)],
            refusal: None,
        }
    }

    #[test]
    fn devices_are_described_and_refused_in_order() {
        let old = Device {
            name: "Turing".into(),
            compute_capability: "7.5".into(),
            multiprocessors: 40,
            memory_bytes: 15_800_000_000,
            clock_khz: 1_590_000,
            integrated: false,
            refusal: Some("Turing: compute capability 7.5, expected 8.0 or later".into()),
            ..orin()
        };
        let cuda = Cuda {
            driver_version: Some("12.6".into()),
            devices: vec![orin(), old],
            error: None,
        };
        assert_eq!(
            cuda.lines(),
            [
                "driver for CUDA 12.6",
                "Orin, compute capability 8.7, 8 multiprocessors at up to 1020 MHz, 4096 KB of L2 cache, \
                 7990.0 MB shared with the processor",
                "Orin: loads sm_87 machine code, 2 kernels without spilled registers",
                "Turing, compute capability 7.5, 40 multiprocessors at up to 1590 MHz, 4096 KB of L2 cache, 15.8 GB \
                 dedicated",
                "refused: Turing: compute capability 7.5, expected 8.0 or later",
            ]
        );
        assert_eq!(cuda.refusal(0), None);
        let refusal = "Turing: compute capability 7.5, expected 8.0 or later";
        assert_eq!(cuda.refusal(1), Some(refusal));
        assert_eq!(cuda.refusal(2), None);
    }

    #[test]
    fn spilled_registers_are_told_by_kernel() {
        let mut device = orin();
        device.kernels[1].local_bytes = 16;
        let line = device.lines().last();
        let expected = "Orin: loads sm_87 machine code, SPILLED REGISTERS in 1 of 2 kernels, which will be slow: \
                        merge_norm_wide (16 bytes beside 136 registers)";
        assert_eq!(line.as_deref(), Some(expected));
    }

    #[test]
    fn without_a_driver_the_error_is_the_only_line() {
        let cuda = Cuda {
            error: Some("no NVIDIA driver: libcuda.so.1 cannot be loaded".into()),
            ..Cuda::default()
        };
        let expected = ["no NVIDIA driver: libcuda.so.1 cannot be loaded"];
        assert_eq!(cuda.lines(), expected);
        assert_eq!(cuda.refusal(0), None);
    }

    #[test]
    fn this_machine_has_devices_or_a_reason_why_not() {
        let cuda = probe();
        match &cuda.error {
            Some(error) => assert_eq!(cuda.lines(), [error.as_str()]),
            None => assert_eq!(cuda.lines().len(), 1 + 2 * cuda.devices.len()),
        }
        assert_eq!(cuda.error.is_none(), !cuda.devices.is_empty());
        assert_eq!(cuda.refusal(usize::MAX), None);
    }
}
