//! Frame preprocessing against outputs of Pillow, written by `data/frame/make.py`.

use std::path::Path;

use mergevit_kernels::frame::{
    Frame, Geometry, Interpolation, PixelFormat, Preprocessor, Resize, VectorUnit, reference,
};

/// `pixels` of `make.py`.
fn pixels(width: u32, height: u32, channels: u32) -> Vec<u8> {
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                let noise = x.wrapping_mul(73_856_093)
                    ^ y.wrapping_mul(19_349_663)
                    ^ c.wrapping_mul(83_492_791);
                let noise = noise.wrapping_mul(2_654_435_761) >> 24;
                let smooth = (x * 255 / width + y * 3 + c * 40) & 255;
                let noisy = (x / 5 + y / 7) % 3 == 0;
                data.push(if noisy { noise } else { smooth } as u8);
            }
        }
    }
    data
}

fn fnv(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |value, byte| {
        (value ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn size(text: &str) -> (usize, usize) {
    let (width, height) = text.split_once('x').expect("WxH");
    (
        width.parse().expect("width"),
        height.parse().expect("height"),
    )
}

fn check(folder: &Path, line: &str) {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [mode, width, height, filter, resize, crop, hash, file] = fields[..] else {
        panic!("{line}: expected 8 fields");
    };
    let (format, channels) = match mode {
        "grey" => (PixelFormat::Grey, 1),
        _ => (PixelFormat::Rgb, 3),
    };
    let interpolation = match filter {
        "bilinear" => Interpolation::Bilinear,
        _ => Interpolation::Bicubic,
    };
    let resize = match resize.split_once(':').expect("rule:size") {
        ("shortest", side) => Resize::ShortestSide(side.parse().expect("side")),
        (_, exact) => {
            let (width, height) = size(exact);
            Resize::Exact { width, height }
        }
    };
    let geometry = Geometry::new(resize, size(crop), interpolation).expect("geometry");
    let (width, height) = (
        width.parse().expect("width"),
        height.parse().expect("height"),
    );
    let data = pixels(width, height, channels);
    let (width, height) = (width as usize, height as usize);
    let frame = Frame::packed(format, width, height, &data).expect("frame");
    let hash = u64::from_str_radix(hash, 16).expect("hash");

    let judged = reference::preprocess(&geometry, &frame);
    if file != "-" {
        let expected = std::fs::read(folder.join(file)).expect("output file");
        assert_eq!(judged, expected, "{line}");
    }
    assert_eq!(fnv(&judged), hash, "{line}");
    for unit in VectorUnit::ALL
        .into_iter()
        .filter(|unit| unit.is_available())
    {
        let mut preprocessor = Preprocessor::with_unit(geometry, width, height, unit);
        let mut out = vec![0; geometry.output_len()];
        preprocessor
            .preprocess(&frame, &mut out)
            .expect("preprocess");
        assert_eq!(fnv(&out), hash, "{unit:?}: {line}");
    }
}

#[test]
fn equals_pillow() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/frame");
    let cases = std::fs::read_to_string(folder.join("cases.txt")).expect("cases.txt");
    let mut count = 0;
    for line in cases.lines() {
        check(&folder, line);
        count += 1;
    }
    assert!(count > 30, "{count} cases");
}
