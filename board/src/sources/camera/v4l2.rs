//! The system calls of V4L2. The `v4l` crate's bindings, but not its types: those panic where a driver's answer is new
//! to them, leak a device that refuses to stop, and know neither matrices nor clocks.

use super::driver::{
    Buffer, Capabilities, Code, Driver, Format, Interval, Intervals, Sizes, Woken,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::{c_int, c_ulong, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;
use v4l::v4l_sys as sys;
use v4l::v4l2::{self, vidioc};

const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MAPPED: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;

/// Entries of a list that are read. A driver that never ends its list must not hang the program.
const LIST: u32 = 256;

/// A buffer of the driver in this process's memory.
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to the process, not to a thread, and only its owner reads it.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `VideoDevice::map`, and no slice of it outlives the device. A failure would
        // leave the range mapped, which harms nobody.
        let _ = unsafe { v4l2::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// An open V4L2 device.
pub(super) struct VideoDevice {
    // Dropped before the device is closed, which then frees the buffers and stops the stream.
    buffers: Vec<Mapping>,
    file: File,
}

/// Types of which all-zero bytes are a value, and which a system call may fill with any bytes.
///
/// # Safety
/// The type consists of integers, and of arrays and unions of them.
unsafe trait Plain {}
// SAFETY: so the kernel's header defines them, here and below.
unsafe impl Plain for sys::v4l2_capability {}
// SAFETY: as above.
unsafe impl Plain for sys::v4l2_fmtdesc {}
// SAFETY: as above.
unsafe impl Plain for sys::v4l2_frmsizeenum {}
// SAFETY: as above.
unsafe impl Plain for sys::v4l2_frmivalenum {}
// SAFETY: as above; pointers in its union are not used.
unsafe impl Plain for sys::v4l2_format {}
// SAFETY: as above.
unsafe impl Plain for sys::v4l2_streamparm {}
// SAFETY: as above.
unsafe impl Plain for sys::v4l2_requestbuffers {}
// SAFETY: as above; pointers in its union are not used.
unsafe impl Plain for sys::v4l2_buffer {}
// SAFETY: an integer.
unsafe impl Plain for c_int {}

fn zeroed<T: Plain>() -> T {
    // SAFETY: all-zero bytes are a value of a plain type.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The bytes of a C string, which need not be text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())])
        .trim()
        .into()
}

/// A list ends with EINVAL, and a driver without one says ENOTTY.
fn ends_list(error: &io::Error) -> bool {
    const EINVAL: i32 = 22;
    const ENOTTY: i32 = 25;
    matches!(error.raw_os_error(), Some(EINVAL | ENOTTY))
}

impl VideoDevice {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        /// So that taking a buffer never waits. The same on all architectures that this builds for.
        const O_NONBLOCK: i32 = 0o4000;
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .custom_flags(O_NONBLOCK)
            .open(path)?;
        Ok(Self {
            buffers: Vec::new(),
            file,
        })
    }

    /// One system call, again if a signal interrupts it. `request` must be one for `T`, as its name says.
    fn call<T: Plain>(&self, request: c_ulong, value: &mut T) -> io::Result<()> {
        loop {
            let pointer: *mut c_void = std::ptr::from_mut(value).cast();
            // SAFETY: the request is one that reads and writes a `T`, and leaves in it a value that is valid whatever
            // its bytes are.
            match unsafe { v4l2::ioctl(self.file.as_raw_fd(), request as _, pointer) } {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Asks for entry after entry until the list ends.
    fn list<T>(&self, mut ask: impl FnMut(&Self, u32) -> io::Result<T>) -> io::Result<Vec<T>> {
        let mut entries = Vec::new();
        for index in 0..LIST {
            match ask(self, index) {
                Ok(entry) => entries.push(entry),
                Err(error) if ends_list(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn map_one(&self, index: u32) -> io::Result<Mapping> {
        const PROT_READ: c_int = 1;
        const MAP_SHARED: c_int = 1;
        let mut buffer = buffer(index);
        self.call(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
        let length = buffer.length as usize;
        // SAFETY: the call above filled in the offset, which is the union's field for mapped buffers.
        let offset = unsafe { buffer.m.offset };
        let descriptor = self.file.as_raw_fd();
        // SAFETY: a new mapping at an address that the system chooses touches no other memory.
        let start = unsafe {
            v4l2::mmap(
                std::ptr::null_mut(),
                length,
                PROT_READ,
                MAP_SHARED,
                descriptor,
                offset.into(),
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, length })
    }
}

fn buffer(index: u32) -> sys::v4l2_buffer {
    sys::v4l2_buffer {
        index,
        type_: CAPTURE,
        memory: MAPPED,
        ..zeroed()
    }
}

fn interval(fraction: sys::v4l2_fract) -> Interval {
    Interval {
        numerator: fraction.numerator,
        denominator: fraction.denominator,
    }
}

fn format(value: &sys::v4l2_format) -> Format {
    // SAFETY: any bytes are a value of its fields, which are integers.
    let (pix, matrix) = unsafe { (value.fmt.pix, value.fmt.pix.__bindgen_anon_1.ycbcr_enc) };
    Format {
        code: pix.pixelformat.to_le_bytes(),
        width: pix.width,
        height: pix.height,
        stride: pix.bytesperline,
        size: pix.sizeimage,
        colorspace: pix.colorspace,
        matrix,
        quantization: pix.quantization,
    }
}

impl Driver for VideoDevice {
    fn capabilities(&self) -> io::Result<Capabilities> {
        let mut found: sys::v4l2_capability = zeroed();
        self.call(vidioc::VIDIOC_QUERYCAP, &mut found)?;
        // Those of the node, not of the hardware, where the driver tells them apart.
        let flags = match found.capabilities & sys::V4L2_CAP_DEVICE_CAPS {
            0 => found.capabilities,
            _ => found.device_caps,
        };
        let needed = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_STREAMING;
        Ok(Capabilities {
            card: text(&found.card),
            bus: text(&found.bus_info),
            streams: flags & needed == needed,
        })
    }

    fn formats(&self) -> io::Result<Vec<Code>> {
        self.list(|device, index| {
            let mut entry = sys::v4l2_fmtdesc {
                index,
                type_: CAPTURE,
                ..zeroed()
            };
            device.call(vidioc::VIDIOC_ENUM_FMT, &mut entry)?;
            Ok(entry.pixelformat.to_le_bytes())
        })
    }

    fn sizes(&self, code: Code) -> io::Result<Vec<Sizes>> {
        let found = self.list(|device, index| {
            let mut entry = sys::v4l2_frmsizeenum {
                index,
                pixel_format: u32::from_le_bytes(code),
                ..zeroed()
            };
            device.call(vidioc::VIDIOC_ENUM_FRAMESIZES, &mut entry)?;
            if entry.type_ == sys::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
                // SAFETY: any bytes are a value of its fields, which are integers.
                let size = unsafe { entry.__bindgen_anon_1.discrete };
                return Ok(Sizes::One(size.width, size.height));
            }
            // SAFETY: as above.
            let range = unsafe { entry.__bindgen_anon_1.stepwise };
            Ok(Sizes::Range {
                least: (range.min_width, range.min_height),
                most: (range.max_width, range.max_height),
                step: (range.step_width, range.step_height),
            })
        });
        // A range is the only entry, and some drivers repeat it for every index.
        found.map(|mut sizes| {
            sizes.dedup();
            sizes
        })
    }

    fn intervals(&self, code: Code, (width, height): (u32, u32)) -> io::Result<Vec<Intervals>> {
        let found = self.list(|device, index| {
            let mut entry = sys::v4l2_frmivalenum {
                index,
                pixel_format: u32::from_le_bytes(code),
                width,
                height,
                ..zeroed()
            };
            device.call(vidioc::VIDIOC_ENUM_FRAMEINTERVALS, &mut entry)?;
            if entry.type_ == sys::v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
                // SAFETY: any bytes are a value of its fields, which are integers.
                return Ok(Intervals::One(interval(unsafe {
                    entry.__bindgen_anon_1.discrete
                })));
            }
            // SAFETY: as above.
            let range = unsafe { entry.__bindgen_anon_1.stepwise };
            Ok(Intervals::Range(interval(range.min), interval(range.max)))
        });
        found.map(|mut intervals| {
            intervals.dedup();
            intervals
        })
    }

    fn format(&self) -> io::Result<Format> {
        let mut value = sys::v4l2_format {
            type_: CAPTURE,
            ..zeroed()
        };
        self.call(vidioc::VIDIOC_G_FMT, &mut value)?;
        Ok(format(&value))
    }

    fn set_format(&mut self, wanted: Format) -> io::Result<Format> {
        let mut value: sys::v4l2_format = zeroed();
        value.type_ = CAPTURE;
        // From scratch: a format that the driver returned would ask for its old stride again.
        value.fmt.pix = sys::v4l2_pix_format {
            width: wanted.width,
            height: wanted.height,
            pixelformat: u32::from_le_bytes(wanted.code),
            priv_: sys::V4L2_PIX_FMT_PRIV_MAGIC,
            // SAFETY: of the format's bytes, all zero, any are a value of its fields.
            ..unsafe { value.fmt.pix }
        };
        self.call(vidioc::VIDIOC_S_FMT, &mut value)?;
        Ok(format(&value))
    }

    fn set_interval(&mut self, wanted: Interval) -> io::Result<Option<Interval>> {
        let mut value: sys::v4l2_streamparm = zeroed();
        value.type_ = CAPTURE;
        // SAFETY: any bytes are a value of its fields, which are integers.
        let mut capture = unsafe { value.parm.capture };
        capture.timeperframe = sys::v4l2_fract {
            numerator: wanted.numerator,
            denominator: wanted.denominator,
        };
        value.parm.capture = capture;
        match self.call(vidioc::VIDIOC_S_PARM, &mut value) {
            Err(error) if ends_list(&error) => return Ok(None),
            result => result?,
        }
        // SAFETY: as above.
        let capture = unsafe { value.parm.capture };
        let settable = capture.capability & sys::V4L2_CAP_TIMEPERFRAME != 0;
        Ok(settable.then(|| interval(capture.timeperframe)))
    }

    fn map(&mut self, count: u32) -> io::Result<u32> {
        let mut request = sys::v4l2_requestbuffers {
            count,
            type_: CAPTURE,
            memory: MAPPED,
            ..zeroed()
        };
        self.call(vidioc::VIDIOC_REQBUFS, &mut request)?;
        self.buffers = (0..request.count)
            .map(|index| self.map_one(index))
            .collect::<io::Result<_>>()?;
        Ok(request.count)
    }

    fn bytes(&self, index: u32) -> &[u8] {
        match self.buffers.get(index as usize) {
            // SAFETY: the mapping is readable, as long as it says, and lasts as long as `self`. The driver writes to a
            // buffer only while it is queued, and whoever reads one has taken it from the queue.
            Some(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.start.as_ptr(), mapping.length)
            },
            None => &[],
        }
    }

    fn queue(&mut self, index: u32) -> io::Result<()> {
        self.call(vidioc::VIDIOC_QBUF, &mut buffer(index))
    }

    fn dequeue(&mut self) -> io::Result<Buffer> {
        let mut filled = buffer(0);
        self.call(vidioc::VIDIOC_DQBUF, &mut filled)?;
        let clock = filled.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK;
        let monotonic = clock == sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        let seconds = u64::try_from(filled.timestamp.tv_sec).unwrap_or(0);
        let micros = u64::try_from(filled.timestamp.tv_usec).unwrap_or(0);
        Ok(Buffer {
            index: filled.index,
            used: filled.bytesused as usize,
            damaged: filled.flags & sys::V4L2_BUF_FLAG_ERROR != 0,
            sequence: filled.sequence,
            timestamp: monotonic
                .then(|| Duration::from_secs(seconds) + Duration::from_micros(micros)),
        })
    }

    fn start(&mut self) -> io::Result<()> {
        self.call(vidioc::VIDIOC_STREAMON, &mut (CAPTURE as c_int))
    }

    fn wait(&mut self, other: BorrowedFd<'_>, most: Duration) -> io::Result<Woken> {
        let time = Timespec::try_from(most).map_err(io::Error::other)?;
        let mut polled = [
            PollFd::new(&self.file, PollFlags::IN),
            PollFd::new(&other, PollFlags::IN),
        ];
        poll(&mut polled, Some(&time))?;
        Ok(
            match [&polled[0], &polled[1]].map(|p| p.revents().is_empty()) {
                [false, _] => Woken::Driver,
                [true, false] => Woken::Descriptor,
                [true, true] => Woken::Time,
            },
        )
    }

    fn now(&self) -> Duration {
        let now = clock_gettime(ClockId::Monotonic);
        now.try_into().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_not_be_text() {
        assert_eq!(text(b"A camera\0rest"), "A camera");
        assert_eq!(text(b"no end"), "no end");
        assert_eq!(text(b"a\xff \0"), "a\u{fffd}");
    }

    #[test]
    fn what_is_no_camera_answers_with_errors() {
        let mut device = VideoDevice::open(Path::new("/dev/null")).expect("it is always there");
        assert!(device.capabilities().is_err());
        assert_eq!(device.formats().expect("no list"), [] as [Code; 0]);
        assert_eq!(device.sizes(*b"YUYV").expect("no list"), []);
        assert!(device.set_format(Format::new(*b"YUYV", 2, 2)).is_err());
        assert_eq!(
            device.set_interval(Interval::of_rate(30.0)).ok(),
            Some(None)
        );
        assert!(device.map(4).is_err() && device.start().is_err());
        assert!(device.queue(0).is_err() && device.dequeue().is_err());
        assert!(device.bytes(0).is_empty());
    }
}
