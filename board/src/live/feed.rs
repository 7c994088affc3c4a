//! A source of the live loop.

use super::records::Dropped;
use crate::file_name::FileName;
use crate::sources::{Exchange, Next, Policy, Slot, SourceError};
use std::sync::Arc;
use std::time::Duration;

/// A source that captures, and what the loop knows of it.
#[derive(Debug)]
pub(crate) struct Feed {
    /// As the command line names it.
    pub(super) name: String,
    /// For people: format, size, device.
    description: String,
    /// The files that frames come from; empty if they have none.
    pub(super) names: Arc<[FileName]>,
    exchange: Arc<Exchange>,
    /// Frames that were lost since the last record.
    dropped: Dropped,
    /// How it ended.
    end: Option<Result<(), SourceError>>,
}

impl Feed {
    pub(crate) fn new(
        name: String,
        description: String,
        names: Arc<[FileName]>,
        exchange: Arc<Exchange>,
    ) -> Self {
        Self {
            name,
            description,
            names,
            exchange,
            dropped: Dropped::default(),
            end: None,
        }
    }

    /// For people.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// Whether its frames wait until the loop takes them.
    pub(crate) fn waits(&self) -> bool {
        self.exchange.policy() == Policy::EveryFrame
    }

    /// Where its frames come from.
    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// What is new, without waiting.
    pub(super) fn next(&mut self) -> Next {
        match &self.end {
            Some(_) => Next::Waiting,
            None => self.exchange.next(Duration::ZERO),
        }
    }

    /// Counts what was lost before a frame or what was to be one.
    pub(super) fn arrived(&mut self, slot: &Slot) {
        self.dropped.driver += u64::from(slot.dropped_by_driver);
        self.dropped.replaced += u64::from(slot.replaced);
    }

    /// Frames that were lost since this was called last.
    pub(super) fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// There are no more frames.
    pub(super) fn end(&mut self, end: Result<(), SourceError>) {
        self.end = Some(end);
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&self) -> Option<&Result<(), SourceError>> {
        self.end.as_ref()
    }
}
