//! The fast frame preprocessing equals the reference, on every vector unit that the machine has.

use mergevit_kernels::frame::{
    ColorSpace, Frame, FrameLayout, Geometry, Interpolation, OutputLengthError, PixelFormat,
    Planes, Preprocessor, Resize, VectorUnit, reference,
};
use proptest::prelude::*;

/// Noise with runs of extremes, which bicubic overshoots.
fn samples(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 24
    };
    (0..len)
        .map(|i| match (i / 6) % 3 {
            0 => next() as u8,
            1 => 0,
            _ => 255,
        })
        .collect()
}

#[derive(Clone, Debug)]
struct Camera {
    format: PixelFormat,
    color: ColorSpace,
    width: usize,
    height: usize,
    planes: Planes,
    data: Vec<u8>,
}

impl Camera {
    fn frame(&self) -> Frame<'_> {
        Frame::with_planes(
            self.format,
            self.width,
            self.height,
            self.planes,
            &self.data,
        )
        .expect("a valid frame")
        .with_color(self.color)
    }
}

fn camera(max_side: usize) -> impl Strategy<Value = Camera> {
    let format = prop::sample::select(PixelFormat::ALL.to_vec());
    let color = prop::sample::select(ColorSpace::ALL.to_vec());
    let padding = (0..9usize, 0..9usize, 0..9usize);
    (
        format,
        color,
        1..=max_side,
        1..=max_side,
        padding,
        any::<u32>(),
    )
        .prop_map(|(format, color, width, height, padding, seed)| {
            let stride = format.row_bytes(width) + padding.0;
            let planes = Planes {
                stride,
                chroma_offset: stride * height + padding.1,
                chroma_stride: format.chroma_row_bytes(width) + padding.2,
            };
            let rows = 2 * height.div_ceil(2);
            let len = planes.chroma_offset + planes.chroma_stride * rows;
            let data = samples(len, seed);
            Camera {
                format,
                color,
                width,
                height,
                planes,
                data,
            }
        })
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let side = || prop_oneof![1..=16usize, 1..=90usize];
    let resize = prop_oneof![
        side().prop_map(Resize::ShortestSide),
        (side(), side()).prop_map(|(width, height)| Resize::Exact { width, height }),
    ];
    let interpolation = prop::sample::select(vec![Interpolation::Bilinear, Interpolation::Bicubic]);
    (resize, side(), side(), interpolation).prop_map(|(resize, width, height, interpolation)| {
        Geometry::new(resize, (width, height), interpolation).expect("a valid geometry")
    })
}

/// The reference resizes the whole image: very long ones would take too long.
fn is_small(geometry: &Geometry, camera: &Camera) -> bool {
    let (width, height) = geometry.resized(camera.width, camera.height);
    width * height.max(camera.height) <= 400_000
}

fn units() -> impl Iterator<Item = VectorUnit> {
    VectorUnit::ALL
        .into_iter()
        .filter(|unit| unit.is_available())
}

proptest! {
    #[test]
    fn equals_the_reference(camera in camera(300), geometry in geometry()) {
        prop_assume!(is_small(&geometry, &camera));
        let expected = reference::preprocess(&geometry, &camera.frame());
        for unit in units() {
            let mut preprocessor =
                Preprocessor::with_unit(geometry, camera.width, camera.height, unit);
            // Stale bytes must not survive where a padded crop is black.
            let mut out = vec![77; geometry.output_len()];
            preprocessor.preprocess(&camera.frame(), &mut out).unwrap();
            prop_assert!(out == expected, "{unit:?} differs from the reference");
        }
    }

    /// Tables, ring and planes left by one frame do not show in the next, of any size and format.
    #[test]
    fn keeps_no_trace_of_earlier_frames(
        cameras in prop::collection::vec(camera(60), 2..6),
        geometry in geometry(),
    ) {
        for unit in units() {
            let mut preprocessor = Preprocessor::with_unit(geometry, 8, 8, unit);
            let mut out = vec![0; geometry.output_len()];
            for camera in cameras.iter().filter(|camera| is_small(&geometry, camera)) {
                preprocessor.preprocess(&camera.frame(), &mut out).unwrap();
                let expected = reference::preprocess(&geometry, &camera.frame());
                prop_assert!(out == expected, "{unit:?} differs from the reference");
            }
        }
    }

    /// Whatever sizes and bytes a driver reports: an error or a frame, never a panic.
    #[test]
    fn any_description_is_checked(
        format in prop::sample::select(PixelFormat::ALL.to_vec()),
        (width, height) in (0..40usize, 0..40usize),
        (stride, chroma_offset, chroma_stride) in (0..130usize, 0..2000usize, 0..130usize),
        len in 0..4000usize,
    ) {
        let planes = Planes { stride, chroma_offset, chroma_stride };
        let data = samples(len, 1);
        if let Ok(frame) = Frame::with_planes(format, width, height, planes, &data) {
            let image = reference::to_rgb(&frame);
            prop_assert_eq!(image.data.len(), 3 * width * height);
        }
    }
}

#[test]
fn equal_at_camera_sizes() {
    for (width, height) in [(1280, 720), (641, 481), (2000, 31), (31, 2000)] {
        for format in PixelFormat::ALL {
            let data = samples(format.frame_bytes(width, height), 9);
            let frame = Frame::packed(format, width, height, &data).unwrap();
            let geometry =
                Geometry::new(Resize::ShortestSide(24), (24, 24), Interpolation::Bicubic).unwrap();
            let expected = reference::preprocess(&geometry, &frame);
            for unit in units() {
                let mut preprocessor = Preprocessor::with_unit(geometry, width, height, unit);
                let mut out = vec![0; geometry.output_len()];
                preprocessor.preprocess(&frame, &mut out).unwrap();
                assert!(out == expected, "{unit:?} {format:?} {width}x{height}");
            }
        }
    }
}

/// Extreme aspect ratios and reductions, too large for the reference: a flat frame stays flat.
#[test]
fn extreme_sizes_stay_flat() {
    let data = vec![93; 3 * 8192 * 16];
    for (width, height) in [(8192, 1), (1, 8192), (8192, 16), (16, 8192)] {
        for resize in [
            Resize::ShortestSide(8192),
            Resize::ShortestSide(1),
            Resize::Exact {
                width: 8192,
                height: 8192,
            },
            Resize::Exact {
                width: 1,
                height: 1,
            },
        ] {
            let frame = Frame::packed(PixelFormat::Rgb, width, height, &data).unwrap();
            let geometry = Geometry::new(resize, (40, 1), Interpolation::Bicubic).unwrap();
            let mut preprocessor = Preprocessor::new(geometry, width, height);
            let mut out = vec![0; geometry.output_len()];
            preprocessor.preprocess(&frame, &mut out).unwrap();
            let kept = geometry.resized(width, height).0.min(40);
            let flat = out.iter().filter(|sample| **sample == 93).count();
            assert_eq!(flat, 3 * kept, "{width}x{height} {resize:?}");
        }
    }
}

#[test]
fn refuses_an_output_of_another_length() {
    let geometry = Geometry::new(Resize::ShortestSide(4), (4, 4), Interpolation::Bilinear).unwrap();
    let mut preprocessor = Preprocessor::new(geometry, 4, 4);
    let frame = Frame::packed(PixelFormat::Grey, 4, 4, &[0; 16]).unwrap();
    let error = preprocessor.preprocess(&frame, &mut [0; 47]).unwrap_err();
    assert_eq!(
        error,
        OutputLengthError {
            found: 47,
            expected: 48
        }
    );
}

/// A camera at 1080p costs well under 1 MB, whatever the vectors' width.
#[test]
fn holds_little_memory() {
    for unit in units() {
        let geometry = Geometry::new(
            Resize::ShortestSide(224),
            (224, 224),
            Interpolation::Bicubic,
        )
        .unwrap();
        let preprocessor = Preprocessor::with_unit(geometry, 1920, 1080, unit);
        assert!(preprocessor.heap_bytes() < 384 << 10, "{unit:?}");
    }
}

/// Every pixel of every part is that of the whole, in every format, of parts of parts too.
#[test]
fn a_part_of_a_frame_has_its_pixels() {
    let (width, height) = (9, 7);
    for format in PixelFormat::ALL {
        let planes = Planes {
            stride: format.row_bytes(width) + 5,
            chroma_offset: (format.row_bytes(width) + 5) * height + 3,
            chroma_stride: format.chroma_row_bytes(width) + 2,
        };
        let layout = FrameLayout::with_planes(format, width, height, planes).unwrap();
        let data = samples(layout.bytes(), 5);
        let whole = reference::to_rgb(&Frame::with_layout(layout, &data).unwrap());
        let (across, down) = match format {
            PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Grey => (1, 1),
            PixelFormat::Yuyv | PixelFormat::Uyvy => (2, 1),
            PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::I420 => (2, 2),
            other => panic!("{other:?} is new"),
        };
        let check = |part: FrameLayout, x: usize, y: usize| {
            let part = Frame::with_layout(part, &data[..part.bytes()]).unwrap();
            let part = reference::to_rgb(&part);
            for (row, line) in part.data.chunks_exact(3 * part.width).enumerate() {
                let start = 3 * ((y + row) * width + x);
                assert_eq!(
                    line,
                    &whole.data[start..][..line.len()],
                    "{format:?} {x} {y}"
                );
            }
        };
        for y in 0..height {
            for x in 0..width {
                for (w, h) in [(1, 1), (2, 3), (width - x, height - y)] {
                    let part = layout.crop(x, y, w, h);
                    assert_eq!(part.is_some(), x + w <= width && y + h <= height);
                    let Some(part) = part else { continue };
                    assert_eq!((part.width(), part.height()), (w, h));
                    let (x, y) = (x / across * across, y / down * down);
                    check(part, x, y);
                    if let Some(inner) = part.crop(2, 2, w.saturating_sub(2), h.saturating_sub(2)) {
                        check(inner, x + 2, y + 2);
                    }
                }
            }
        }
        for (x, y, w, h) in [
            (0, 0, 0, 1),
            (0, 0, 1, 0),
            (9, 0, 1, 1),
            (usize::MAX, 0, 2, 1),
        ] {
            assert_eq!(layout.crop(x, y, w, h), None);
        }
    }
}
