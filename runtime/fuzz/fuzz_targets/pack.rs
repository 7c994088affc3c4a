//! Any bytes give a pack or an error. `tests/mutations.rs` runs the same function in ordinary tests.
//! `seeds/pack/tiny` is `testing::bytes(&testing::tiny(), &[0, 1, 9], 1)`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mergevit_runtime::testing::read_any(bytes));
