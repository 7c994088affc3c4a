//! A command line of `mergevit`, its arguments separated by zero bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mergevit_board::fuzzing::arguments(bytes));
