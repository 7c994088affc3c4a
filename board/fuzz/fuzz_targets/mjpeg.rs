//! A stream of JPEG images through the capture path, twice, and as one image.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mergevit_board::fuzzing::mjpeg(bytes));
