//! Unit tests of `benches/operations`, which has no test harness of its own.

#[path = "../../benches/operations/main.rs"]
#[expect(dead_code, reason = "only the program uses its entry point")]
mod operations;

mod environment;
mod measuring;
mod records;
