//! The driver's codes, by what a caller can do about them.

use super::super::error::DeviceErrorKind;
use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult as Code;

/// The kind of an error, by its code.
pub(super) fn kind(error: DriverError) -> DeviceErrorKind {
    match error.0 {
        Code::CUDA_ERROR_OUT_OF_MEMORY => DeviceErrorKind::OutOfMemory,
        Code::CUDA_ERROR_NO_BINARY_FOR_GPU
        | Code::CUDA_ERROR_INVALID_PTX
        | Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | Code::CUDA_ERROR_JIT_COMPILER_NOT_FOUND
        | Code::CUDA_ERROR_NOT_SUPPORTED => DeviceErrorKind::Unsupported,
        Code::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES => DeviceErrorKind::Launch,
        // After these "the process must be terminated and relaunched" (CUDA driver API, CUresult), or the device
        // itself has failed.
        Code::CUDA_ERROR_DEINITIALIZED
        | Code::CUDA_ERROR_DEVICE_UNAVAILABLE
        | Code::CUDA_ERROR_ECC_UNCORRECTABLE
        | Code::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | Code::CUDA_ERROR_ILLEGAL_ADDRESS
        | Code::CUDA_ERROR_LAUNCH_TIMEOUT
        | Code::CUDA_ERROR_ASSERT
        | Code::CUDA_ERROR_HARDWARE_STACK_ERROR
        | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | Code::CUDA_ERROR_MISALIGNED_ADDRESS
        | Code::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | Code::CUDA_ERROR_INVALID_PC
        | Code::CUDA_ERROR_LAUNCH_FAILED
        | Code::CUDA_ERROR_SYSTEM_NOT_READY => DeviceErrorKind::Lost,
        _ => DeviceErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_kinds() {
        for (code, expected) in [
            (Code::CUDA_ERROR_OUT_OF_MEMORY, DeviceErrorKind::OutOfMemory),
            (
                Code::CUDA_ERROR_NO_BINARY_FOR_GPU,
                DeviceErrorKind::Unsupported,
            ),
            (
                Code::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
                DeviceErrorKind::Launch,
            ),
            (Code::CUDA_ERROR_ILLEGAL_ADDRESS, DeviceErrorKind::Lost),
            (Code::CUDA_ERROR_INVALID_VALUE, DeviceErrorKind::Other),
        ] {
            assert_eq!(kind(DriverError(code)), expected, "{code:?}");
        }
    }
}
