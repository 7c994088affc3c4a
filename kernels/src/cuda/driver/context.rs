//! What everything on a device belongs to: its primary context, or a part of its multiprocessors.

use super::handles::given_back;
use super::options::{OpenOptions, Wait};
use cudarc::driver::sys::{
    self, CUcontext, CUctx_flags, CUdevResource, CUdevResourceDesc, CUdevResourceType, CUdevice,
    CUgreenCtx, CUgreenCtxCreate_flags,
};
use cudarc::driver::{DriverError, result};
use std::mem::MaybeUninit;
use std::ptr;

/// A context that is not yet the calling thread's.
pub(super) struct Context {
    /// Dropped before what it is a part of.
    part: Option<Part>,
    primary: Primary,
}

impl Context {
    /// The device's, with so many multiprocessors or all of them. The driver is for CUDA 12.4 or later if a number is
    /// asked for.
    pub(super) fn new(ordinal: usize, options: &OpenOptions) -> Result<Self, DriverError> {
        let primary = Primary::retain(ordinal, options.wait)?;
        let part = match options.multiprocessors {
            Some(multiprocessors) => Some(Part::of(primary.device, multiprocessors)?),
            None => None,
        };
        Ok(Self { part, primary })
    }

    /// Multiprocessors of the part; none if it is the whole device.
    pub(super) fn multiprocessors(&self) -> Option<u32> {
        self.part.as_ref().map(|part| part.multiprocessors)
    }

    /// Makes it the calling thread's.
    pub(super) fn bind(&self) -> Result<(), DriverError> {
        let raw = self.part.as_ref().map_or(self.primary.raw, |part| part.raw);
        // SAFETY: both contexts live as long as `self`.
        unsafe { result::ctx::set_current(raw) }
    }
}

/// A device's primary context.
struct Primary {
    device: CUdevice,
    raw: CUcontext,
}

impl Primary {
    fn retain(ordinal: usize, wait: Wait) -> Result<Self, DriverError> {
        let device = result::device::get(i32::try_from(ordinal).unwrap_or(i32::MAX))?;
        let flags = match wait {
            Wait::Spin => CUctx_flags::CU_CTX_SCHED_SPIN,
            Wait::Block => CUctx_flags::CU_CTX_SCHED_BLOCKING_SYNC,
        };
        // SAFETY: `device` is a handle that the driver has just given.
        let flagged = unsafe { sys::cuDevicePrimaryCtxSetFlags_v2(device, flags as u32) }.result();
        if let Err(error) = flagged {
            // It only decides how long waiting takes.
            log::warn!("cuda: {wait:?} is refused: {}", super::error::reason(error));
        }
        // SAFETY: as above.
        let raw = unsafe { result::primary_ctx::retain(device)? };
        Ok(Self { device, raw })
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        // SAFETY: retained once in `retain`, released once here, after everything made in it.
        given_back("the context", unsafe {
            result::primary_ctx::release(self.device)
        });
    }
}

/// Some of a device's multiprocessors, as a context of their own ("Green Contexts", CUDA driver API).
struct Part {
    green: CUgreenCtx,
    raw: CUcontext,
    multiprocessors: u32,
}

impl Part {
    /// At least `multiprocessors` of `device`.
    fn of(device: CUdevice, multiprocessors: u32) -> Result<Self, DriverError> {
        let kind = CUdevResourceType::CU_DEV_RESOURCE_TYPE_SM;
        let mut all = MaybeUninit::<CUdevResource>::zeroed();
        // SAFETY: `device` is a handle that the driver has given; it writes a resource to a place of that size.
        unsafe { sys::cuDeviceGetDevResource(device, all.as_mut_ptr(), kind) }.result()?;
        let (mut part, mut groups) = (MaybeUninit::<CUdevResource>::zeroed(), 1);
        // SAFETY: `all` has just been written; there is room for the one group that is asked for, and the driver takes
        // null for a rest that nobody wants.
        unsafe {
            sys::cuDevSmResourceSplitByCount(
                part.as_mut_ptr(),
                &raw mut groups,
                all.as_ptr(),
                ptr::null_mut(),
                0,
                multiprocessors,
            )
        }
        .result()?;
        let mut description: CUdevResourceDesc = ptr::null_mut();
        // SAFETY: `part` has just been written, and `description` is a valid place for the result.
        unsafe { sys::cuDevResourceGenerateDesc(&raw mut description, part.as_mut_ptr(), 1) }
            .result()?;
        let flags = CUgreenCtxCreate_flags::CU_GREEN_CTX_DEFAULT_STREAM as u32;
        let mut green: CUgreenCtx = ptr::null_mut();
        // SAFETY: device and description are the driver's own, and `green` is a valid place for the result.
        unsafe { sys::cuGreenCtxCreate(&raw mut green, description, device, flags) }.result()?;
        // From here on the context is released with `made`.
        let mut made = Self {
            green,
            raw: ptr::null_mut(),
            // SAFETY: the driver has written a resource of the kind that was asked for, whose union then holds `sm`;
            // all of it was zero before.
            multiprocessors: unsafe { part.assume_init().__bindgen_anon_1.sm.smCount },
        };
        // SAFETY: the context has just been made, and `raw` is a valid place for the result.
        unsafe { sys::cuCtxFromGreenCtx(&raw mut made.raw, green) }.result()?;
        Ok(made)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once, after everything made in it.
        let destroyed = unsafe { sys::cuGreenCtxDestroy(self.green) };
        given_back("a part of the device", destroyed.result());
    }
}
