//! V4L2 cameras: memory-mapped streaming with the driver's own strides and colours. A device that disappears
//! is opened again.

pub(super) mod error;
mod format;
mod streaming;

use super::capture::{Capture, Captured, SourceError};
use super::error::OpenError;
use super::exchange::Policy;
use super::names::format_name;
use super::slot::Slot;
use super::source::{Source, SourceOptions};
use crate::output::Escaped;
use crate::{output, seal};
use mergevit_kernels::frame::ColorSpace;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use streaming::Streaming;

/// Waits between attempts to reopen a camera: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);

struct Camera {
    device: PathBuf,
    color: Option<ColorSpace>,
    /// Size of every frame, also after the device is reopened.
    size: (usize, usize),
    streaming: Option<Streaming>,
    wait: Duration,
}

/// Opens a camera and starts streaming.
pub(super) fn open(device: &Path, options: &SourceOptions) -> Result<Source, OpenError> {
    let mut streaming =
        Streaming::open(device, options.size).map_err(|reason| OpenError::Camera {
            name: device.display().to_string(),
            reason,
        })?;
    let layout = streaming.layout;
    streaming.layout = layout.with_color(options.color.unwrap_or(layout.color()));
    let (width, height) = (layout.width(), layout.height());
    Ok(Source {
        description: format!(
            "{}: {}, {} {width}x{height}, stride {}",
            device.display(),
            streaming.card,
            format_name(layout.format()),
            layout.planes().stride
        ),
        policy: Policy::Latest,
        max_width: width,
        max_height: height,
        slot_bytes: streaming.size,
        names: [].into(),
        capture: Box::new(Camera {
            device: device.into(),
            color: options.color,
            size: (width, height),
            streaming: Some(streaming),
            wait: FIRST_WAIT,
        }),
    })
}

impl Camera {
    /// Waits, then tries once to reopen the device.
    fn reopen(&mut self) {
        std::thread::sleep(self.wait);
        self.wait = (2 * self.wait).min(LAST_WAIT);
        // The loss was announced when it happened; a failed attempt would only repeat it.
        if let Ok(mut streaming) = Streaming::open(&self.device, Some(self.size)) {
            output::note(&format!("{}: back", Escaped(self.device.display())));
            let layout = streaming.layout;
            streaming.layout = layout.with_color(self.color.unwrap_or(layout.color()));
            self.streaming = Some(streaming);
            self.wait = FIRST_WAIT;
        }
    }

    fn lost(&mut self, error: &io::Error) {
        let device = self.device.display();
        output::error(&format_args!(
            "{device}: no frames ({error}); reopening the device"
        ));
        if let Some(streaming) = self.streaming.take() {
            streaming.close();
        }
    }
}

impl Capture for Camera {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        let Some(streaming) = &mut self.streaming else {
            seal::exempt(|| self.reopen());
            return Ok(Captured::Nothing);
        };
        match streaming.copy_frame(slot) {
            Ok(captured) => Ok(captured),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Captured::Nothing),
            Err(error) => {
                seal::exempt(|| {
                    self.lost(&error);
                    slot.reject(format!("no frames ({error}); reopening the device"));
                });
                Ok(Captured::Unusable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_an_error() {
        let options = SourceOptions::default();
        let result = open(Path::new("/dev/no-such-video-device"), &options);
        let error = result.err().expect("there is no such device");
        let name = "/dev/no-such-video-device: cannot open: ";
        assert!(error.to_string().starts_with(name), "{error}");
        assert!(error.hint().is_some());
    }
}
