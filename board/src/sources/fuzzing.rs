//! Sources on any bytes, beside a reading of the same bytes that is written to be obviously right.

use super::capture::{Captured, SourceError};
use super::mjpeg::{self, Decoder};
use super::names::{format_name, parse_color, parse_size};
use super::slot::Slot;
use super::source::{Source, SourceOptions};
use super::spec::{Input, SourceSpec};
use super::stream::Stream;
use super::y4m::header::MAX_LINE;
use super::{raw, y4m};
use mergevit_kernels::frame::{MAX_SIDE, PixelFormat};
use std::cell::RefCell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// Frames taken from a stream, which may repeat for ever.
const MAX_FRAMES: usize = 6;
/// Streams of larger frames are only opened: zeroing their slots would be most of the work.
const MAX_FRAME_BYTES: usize = 1 << 12;

/// How a stream of frames ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// After a whole frame.
    Clean,
    /// Within a frame.
    Truncated,
    /// With something that is no frame.
    NoFrame,
    /// Not within [`MAX_FRAMES`].
    Later,
}

/// Bytes that arrive as those of a pipe may: a few at a time, with interruptions.
struct Pipe {
    bytes: Cursor<Vec<u8>>,
    step: usize,
    interrupt: bool,
}

impl Read for Pipe {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let room = to.len().min(self.step);
        self.bytes.read(&mut to[..room])
    }
}

impl Seek for Pipe {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

fn pipe(bytes: &[u8], step: u8) -> Stream<Pipe> {
    Stream::new(Pipe {
        bytes: Cursor::new(bytes.to_vec()),
        step: 1 + usize::from(step),
        interrupt: false,
    })
}

/// The frames that a source captures.
fn captured(mut source: Source) -> (Vec<Vec<u8>>, End) {
    let mut slot = Slot::new(source.slot_bytes).expect("memory for a frame");
    let mut frames = Vec::new();
    while frames.len() < MAX_FRAMES {
        match source.capture.capture(&mut slot) {
            Ok(Captured::Frame) => {
                let frame = slot.frame().expect("a captured frame is in its slot");
                let mut packed = vec![0; frame.packed_bytes()];
                frame.copy_packed(&mut packed);
                frames.push(packed);
            }
            Ok(Captured::End) => return (frames, End::Clean),
            Ok(other) => panic!("{other:?} from a stream that fits its slot"),
            Err(SourceError::Truncated { frame, .. }) if frame == frames.len() as u64 => {
                return (frames, End::Truncated);
            }
            Err(SourceError::FrameHeader { frame, .. }) if frame == frames.len() as u64 => {
                return (frames, End::NoFrame);
            }
            Err(error) => panic!("after {} frames: {error}", frames.len()),
        }
    }
    (frames, End::Later)
}

/// What a source captures that reads `once`, or reads it again and again.
fn repeated((once, end): (Vec<Vec<u8>>, End), repeat: bool) -> (Vec<Vec<u8>>, End) {
    let endless = repeat && end == End::Clean && !once.is_empty();
    let times = if endless { MAX_FRAMES } else { 1 };
    let all = once.iter().cycle().take(once.len() * times);
    let frames: Vec<_> = all.take(MAX_FRAMES).cloned().collect();
    match frames.len() {
        MAX_FRAMES => (frames, End::Later),
        _ => (frames, end),
    }
}

/// Frames without headers: one byte each for format, width, height, step and repetition, then the stream.
pub fn raw(bytes: &[u8]) {
    let Some((&[format, width, height, step, repeat], stream)) = bytes.split_first_chunk() else {
        return;
    };
    let format = PixelFormat::ALL[usize::from(format) % PixelFormat::ALL.len()];
    let size = (usize::from(width % 16), usize::from(height % 16));
    let repeat = repeat % 2 == 1;
    let options = SourceOptions {
        repeat,
        ..SourceOptions::default()
    };
    let source = raw::read(format, size, "memory", pipe(stream, step), &options);
    let source = match source {
        Ok(source) => source,
        Err(error) => return assert!(size.0 == 0 || size.1 == 0, "{error}"),
    };
    let frames = stream.chunks_exact(format.frame_bytes(size.0, size.1));
    let end = match frames.remainder() {
        [] => End::Clean,
        _ => End::Truncated,
    };
    let frames = frames.map(Vec::from).collect();
    assert_eq!(captured(source), repeated((frames, end), repeat));
}

/// A YUV4MPEG2 stream, after one byte each for step and repetition.
pub fn y4m(bytes: &[u8]) {
    let Some((&[step, repeat], stream)) = bytes.split_first_chunk() else {
        return;
    };
    let repeat = repeat % 2 == 1;
    let options = SourceOptions {
        repeat,
        ..SourceOptions::default()
    };
    let Ok(source) = y4m::read("memory", pipe(stream, step), &options) else {
        return;
    };
    if source.slot_bytes > MAX_FRAME_BYTES {
        return;
    }
    let header = line(stream).expect("an accepted header ends with a line feed");
    let expected = y4m_frames(&stream[header.len()..], source.slot_bytes);
    assert_eq!(captured(source), repeated(expected, repeat));
}

/// Up to and including the first line feed, if that comes soon enough.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(MAX_LINE).position(|&byte| byte == b'\n');
    end.map(|end| &bytes[..=end])
}

fn y4m_frames(mut stream: &[u8], frame_bytes: usize) -> (Vec<Vec<u8>>, End) {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let Some(header) = line(stream) else {
            let begins = b"FRAME".starts_with(stream);
            return (frames, if begins { End::Truncated } else { End::NoFrame });
        };
        if header != b"FRAME\n" && !header.starts_with(b"FRAME ") {
            return (frames, End::NoFrame);
        }
        let rest = &stream[header.len()..];
        let Some((frame, rest)) = rest.split_at_checked(frame_bytes) else {
            return (frames, End::Truncated);
        };
        frames.push(frame.to_vec());
        stream = rest;
    }
    (frames, End::Clean)
}

/// A stream of JPEG images, after one byte for the step: however it arrives, it gives the same frames, as large as the
/// first at most.
pub fn mjpeg(bytes: &[u8]) {
    let Some((&step, stream)) = bytes.split_first() else {
        return;
    };
    let options = SourceOptions::default();
    let open = |step| mjpeg::stream::read("memory", pipe(stream, step), &options);
    let (Ok(source), Ok(again)) = (open(step), open(u8::MAX)) else {
        assert_eq!(open(step).is_err(), open(u8::MAX).is_err());
        return;
    };
    let size = (source.max_width, source.max_height);
    if size.0 * size.1 > MAX_FRAME_BYTES {
        return;
    }
    let frames = decoded(source);
    assert_eq!(frames, decoded(again));
    for (width, height, pixels) in frames.iter().flatten() {
        assert!((1..=size.0).contains(width) && (1..=size.1).contains(height));
        assert_eq!(pixels.len(), 3 * width * height);
    }
    // The whole stream as one image, too.
    let mut slot = Slot::new(source_bytes(size)).expect("memory for a frame");
    if DECODER
        .with_borrow_mut(|decoder| decoder.decode(stream, &mut slot))
        .is_ok()
    {
        assert!(slot.frame().is_ok());
    }
}

const fn source_bytes((width, height): (usize, usize)) -> usize {
    3 * width * height
}

thread_local! {
    /// Its memory is reserved for the process.
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new((64, 64)).expect("memory"));
}

/// Width, height and pixels of a frame; `None` for one that cannot be used.
type Decoded = Option<(usize, usize, Vec<u8>)>;

fn decoded(mut source: Source) -> Vec<Decoded> {
    let mut slot = Slot::new(source.slot_bytes).expect("memory for a frame");
    let mut frames = Vec::new();
    while frames.len() < MAX_FRAMES {
        slot.clear();
        match source.capture.capture(&mut slot) {
            Ok(Captured::Frame) => {
                let frame = slot.frame().expect("a captured frame is in its slot");
                let mut packed = vec![0; frame.packed_bytes()];
                frame.copy_packed(&mut packed);
                frames.push(Some((frame.width(), frame.height(), packed)));
            }
            Ok(Captured::Unusable) => frames.push(None),
            Ok(Captured::End) => break,
            other => panic!("{other:?} from memory"),
        }
    }
    frames
}

/// The value of `--source`, `--size` or `--color`: what is accepted is within its limits, and the same when it is
/// written again.
pub fn source(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(spec) = SourceSpec::parse(text.as_ref()) {
        assert_eq!(SourceSpec::parse(written(&spec).as_ref()), Ok(spec));
    }
    if let Ok((width, height)) = parse_size(text) {
        assert!((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height));
        assert_eq!(
            parse_size(&format!("{width}x{height}")),
            Ok((width, height))
        );
    }
    if let Err(message) = parse_color(text) {
        assert!(message.starts_with("expected "));
    }
}

fn written(spec: &SourceSpec) -> String {
    let input = |input: &Input| match input {
        Input::Standard => "-".into(),
        Input::File(path) => path.display().to_string(),
    };
    match spec {
        SourceSpec::Camera(path) => format!("v4l2:{}", path.display()),
        SourceSpec::Images(path) => format!("file:{}", path.display()),
        SourceSpec::Y4m(from) => format!("y4m:{}", input(from)),
        SourceSpec::Mjpeg(from) => format!("mjpeg:{}", input(from)),
        SourceSpec::Raw {
            format,
            width,
            height,
            input: from,
        } => {
            assert!((1..=MAX_SIDE).contains(width) && (1..=MAX_SIDE).contains(height));
            let format = format_name(*format);
            format!("raw:{format}:{width}x{height}:{}", input(from))
        }
    }
}
