//! A driver that answers as a test has written, on a clock that moves only while somebody waits.

use super::driver::{
    Buffer, Capabilities, Code, Driver, Format, Hardware, Interval, Intervals, Sizes, System, Woken,
};
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) const EIO: i32 = 5;
pub(super) const EAGAIN: i32 = 11;
pub(super) const ENODEV: i32 = 19;

/// What a driver does when it is waited for.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Fills the next buffer: the frame's number and its bytes.
    Fill(u32, Vec<u8>),
    /// As above, with the driver's mark for damage.
    Damage(u32),
    /// Says that there is something, and then fails with this.
    Fail(i32),
    /// Does nothing until the time is up.
    Sleep,
    Panic,
}

/// A camera, plugged in or not, and what it does.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) card: String,
    pub(super) bus: String,
    pub(super) serial: Option<String>,
    pub(super) modes: Vec<(Code, (u32, u32), Vec<u32>)>,
    /// What it answers to S_FMT, in the place of what it was asked for.
    pub(super) answers: VecDeque<Result<Format, i32>>,
    /// Of whatever it answers.
    pub(super) colorspace: u32,
    /// How its streams begin: each failure of STREAMON counts for one.
    pub(super) refusals: VecDeque<i32>,
    pub(super) acts: VecDeque<Act>,
    /// What it does when there is nothing else.
    pub(super) then: Act,
    pub(super) fails_to_queue: bool,
}

impl Model {
    /// A webcam with these modes: code, size, rates.
    pub(super) fn new(modes: &[(&Code, (u32, u32), &[u32])]) -> Self {
        let modes = modes
            .iter()
            .map(|(code, size, rates)| (**code, *size, rates.to_vec()))
            .collect();
        Self {
            card: "Webcam".into(),
            bus: "usb-1".into(),
            serial: None,
            modes,
            answers: VecDeque::new(),
            colorspace: 8,
            refusals: VecDeque::new(),
            acts: VecDeque::new(),
            then: Act::Sleep,
            fails_to_queue: false,
        }
    }
}

#[derive(Debug)]
struct World {
    /// The camera at each path.
    plugged: Vec<(PathBuf, Model)>,
    /// Paths from which cameras were pulled, one after the other.
    pulls: Vec<PathBuf>,
    now: Duration,
    /// What was asked of all drivers.
    asked: Vec<String>,
    open: usize,
}

/// The machine of a test. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Desk(Arc<Mutex<World>>);

impl Desk {
    pub(super) fn new(plugged: &[(&str, Model)]) -> Self {
        Self(Arc::new(Mutex::new(World {
            plugged: plugged
                .iter()
                .map(|(path, model)| (PathBuf::from(path), model.clone()))
                .collect(),
            pulls: Vec::new(),
            now: Duration::from_secs(1000),
            asked: Vec::new(),
            open: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the camera at a path.
    pub(super) fn change(&self, path: &str, change: impl FnOnce(&mut Model)) {
        let mut world = self.lock();
        let found = world
            .plugged
            .iter_mut()
            .find(|(at, _)| at == Path::new(path));
        change(&mut found.expect("a camera is there").1);
    }

    pub(super) fn unplug(&self, path: &str) -> Model {
        let mut world = self.lock();
        let at = world
            .plugged
            .iter()
            .position(|(at, _)| at == Path::new(path));
        world.pulls.push(path.into());
        world.plugged.remove(at.expect("a camera is there")).1
    }

    pub(super) fn plug(&self, path: &str, model: Model) {
        self.lock().plugged.push((path.into(), model));
    }

    /// What was asked since this was called last.
    pub(super) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().asked)
    }

    pub(super) fn asked(&self, question: String) {
        self.lock().asked.push(question);
    }

    /// Devices that are open.
    pub(super) fn open_devices(&self) -> usize {
        self.lock().open
    }
}

impl System for Desk {
    fn open(&self, device: &Path) -> io::Result<Box<dyn Driver>> {
        let mut world = self.lock();
        if !world.plugged.iter().any(|(at, _)| at == device) {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.open += 1;
        let pulls = world.pulls.len();
        Ok(Box::new(Script {
            desk: self.clone(),
            pulls,
            device: device.into(),
            format: Format::new(*b"YUYV", 160, 120),
            buffers: Vec::new(),
            queued: VecDeque::new(),
            filled: VecDeque::new(),
            failure: None,
        }))
    }

    fn devices(&self) -> Vec<PathBuf> {
        let world = self.lock();
        world.plugged.iter().map(|(at, _)| at.clone()).collect()
    }

    fn hardware(&self, device: &Path) -> Hardware {
        let world = self.lock();
        let found = world.plugged.iter().find(|(at, _)| at == device);
        Hardware {
            serial: found.and_then(|(_, model)| model.serial.clone()),
            index: Some(0),
        }
    }

    fn sleep(&self, time: Duration) {
        self.lock().now += time;
    }
}

/// An open device.
struct Script {
    desk: Desk,
    /// How often a camera was pulled before this one was opened.
    pulls: usize,
    device: PathBuf,
    format: Format,
    buffers: Vec<Vec<u8>>,
    queued: VecDeque<u32>,
    filled: VecDeque<Buffer>,
    failure: Option<i32>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.desk.lock().open -= 1;
    }
}

impl Script {
    /// Something of the camera, if it is still there.
    fn model<T>(&self, read: impl FnOnce(&mut Model) -> T) -> io::Result<T> {
        let mut world = self.desk.lock();
        // Another one at the same path is another device.
        let pulled = world.pulls[self.pulls..].contains(&self.device);
        let mut plugged = world.plugged.iter_mut();
        let found = plugged.find(|(at, _)| !pulled && *at == self.device);
        match found {
            Some((_, model)) => Ok(read(model)),
            None => Err(io::Error::from_raw_os_error(ENODEV)),
        }
    }

    fn fill(&mut self, sequence: u32, bytes: &[u8], damaged: bool) -> Woken {
        // Without a buffer, the driver drops the frame.
        let Some(index) = self.queued.pop_front() else {
            return Woken::Time;
        };
        let buffer = &mut self.buffers[index as usize];
        let bytes = &bytes[..bytes.len().min(buffer.len())];
        buffer[..bytes.len()].copy_from_slice(bytes);
        self.filled.push_back(Buffer {
            index,
            used: bytes.len(),
            damaged,
            sequence,
            timestamp: Some(self.now()),
        });
        Woken::Driver
    }
}

impl Driver for Script {
    fn capabilities(&self) -> io::Result<Capabilities> {
        self.model(|model| Capabilities {
            card: model.card.clone(),
            bus: model.bus.clone(),
            streams: true,
        })
    }

    fn formats(&self) -> io::Result<Vec<Code>> {
        self.model(|model| model.modes.iter().map(|(code, ..)| *code).collect())
    }

    fn sizes(&self, code: Code) -> io::Result<Vec<Sizes>> {
        self.model(|model| {
            let modes = model.modes.iter().filter(|(c, ..)| *c == code);
            modes.map(|(_, (w, h), _)| Sizes::One(*w, *h)).collect()
        })
    }

    fn intervals(&self, code: Code, size: (u32, u32)) -> io::Result<Vec<Intervals>> {
        self.model(|model| {
            let mut modes = model.modes.iter();
            let mode = modes.find(|(c, s, _)| (*c, *s) == (code, size));
            let rates = mode.map(|(_, _, rates)| rates.clone()).unwrap_or_default();
            let interval = |denominator| {
                Intervals::One(Interval {
                    numerator: 1,
                    denominator,
                })
            };
            rates.into_iter().map(interval).collect()
        })
    }

    fn format(&self) -> io::Result<Format> {
        Ok(self.format)
    }

    fn set_format(&mut self, wanted: Format) -> io::Result<Format> {
        self.desk.asked(format!("format {wanted}"));
        let (answer, colorspace) =
            self.model(|model| (model.answers.pop_front(), model.colorspace))?;
        let found = answer.unwrap_or(Ok(wanted));
        let mut found = found.map_err(io::Error::from_raw_os_error)?;
        found.colorspace = colorspace;
        self.format = found;
        Ok(found)
    }

    fn set_interval(&mut self, wanted: Interval) -> io::Result<Option<Interval>> {
        let rate = wanted.rate().unwrap_or_default();
        self.desk.asked(format!("rate {rate}"));
        Ok(Some(wanted))
    }

    fn map(&mut self, count: u32) -> io::Result<u32> {
        let bytes = 4 * self.format.width as usize * self.format.height as usize;
        self.buffers = vec![vec![0; bytes]; count as usize];
        Ok(count)
    }

    fn bytes(&self, index: u32) -> &[u8] {
        &self.buffers[index as usize]
    }

    fn queue(&mut self, index: u32) -> io::Result<()> {
        if self.model(|model| model.fails_to_queue)? {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        assert!(
            !self.queued.contains(&index),
            "buffer {index} is queued twice"
        );
        self.queued.push_back(index);
        Ok(())
    }

    fn dequeue(&mut self) -> io::Result<Buffer> {
        if let Some(failure) = self.failure.take() {
            return Err(io::Error::from_raw_os_error(failure));
        }
        let filled = self.filled.pop_front();
        filled.ok_or_else(|| io::Error::from_raw_os_error(EAGAIN))
    }

    fn start(&mut self) -> io::Result<()> {
        match self.model(|model| model.refusals.pop_front())? {
            Some(refusal) => Err(io::Error::from_raw_os_error(refusal)),
            None => Ok(()),
        }
    }

    fn wait(&mut self, _: BorrowedFd<'_>, most: Duration) -> io::Result<Woken> {
        // A device that is gone wakes whoever waits.
        let act = self.model(|model| {
            let next = model.acts.pop_front();
            next.unwrap_or_else(|| model.then.clone())
        });
        let Ok(act) = act else {
            self.failure = Some(ENODEV);
            return Ok(Woken::Driver);
        };
        Ok(match act {
            Act::Fill(sequence, bytes) => {
                self.desk.sleep(Duration::from_millis(10));
                self.fill(sequence, &bytes, false)
            }
            Act::Damage(sequence) => {
                self.desk.sleep(Duration::from_millis(10));
                self.fill(sequence, &[0; 8], true)
            }
            Act::Fail(error) => {
                self.failure = Some(error);
                Woken::Driver
            }
            Act::Sleep => {
                self.desk.sleep(most);
                Woken::Time
            }
            Act::Panic => panic!("as the script says"),
        })
    }

    fn now(&self) -> Duration {
        self.desk.lock().now
    }
}
