//! NVIDIA's driver, if there is one. Nothing here links to it or needs it.
//!
//! This version has no CUDA backend; the probe tells whether the machine is ready for one.

use cudarc::driver::sys::{self, CUdevice_attribute, CUresult};
use cudarc::driver::{DriverError, result};
use serde::Serialize;
use std::ffi::c_int;

#[derive(Default, Serialize)]
pub(super) struct Cuda {
    /// Whether the driver's library can be loaded.
    driver_present: bool,
    /// As `12.6`.
    driver_version: Option<String>,
    devices: Vec<Device>,
    /// What went wrong on the way.
    error: Option<String>,
}

#[derive(Serialize)]
struct Device {
    name: String,
    /// Compute capability, as `8.7`.
    sm: String,
    multiprocessors: i32,
    memory_bytes: usize,
    /// Whether it shares its memory with the processor, as on Jetson.
    integrated: bool,
}

impl Cuda {
    pub(super) fn lines(&self) -> Vec<String> {
        if !self.driver_present {
            return vec!["no driver (libcuda.so.1 cannot be loaded)".into()];
        }
        let version = self.driver_version.as_deref().unwrap_or("unknown");
        let mut lines = vec![format!("driver for CUDA {version}")];
        lines.extend(self.devices.iter().map(|device| {
            format!(
                "{}, SM {}, {} multiprocessors, {}{}",
                device.name,
                device.sm,
                device.multiprocessors,
                crate::output::bytes(device.memory_bytes as u64),
                if device.integrated {
                    ", integrated"
                } else {
                    ""
                }
            )
        }));
        lines.extend(self.error.iter().map(|error| format!("error: {error}")));
        lines
    }
}

pub(super) fn probe() -> Cuda {
    // SAFETY: this loads and unloads the driver's library, whose initializers are the driver's concern; it
    // is what every CUDA program does first.
    if !unsafe { sys::is_culib_present() } {
        return Cuda::default();
    }
    let mut cuda = Cuda {
        driver_present: true,
        ..Cuda::default()
    };
    cuda.error = fill(&mut cuda).err().map(|error| {
        let name = error.error_name();
        let name = name.map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|_| format!("{error:?}"))
    });
    cuda
}

fn fill(cuda: &mut Cuda) -> Result<(), DriverError> {
    let mut version: c_int = 0;
    // SAFETY: the library is present, and `version` is a valid place for the result.
    check(unsafe { sys::cuDriverGetVersion(&raw mut version) })?;
    cuda.driver_version = Some(format!("{}.{}", version / 1000, version % 1000 / 10));
    result::init()?;
    for ordinal in 0..result::device::get_count()? {
        cuda.devices.push(device(ordinal)?);
    }
    Ok(())
}

fn check(status: CUresult) -> Result<(), DriverError> {
    status.result()
}

fn device(ordinal: c_int) -> Result<Device, DriverError> {
    use CUdevice_attribute as Attribute;
    let device = result::device::get(ordinal)?;
    // SAFETY: `device` is a handle that the initialized driver has just given.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok(Device {
        name: result::device::get_name(device)?,
        sm: format!("{major}.{minor}"),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        // SAFETY: as above.
        memory_bytes: unsafe { result::device::total_mem(device)? },
        integrated: attribute(Attribute::CU_DEVICE_ATTRIBUTE_INTEGRATED)? != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probing_never_panics() {
        let cuda = probe();
        assert!(cuda.driver_present || cuda.devices.is_empty());
        assert!(!cuda.lines().is_empty());
    }
}
