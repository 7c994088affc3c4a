//! What a V4L2 driver is asked, one method a system call: the border between what this program decides and what a
//! kernel answers. Tests put scripts in the driver's place.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Four characters that name a format.
pub(crate) type Code = [u8; 4];

/// What a driver says of its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// The device's name, for people.
    pub(super) card: String,
    /// Where it is plugged in.
    pub(super) bus: String,
    /// Whether it streams single-planar frames.
    pub(super) streams: bool,
}

/// A frame's format. Enumerations stay numbers: drivers know values that no header lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Format {
    pub(super) code: Code,
    /// In pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from row to row; 0 where the driver leaves it open.
    pub(super) stride: u32,
    /// Bytes of a frame at most.
    pub(super) size: u32,
    /// `V4L2_COLORSPACE_*`
    pub(super) colorspace: u32,
    /// `V4L2_YCBCR_ENC_*`
    pub(super) matrix: u32,
    /// `V4L2_QUANTIZATION_*`
    pub(super) quantization: u32,
}

impl Format {
    /// A format to ask for; the rest is the driver's.
    pub(super) fn new(code: Code, width: u32, height: u32) -> Self {
        Self {
            code,
            width,
            height,
            ..Self::default()
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.escape_ascii();
        write!(f, "{code} {}x{}", self.width, self.height)
    }
}

/// The sizes of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    One(u32, u32),
    Range {
        least: (u32, u32),
        most: (u32, u32),
        step: (u32, u32),
    },
}

/// Seconds between two frames, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) numerator: u32,
    pub(super) denominator: u32,
}

impl Interval {
    /// Of `rate` frames per second, to a thousandth.
    pub(super) fn of_rate(rate: f64) -> Self {
        Self {
            numerator: 1000,
            denominator: (rate * 1000.0).round() as u32,
        }
    }

    /// Frames in a thousand seconds; `None` where the fraction means nothing.
    pub(super) fn millihertz(self) -> Option<u64> {
        let frames = u64::from(self.denominator) * 1000;
        let rate = frames.checked_div(u64::from(self.numerator))?;
        (rate > 0).then_some(rate)
    }

    /// Frames per second.
    pub(super) fn rate(self) -> Option<f64> {
        self.millihertz().map(|rate| rate as f64 / 1e3)
    }
}

/// The intervals of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intervals {
    One(Interval),
    /// From the shortest to the longest.
    Range(Interval, Interval),
}

/// A buffer that a driver has filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffer {
    pub(super) index: u32,
    /// Bytes of the frame.
    pub(super) used: usize,
    /// The driver says that the frame is damaged.
    pub(super) damaged: bool,
    pub(super) sequence: u32,
    /// On the clock of [`Driver::now`], if the driver uses that.
    pub(super) timestamp: Option<Duration>,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// A buffer is filled, or the driver has an error to report: [`Driver::dequeue`] tells.
    Driver,
    /// The descriptor has something to read, and the driver nothing.
    Descriptor,
    /// Too much time went by.
    Time,
}

/// An open device. Dropping it ends streaming, unmaps its buffers and closes it, whatever the driver says.
pub(super) trait Driver: Send {
    fn capabilities(&self) -> io::Result<Capabilities>;
    /// All formats; none where the driver does not list them. The same is true of sizes and intervals.
    fn formats(&self) -> io::Result<Vec<Code>>;
    fn sizes(&self, code: Code) -> io::Result<Vec<Sizes>>;
    fn intervals(&self, code: Code, size: (u32, u32)) -> io::Result<Vec<Intervals>>;
    fn format(&self) -> io::Result<Format>;
    /// Sets a format; returns the one that the driver took.
    fn set_format(&mut self, format: Format) -> io::Result<Format>;
    /// Sets the time between frames; returns what the driver took, or nothing where it has no choice.
    fn set_interval(&mut self, interval: Interval) -> io::Result<Option<Interval>>;
    /// Reserves and maps buffers; returns how many there are.
    fn map(&mut self, count: u32) -> io::Result<u32>;
    /// Bytes of a mapped buffer, in which the driver does not write until it is queued.
    fn bytes(&self, index: u32) -> &[u8];
    /// Hands a buffer to the driver.
    fn queue(&mut self, index: u32) -> io::Result<()>;
    /// Takes the buffer that was filled first. Does not wait. Allocates nothing.
    fn dequeue(&mut self) -> io::Result<Buffer>;
    fn start(&mut self) -> io::Result<()>;
    /// Waits for the driver or for something to read. Allocates nothing.
    fn wait(&mut self, other: BorrowedFd<'_>, most: Duration) -> io::Result<Woken>;
    /// The clock of time stamps.
    fn now(&self) -> Duration;
}

/// The devices of a machine.
pub(super) trait System: Send {
    fn open(&self, device: &Path) -> io::Result<Box<dyn Driver>>;
    /// All devices that may be cameras.
    fn devices(&self) -> Vec<PathBuf>;
    /// The serial number of the hardware behind a device, and which of its devices this is, where the system knows.
    fn hardware(&self, device: &Path) -> Hardware;
    fn sleep(&self, time: Duration);
}

/// What the system knows of a device besides its driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hardware {
    pub(super) serial: Option<String>,
    /// A webcam may have several devices: frames, metadata.
    pub(super) index: Option<u32>,
}
