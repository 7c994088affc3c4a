//! What a reader is told that was too slow.

use crate::output::Time;
use mergevit_runtime::words::Count;
use serde::Serialize;
use std::fmt;

/// Records that a reader would have got before the next one. Serializing does not allocate.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Lost {
    event: &'static str,
    time: Time,
    records: u64,
}

impl Lost {
    pub(super) fn new(records: u64) -> Self {
        Self {
            event: "lost",
            time: Time::now(),
            records,
        }
    }
}

/// `        12 records lost: they were read too slowly`
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = Count(self.records, "record");
        write!(f, "        {records} lost: what reads them is too slow")
    }
}
