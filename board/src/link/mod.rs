//! A client of a run: its connection to the run's socket, and the records that come through it.

mod connection;
mod parent;
mod record;

pub(crate) use connection::{Link, Listener, SendError};
pub(crate) use parent::end_with_parent;
pub(crate) use record::{CameraStatus, Frame, Record, Sensors, StateChange};
#[cfg(feature = "page")]
pub(crate) use record::{Class, Switch};
