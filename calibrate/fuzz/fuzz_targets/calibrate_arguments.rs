//! A command line of `mergevit-calibrate`, its arguments separated by zero bytes.

#![no_main]

use mergevit_calibrate::cli::check;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let arguments = bytes.split(|&byte| byte == 0).map(OsStr::from_bytes);
    let line = [OsStr::new("mergevit-calibrate")]
        .into_iter()
        .chain(arguments);
    if let Err(error) = check(line) {
        assert!([0, 2].contains(&error.exit_code()));
        assert!(!error.to_string().is_empty());
    }
});
