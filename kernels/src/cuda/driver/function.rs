//! The kernels of loaded modules: what they may use of a multiprocessor, and what the driver's compiler made of them.

use super::super::Kernel;
use super::handles::LoadedModule;
use super::info::DeviceInfo;
use cudarc::driver::sys::{CUfunction, CUfunction_attribute as Attribute};
use cudarc::driver::{DriverError, result};

/// What a kernel takes of a device, as the driver has loaded it. Where it compiled PTX, only this says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelResources {
    /// Which kernel.
    pub kernel: Kernel,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of a thread's local memory: spilled registers.
    pub local_bytes: u32,
}

/// A kernel that can be launched.
pub(super) struct Function {
    pub(super) resources: KernelResources,
    pub(super) raw: CUfunction,
}

/// Of all of a multiprocessor's memory on chip, in per cent.
const ALL: i32 = 100;

impl Function {
    /// Looks a kernel up. It may use all shared memory that the device has for a block, and where its blocks share a
    /// multiprocessor by what each takes, its first-level cache is as small as it can be.
    pub(super) fn find(
        info: &DeviceInfo,
        module: &LoadedModule,
        kernel: Kernel,
    ) -> Result<Self, DriverError> {
        let raw = module.function(kernel.name())?;
        let get = |attribute| {
            // SAFETY: the function has just been found in a module that is loaded.
            unsafe { result::function::get_function_attribute(raw, attribute) }
        };
        let set = |attribute, value| {
            // SAFETY: as above.
            unsafe { result::function::set_function_attribute(raw, attribute, value) }
        };
        let fixed = get(Attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?;
        let rest = info.shared_bytes as i32 - fixed;
        set(
            Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            rest,
        )?;
        if kernel.sizes_shared_memory() {
            set(
                Attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
                ALL,
            )?;
        }
        let resources = KernelResources {
            kernel,
            registers: get(Attribute::CU_FUNC_ATTRIBUTE_NUM_REGS)?.unsigned_abs(),
            local_bytes: get(Attribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?.unsigned_abs(),
        };
        Ok(Self { resources, raw })
    }
}
