//! Keeps images of frames that the model is not sure of: they are what it may learn from.
//!
//! The loop copies a frame into a place that is free, and goes on; a thread writes it as PNG. Where no place is free, the
//! frame is not kept, and is counted.

use crate::failure::Failure;
use crate::output::{self, Time};
use crate::{model, seal};
use mergevit_kernels::frame::{Frame, FrameLayout, reference};
use mergevit_kernels::memory::zeroed;
use mergevit_runtime::OutputFile;
use mergevit_runtime::image::Rgb;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread};

/// Frames that may wait to be written.
const PLACES: usize = 4;

/// What a frame's file is named after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) captured: Time,
    /// Place of the source among the sources.
    pub(super) source: usize,
    pub(super) frame: u64,
    /// Place of the region among the regions, if there are any.
    pub(super) region: Option<usize>,
}

/// How many images were kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct UncertainCounts {
    pub(super) saved: u64,
    /// Frames that were not kept: they came too fast, the limit was reached, or the file could not be written.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Place {
    bytes: Box<[u8]>,
    /// Of the frame that waits here, if one does.
    waiting: Option<(FrameLayout, Origin)>,
}

#[derive(Debug)]
struct Shared {
    places: [Mutex<Place>; PLACES],
    folder: PathBuf,
    /// Files that may still be written.
    left: AtomicU64,
    saved: AtomicU64,
    dropped: AtomicU64,
    ended: AtomicBool,
}

/// Keeps images.
#[derive(Debug)]
pub(crate) struct Saver {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

impl Saver {
    /// Into a folder, which is made if it is not there, until it holds `limit` PNG files. Frames have at most so many bytes.
    /// Allocates.
    ///
    /// # Errors
    /// The folder cannot be used, or memory or the thread was refused.
    pub(crate) fn start(folder: &Path, limit: u64, frame_bytes: usize) -> Result<Self, Failure> {
        let held = prepare(folder).map_err(|error| {
            Failure::work(&format_args!(
                "{}: cannot save there: {error}",
                folder.display()
            ))
        })?;
        let mut places = Vec::with_capacity(PLACES);
        for _ in 0..PLACES {
            let bytes = zeroed(frame_bytes, "frames to save");
            places.push(Mutex::new(Place {
                bytes: bytes.map_err(|error| model::out_of_memory(&error))?,
                waiting: None,
            }));
        }
        let shared = Arc::new(Shared {
            places: places.try_into().expect("as many as there are"),
            folder: folder.into(),
            left: AtomicU64::new(limit.saturating_sub(held)),
            saved: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let handle = seal::spawn_exempt("save", move || own.write_all());
        let handle = handle.map_err(|error| Failure::thread(&error))?;
        Ok(Self {
            shared,
            thread: handle.thread().clone(),
            handle: Some(handle),
        })
    }

    /// Keeps a frame if there is room now. Neither waits nor allocates.
    pub(super) fn offer(&self, frame: &Frame<'_>, origin: Origin) {
        let kept = self.shared.left.load(Ordering::Acquire) > 0
            && self
                .shared
                .places
                .iter()
                .any(|place| keep(place, frame, origin));
        match kept {
            true => self.thread.unpark(),
            false => drop(self.shared.dropped.fetch_add(1, Ordering::AcqRel)),
        }
    }

    /// Waits until what was kept is written, and counts.
    pub(crate) fn finish(&mut self) -> UncertainCounts {
        self.shared.ended.store(true, Ordering::Release);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // A panic has said what it was.
            let _ = handle.join();
        }
        UncertainCounts {
            saved: self.shared.saved.load(Ordering::Acquire),
            dropped: self.shared.dropped.load(Ordering::Acquire),
        }
    }
}

/// Copies a frame, unless somebody else holds the place or a frame waits in it.
fn keep(place: &Mutex<Place>, frame: &Frame<'_>, origin: Origin) -> bool {
    let Ok(mut place) = place.try_lock() else {
        return false;
    };
    let packed = FrameLayout::packed(frame.format(), frame.width(), frame.height());
    let (None, Ok(layout)) = (place.waiting, packed) else {
        return false;
    };
    let Some(bytes) = place.bytes.get_mut(..layout.packed_bytes()) else {
        return false;
    };
    frame.copy_packed(bytes);
    place.waiting = Some((layout.with_color(frame.color()), origin));
    true
}

/// Makes the folder, and counts the images in it.
fn prepare(folder: &Path) -> io::Result<u64> {
    std::fs::create_dir_all(folder)?;
    let mut images = 0;
    for entry in folder.read_dir()? {
        let path = entry?.path();
        images += u64::from(path.extension().is_some_and(|end| end == "png"));
    }
    Ok(images)
}

impl Shared {
    /// Writes frames until there are no more.
    fn write_all(&self) {
        let mut complains = true;
        loop {
            // In this order: what came before the end is written.
            let ended = self.ended.load(Ordering::Acquire);
            let mut wrote = false;
            for place in &self.places {
                let Ok(mut place) = place.lock() else {
                    continue;
                };
                let Some((layout, origin)) = place.waiting else {
                    continue;
                };
                wrote = true;
                let written = self.write(&layout, &place.bytes, origin);
                place.waiting = None;
                drop(place);
                if let Err(reason) = written {
                    self.dropped.fetch_add(1, Ordering::AcqRel);
                    // Once: a full disk stays full for a while.
                    if std::mem::take(&mut complains) {
                        output::warning(&reason);
                    }
                }
            }
            match (wrote, ended) {
                (true, _) => {}
                (false, true) => return,
                (false, false) => std::thread::park(),
            }
        }
    }

    fn write(&self, layout: &FrameLayout, bytes: &[u8], origin: Origin) -> Result<(), String> {
        let left = self.left.load(Ordering::Acquire);
        let Some(left) = left.checked_sub(1) else {
            return Err("no more images are saved: the limit is reached".into());
        };
        let frame = Frame::with_layout(*layout, bytes).map_err(|error| error.to_string())?;
        let image = reference::to_rgb(&frame);
        let image = Rgb::from_pixels(image.width, image.height, image.data);
        let png = image.ok_or("an image without pixels")?.to_png();
        let path = self.folder.join(name(origin));
        let written = OutputFile::new(&path).and_then(|file| file.write(&png));
        written.map_err(|error| error.to_string())?;
        self.left.store(left, Ordering::Release);
        self.saved.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// `2026-05-04T12-34-56.789Z_0_1234.png`: when, source, frame, and perhaps region.
fn name(origin: Origin) -> String {
    let time = origin.captured.to_string().replace(':', "-");
    let region = origin.region.map(|region| format!("_{region}"));
    let region = region.unwrap_or_default();
    format!("{time}_{}_{}{region}.png", origin.source, origin.frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::PixelFormat;
    use mergevit_runtime::image;

    fn origin(frame: u64) -> Origin {
        Origin {
            captured: Time::now(),
            source: 0,
            frame,
            region: Some(1),
        }
    }

    #[test]
    fn images_are_written_up_to_the_limit_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("made");
        let bytes: Vec<u8> = (0..27).collect();
        let frame = Frame::packed(PixelFormat::Rgb, 3, 3, &bytes).expect("a frame");
        for (saved, dropped) in [(3, 7), (0, 10)] {
            let mut saver = Saver::start(&folder, 3, bytes.len()).expect("it starts");
            for number in 0..10 {
                saver.offer(&frame, origin(number));
                // Each is written before the next comes, unless the limit is reached.
                for _ in 0..1000 {
                    let counts = [&saver.shared.saved, &saver.shared.dropped];
                    let counts = counts.map(|count| count.load(Ordering::Acquire));
                    if counts.iter().sum::<u64>() > number {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
            }
            assert_eq!(saver.finish(), UncertainCounts { saved, dropped });
        }
        let files = folder.read_dir().expect("a folder");
        let files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        assert_eq!(files.len(), 3);
        for file in files {
            assert!(file.to_string_lossy().ends_with("_1.png"));
            assert_eq!(image::decode(&file).expect("an image").pixels(), bytes);
        }
    }

    #[test]
    fn a_burst_is_counted_and_stops_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = [7; 12];
        let frame = Frame::packed(PixelFormat::Grey, 4, 3, &bytes).expect("a frame");
        let mut saver = Saver::start(folder.path(), u64::MAX, bytes.len()).expect("it starts");
        // The thread cannot get at the places.
        let locked: Vec<_> = saver
            .shared
            .places
            .iter()
            .map(|place| place.lock())
            .collect();
        (0..5).for_each(|number| saver.offer(&frame, origin(number)));
        drop(locked);
        assert_eq!(
            saver.finish(),
            UncertainCounts {
                saved: 0,
                dropped: 5
            }
        );
    }
}
