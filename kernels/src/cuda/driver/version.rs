//! Versions: of a driver, of a device's instructions, and which code fits them.

use std::fmt;

/// Version of CUDA that a driver is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 12 of 12.6.
    pub major: u32,
    /// 6 of 12.6.
    pub minor: u32,
}

impl Version {
    /// The oldest driver that loads the kernels. Machine code of any CUDA 12 runs on every driver for CUDA 12 (minor
    /// version compatibility, CUDA Compatibility guide); the PTX states version 8.0, which drivers know since 12.0
    /// (PTX ISA manual, release notes).
    pub const OLDEST: Self = Self {
        major: 12,
        minor: 0,
    };

    /// The oldest that makes a context of a part of a device (CUDA 12.4 release notes, green contexts).
    pub const PARTS: Self = Self {
        major: 12,
        minor: 4,
    };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Compute capability of a device: which instructions it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    /// 8 of 8.7.
    pub major: u32,
    /// 7 of 8.7.
    pub minor: u32,
}

impl Capability {
    /// Orin.
    pub const ORIN: Self = Self { major: 8, minor: 7 };

    /// The first with `mma.sync.m16n8k32` on 8-bit integers and `cp.async`.
    pub const OLDEST: Self = Self { major: 8, minor: 0 };
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which of a module's two forms a device loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Machine code for Orin.
    Machine,
    /// PTX, which the driver compiles for its device.
    Ptx,
}

impl Code {
    /// What a device of this capability loads.
    pub fn of(capability: Capability) -> Self {
        match capability {
            Capability::ORIN => Self::Machine,
            _ => Self::Ptx,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "sm_87 machine code",
            Self::Ptx => "compute_80 PTX",
        })
    }
}
