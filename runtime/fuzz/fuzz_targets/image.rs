//! Any bytes are an image or are refused; an image has the size that its headers state, and is a frame.
//!
//! Larger images are left out: filling them would be most of the work.

#![no_main]

use image::ImageReader;
use mergevit_runtime::image::decode_bytes;
use std::io::Cursor;

const MAX_PIXELS: u32 = 1 << 10;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = ImageReader::new(Cursor::new(bytes)).with_guessed_format() else {
        return;
    };
    let stated = reader.into_dimensions().ok();
    if stated.is_some_and(|(width, height)| width.saturating_mul(height) > MAX_PIXELS) {
        return;
    }
    if let Ok(found) = decode_bytes(bytes) {
        let (width, height) = stated.expect("an image has a size");
        let upright = (width as usize, height as usize);
        let turned = (upright.1, upright.0);
        assert!([upright, turned].contains(&(found.width(), found.height())));
        assert_eq!(found.pixels().len(), 3 * found.width() * found.height());
        assert_eq!(found.frame().packed_bytes(), found.pixels().len());
    }
});
