//! The values of `--source`, `--size` and `--color`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mergevit_board::fuzzing::source(bytes));
