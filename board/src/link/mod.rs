//! A client of a run: its connection to the run's socket, and the records that come through it.

mod connection;
mod machine;
mod parent;
mod record;
mod view;

#[cfg(feature = "page")]
pub(crate) use connection::SendError;
pub(crate) use connection::{Link, Listener};
pub(crate) use machine::machine_name;
pub(crate) use parent::end_with_parent;
pub(crate) use record::{CameraStatus, Frame, Record, Sensors, StateChange};
#[cfg(feature = "page")]
pub(crate) use record::{Class, Switch};
pub(crate) use view::View;
