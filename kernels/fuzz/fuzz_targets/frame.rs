//! Every vector unit turns every frame into the pixels that the reference gives, also when the frame before had
//! another size.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use mergevit_kernels::frame::{
    ColorSpace, Frame, FrameLayout, Geometry, Interpolation, PixelFormat, Planes, Preprocessor,
    Resize, VectorUnit, reference,
};

/// Largest frames, and what is made of them, in pixels. Rows reach beyond the widest vectors, and then some; columns
/// only beyond the filters. The reference works pixel by pixel, so larger frames show the same, later.
const MAX_WIDTH: u8 = 40;
const MAX_HEIGHT: u8 = 7;

fn width(value: u8) -> usize {
    usize::from(value % MAX_WIDTH) + 1
}

fn height(value: u8) -> usize {
    usize::from(value % MAX_HEIGHT) + 1
}

#[derive(Arbitrary, Debug)]
struct Target {
    resize: (u8, Option<u8>),
    crop: (u8, u8),
    bicubic: bool,
}

#[derive(Arbitrary, Debug)]
struct Picture {
    format: u8,
    color: u8,
    size: (u8, u8),
    padding: u8,
    /// Bytes between the planes, and added to each chroma row.
    chroma: (u8, u8),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    target: Target,
    picture: Picture,
    /// A frame of another size before it.
    before: Option<Picture>,
    samples: &'a [u8],
}

impl Target {
    fn geometry(&self) -> Geometry {
        let resize = match self.resize {
            (side, None) => Resize::ShortestSide(height(side)),
            (x, Some(y)) => Resize::Exact {
                width: width(x),
                height: height(y),
            },
        };
        let interpolation = match self.bicubic {
            true => Interpolation::Bicubic,
            false => Interpolation::Bilinear,
        };
        let crop = (width(self.crop.0), height(self.crop.1));
        Geometry::new(resize, crop, interpolation).expect("all sides are valid")
    }
}

impl Picture {
    fn layout(&self) -> FrameLayout {
        let format = PixelFormat::ALL[usize::from(self.format) % PixelFormat::ALL.len()];
        let color = ColorSpace::ALL[usize::from(self.color) % ColorSpace::ALL.len()];
        let (width, height) = (width(self.size.0), height(self.size.1));
        let stride = format.row_bytes(width) + usize::from(self.padding % 16);
        let planes = Planes {
            stride,
            chroma_offset: stride * height + usize::from(self.chroma.0 % 16),
            chroma_stride: format.chroma_row_bytes(width) + usize::from(self.chroma.1 % 16),
        };
        let layout = FrameLayout::with_planes(format, width, height, planes);
        layout.expect("rows don't overlap").with_color(color)
    }
}

libfuzzer_sys::fuzz_target!(|input: Input<'_>| {
    let geometry = input.target.geometry();
    let layouts: Vec<_> = input
        .before
        .iter()
        .chain([&input.picture])
        .map(Picture::layout)
        .collect();
    let most = layouts.iter().map(FrameLayout::bytes).max().unwrap_or(0);
    let samples = input.samples.iter().chain(&[16, 128, 235]).cycle();
    let bytes: Vec<u8> = samples.take(most).copied().collect();
    let frame = |layout| Frame::with_layout(layout, &bytes).expect("it has all of its bytes");
    let frames: Vec<_> = layouts.into_iter().map(frame).collect();
    let judge = |frame| reference::preprocess(&geometry, frame);
    let expected: Vec<_> = frames.iter().map(judge).collect();
    let mut found = vec![0; geometry.output_len()];
    for unit in VectorUnit::ALL
        .into_iter()
        .filter(|unit| unit.is_available())
    {
        let mut preprocessor = Preprocessor::with_unit(geometry, 1, 1, unit);
        for (frame, expected) in frames.iter().zip(&expected) {
            let result = preprocessor.preprocess(frame, &mut found);
            result.expect("the output has the right length");
            assert!(found == *expected, "{unit:?} differs: {:?}", frame.layout());
        }
    }
});
