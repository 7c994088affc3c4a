//! Which camera it is: a path names whichever camera was plugged in when.

use super::driver::{Capabilities, Driver, Hardware, System};
use super::error::{CameraError, io_error};
use std::fmt;
use std::path::{Path, PathBuf};

/// What tells one camera from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    card: String,
    /// Where it is plugged in: what tells it from another of its model, if it has no serial number.
    bus: String,
    hardware: Hardware,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hardware.serial {
            Some(serial) => write!(f, "{} with serial number {serial}", self.card),
            None => write!(f, "{} at {}", self.card, self.bus),
        }
    }
}

impl Identity {
    fn new(capabilities: &Capabilities, hardware: Hardware) -> Self {
        Self {
            card: capabilities.card.clone(),
            bus: capabilities.bus.clone(),
            hardware,
        }
    }

    /// Whether it is the same camera. One with a serial number may have moved to another port.
    fn is(&self, other: &Self) -> bool {
        let same_port = self.bus == other.bus;
        let same = self.hardware.serial.is_some() || same_port;
        same && self.card == other.card && self.hardware == other.hardware
    }
}

/// An open camera.
pub(super) struct Opened {
    pub(super) device: PathBuf,
    pub(super) driver: Box<dyn Driver>,
    pub(super) identity: Identity,
    pub(super) card: String,
}

/// Opens a device that streams frames.
pub(super) fn open(system: &dyn System, device: &Path) -> Result<Opened, CameraError> {
    let driver = system.open(device).map_err(io_error("open"))?;
    let capabilities = driver.capabilities().map_err(io_error("query"))?;
    let identity = Identity::new(&capabilities, system.hardware(device));
    let card = capabilities.card;
    if !capabilities.streams {
        return Err(CameraError::NotACamera { card });
    }
    Ok(Opened {
        device: device.into(),
        driver,
        identity,
        card,
    })
}

/// Opens the camera that was open before: where it was, or at another device.
///
/// # Errors
/// Why what is at `device` is not it.
pub(super) fn find(
    system: &dyn System,
    device: &Path,
    expected: &Identity,
) -> Result<Opened, CameraError> {
    let here = match open(system, device) {
        Ok(opened) if opened.identity.is(expected) => return Ok(opened),
        Ok(opened) => CameraError::Another {
            found: opened.identity,
            expected: expected.clone(),
        },
        Err(error) => error,
    };
    for other in system.devices() {
        if let Ok(opened) = open(system, &other)
            && opened.identity.is(expected)
        {
            return Ok(opened);
        }
    }
    Err(here)
}
