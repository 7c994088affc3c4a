//! Any pickle gives the tensors that it names, or an error.
//!
//! An input is the key of a state dictionary, which is not given if it is empty, a zero byte, and the pickle. Beside it
//! are four storages of 64 bytes, in which numbers of all types are finite.

#![no_main]

use mergevit_calibrate::checkpoint::{Defect, read_pickle};

const STORAGES: [&str; 4] = ["data/0", "data/1", "data/2", "data/3"];
/// One, as f32.
const PATTERN: [u8; 4] = [0, 0, 0x80, 0x3f];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&byte| byte == 0);
    let (key, pickle) = bytes.split_at(end.unwrap_or(bytes.len()));
    let pickle = pickle.get(1..).unwrap_or_default();
    let key = std::str::from_utf8(key).ok().filter(|key| !key.is_empty());
    let storage = PATTERN.repeat(16);
    let storages = STORAGES.map(|name| (name, &storage[..]));
    match read_pickle(pickle, &storages, key) {
        Ok(tensors) => {
            for (shape, values) in tensors {
                // None is larger than its storage, whatever its shape says.
                assert!(values.len() <= storage.len() / 2);
                assert_eq!(values.len(), shape.iter().product::<usize>());
            }
        }
        Err(error) => {
            assert!(!matches!(error, Defect::NonFinite { .. }), "{error}");
            assert!(error.to_string().len() < 20_000);
            assert!(error.hint().is_some(), "{error}");
        }
    }
});
