//! JPEG images beside the same images read by the `image` crate.

use super::*;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

/// A picture with edges and gradients.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let stripe = if (x / 7 + y / 5) % 2 == 0 { 200 } else { 30 };
        Rgb([(x * 3) as u8, stripe, (y * 2) as u8])
    })
}

fn encoded(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    let (width, height) = image.dimensions();
    let written = encoder.write_image(image, width, height, ExtendedColorType::Rgb8);
    written.expect("memory does not fail");
    bytes
}

/// The same image without its Huffman tables.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    while let Some(at) = bytes.windows(2).position(|pair| pair == [0xff, 0xc4]) {
        let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        bytes.drain(at..at + 2 + length);
    }
    bytes
}

fn slot(width: usize, height: usize) -> Slot {
    Slot::new(3 * width * height).expect("some kilobytes")
}

fn pixels(slot: &Slot) -> Vec<u8> {
    let frame = slot.frame().expect("a frame");
    let mut packed = vec![0; frame.packed_bytes()];
    frame.copy_packed(&mut packed);
    packed
}

#[test]
fn an_image_is_what_another_reader_sees() {
    let mut decoder = Decoder::new((320, 240)).expect("memory");
    for (width, height) in [(320, 240), (33, 17), (1, 1), (319, 8)] {
        let jpeg = encoded(&picture(width, height));
        let expected = image::load_from_memory(&jpeg).expect("it was just encoded");
        let mut slot = slot(320, 240);
        for jpeg in [without_tables(&jpeg), jpeg] {
            slot.clear();
            assert_eq!(decoder.decode(&jpeg, &mut slot), Ok(()), "{width}x{height}");
            let frame = slot.frame().expect("a frame");
            assert_eq!(
                (frame.width(), frame.height()),
                (width as usize, height as usize)
            );
            assert!(pixels(&slot) == expected.to_rgb8().into_raw());
        }
    }
}

#[test]
fn half_an_image_is_no_frame() {
    let jpeg = encoded(&picture(320, 240));
    let mut decoder = Decoder::new((320, 240)).expect("memory");
    let mut slot = slot(320, 240);
    let length = jpeg.len();
    for end in [0, 1, 100, length / 2, length - 3, length - 1] {
        let result = decoder.decode(&jpeg[..end], &mut slot);
        assert!(result.is_err(), "{end} of {length} bytes");
    }
    // Cameras fill their buffers up.
    let mut padded = jpeg.clone();
    padded.resize(2 * jpeg.len(), 0);
    assert_eq!(decoder.decode(&padded, &mut slot), Ok(()));
}

#[test]
fn larger_images_are_refused() {
    let mut decoder = Decoder::new((32, 16)).expect("memory");
    let mut slot = slot(32, 16);
    for (width, height) in [(33, 1), (1, 17)] {
        let jpeg = encoded(&picture(width, height));
        let (width, height) = (width as usize, height as usize);
        assert_eq!(
            decoder.decode(&jpeg, &mut slot),
            Err(Defect::TooLarge { width, height })
        );
    }
}

#[test]
fn what_needs_more_memory_than_is_reserved_is_refused() {
    let jpeg = encoded(&picture(320, 240));
    let mut decoder = Decoder {
        scratch: Scratch::new(1 << 10).expect("a kilobyte"),
        most: (320, 240),
    };
    let mut slot = slot(320, 240);
    let error = decoder.decode(&jpeg, &mut slot).expect_err("too little");
    assert!(matches!(error, Defect::Overflow(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("1024 that are reserved"), "{text}");
}
