//! mergevit.
fn main() {}
