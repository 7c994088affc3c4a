//! Why a device cannot be used, and what the driver says.

use super::super::{DeviceError, Module};
use super::kind::kind;
use super::version::{Capability, Code, Version};
use cudarc::driver::DriverError;
use std::ffi::CStr;
use thiserror::Error;

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The driver's library is not there.
    #[error("no NVIDIA driver: libcuda.so.1 cannot be loaded")]
    NoDriver,
    /// The driver's library is there, the driver does not work.
    #[error("the NVIDIA driver does not start: {reason}")]
    Driver {
        /// What it answered.
        reason: String,
    },
    /// A driver without devices.
    #[error("the NVIDIA driver finds no device")]
    NoDevice,
    /// Fewer devices than asked for.
    #[error("no device {ordinal}: the NVIDIA driver finds {count}, counted from 0")]
    NoSuchDevice {
        /// The device asked for.
        ordinal: usize,
        /// Devices there are.
        count: usize,
    },
    /// A device without the instructions that the kernels are made of.
    #[error(
        "{device}: compute capability {found}, expected {} or later",
        Capability::OLDEST
    )]
    Capability {
        /// Name of the device.
        device: String,
        /// What it has.
        found: Capability,
    },
    /// A driver from before what the kernels are compiled to.
    #[error(
        "{device}: driver for CUDA {found}, expected {} or later",
        Version::OLDEST
    )]
    OldDriver {
        /// Name of the device.
        device: String,
        /// The driver's version.
        found: Version,
    },
    /// A driver that cannot open a part of a device.
    #[error(
        "{device}: driver for CUDA {found}, expected {} or later to use some of the multiprocessors",
        Version::PARTS
    )]
    NoParts {
        /// Name of the device.
        device: String,
        /// The driver's version.
        found: Version,
    },
    /// The driver does not load a kernel.
    #[error("{device}: the driver refuses {code} {:?}: {reason}", module.name())]
    Module {
        /// Name of the device.
        device: String,
        /// What it would have to load.
        code: Code,
        /// Which of the modules.
        module: Module,
        /// What it answered.
        reason: String,
    },
    /// Something else that the device was asked for.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A driver's error in its own words: `CUDA_ERROR_OUT_OF_MEMORY: out of memory`.
pub(super) fn reason(error: DriverError) -> String {
    let text =
        |text: Result<&CStr, DriverError>| text.map(|text| text.to_string_lossy().into_owned());
    match (text(error.error_name()), text(error.error_string())) {
        (Ok(name), Ok(string)) => format!("{name}: {string}"),
        (Ok(name), Err(_)) => name,
        _ => format!("error {}", error.0 as u32),
    }
}

/// A driver's result with what it was asked.
pub(super) trait During<T> {
    /// `action` is only made for an error.
    fn during(self, device: &str, action: impl FnOnce() -> String) -> Result<T, DeviceError>;
}

impl<T> During<T> for Result<T, DriverError> {
    fn during(self, device: &str, action: impl FnOnce() -> String) -> Result<T, DeviceError> {
        self.map_err(|error| DeviceError::new(kind(error), device, action(), reason(error)))
    }
}
