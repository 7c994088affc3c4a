//! A source of the live loop.

use super::records::Dropped;
use crate::file_name::FileName;
use crate::sources::{Counts, Exchange, Next, Policy, SourceError};
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
    /// Counts at the last frame.
    seen: Counts,
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
            seen: Counts::default(),
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

    /// There are no more frames.
    pub(super) fn end(&mut self, end: Result<(), SourceError>) {
        self.end = Some(end);
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&self) -> Option<&Result<(), SourceError>> {
        self.end.as_ref()
    }

    /// A frame is about to be recorded: what was lost since the one before.
    pub(super) fn arrive(&mut self) -> Dropped {
        let counts = self.exchange.counts();
        let dropped = Dropped {
            driver: counts.dropped_by_driver - self.seen.dropped_by_driver,
            replaced: counts.dropped - self.seen.dropped,
        };
        self.seen = counts;
        dropped
    }
}
