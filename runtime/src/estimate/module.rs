//! Orin modules, as NVIDIA publishes them, and other devices, as their driver describes them.

use super::range::Range;
use mergevit_kernels::cuda::Target;
use mergevit_kernels::cuda::driver::{Capability, DeviceInfo};

/// Of Orin (NVIDIA Ampere architecture; 85 dense TOPS of 16 SMs at 1.3 GHz).
const ORIN_MACS_PER_CLOCK: f64 = 2048.0;

/// Of Hopper's 4096 what `mma.sync` reaches: five eighths. Only `wgmma` reaches all.
const HOPPER_MACS_PER_CLOCK: f64 = 2560.0;

/// Share of the memory's nominal rate that a kernel reaches: 80 of 102.4 GB/s were measured for copies on an Orin Nano
/// Super; less of it is assumed for the scattered rows of weights.
const MEMORY_SHARE: (f64, f64) = (70.0 / 102.4, 80.0 / 102.4);

/// From the end of one kernel of a graph to the start of the next at 1.02 GHz, in microseconds: inferred from 1.3 that were
/// measured on an H100 (Hazy Research, 2025), whose clock is higher by about as much.
const LAUNCH_US: Range = Range::new(2.3, 3.0);
const LAUNCH_HZ: f64 = 1.020e9;

/// What the processor and the driver take for a frame, from starting a graph to seeing its end, in microseconds: assumed for
/// the cores of Orin.
pub const HOST_US: Range = Range::new(50.0, 150.0);

/// A Jetson module in its fastest power mode.
#[derive(Debug)]
pub struct Module {
    /// As command lines spell it: `orin-nano-super`.
    pub name: &'static str,
    /// As people read it.
    pub title: &'static str,
    /// Streaming multiprocessors, SMs.
    pub multiprocessors: u32,
    pub(super) clock_hz: f64,
    /// INT8 multiply-accumulates per clock of the Tensor Cores of one SM, without sparsity, by the instructions that the
    /// kernels use.
    pub(super) macs_per_clock: f64,
    /// Bytes of L2 cache, least and most: sources differ for the smaller modules, and only the driver knows. Activations of
    /// an operation that fit stay there.
    pub(super) l2_bytes: (u64, u64),
    /// Nominal, in bytes per second.
    nominal_memory_rate: f64,
}

impl Module {
    /// 8 SMs at 1.02 GHz, 102.4 GB/s.
    pub const ORIN_NANO_SUPER: Self = Self {
        name: "orin-nano-super",
        title: "Jetson Orin Nano 8 GB, Super mode",
        multiprocessors: 8,
        clock_hz: 1.020e9,
        macs_per_clock: ORIN_MACS_PER_CLOCK,
        l2_bytes: (2 << 20, 4 << 20),
        nominal_memory_rate: 102.4e9,
    };

    /// 8 SMs at 0.918 GHz, 102.4 GB/s.
    pub const ORIN_NX: Self = Self {
        name: "orin-nx",
        title: "Jetson Orin NX 16 GB",
        multiprocessors: 8,
        clock_hz: 0.918e9,
        macs_per_clock: ORIN_MACS_PER_CLOCK,
        l2_bytes: (2 << 20, 4 << 20),
        nominal_memory_rate: 102.4e9,
    };

    /// 16 SMs at 1.3 GHz, 204.8 GB/s.
    pub const AGX_ORIN: Self = Self {
        name: "agx-orin",
        title: "Jetson AGX Orin 64 GB",
        multiprocessors: 16,
        clock_hz: 1.300e9,
        macs_per_clock: ORIN_MACS_PER_CLOCK,
        l2_bytes: (4 << 20, 4 << 20),
        nominal_memory_rate: 204.8e9,
    };

    /// All of them.
    pub const ALL: [&'static Self; 3] = [&Self::ORIN_NANO_SUPER, &Self::ORIN_NX, &Self::AGX_ORIN];

    /// A device as its driver describes it; `None` where that says too little, or of a capability that is not known here.
    pub fn of(device: &DeviceInfo) -> Option<Self> {
        let Capability { major, minor } = device.capability;
        let macs_per_clock = match (major, minor) {
            (8, 0 | 7) => ORIN_MACS_PER_CLOCK,
            (8, 6 | 9) | (12, 0) => 1024.0,
            (9, 0) => HOPPER_MACS_PER_CLOCK,
            _ => return None,
        };
        // Two transfers a clock. The driver of Orin does not tell the memory's: it is that of the module of this size.
        let told =
            2e3 * f64::from(device.memory_clock_khz) * f64::from(device.memory_bus_bits) / 8.0;
        let orin = |module: &&Self| module.multiprocessors >= device.multiprocessors;
        let nominal_memory_rate = match device.integrated {
            true => Self::ALL.into_iter().find(orin)?.nominal_memory_rate,
            false => told,
        };
        let l2_bytes = device.l2_bytes.into();
        (device.clock_khz > 0 && nominal_memory_rate > 0.0).then_some(Self {
            name: "this-device",
            title: "this device",
            multiprocessors: device.multiprocessors,
            clock_hz: 1e3 * f64::from(device.clock_khz),
            macs_per_clock,
            l2_bytes: (l2_bytes, l2_bytes),
            nominal_memory_rate,
        })
    }

    /// Multiply-accumulates per second.
    pub fn mac_rate(&self) -> f64 {
        f64::from(self.multiprocessors) * self.macs_per_clock * self.clock_hz
    }

    /// Bytes per second that memory delivers, at least and at most.
    pub fn memory_rate(&self) -> (f64, f64) {
        let (low, high) = MEMORY_SHARE;
        (
            self.nominal_memory_rate * low,
            self.nominal_memory_rate * high,
        )
    }

    /// Microseconds from the end of one kernel to the start of the next.
    pub fn launch_us(&self) -> Range {
        LAUNCH_US * (LAUNCH_HZ / self.clock_hz)
    }

    /// The properties that shape its launches.
    pub const fn target(&self) -> Target {
        Target {
            multiprocessors: self.multiprocessors,
            ..Target::ORIN_NANO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates are those of the modules' data sheets: 33, 30 and 85 dense INT8 TOPS.
    #[test]
    fn rates_are_the_published_ones() {
        for (module, tops) in Module::ALL.into_iter().zip([33.0, 30.0, 85.0]) {
            let found = 2.0 * module.mac_rate() / 1e12;
            assert!(
                (found / tops - 1.0).abs() < 0.02,
                "{}: {found}",
                module.title
            );
        }
    }

    #[test]
    fn a_device_is_what_its_driver_says() {
        let h100 = DeviceInfo {
            ordinal: 0,
            name: "NVIDIA H100 80GB HBM3".into(),
            capability: Capability { major: 9, minor: 0 },
            multiprocessors: 132,
            shared_bytes: 227 << 10,
            l2_bytes: 50 << 20,
            memory_bytes: 80 << 30,
            clock_khz: 1_980_000,
            memory_clock_khz: 2_619_000,
            memory_bus_bits: 5120,
            integrated: false,
        };
        let module = Module::of(&h100).unwrap();
        assert!((module.nominal_memory_rate / 3.35e12 - 1.0).abs() < 0.01);
        assert!((module.launch_us().low / 1.3 - 1.0).abs() < 0.1);
        let orin = DeviceInfo {
            capability: Capability::ORIN,
            multiprocessors: 8,
            clock_khz: 1_020_000,
            integrated: true,
            ..h100.clone()
        };
        let module = Module::of(&orin).unwrap();
        assert_eq!(module.mac_rate(), Module::ORIN_NANO_SUPER.mac_rate());
        assert_eq!(module.memory_rate(), Module::ORIN_NANO_SUPER.memory_rate());
        let unknown = DeviceInfo {
            capability: Capability {
                major: 99,
                minor: 0,
            },
            ..h100.clone()
        };
        let silent = DeviceInfo {
            memory_clock_khz: 0,
            ..h100
        };
        assert!(Module::of(&unknown).is_none() && Module::of(&silent).is_none());
    }
}
