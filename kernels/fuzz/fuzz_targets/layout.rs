//! A layout is valid exactly if its rows don't overlap, and has exactly the bytes that reach its last sample, in
//! arithmetic that cannot overflow. A frame of that many bytes can be read everywhere; one byte less is refused.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use mergevit_kernels::frame::{Frame, FrameLayout, MAX_SIDE, PixelFormat, Planes};

/// Frames up to this many bytes are also read.
const MAX_BYTES: usize = 1 << 12;

static DATA: [u8; MAX_BYTES] = [7; MAX_BYTES];

/// Of every order of magnitude, most of them small.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Length {
    value: u16,
    shift: u8,
}

impl Length {
    fn get(self) -> usize {
        let value = usize::from(self.value);
        match self.shift {
            0..192 => value >> (self.shift % 16),
            _ => value.rotate_right(u32::from(self.shift)),
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    format: u8,
    width: Length,
    height: Length,
    stride: Length,
    chroma: Option<(Length, Length)>,
}

impl Input {
    fn planes(&self, format: PixelFormat) -> Planes {
        let stride = self.stride.get();
        match self.chroma {
            None => Planes::single(format, self.height.get(), stride),
            Some((offset, chroma_stride)) => Planes {
                stride,
                chroma_offset: offset.get(),
                chroma_stride: chroma_stride.get(),
            },
        }
    }
}

/// Rows of all chroma planes together.
fn chroma_rows(format: PixelFormat, height: usize) -> usize {
    match format {
        PixelFormat::Nv12 | PixelFormat::Nv21 => height.div_ceil(2),
        PixelFormat::I420 => 2 * height.div_ceil(2),
        _ => 0,
    }
}

/// Bytes of a frame, or `None` if it cannot be one.
fn expected_bytes(format: PixelFormat, size: (usize, usize), planes: Planes) -> Option<u128> {
    let (width, height) = size;
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) {
        return None;
    }
    let end = |offset: usize, rows: usize, stride: usize, row: usize| {
        (stride >= row).then(|| offset as u128 + (rows as u128 - 1) * stride as u128 + row as u128)
    };
    let luma = end(0, height, planes.stride, format.row_bytes(width))?;
    match chroma_rows(format, height) {
        0 => Some(luma),
        rows => {
            let row = format.chroma_row_bytes(width);
            let chroma = end(planes.chroma_offset, rows, planes.chroma_stride, row)?;
            Some(luma.max(chroma))
        }
    }
}

/// Reads every sample of a frame that has exactly the bytes it needs.
fn read(layout: FrameLayout) {
    let bytes = &DATA[..layout.bytes()];
    assert!(Frame::with_layout(layout, &bytes[1..]).is_err());
    let frame = Frame::with_layout(layout, bytes).expect("the bytes suffice");
    let mut packed = [0; MAX_BYTES];
    let packed = &mut packed[..frame.packed_bytes()];
    frame.copy_packed(packed);
    assert!(packed.iter().all(|&byte| byte == DATA[0]));
}

libfuzzer_sys::fuzz_target!(|input: Input| {
    let format = PixelFormat::ALL[usize::from(input.format) % PixelFormat::ALL.len()];
    let (width, height) = (input.width.get(), input.height.get());
    let planes = input.planes(format);
    let layout = FrameLayout::with_planes(format, width, height, planes);
    match (layout, expected_bytes(format, (width, height), planes)) {
        (Ok(layout), Some(bytes)) => {
            assert_eq!(layout.bytes(), usize::try_from(bytes).unwrap_or(usize::MAX));
            if layout.bytes().max(layout.packed_bytes()) <= MAX_BYTES {
                read(layout);
            }
        }
        (Err(_), None) => {}
        (found, expected) => panic!("{found:?}, expected {expected:?} bytes"),
    }
});
