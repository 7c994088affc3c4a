//! V4L2 cameras: the best mode that the driver gives, memory-mapped streaming with the driver's own strides and
//! colours, frames copied or decoded only when they are wanted. A camera that disappears is opened again, wherever it
//! appears, and no other in its place.

mod choice;
mod driver;
mod encodings;
pub(super) mod error;
mod format;
mod frames;
mod identity;
mod machine;
mod modes;
mod negotiation;
mod offers;
#[cfg(test)]
mod scripted;
mod search;
mod streaming;
#[cfg(test)]
mod tests;
mod v4l2;
mod wish;

pub(super) use offers::offers;

use super::capture::{Capture, Captured, SourceError};
use super::demand::Demand;
use super::encoding::Encoding;
use super::error::OpenError;
use super::exchange::Policy;
use super::mjpeg::Decoder;
use super::slot::Slot;
use super::source::{CameraOptions, Source, SourceOptions};
use super::status::{CameraStatus, Status};
use crate::output::Escaped;
use crate::{output, seal};
use driver::System;
use error::CameraError;
use frames::Counter;
use identity::Identity;
use machine::Machine;
use mergevit_kernels::frame::ColorSpace;
use search::Opened;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use streaming::{Given, Streaming};
use wish::Wish;

/// Waits between attempts to reopen a camera: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Room for the frames of a camera that is not there yet, where the command line names no size.
const UNKNOWN: (usize, usize) = (1920, 1080);

/// Room for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    /// Width and height in pixels.
    size: (usize, usize),
    bytes: usize,
}

struct Camera {
    system: Box<dyn System>,
    /// Where it was named, or was found last.
    device: PathBuf,
    /// For messages.
    name: String,
    color: Option<ColorSpace>,
    wish: Wish,
    stall: Duration,
    room: Room,
    /// Which camera it is, once it was there.
    identity: Option<Identity>,
    streaming: Option<Streaming>,
    /// Size and encoding of its frames before it was lost.
    before: Option<((u32, u32), Encoding)>,
    decoder: Option<Decoder>,
    counter: Counter,
    demand: Arc<Demand>,
    /// The loop waits for a frame.
    wanted: bool,
    /// No frame was looked at yet.
    fresh: bool,
    /// The last frame that was looked at could not be used.
    failing: bool,
    /// When a frame came that could be used, on the driver's clock.
    alive: Duration,
    /// Until the next attempt to open it.
    wait: Duration,
    /// What the loop was told last.
    told: Option<CameraStatus>,
    news: Option<CameraStatus>,
}

/// Opens a camera and starts streaming; with `--wait`, also one that is not there yet.
pub(super) fn open(device: &Path, options: &SourceOptions) -> Result<Source, OpenError> {
    open_on(Box::new(Machine::new(Path::new("/"))), device, options)
}

fn open_on(
    system: Box<dyn System>,
    device: &Path,
    options: &SourceOptions,
) -> Result<Source, OpenError> {
    let name = device.display().to_string();
    let failed = |reason| OpenError::Camera {
        name: name.clone(),
        reason,
    };
    let demand =
        Demand::new().map_err(|source| failed(error::io_error("make a socket for")(source)))?;
    let mut camera = Camera {
        system,
        device: device.into(),
        name: name.clone(),
        color: options.color,
        wish: wish(&options.camera),
        stall: options.camera.stall,
        room: room(options.camera.size.unwrap_or(UNKNOWN)),
        identity: None,
        streaming: None,
        before: None,
        decoder: None,
        counter: Counter::default(),
        demand: Arc::new(demand),
        wanted: false,
        fresh: true,
        failing: false,
        alive: Duration::ZERO,
        wait: FIRST_WAIT,
        told: None,
        news: None,
    };
    let description = match camera.connect() {
        Ok(description) => format!("{name}: {description}"),
        Err(reason) if options.camera.wait => {
            let (width, height) = camera.room.size;
            camera.announce(Status::Waiting, &reason);
            format!("{name}: waiting for a camera of at most {width}x{height}")
        }
        Err(reason) => return Err(failed(reason)),
    };
    Ok(Source {
        description,
        policy: Policy::Latest,
        max_width: camera.room.size.0,
        max_height: camera.room.size.1,
        slot_bytes: camera.room.bytes,
        names: [].into(),
        capture: Box::new(camera),
    })
}

fn wish(options: &CameraOptions) -> Wish {
    Wish {
        least: options.least as u32,
        rate: options.fps,
        size: options
            .size
            .map(|(width, height)| (width as u32, height as u32)),
        encoding: options.format,
        most: None,
    }
}

/// Room for frames of any format, which have at most three bytes a pixel.
fn room((width, height): (usize, usize)) -> Room {
    Room {
        size: (width, height),
        bytes: 3 * width * height,
    }
}

impl Camera {
    /// Opens the camera, agrees on a mode and waits for a frame; returns what it is and how it streams.
    fn connect(&mut self) -> Result<String, CameraError> {
        let Opened {
            device,
            mut driver,
            identity,
            card,
        } = match &self.identity {
            None => search::open(&*self.system, &self.device)?,
            Some(identity) => search::find(&*self.system, &self.device, identity)?,
        };
        let first = self.identity.is_none() && self.told.is_none();
        let wish = match first {
            true => self.wish,
            // Memory is reserved, and stays as it is.
            false => self.again(&mut *driver),
        };
        let counter = self.counter.clone();
        let mut streaming = Streaming::start(driver, &wish, counter)?;
        let layout = &mut streaming.agreement.layout;
        *layout = layout.with_color(self.color.unwrap_or(layout.color()));
        let (size, bytes) = ((layout.width(), layout.height()), layout.bytes());
        if first {
            self.room = Room { size, bytes };
        } else if bytes > self.room.bytes {
            let room = self.room.bytes;
            return Err(CameraError::TooLarge { bytes, room });
        }
        let encoding = streaming.agreement.encoding;
        if encoding == Encoding::Jpeg && self.decoder.is_none() {
            self.decoder = Some(Decoder::new(self.room.size)?);
        }
        streaming.first_frame(self.demand.descriptor(), self.stall)?;
        let description = describe(&card, &streaming, self.wish.rate);
        self.demand.set_ahead(encoding == Encoding::Jpeg);
        self.before = Some(((size.0 as u32, size.1 as u32), encoding));
        self.alive = streaming.now();
        self.failing = false;
        self.identity = Some(identity);
        self.device = device;
        self.streaming = Some(streaming);
        Ok(description)
    }

    /// What to ask for when the camera is opened again: what it gave before, or else what fits the room.
    fn again(&self, driver: &mut dyn driver::Driver) -> Wish {
        let most = self.room.size;
        let fits = Wish {
            most: Some((most.0 as u32, most.1 as u32)),
            ..self.wish
        };
        let Some((size, encoding)) = self.before else {
            return fits;
        };
        let same = Wish {
            size: Some(size),
            encoding: Some(encoding),
            ..fits
        };
        let offered = modes::list(driver, &same);
        match offered.is_ok_and(|(modes, _)| !choice::rank(&modes, &same).is_empty()) {
            true => same,
            false => fits,
        }
    }

    /// Waits, then tries once to open the camera.
    fn reopen(&mut self) {
        self.system.sleep(self.wait);
        self.wait = (2 * self.wait).min(LAST_WAIT);
        match self.connect() {
            Ok(description) => {
                self.wait = FIRST_WAIT;
                self.announce(Status::Streaming, &description);
            }
            Err(reason) => self.announce(Status::Waiting, &reason),
        }
    }

    /// Tells standard error and the loop what has changed.
    fn announce(&mut self, status: Status, reason: &dyn Display) {
        let news = CameraStatus {
            status,
            reason: Some(reason.to_string()),
        };
        if self.told.as_ref() == Some(&news) {
            return;
        }
        match status {
            Status::Streaming => {
                output::note(&format!("{}: {}", Escaped(&self.name), Escaped(&news)));
            }
            Status::Lost | Status::Waiting => {
                output::error(&format_args!("{}: {news}", self.name));
            }
        }
        self.told = Some(news.clone());
        self.news = Some(news);
    }

    /// Closes the camera; the next attempts open it again.
    fn lose(&mut self, reason: &dyn Display) {
        if let Some(streaming) = self.streaming.take() {
            self.counter = streaming.into_counter();
        }
        self.announce(Status::Lost, reason);
    }

    /// One step of a camera that streams. `Err` says why it is lost.
    fn step(
        &mut self,
        streaming: &mut Streaming,
        slot: &mut Slot,
    ) -> Result<Captured, CameraError> {
        let lost = error::io_error("get a frame from");
        if std::mem::take(&mut self.fresh) {
            streaming.forget().map_err(&lost)?;
            self.alive = streaming.now();
        }
        let silent = streaming.now().saturating_sub(self.alive);
        if silent >= self.stall {
            let seconds = silent.as_secs_f64();
            return Err(CameraError::NoFrame { seconds });
        }
        self.wanted |= self.demand.take();
        let most = match self.wanted && streaming.has_frame() {
            // Only to see whether there is a newer one.
            true => Duration::ZERO,
            false => self.stall - silent,
        };
        match streaming
            .advance(self.demand.descriptor(), most)
            .map_err(&lost)?
        {
            Given::Frame if !self.failing => self.alive = streaming.now(),
            Given::Frame | Given::Nothing => {}
            Given::Damaged(reason) => {
                let number = streaming.number();
                streaming.describe(slot, number);
                slot.reject(reason);
                return Ok(Captured::Unusable);
            }
        }
        self.wanted |= self.demand.take();
        if !self.wanted {
            return Ok(Captured::Nothing);
        }
        let filled = streaming.fill(slot, self.decoder.as_mut()).map_err(&lost)?;
        let Some(usable) = filled else {
            return Ok(Captured::Nothing);
        };
        self.wanted = false;
        self.failing = !usable;
        if !usable {
            return Ok(Captured::Unusable);
        }
        self.alive = streaming.now();
        Ok(Captured::Frame)
    }
}

impl Capture for Camera {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        if let Some(news) = self.news.take() {
            return Ok(Captured::Status(news));
        }
        let Some(mut streaming) = self.streaming.take() else {
            seal::exempt(|| self.reopen());
            return Ok(Captured::Nothing);
        };
        let stepped = self.step(&mut streaming, slot);
        self.streaming = Some(streaming);
        match stepped {
            Ok(captured) => Ok(captured),
            Err(reason) => {
                seal::exempt(|| self.lose(&reason));
                Ok(Captured::Nothing)
            }
        }
    }

    fn demand(&self) -> Option<Arc<Demand>> {
        Some(Arc::clone(&self.demand))
    }
}

/// What a camera is and how it streams, and whether that is slower than it was to be.
fn describe(card: &str, streaming: &Streaming, wanted: f64) -> String {
    let agreement = &streaming.agreement;
    let (width, height) = (agreement.layout.width(), agreement.layout.height());
    let mut text = format!("{card}, {} {width}x{height}", agreement.encoding);
    if let Some(rate) = agreement.interval.and_then(driver::Interval::rate) {
        text += &format!(", {rate} frames/s");
        // As 30000/1001 is called 30.
        if rate < 0.99 * wanted {
            text += &format!(" instead of {wanted}");
        }
    }
    text
}
