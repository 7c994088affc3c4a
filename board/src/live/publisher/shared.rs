//! What the loop and the readers of its records share.

use super::ring::Ring;
use crate::live::control::Control;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a record is written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line for people, or nothing for records that only programs want.
    Text,
    Json,
}

/// Whether standard output gets a record where it is to have changes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A frame's result.
    Frame,
    /// Anything else.
    Event,
}

/// What the loop and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) records: Arc<Ring>,
    pub(super) pictures: Option<Arc<Ring>>,
    /// Clients that are served.
    pub(super) clients: AtomicUsize,
    /// Clients that want pictures.
    pub(super) watchers: AtomicUsize,
    /// Records that standard output is done with.
    pub(super) written: AtomicU64,
    /// No record follows.
    pub(super) ended: AtomicBool,
    /// Standard output has all of them.
    pub(super) complete: AtomicBool,
    pub(super) failed: AtomicBool,
    pub(super) failure: Mutex<Option<io::Error>>,
    pub(super) control: Arc<Control>,
}

impl Shared {
    /// Standard output failed.
    pub(super) fn fail(&self, error: io::Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.failed.store(true, Ordering::Release);
        self.control.wake();
    }

    pub(super) fn take_failure(&self) -> io::Error {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure
            .take()
            .unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}
