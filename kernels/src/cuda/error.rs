//! Why a device did not do what it was asked.

use thiserror::Error;

/// What a caller can do about a [`DeviceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceErrorKind {
    /// Less memory is free than was asked for.
    OutOfMemory,
    /// The device cannot do it: it has too few resources, or its driver does not know the code.
    Unsupported,
    /// A launch was refused, or broke a rule of the emulator.
    Launch,
    /// The device has failed, or a kernel has on it. It refuses whatever it is asked from now on; what was on it is
    /// lost.
    Lost,
    /// Anything else.
    Other,
}

/// Why a device did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{device}: {action}: {reason}")]
#[non_exhaustive]
pub struct DeviceError {
    /// What a caller can do about it.
    pub kind: DeviceErrorKind,
    /// Name of the device, or `cuda` before there is one.
    pub device: String,
    /// What it was asked, e.g. `allocate 96 MB`.
    pub action: String,
    /// What it answered.
    pub reason: String,
}

impl DeviceError {
    /// An error of `device`, which was asked for `action`.
    pub fn new(
        kind: DeviceErrorKind,
        device: impl Into<String>,
        action: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            device: device.into(),
            action: action.into(),
            reason: reason.into(),
        }
    }
}
