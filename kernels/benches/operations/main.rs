//! Times every operation of the `Kernels` trait, and frame preprocessing, on every backend of this machine.
//!
//! Each result is compared with the scalar reference's first, bit for bit. `benches/README.md` says how to run
//! this, how to compare two runs, and what a record holds.

pub(crate) mod cases;
#[path = "../../tests/common/mod.rs"]
mod common;
pub(crate) mod compare;
pub(crate) mod environment;
pub(crate) mod frames;
#[path = "../../tests/common/frames_on_device.rs"]
mod frames_on_device;
mod linear;
pub(crate) mod measure;
#[path = "../../tests/common/on_device.rs"]
mod on_device;
pub(crate) mod on_gpu;
pub(crate) mod operation;
mod options;
pub(crate) mod record;
mod run;
pub(crate) mod suite;
mod tokens;

use clap::Parser;
use common::Weights;
use compare::Comparison;
use mergevit_kernels::testing::Random;
use options::Options;
use record::Record;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    match start(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<(), Box<dyn Error>> {
    if let [before, after] = &options.compare[..] {
        print!(
            "{}",
            Comparison::new(&Record::read(before)?, &Record::read(after)?)
        );
        return Ok(());
    }
    let record = run::run(options)?;
    if options.records() {
        println!("\nrecord: {}", record.write(&options.record)?.display());
    }
    Ok(())
}
