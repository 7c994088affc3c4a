//! Frames preprocessed by the CUDA kernels are the reference's pixels and patches.
//!
//! The kernels run on an emulator of the shipped PTX, or, with `MERGEVIT_TEST_DEVICE=cuda`, on a GPU.

mod common;
#[path = "common/frames_on_device.rs"]
mod frames_on_device;

use frames_on_device::Rig;
use mergevit_kernels::cuda::preprocess::Destination;
use mergevit_kernels::cuda::testing::{Emulated, Options, test_device, unnoticed_mutants};
use mergevit_kernels::cuda::{Module, Target};
use mergevit_kernels::frame::{
    ColorSpace, Frame, Geometry, Interpolation, PixelFormat, Planes, Resize, reference,
};
use mergevit_kernels::ops::{Kernels, Patchify};
use mergevit_kernels::reference::Reference;
use mergevit_kernels::testing::Random;

/// Noise with runs of extremes, which bicubic overshoots.
fn samples(random: &mut Random, len: usize) -> Vec<u8> {
    let byte = |i: usize| match (i / 6) % 3 {
        0 => random.bits() as u8,
        1 => 0,
        _ => 255,
    };
    (0..len).map(byte).collect()
}

impl Rig {
    fn new(geometry: Geometry, max_frame: (usize, usize)) -> Self {
        Self::on(test_device(Options::default()), geometry, max_frame)
    }

    /// Pixels, and patches where the crop is made of them, are the reference's.
    fn check(&mut self, frame: &Frame<'_>, patch_size: Option<usize>) {
        let what = format!("{frame:?}").chars().take(160).collect::<String>();
        let want = reference::preprocess(&self.geometry, frame);
        // Stale bytes must not survive where a padded crop is black.
        let stale = vec![77; want.len()];
        let out = self.device.allocate(want.len()).unwrap();
        self.device.write(out, &stale).unwrap();
        self.run(frame, &Destination::Pixels(out));
        assert!(self.read(out, want.len()) == want, "pixels of {what}");
        let Some(patch_size) = patch_size else { return };
        let shape = Patchify {
            batch: 1,
            image_size: self.geometry.crop_width(),
            patch_size,
        };
        let mut patches = vec![0i8; shape.patches() * shape.row()];
        Reference::new().patchify(&shape, &want, &mut patches);
        let out = self.device.allocate(patches.len()).unwrap();
        self.device.write(out, &vec![77; patches.len()]).unwrap();
        self.run(frame, &Destination::Patches(out, shape));
        let found = self.read(out, patches.len());
        assert!(
            found == bytemuck::cast_slice::<i8, u8>(&patches),
            "patches of {what}"
        );
    }
}

fn square(resize: Resize, side: usize, interpolation: Interpolation) -> Geometry {
    Geometry::new(resize, (side, side), interpolation).unwrap()
}

#[test]
fn every_format_and_color_space() {
    let geometry = square(Resize::ShortestSide(20), 16, Interpolation::Bicubic);
    let mut rig = Rig::new(geometry, (64, 64));
    let mut random = Random(1);
    for format in PixelFormat::ALL {
        for color in ColorSpace::ALL {
            for (width, height) in [(48, 36), (37, 41)] {
                let data = samples(&mut random, format.frame_bytes(width, height));
                let frame = Frame::packed(format, width, height, &data).unwrap();
                rig.check(&frame.with_color(color), Some(8));
            }
        }
    }
}

/// The last group of four pixels reaches beyond the frame.
#[test]
fn widths_that_are_no_fours() {
    let mut random = Random(8);
    let resize = Resize::Exact {
        width: 16,
        height: 16,
    };
    let mut rig = Rig::new(square(resize, 16, Interpolation::Bicubic), (40, 6));
    for format in PixelFormat::ALL {
        for (width, height) in [(37, 3), (38, 4), (39, 5), (40, 6)] {
            let data = samples(&mut random, format.frame_bytes(width, height));
            let frame = Frame::packed(format, width, height, &data).unwrap();
            rig.check(&frame, Some(8));
        }
    }
}

#[test]
fn rows_with_padding() {
    let geometry = square(Resize::ShortestSide(14), 14, Interpolation::Bilinear);
    let mut rig = Rig::new(geometry, (40, 40));
    let mut random = Random(2);
    for format in PixelFormat::ALL {
        let (width, height) = (23, 19);
        let stride = format.row_bytes(width) + 5;
        let planes = Planes {
            stride,
            chroma_offset: stride * height + 7,
            chroma_stride: format.chroma_row_bytes(width) + 3,
        };
        let data = samples(&mut random, 4000);
        let frame = Frame::with_planes(format, width, height, planes, &data).unwrap();
        rig.check(&frame, Some(7));
    }
}

/// As in SigLIP's model for 384 pixels with patches of 14.
#[test]
fn what_is_beyond_the_last_whole_patch_is_in_none() {
    let mut random = Random(4);
    for (side, patch_size) in [(34, 14), (27, 7), (19, 4), (23, 8)] {
        let geometry = square(Resize::ShortestSide(side), side, Interpolation::Bicubic);
        let mut rig = Rig::new(geometry, (50, 50));
        for (width, height) in [(50, 40), (33, 49)] {
            let data = samples(&mut random, 3 * width * height);
            let frame = Frame::packed(PixelFormat::Rgb, width, height, &data).unwrap();
            rig.check(&frame, Some(patch_size));
        }
    }
}

#[test]
fn sizes_larger_smaller_and_narrow() {
    let mut random = Random(3);
    let resizes = [
        Resize::ShortestSide(9),
        Resize::ShortestSide(40),
        Resize::Exact {
            width: 24,
            height: 24,
        },
        Resize::Exact {
            width: 7,
            height: 50,
        },
    ];
    for resize in resizes {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let mut rig = Rig::new(square(resize, 24, interpolation), (130, 130));
            for (width, height) in [(1, 1), (2, 3), (24, 24), (130, 17), (5, 90), (101, 100)] {
                let data = samples(&mut random, 3 * width * height);
                let frame = Frame::packed(PixelFormat::Rgb, width, height, &data).unwrap();
                rig.check(&frame, Some(4));
            }
        }
    }
}

/// More columns, on either side, than a block has threads.
#[test]
fn wide_frames_and_wide_outputs() {
    let mut random = Random(7);
    for (side, widths) in [(300, [1, 1399, 1500]), (24, [8192, 8191, 8190])] {
        let resize = Resize::Exact {
            width: side,
            height: side,
        };
        let geometry = square(resize, side, Interpolation::Bicubic);
        let mut rig = Rig::new(geometry, (widths[0].max(widths[2]), 3));
        for (width, format) in
            widths
                .into_iter()
                .zip([PixelFormat::Rgb, PixelFormat::Yuyv, PixelFormat::I420])
        {
            let data = samples(&mut random, format.frame_bytes(width, 3));
            let frame = Frame::packed(format, width, 3, &data).unwrap();
            rig.check(&frame, Some(12));
        }
    }
}

#[test]
fn a_crop_that_is_no_square() {
    let resize = Resize::ShortestSide(12);
    let geometry = Geometry::new(resize, (31, 9), Interpolation::Bicubic).unwrap();
    let mut rig = Rig::new(geometry, (64, 48));
    let mut random = Random(4);
    for (width, height) in [(64, 48), (33, 47), (3, 3)] {
        let data = samples(&mut random, PixelFormat::Nv12.frame_bytes(width, height));
        let frame = Frame::packed(PixelFormat::Nv12, width, height, &data).unwrap();
        rig.check(&frame, None);
    }
}

#[test]
fn camera_sizes() {
    let geometry = square(Resize::ShortestSide(32), 32, Interpolation::Bicubic);
    let mut rig = Rig::new(geometry, (640, 480));
    let mut random = Random(5);
    for format in [PixelFormat::Nv12, PixelFormat::Yuyv, PixelFormat::Rgb] {
        let data = samples(&mut random, format.frame_bytes(640, 480));
        let frame = Frame::packed(format, 640, 480, &data).unwrap();
        rig.check(&frame, Some(16));
    }
}

/// What launches say they cost is what the emulator counts, within a fifth.
#[test]
fn launches_know_their_cost() {
    let mut random = Random(6);
    for (format, width, height, patch_size) in [
        (PixelFormat::Nv12, 1280, 720, 16),
        (PixelFormat::I420, 641, 479, 16),
        (PixelFormat::Yuyv, 640, 480, 14),
        (PixelFormat::Rgb, 640, 480, 16),
        (PixelFormat::Grey, 300, 200, 14),
    ] {
        let geometry = square(Resize::ShortestSide(256), 224, Interpolation::Bicubic);
        let device = Emulated::new(Target::ORIN_NANO, Options::default());
        let ledger = device.ledger();
        let mut rig = Rig::on(Box::new(device), geometry, (width, height));
        let data = samples(&mut random, format.frame_bytes(width, height));
        let frame = Frame::packed(format, width, height, &data).unwrap();
        rig.check(&frame, Some(patch_size));
        for (name, record) in ledger.records() {
            let said = record.work.instructions as f64;
            let done = record.counts.instructions.total().warps as f64;
            let ratio = said / done;
            let what = format!("{name} of {format:?}: said {said}, did {done}");
            assert!((0.8..1.25).contains(&ratio), "{what}");
        }
    }
}

#[test]
fn resampling_needs_its_barrier() {
    if std::env::var_os("MERGEVIT_TEST_DEVICE").is_some() {
        return; // a GPU need not notice
    }
    let data = samples(&mut Random(9), 3 * 400 * 8);
    let frame = Frame::packed(PixelFormat::Rgb, 400, 8, &data).unwrap();
    let resize = Resize::Exact {
        width: 16,
        height: 16,
    };
    let geometry = square(resize, 16, Interpolation::Bicubic);
    let unnoticed = unnoticed_mutants(Module::Preprocess, |_| {
        Rig::new(geometry, (400, 8)).check(&frame, Some(8));
    });
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}
