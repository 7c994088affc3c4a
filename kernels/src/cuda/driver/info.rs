//! What the driver tells about itself and its devices, before any of them is used.

use super::super::Target;
use super::error::{OpenError, reason};
use super::version::{Capability, Code, Version};
use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute as Attribute};
use cudarc::driver::{DriverError, result};
use std::ffi::c_int;
use std::path::Path;

/// A device as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its number.
    pub ordinal: usize,
    /// Its name, e.g. `NVIDIA Orin`.
    pub name: String,
    /// Its compute capability.
    pub capability: Capability,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Most shared memory of a block, in bytes.
    pub shared_bytes: u32,
    /// Second-level cache in bytes.
    pub l2_bytes: u32,
    /// Memory in bytes.
    pub memory_bytes: usize,
    /// Highest clock of the multiprocessors in kHz.
    pub clock_khz: u32,
    /// Highest clock of the memory in kHz; two transfers a clock.
    pub memory_clock_khz: u32,
    /// Width of the memory's bus in bits.
    pub memory_bus_bits: u32,
    /// Whether it shares its memory with the processor, as on Jetson.
    pub integrated: bool,
}

impl DeviceInfo {
    /// What launches for it should be shaped by.
    pub fn target(&self) -> Target {
        Target {
            multiprocessors: self.multiprocessors,
            shared_bytes: self.shared_bytes,
            l2_bytes: self.l2_bytes,
        }
    }

    /// What it loads.
    pub fn code(&self) -> Code {
        Code::of(self.capability)
    }

    /// Whether this program can use it with a driver of this version.
    ///
    /// # Errors
    /// [`OpenError`]: an old device, or an old driver.
    pub fn check(&self, driver: Version) -> Result<(), OpenError> {
        if self.capability < Capability::OLDEST {
            Err(OpenError::Capability {
                device: self.name.clone(),
                found: self.capability,
            })
        } else if driver < Version::OLDEST {
            Err(OpenError::OldDriver {
                device: self.name.clone(),
                found: driver,
            })
        } else {
            Ok(())
        }
    }
}

/// The driver and its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverInfo {
    /// The driver's version.
    pub version: Version,
    /// At least one.
    pub devices: Vec<DeviceInfo>,
}

impl DriverInfo {
    /// The device of this number, if this program can use it.
    ///
    /// # Errors
    /// [`OpenError`]: no such device, an old one, or an old driver.
    pub fn usable(&self, ordinal: usize) -> Result<&DeviceInfo, OpenError> {
        let device = self.devices.get(ordinal).ok_or(OpenError::NoSuchDevice {
            ordinal,
            count: self.devices.len(),
        })?;
        device.check(self.version).map(|()| device)
    }
}

/// Asks the driver what there is. Uses no device.
///
/// # Errors
/// [`OpenError`]: no driver, one that does not start, or no device.
pub fn probe() -> Result<DriverInfo, OpenError> {
    // SAFETY: this loads and unloads the driver's library, whose initializers are the driver's concern; it
    // is what every CUDA program does first.
    if !unsafe { sys::is_culib_present() } {
        return Err(OpenError::NoDriver);
    }
    let refused = |error: DriverError| match error.0 {
        // Jetson's driver says the same to a user who may not open its devices.
        sys::CUresult::CUDA_ERROR_NO_DEVICE if Path::new("/dev/nvmap").exists() => {
            OpenError::Driver {
                reason:
                    "it finds no device on a Jetson; is this user in the groups video and render?"
                        .into(),
            }
        }
        sys::CUresult::CUDA_ERROR_NO_DEVICE => OpenError::NoDevice,
        _ => OpenError::Driver {
            reason: reason(error),
        },
    };
    let version = version().map_err(refused)?;
    result::init().map_err(refused)?;
    let count = result::device::get_count().map_err(refused)?;
    let devices: Result<Vec<_>, _> = (0..count).map(device).collect();
    let devices = devices.map_err(refused)?;
    if devices.is_empty() {
        return Err(OpenError::NoDevice);
    }
    Ok(DriverInfo { version, devices })
}

fn version() -> Result<Version, DriverError> {
    let mut version: c_int = 0;
    // SAFETY: the library is present, and `version` is a valid place for the result.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result()?;
    let version = version.unsigned_abs();
    Ok(Version {
        major: version / 1000,
        minor: version % 1000 / 10,
    })
}

fn device(ordinal: c_int) -> Result<DeviceInfo, DriverError> {
    let device: CUdevice = result::device::get(ordinal)?;
    let attribute = |which| {
        // SAFETY: `device` is a handle that the initialized driver has just given.
        unsafe { result::device::get_attribute(device, which) }.map(i32::unsigned_abs)
    };
    Ok(DeviceInfo {
        ordinal: ordinal.unsigned_abs() as usize,
        name: result::device::get_name(device)?,
        capability: Capability {
            major: attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            minor: attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        },
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_bytes: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        l2_bytes: attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?,
        // SAFETY: as above.
        memory_bytes: unsafe { result::device::total_mem(device)? },
        clock_khz: attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?,
        memory_clock_khz: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?,
        memory_bus_bits: attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?,
        integrated: attribute(Attribute::CU_DEVICE_ATTRIBUTE_INTEGRATED)? != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(major: u32, minor: u32) -> DeviceInfo {
        DeviceInfo {
            ordinal: 0,
            name: "NVIDIA Test".into(),
            capability: Capability { major, minor },
            multiprocessors: 8,
            shared_bytes: 163 * 1024,
            l2_bytes: 4 << 20,
            memory_bytes: 8 << 30,
            clock_khz: 1_020_000,
            memory_clock_khz: 3_199_000,
            memory_bus_bits: 128,
            integrated: true,
        }
    }

    fn refusal(info: &DeviceInfo, major: u32, minor: u32) -> String {
        let result = info.check(Version { major, minor });
        result.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn each_refusal_names_what_was_found_and_what_is_needed() {
        assert_eq!(
            refusal(&device(7, 5), 12, 6),
            "NVIDIA Test: compute capability 7.5, expected 8.0 or later"
        );
        assert_eq!(
            refusal(&device(8, 7), 11, 4),
            "NVIDIA Test: driver for CUDA 11.4, expected 12.0 or later"
        );
        assert_eq!(
            refusal(&device(9, 0), 11, 8),
            "NVIDIA Test: driver for CUDA 11.8, expected 12.0 or later"
        );
        for (major, minor, driver) in [(8, 0, 0), (8, 7, 2), (9, 0, 6), (12, 0, 8)] {
            assert_eq!(refusal(&device(major, minor), 12, driver), "");
        }
        let driver = DriverInfo {
            version: Version {
                major: 12,
                minor: 6,
            },
            devices: vec![device(8, 7)],
        };
        assert_eq!(driver.usable(0).map(DeviceInfo::code), Ok(Code::Machine));
        assert_eq!(
            driver.usable(1),
            Err(OpenError::NoSuchDevice {
                ordinal: 1,
                count: 1
            })
        );
    }

    #[test]
    fn probing_never_panics() {
        match probe() {
            Ok(driver) => {
                let ordinals = driver.devices.iter().map(|device| device.ordinal);
                assert!(ordinals.eq(0..driver.devices.len()));
                assert!(!driver.devices.is_empty());
            }
            // No device is asked for, so none can be refused.
            Err(error) => assert!(
                matches!(
                    error,
                    OpenError::NoDriver | OpenError::Driver { .. } | OpenError::NoDevice
                ),
                "{error:?}"
            ),
        }
    }
}
