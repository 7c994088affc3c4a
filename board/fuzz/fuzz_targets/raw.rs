//! A raw stream through the capture path, beside a second reading of it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mergevit_board::fuzzing::raw(bytes));
