//! The live loop: what `mergevit run` does from the first frame to the last.
//!
//! ```text
//! sources ─► feeds ─► batch ─► session (classify, decide) ─► publisher ─► standard output, clients
//!                                ▲      │
//!   signals, clients ─► control ─┤      └─► saver
//!        governor, sensors ──────┤
//!                 reloader ──────┘
//! ```
//!
//! [`Session::run`] and everything that it calls is sealed: nothing in it allocates. What has to allocate runs on a thread of
//! its own.

mod batch;
mod children;
mod control;
mod decide;
mod energy;
mod feed;
mod goals;
mod hello;
mod measure;
mod model;
mod pack_watch;
mod private;
mod publisher;
mod records;
mod regions;
mod reload;
mod schedules;
mod session;
mod signals;
mod states;
mod summary;
mod uncertain;
mod watched;

pub(crate) use batch::MAX_IMAGES;
pub(crate) use children::{Supervised, start as start_child};
pub(crate) use control::Control;
pub(crate) use decide::{Consensus, Rules};
pub(crate) use energy::Sensing;
pub(crate) use feed::Feed;
pub(crate) use hello::{hello, sources};
pub(crate) use model::{Loading, Model};
pub(crate) use private::PrivateFolder;
pub(crate) use publisher::{
    Form, Greeting, PictureOptions, PublishError, Publisher, PublisherOptions, Socket,
};
pub(crate) use regions::Region;
pub(crate) use reload::{Place, Reloader};
pub(crate) use schedules::Schedules;
pub(crate) use session::{End, Session, Settings, Surroundings};
pub(crate) use signals::listen;
pub(crate) use uncertain::Saver;

use crate::file_name::FileName;
use crate::output::GROWTH;
use crate::records::REASON;
use std::time::Duration;

/// Bytes of a record besides its answer and names: numbers, keys.
const RECORD: usize = 1024;

/// Most bytes of a record of these sources, regions and this model, in either form.
pub(crate) fn record_bytes(feeds: &[Feed], regions: &[Region], model: &Model) -> usize {
    let name = |feed: &Feed| {
        let file = feed.names.iter().map(FileName::bound).max().unwrap_or(0);
        file + GROWTH * feed.name.len()
    };
    let names = feeds.iter().map(name).max().unwrap_or(0);
    let region = regions.iter().map(|region| region.name.len()).max();
    let names = names + region.unwrap_or(0);
    RECORD + names + model.record_bytes().max(GROWTH * REASON)
}

/// In tenths of a microsecond.
fn microseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e7).round() / 10.0
}
