//! From the live loop to those who read what it says: standard output, and clients of a socket.
//!
//! The loop writes each record into a ring, without waiting for anybody. A reader is a thread that copies a record out
//! of the ring, then writes it wherever it has to. One that is slow is overtaken, loses records, and says how
//! many with a `lost` record before the next that it gets. Where frames can wait, as those of files do, the loop waits for
//! standard output, so that nothing is lost there; clients never hold it up.

mod client;
mod greeting;
mod lost;
mod reader;
mod ring;
mod shared;
mod socket;
mod stdout;
#[cfg(test)]
mod tests;

pub(crate) use greeting::Greeting;
pub(crate) use shared::{Form, Kind};
pub(crate) use socket::Socket;

use super::control::Control;
use crate::failure::Failure;
use crate::model;
use crate::output::Line;
use reader::{Reader, Tags};
use ring::RingWriter;
use serde::Serialize;
use shared::Shared;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::{Duration, Instant};
use stdout::StandardOutput;

/// Records between the loop and its slowest reader.
const RECORDS: usize = 256;

/// How long a run that ends waits for clients to take what is left.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a run that was told to stop waits for standard output to take what is left.
const GRACE: Duration = Duration::from_secs(2);

/// What the loop says. Writing it in either form does not allocate.
pub(crate) trait Record: Serialize {
    /// A line for people, without its end; nothing by default.
    fn text(&self, _to: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// A record as its line for people.
struct Text<'a, R>(&'a R);

impl<R: Record> fmt::Display for Text<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.text(f)
    }
}

/// What readers get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublisherOptions {
    pub(crate) form: Form,
    /// Standard output gets no frames.
    pub(crate) changes_only: bool,
    /// The loop waits for standard output.
    pub(crate) waits: bool,
    /// Bytes of the longest record in either form.
    pub(crate) record_bytes: usize,
    /// What clients of a socket may watch, if there is one.
    pub(crate) pictures: Option<PictureOptions>,
}

/// What pictures need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PictureOptions {
    /// Images of the largest batch.
    pub(crate) images: usize,
    /// Bytes of an image's pixels and tokens.
    pub(crate) bytes: usize,
}

/// What the network saw of an image, and what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture<'a> {
    /// (S, S, 3) RGB
    pub(crate) pixels: &'a [u8],
    /// Each patch's token, row by row.
    pub(crate) tokens: &'a [u16],
}

/// Why the loop cannot go on.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// Standard output failed.
    Output(io::Error),
    /// Nobody reads standard output, so that these records were not written.
    Unread(u64),
}

/// The loop's side.
pub(crate) struct Publisher {
    records: RingWriter,
    pictures: Option<RingWriter>,
    shared: Arc<Shared>,
    options: PublisherOptions,
    /// A picture's bytes, one part after the other.
    picture: Vec<u8>,
    /// A record in one form, then in the other.
    line: Line,
    /// Records so far that are not of frames.
    events: u64,
    readers: Vec<Thread>,
}

impl Publisher {
    /// Room for records, and a thread that writes them to standard output. Allocates, and alone does.
    ///
    /// # Errors
    /// Memory or the thread was refused.
    pub(crate) fn new(options: PublisherOptions, control: &Arc<Control>) -> Result<Self, Failure> {
        Self::with_output(options, control, StandardOutput)
    }

    /// As [`Self::new`], with `out` in standard output's place.
    fn with_output(
        options: PublisherOptions,
        control: &Arc<Control>,
        out: impl Write + Send + 'static,
    ) -> Result<Self, Failure> {
        let bytes = 2 * options.record_bytes;
        let records = ring::ring(RECORDS, bytes).map_err(|error| model::out_of_memory(&error))?;
        let pictures = options.pictures.map(|pictures| {
            // So that a batch does not overwrite the one before it.
            ring::ring(2 * pictures.images, pictures.bytes)
        });
        let pictures = pictures
            .transpose()
            .map_err(|error| model::out_of_memory(&error))?;
        let shared = Arc::new(Shared {
            records: Arc::clone(records.ring()),
            pictures: pictures
                .as_ref()
                .map(|pictures| Arc::clone(pictures.ring())),
            clients: AtomicUsize::new(0),
            watchers: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            control: Arc::clone(control),
        });
        let reader = Reader::new(&shared, options.changes_only);
        let writer =
            stdout::start(reader, options.form, out).map_err(|error| Failure::thread(&error))?;
        Ok(Self {
            picture: Vec::with_capacity(options.pictures.map_or(0, |pictures| pictures.bytes)),
            records,
            pictures,
            shared,
            options,
            line: Line::new(bytes),
            events: 0,
            readers: vec![writer],
        })
    }

    /// From now on the socket's clients read too. Allocates.
    ///
    /// # Errors
    /// Threads were refused.
    pub(crate) fn serve(
        &mut self,
        socket: &Socket,
        greeting: &Arc<Greeting>,
    ) -> Result<(), Failure> {
        let threads = socket.serve(&self.shared, greeting);
        let threads = threads.map_err(|error| Failure::thread(&error))?;
        self.readers.extend(threads);
        Ok(())
    }

    /// Whether somebody wants pictures.
    pub(crate) fn is_watched(&self) -> bool {
        self.shared.watchers.load(Ordering::Acquire) > 0
    }

    /// Whether records and pictures of these sizes have room.
    pub(crate) fn has_room(&self, record_bytes: usize, picture_bytes: usize) -> bool {
        record_bytes <= self.options.record_bytes
            && (self.options.pictures).is_none_or(|pictures| picture_bytes <= pictures.bytes)
    }

    /// Hands a frame's record to all readers, with its picture to those who watch. Otherwise as [`Self::publish`].
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub(crate) fn publish_frame<R: Record>(
        &mut self,
        record: &R,
        picture: Option<Picture<'_>>,
    ) -> Result<(), PublishError> {
        let position = match (picture, &mut self.pictures) {
            (Some(picture), Some(pictures)) => {
                self.picture.clear();
                self.picture.extend_from_slice(picture.pixels);
                let tokens = picture.tokens.iter().map(|token| token.to_ne_bytes());
                tokens.for_each(|token| self.picture.extend_from_slice(&token));
                let tag = [picture.pixels.len() as u64, 0, 0, 0];
                Some(pictures.push(tag, &self.picture))
            }
            _ => None,
        };
        self.push(Kind::Frame, record, position)
    }

    /// Hands a record to all readers. Waits for standard output if that is asked for, until the loop is to stop. Does not
    /// allocate.
    ///
    /// # Errors
    /// [`PublishError::Output`]: standard output failed earlier.
    pub(crate) fn publish<R: Record>(
        &mut self,
        kind: Kind,
        record: &R,
    ) -> Result<(), PublishError> {
        self.push(kind, record, None)
    }

    fn push<R: Record>(
        &mut self,
        kind: Kind,
        record: &R,
        picture: Option<u64>,
    ) -> Result<(), PublishError> {
        self.line.clear();
        let text = match self.options.form {
            Form::Text => write!(self.line, "{}", Text(record)).map(|()| self.line.bytes().len()),
            Form::Json => Ok(0),
        };
        let text = text.map_err(PublishError::Output)?;
        // Where nobody reads JSON there is none.
        if self.options.form == Form::Json || self.options.pictures.is_some() {
            serde_json::to_writer(&mut self.line, record)
                .map_err(|error| PublishError::Output(error.into()))?;
        }
        self.make_room();
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(PublishError::Output(self.shared.take_failure()));
        }
        let tags = Tags {
            kind,
            text,
            events: self.events,
            picture,
        };
        self.records.push(tags.into(), self.line.bytes());
        self.events += u64::from(kind == Kind::Event);
        self.wake();
        Ok(())
    }

    fn make_room(&self) {
        if !self.options.waits {
            return;
        }
        let Shared {
            records, control, ..
        } = &*self.shared;
        let is_full = || {
            let written = self.shared.written.load(Ordering::Acquire);
            records.head() - written >= records.slots()
        };
        while is_full() && !control.is_stopped() && !self.shared.failed.load(Ordering::Acquire) {
            std::thread::park();
        }
    }

    fn wake(&self) {
        for reader in &self.readers {
            reader.unpark();
        }
    }

    /// Waits until standard output has every record, or, once the loop is to stop, for a short while; then for clients, for
    /// a shorter.
    ///
    /// # Errors
    /// [`PublishError`]
    pub(crate) fn finish(&mut self) -> Result<(), PublishError> {
        self.shared.ended.store(true, Ordering::Release);
        self.wake();
        let written = self.wait_for_output();
        let deadline = Instant::now() + FAREWELL;
        while self.shared.clients.load(Ordering::Acquire) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        written
    }

    fn wait_for_output(&self) -> Result<(), PublishError> {
        let shared = &*self.shared;
        let mut deadline = None;
        loop {
            if shared.failed.load(Ordering::Acquire) {
                return Err(PublishError::Output(shared.take_failure()));
            }
            if shared.complete.load(Ordering::Acquire) {
                return Ok(());
            }
            if !shared.control.is_stopped() {
                std::thread::park();
                continue;
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + GRACE);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let written = shared.written.load(Ordering::Acquire);
                return Err(PublishError::Unread(shared.records.head() - written));
            }
            std::thread::park_timeout(left);
        }
    }
}
