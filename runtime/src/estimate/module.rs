//! Orin modules, as NVIDIA publishes them.

use mergevit_kernels::cuda::Target;

/// INT8 multiply-accumulates per clock of the Tensor Cores of one SM, without sparsity (NVIDIA Ampere
/// architecture; Jetson Orin's are the same).
const MACS_PER_CLOCK: f64 = 2048.0;

/// Instructions that one SM's four schedulers issue per clock.
const ISSUED_PER_CLOCK: f64 = 4.0;

/// Bytes of L2 cache (Jetson Orin series data sheets): activations of an operation that fit stay there.
pub(super) const L2_BYTES: u64 = 4 << 20;

/// Share of the memory's nominal rate that a copy reaches: 80 of 102.4 GB/s were measured on an Orin Nano
/// Super; assumed for the others.
const MEMORY_SHARE: f64 = 80.0 / 102.4;

/// From the end of one kernel of a graph to the start of the next, in microseconds: an assumption, typical of
/// Orin.
pub const LAUNCH_US: f64 = 2.0;

/// A Jetson module in its fastest power mode.
#[derive(Debug)]
pub struct Module {
    /// As command lines spell it: `orin-nano-super`.
    pub name: &'static str,
    /// As people read it.
    pub title: &'static str,
    /// Streaming multiprocessors, SMs.
    pub multiprocessors: u32,
    clock_hz: f64,
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
        nominal_memory_rate: 102.4e9,
    };

    /// 8 SMs at 0.918 GHz, 102.4 GB/s.
    pub const ORIN_NX: Self = Self {
        name: "orin-nx",
        title: "Jetson Orin NX 16 GB",
        multiprocessors: 8,
        clock_hz: 0.918e9,
        nominal_memory_rate: 102.4e9,
    };

    /// 16 SMs at 1.3 GHz, 204.8 GB/s.
    pub const AGX_ORIN: Self = Self {
        name: "agx-orin",
        title: "Jetson AGX Orin 64 GB",
        multiprocessors: 16,
        clock_hz: 1.300e9,
        nominal_memory_rate: 204.8e9,
    };

    /// All of them.
    pub const ALL: [&'static Self; 3] = [&Self::ORIN_NANO_SUPER, &Self::ORIN_NX, &Self::AGX_ORIN];

    /// Multiply-accumulates per second.
    pub fn mac_rate(&self) -> f64 {
        f64::from(self.multiprocessors) * MACS_PER_CLOCK * self.clock_hz
    }

    /// Warp instructions per second.
    pub fn issue_rate(&self) -> f64 {
        f64::from(self.multiprocessors) * ISSUED_PER_CLOCK * self.clock_hz
    }

    /// Bytes per second that memory delivers.
    pub fn memory_rate(&self) -> f64 {
        self.nominal_memory_rate * MEMORY_SHARE
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
}
