//! The live loop: what `mergevit run` does from the first frame to the last.
//!
//! ```text
//! sources ─► feeds ─► session (classify) ─► publisher ─► standard output, clients
//!                        ▲
//!   signals, clients ─► control
//! ```
//!
//! [`Session::run`](session::Session::run) and everything that it calls is sealed: nothing in it allocates. What has to
//! allocate runs on a thread of its own.

mod control;
mod feed;
mod hello;
mod model;
mod pack_watch;
mod publisher;
mod records;
mod schedules;
mod session;
mod signals;
mod summary;
mod watched;

pub(crate) use control::Control;
pub(crate) use feed::Feed;
pub(crate) use hello::hello;
pub(crate) use model::{Loading, Model};
pub(crate) use publisher::{
    Form, Greeting, PictureOptions, PublishError, Publisher, PublisherOptions, Socket,
};
pub(crate) use session::{End, MAX_FEEDS, Session, Settings, record_bytes};
pub(crate) use signals::listen;
