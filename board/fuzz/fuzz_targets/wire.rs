//! What goes through a run's socket, in both directions, beside a second reading of it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mergevit_board::fuzzing::wire(bytes));
