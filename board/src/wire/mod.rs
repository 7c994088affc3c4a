//! What a run says through its socket, and what it is told.
//!
//! A Unix stream socket. From the run come messages: a [`Header`] of 16 bytes, then a record as JSON, then perhaps
//! the picture that the network saw and the token of each of its patches. The first is a [`Hello`]. To the run go
//! [`Command`]s, lines of JSON.
//!
//! | what | who uses it |
//! |---|---|
//! | [`Header`], [`encode`] | both sides: the form of a message |
//! | [`Hello`] | both sides: the first message, what the rest is about |
//! | [`Command`], [`CommandBuffer`] | both sides: what a client may ask |
//! | [`Receiver`] | a client: reads messages |

mod command;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod header;
mod hello;
#[cfg(any(test, fuzzing, feature = "page", feature = "mqtt"))]
mod receiver;

pub(crate) use command::{Command, CommandBuffer, CommandError};
pub(crate) use header::{HeaderError, encode, message_bytes};
pub(crate) use hello::{Hello, PROTOCOL, ScheduleInfo, SourceInfo};
#[cfg(any(feature = "page", feature = "mqtt"))]
pub(crate) use receiver::{Message, Receiver, WireError};
