//! V4L2 cameras: memory-mapped streaming, the driver's own strides and colours, and a second chance for
//! devices that disappear.

use super::slot::Slot;
use super::spec::format_name;
use super::{Capture, Captured, OpenError, Policy, Source, SourceError, SourceOptions};
use crate::{output, seal};
use mergevit_kernels::frame::{ColorSpace, FrameError, FrameLayout, MAX_SIDE, PixelFormat};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use v4l::buffer::{Flags, Type};
use v4l::capability::Flags as Capability;
use v4l::format::{Colorspace, Quantization};
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::prelude::MmapStream;
use v4l::video::Capture as _;
use v4l::{Device, Format, FourCC};

/// Formats that need no decoder, best first: NV12 has the fewest bytes that carry colour.
const PREFERENCE: [(&[u8; 4], PixelFormat); 8] = [
    (b"NV12", PixelFormat::Nv12),
    (b"YUYV", PixelFormat::Yuyv),
    (b"UYVY", PixelFormat::Uyvy),
    (b"NV21", PixelFormat::Nv21),
    (b"YU12", PixelFormat::I420),
    (b"RGB3", PixelFormat::Rgb),
    (b"BGR3", PixelFormat::Bgr),
    (b"GREY", PixelFormat::Grey),
];

/// Buffers of the driver: one being filled, one waiting, one being copied, one for luck with the scheduler.
const BUFFERS: u32 = 4;

/// A camera that delivers nothing for so long is opened again.
const STALLED: Duration = Duration::from_secs(2);

/// Waits between attempts to open a camera again: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// `POLLIN` of poll(2).
const POLLIN: i16 = 1;

/// Why a camera cannot be used.
#[derive(Debug, Error)]
pub(crate) enum CameraError {
    #[error("cannot {action}: {source}")]
    Io {
        action: &'static str,
        source: io::Error,
    },
    #[error("{card} is no camera that streams single-planar frames")]
    NotACamera { card: String },
    #[error("it offers {}, expected one of {}", offered.join(", "), preferred())]
    Formats { offered: Vec<String> },
    #[error("the driver set {found}, asked for {expected}")]
    Refused { found: String, expected: String },
    #[error("the driver's format: {0}")]
    Layout(#[from] FrameError),
    #[error("frames of {width}x{height} pixels, expected sides of 1 to {MAX_SIDE}")]
    Size { width: u32, height: u32 },
}

impl CameraError {
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("`mergevit doctor` lists the cameras".into()),
                io::ErrorKind::PermissionDenied => {
                    Some("add yourself to the group that owns the device, often `video`".into())
                }
                io::ErrorKind::ResourceBusy => Some("another program uses the camera".into()),
                _ => None,
            },
            Self::NotACamera { .. } => {
                Some("a camera may have several devices; `mergevit doctor` lists them".into())
            }
            Self::Formats { offered } if offered.iter().any(|f| f == "MJPG" || f == "JPEG") => Some(
                "JPEG streams are not decoded; pipe them in: ffmpeg -f v4l2 -i DEVICE -pix_fmt \
                 yuv420p -f yuv4mpegpipe - | mergevit run --source y4m:-"
                    .into(),
            ),
            _ => None,
        }
    }
}

fn preferred() -> String {
    PREFERENCE
        .map(|(code, _)| code.escape_ascii().to_string())
        .join(", ")
}

fn io_error(action: &'static str) -> impl Fn(io::Error) -> CameraError {
    move |source| CameraError::Io { action, source }
}

/// A camera that streams.
struct Streaming {
    stream: MmapStream<'static>,
    layout: FrameLayout,
    /// Bytes of a buffer.
    size: usize,
    card: String,
}

impl Streaming {
    /// Opens a device, agrees on a format, and waits for its first frame.
    fn open(device: &Path, size: Option<(usize, usize)>) -> Result<Self, CameraError> {
        let camera = Device::with_path(device).map_err(io_error("open"))?;
        let capabilities = camera.query_caps().map_err(io_error("query"))?;
        let card = capabilities.card;
        let needed = Capability::VIDEO_CAPTURE | Capability::STREAMING;
        if !capabilities.capabilities.contains(needed) {
            return Err(CameraError::NotACamera { card });
        }
        let (format, pixels) = negotiate(&camera, size)?;
        let layout = layout(&format, pixels)?;
        let mut stream = MmapStream::with_buffers(&camera, Type::VideoCapture, BUFFERS)
            .map_err(io_error("map buffers of"))?;
        stream.set_timeout(STALLED);
        let mut streaming = Self {
            stream,
            layout,
            size: (format.size as usize).max(layout.packed_bytes()),
            card,
        };
        match CaptureStream::next(&mut streaming.stream) {
            Ok(_) => Ok(streaming),
            Err(source) => {
                streaming.close();
                Err(io_error("get a frame from")(source))
            }
        }
    }

    /// Copies the next frame. Allocates only in v4l's errors, which come after `poll` found none.
    fn copy_frame(&mut self, slot: &mut Slot) -> io::Result<Captured> {
        // Polled here because the stream's own timeout is an error on the heap.
        let timeout = STALLED.as_millis() as i32;
        if self.stream.handle().poll(POLLIN, timeout)? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (bytes, metadata) = CaptureStream::next(&mut self.stream)?;
        if metadata.flags.contains(Flags::ERROR) {
            return Ok(Captured::Unusable);
        }
        let used = match metadata.bytesused as usize {
            0 => bytes.len(),
            used => used.min(bytes.len()),
        };
        let Some(to) = slot.prepare(self.layout, used) else {
            return Ok(Captured::Unusable);
        };
        to.copy_from_slice(&bytes[..used]);
        Ok(Captured::Frame)
    }

    /// Ends streaming. The stream's destructor panics if the driver refuses; such a stream is leaked.
    fn close(mut self) {
        const ENODEV: i32 = 19;
        match self.stream.stop() {
            Err(error) if error.raw_os_error() != Some(ENODEV) => std::mem::forget(self.stream),
            _ => drop(self.stream),
        }
    }
}

/// The first of the preferred formats that the device takes, at the size asked for or else the current one.
fn negotiate(
    camera: &Device,
    size: Option<(usize, usize)>,
) -> Result<(Format, PixelFormat), CameraError> {
    let current = camera.format().map_err(io_error("ask for the format of"))?;
    let offered = camera
        .enum_formats()
        .map_err(io_error("list the formats of"))?;
    let (width, height) = match size {
        Some((width, height)) => (width as u32, height as u32),
        None => (current.width, current.height),
    };
    for (code, pixels) in PREFERENCE {
        let code = FourCC::new(code);
        if offered.iter().all(|format| format.fourcc != code) {
            continue;
        }
        // A format from scratch: one that `format` returned would ask for its old stride again.
        let wanted = Format::new(width, height, code);
        let found = camera
            .set_format(&wanted)
            .map_err(io_error("set the format of"))?;
        if found.fourcc != code || (found.width, found.height) != (width, height) {
            return Err(CameraError::Refused {
                found: describe(&found),
                expected: describe(&wanted),
            });
        }
        return Ok((found, pixels));
    }
    let code = |fourcc: FourCC| fourcc.repr.escape_ascii().to_string();
    Err(CameraError::Formats {
        offered: offered.iter().map(|format| code(format.fourcc)).collect(),
    })
}

fn describe(format: &Format) -> String {
    let code = format.fourcc.repr.escape_ascii();
    format!("{code} {}x{}", format.width, format.height)
}

fn layout(format: &Format, pixels: PixelFormat) -> Result<FrameLayout, CameraError> {
    let sides = 1..=MAX_SIDE as u32;
    if !sides.contains(&format.width) || !sides.contains(&format.height) {
        return Err(CameraError::Size {
            width: format.width,
            height: format.height,
        });
    }
    let (width, height) = (format.width as usize, format.height as usize);
    // Some drivers leave the stride of rows without padding at zero.
    let stride = match format.stride as usize {
        0 => pixels.row_bytes(width),
        stride => stride,
    };
    let layout = FrameLayout::new(pixels, width, height, stride)?;
    Ok(layout.with_color(color(format.colorspace, format.quantization)))
}

/// Matrix and range, with V4L2's defaults for what the driver leaves open: limited range for Y'CbCr, except
/// in JPEG.
fn color(space: Colorspace, quantization: Quantization) -> ColorSpace {
    let full = match quantization {
        Quantization::FullRange => true,
        Quantization::LimitedRange => false,
        Quantization::Default => matches!(space, Colorspace::JPEG),
    };
    match (space, full) {
        (Colorspace::Rec709 | Colorspace::SMPTE240M | Colorspace::DCIP3, true) => {
            ColorSpace::Bt709Full
        }
        (Colorspace::Rec709 | Colorspace::SMPTE240M | Colorspace::DCIP3, false) => {
            ColorSpace::Bt709Limited
        }
        (_, true) => ColorSpace::Bt601Full,
        (_, false) => ColorSpace::Bt601Limited,
    }
}

struct Camera {
    device: PathBuf,
    color: Option<ColorSpace>,
    /// Size of every frame, also after the device was opened again.
    size: (usize, usize),
    streaming: Option<Streaming>,
    wait: Duration,
}

/// Opens a camera, which starts to stream.
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
    /// Waits, then tries once to open the device again.
    fn reopen(&mut self) {
        std::thread::sleep(self.wait);
        self.wait = (2 * self.wait).min(LAST_WAIT);
        // Failures were announced when the camera went; every attempt would only repeat it.
        if let Ok(mut streaming) = Streaming::open(&self.device, Some(self.size)) {
            output::warn(&format!("{}: back", self.device.display()));
            let layout = streaming.layout;
            streaming.layout = layout.with_color(self.color.unwrap_or(layout.color()));
            self.streaming = Some(streaming);
            self.wait = FIRST_WAIT;
        }
    }

    fn lost(&mut self, error: &io::Error) {
        let device = self.device.display();
        output::warn(&format!("{device}: no frames ({error}); opening it again"));
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
                seal::exempt(|| self.lost(&error));
                Ok(Captured::Unusable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::Planes;

    #[test]
    fn the_driver_decides_stride_and_colours() {
        let mut format = Format::new(641, 360, FourCC::new(b"NV12"));
        format.stride = 704;
        format.colorspace = Colorspace::Rec709;
        let found = layout(&format, PixelFormat::Nv12).expect("a valid size");
        assert_eq!(found.planes(), Planes::single(PixelFormat::Nv12, 360, 704));
        assert_eq!(found.color(), ColorSpace::Bt709Limited);
        format.stride = 0;
        let found = layout(&format, PixelFormat::Nv12).expect("a valid size");
        assert_eq!(found.planes().stride, 641);
        format.width = 0;
        assert!(layout(&format, PixelFormat::Nv12).is_err());
    }

    #[test]
    fn colours_follow_v4l2() {
        use Quantization::{Default, FullRange, LimitedRange};
        assert_eq!(color(Colorspace::SRGB, Default), ColorSpace::Bt601Limited);
        assert_eq!(color(Colorspace::JPEG, Default), ColorSpace::Bt601Full);
        assert_eq!(
            color(Colorspace::JPEG, LimitedRange),
            ColorSpace::Bt601Limited
        );
        assert_eq!(color(Colorspace::Rec709, FullRange), ColorSpace::Bt709Full);
        assert_eq!(
            color(Colorspace::SMPTE170M, FullRange),
            ColorSpace::Bt601Full
        );
    }

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
