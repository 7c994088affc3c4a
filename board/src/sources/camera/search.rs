//! Opens a camera, and finds one that was open before.

use super::driver::{Driver, System};
use super::error::{CameraError, io_error};
use super::identity::Identity;
use std::path::{Path, PathBuf};

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
            found: opened.identity.to_string(),
            expected: expected.to_string(),
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
