//! A camera that streams into mapped buffers, of which the newest frame is kept until it is wanted.

use super::driver::{Buffer, Driver, Woken};
use super::error::{CameraError, io_error};
use super::frames::{Counter, instant};
use super::negotiation::{Agreement, negotiate};
use super::wish::Wish;
use crate::seal;
use crate::sources::encoding::Encoding;
use crate::sources::mjpeg::Decoder;
use crate::sources::slot::Slot;
use std::borrow::Cow;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Buffers of the driver: one kept, one being filled, and three for as long as a decoder or the scheduler takes.
const BUFFERS: u32 = 5;

/// A camera that streams.
pub(super) struct Streaming {
    driver: Box<dyn Driver>,
    pub(super) agreement: Agreement,
    counter: Counter,
    newest: Option<Kept>,
}

/// A frame that nobody has looked at yet.
#[derive(Clone, Copy, Debug)]
struct Kept {
    buffer: Buffer,
    number: u64,
    taken: Option<Instant>,
}

/// What a camera gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A frame, which is kept.
    Frame,
    /// A frame that cannot be used.
    Damaged(Cow<'static, str>),
    Nothing,
}

impl Streaming {
    /// Agrees on a mode and starts streaming. Frames count on from those that `counter` has.
    pub(super) fn start(
        mut driver: Box<dyn Driver>,
        wish: &Wish,
        mut counter: Counter,
    ) -> Result<Self, CameraError> {
        let agreement = negotiate(&mut *driver, wish)?;
        let count = driver.map(BUFFERS).map_err(io_error("map buffers of"))?;
        if count < 2 {
            return Err(CameraError::Buffers { count });
        }
        for index in 0..count {
            driver.queue(index).map_err(io_error("hand a buffer to"))?;
        }
        driver.start().map_err(io_error("start"))?;
        counter.restart();
        Ok(Self {
            driver,
            agreement,
            counter,
            newest: None,
        })
    }

    /// Waits for a frame that can be used.
    pub(super) fn first_frame(
        &mut self,
        other: BorrowedFd<'_>,
        most: Duration,
    ) -> Result<(), CameraError> {
        let begin = self.now();
        loop {
            let left = (begin + most).saturating_sub(self.now());
            if left.is_zero() {
                let seconds = most.as_secs_f64();
                return Err(CameraError::NoFrame { seconds });
            }
            match self.advance(other, left) {
                Ok(Given::Frame) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(io_error("get a frame from")(error)),
            }
        }
    }

    /// Gives all frames back to the driver: those that came before anybody could look.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        if let Some(kept) = self.newest.take() {
            self.driver.queue(kept.buffer.index)?;
        }
        for _ in 0..BUFFERS {
            match self.driver.dequeue() {
                Ok(buffer) => self.driver.queue(buffer.index)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.counter = Counter::default();
        Ok(())
    }

    pub(super) fn now(&self) -> Duration {
        self.driver.now()
    }

    /// Whether a frame is kept.
    pub(super) fn has_frame(&self) -> bool {
        self.newest.is_some()
    }

    /// The count of frames, for a camera that is opened again. What is kept goes with the old one.
    pub(super) fn into_counter(mut self) -> Counter {
        if self.newest.is_some() {
            self.counter.replace();
        }
        self.counter
    }

    /// Waits until the driver has something or `other` is readable, and keeps the newest frame.
    pub(super) fn advance(&mut self, other: BorrowedFd<'_>, most: Duration) -> io::Result<Given> {
        match self.driver.wait(other, most) {
            Ok(Woken::Driver) => {}
            Ok(Woken::Descriptor | Woken::Time) => return Ok(Given::Nothing),
            Err(error) if is_passing(&error) => return Ok(Given::Nothing),
            Err(error) => return Err(error),
        }
        let mut given = Given::Nothing;
        for _ in 0..BUFFERS {
            let buffer = match self.driver.dequeue() {
                Ok(buffer) => buffer,
                Err(error) if is_passing(&error) => break,
                Err(error) => return Err(error),
            };
            self.counter.count(buffer.sequence);
            if let Some(reason) = self.defect(&buffer) {
                self.driver.queue(buffer.index)?;
                return Ok(Given::Damaged(reason));
            }
            self.keep(buffer)?;
            given = Given::Frame;
        }
        Ok(given)
    }

    fn keep(&mut self, buffer: Buffer) -> io::Result<()> {
        let now = self.driver.now();
        let kept = Kept {
            buffer,
            number: self.counter.number(),
            taken: buffer.timestamp.and_then(|stamp| instant(stamp, now)),
        };
        if let Some(old) = self.newest.replace(kept) {
            self.counter.replace();
            self.driver.queue(old.buffer.index)?;
        }
        Ok(())
    }

    /// Why a buffer holds no frame.
    fn defect(&self, buffer: &Buffer) -> Option<Cow<'static, str>> {
        let used = buffer.used.min(self.driver.bytes(buffer.index).len());
        let needed = match self.agreement.encoding {
            Encoding::Raw(_) => self.agreement.layout.bytes(),
            Encoding::Jpeg => 1,
        };
        if buffer.damaged {
            return Some("the driver says that the frame is damaged".into());
        }
        match used {
            0 => Some("the driver gave an empty frame".into()),
            _ if used < needed => Some(seal::exempt(|| {
                format!("the driver gave {used} of a frame's {needed} bytes").into()
            })),
            _ => None,
        }
    }

    /// Copies or decodes the newest frame. `None` if there is none; otherwise whether it could be used, and if not,
    /// the slot has the reason.
    pub(super) fn fill(
        &mut self,
        slot: &mut Slot,
        decoder: Option<&mut Decoder>,
    ) -> io::Result<Option<bool>> {
        let Some(kept) = self.newest.take() else {
            return Ok(None);
        };
        self.describe(slot, kept.number);
        slot.stamp = kept.taken;
        let bytes = self.driver.bytes(kept.buffer.index);
        let bytes = &bytes[..kept.buffer.used.min(bytes.len())];
        let layout = self.agreement.layout;
        match (self.agreement.encoding, decoder) {
            (Encoding::Raw(_), _) => match slot.prepare(layout, layout.bytes()) {
                Some(room) => room.copy_from_slice(&bytes[..layout.bytes()]),
                None => slot.reject("larger than the room that is reserved"),
            },
            (Encoding::Jpeg, Some(decoder)) => {
                if let Err(defect) = decoder.decode(bytes, slot) {
                    slot.reject(seal::exempt(|| defect.to_string()));
                }
            }
            (Encoding::Jpeg, None) => slot.reject("no decoder"),
        }
        let usable = slot.frame().is_ok();
        self.driver.queue(kept.buffer.index)?;
        Ok(Some(usable))
    }

    /// Numbers a slot, and tells it of frames that were lost before.
    pub(super) fn describe(&mut self, slot: &mut Slot, number: u64) {
        slot.sequence = number;
        slot.dropped_by_driver = self.counter.take_dropped();
        slot.replaced = self.counter.take_replaced();
    }

    /// Number of the newest frame, usable or not.
    pub(super) fn number(&self) -> u64 {
        self.counter.number()
    }
}

/// Whether an error means: not now.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
