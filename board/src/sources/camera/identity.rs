//! Which camera it is: a path names whichever camera was plugged in when.

use super::driver::{Capabilities, Hardware};
use std::fmt;

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
    pub(super) fn new(capabilities: &Capabilities, hardware: Hardware) -> Self {
        Self {
            card: capabilities.card.clone(),
            bus: capabilities.bus.clone(),
            hardware,
        }
    }

    /// Whether it is the same camera. One with a serial number may have moved to another port.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same_port = self.bus == other.bus;
        let same = self.hardware.serial.is_some() || same_port;
        same && self.card == other.card && self.hardware == other.hardware
    }
}
