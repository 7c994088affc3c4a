//! mergevit-calibrate.
fn main() {}
