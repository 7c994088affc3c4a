//! Watches the pack under the live loop. Nothing here allocates.

use crate::every::Every;
use crate::output;
use mergevit_runtime::{Pack, PackChanged};
use std::time::{Duration, Instant};

/// How often it is asked whether a newer pack lies at the path.
const INTERVAL: Duration = Duration::from_secs(1);

const REPLACED: &str = "the pack was replaced or removed; this run keeps the one it loaded until SIGHUP tells it to load again";

/// What is known of the pack's file.
#[derive(Debug)]
pub(super) struct Watch {
    due: Every,
    replaced: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            due: Every::new(INTERVAL),
            replaced: false,
        }
    }

    /// Fails if the pack was written to: what was computed with it is not to be used. Says once that it was
    /// replaced, which is how it should be.
    pub(super) fn check(&mut self, pack: &Pack) -> Result<(), PackChanged> {
        pack.check()?;
        if !self.replaced && self.due.is_due(Instant::now()) {
            self.replaced = pack.is_replaced();
            if self.replaced {
                output::note(REPLACED);
            }
        }
        Ok(())
    }
}
