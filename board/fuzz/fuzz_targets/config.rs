//! A configuration file for `mergevit run`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mergevit_board::fuzzing::config(bytes));
