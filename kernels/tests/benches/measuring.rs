//! What is measured is checked first, and every backend gets its turn.

use super::operations::measure::{Budget, Timing, interleaved};
use super::operations::on_gpu::{FramesOnGpu, OperationsOnGpu};
use super::operations::operation::{AnyOperation, OnProcessor};
use super::operations::suite::{Backend, Case, Measured, SuiteError, Work, measure};
use super::operations::{cases, frames};
use mergevit_kernels::cuda::testing::{Emulated, Options};
use mergevit_kernels::cuda::{Device, DeviceError, Target};
use mergevit_kernels::frame::VectorUnit;
use std::time::Duration;

/// As short as it can be.
const SHORTEST: Budget = Budget {
    time: Duration::ZERO,
    min_bursts: 1,
};

#[test]
fn quantiles_are_bursts_that_happened() {
    let timing = Timing::of((1..=11).rev().map(f64::from).collect());
    let want = Timing {
        bursts: 11,
        median_ns: 6.0,
        min_ns: 1.0,
        p90_ns: 10.0,
    };
    assert_eq!(timing, want);
    let only = Timing::of(vec![3.0]);
    assert_eq!((only.median_ns, only.min_ns, only.p90_ns), (3.0, 3.0, 3.0));
}

/// Claims to take `ns` a run.
struct Fake {
    ns: f64,
}

impl Backend<u32> for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn run(&mut self, runs: &mut u32) -> Result<(), DeviceError> {
        *runs += 1;
        Ok(())
    }

    fn time(&mut self, runs: &mut u32, repeats: u32) -> Result<f64, DeviceError> {
        (0..repeats).try_for_each(|_| self.run(runs))?;
        Ok(self.ns)
    }
}

#[test]
fn every_backend_gets_its_bursts_without_any_time() {
    let budget = Budget {
        time: Duration::ZERO,
        min_bursts: 3,
    };
    for (ns, repeats) in [(1.0, 1000), (10_000.0, 5), (1e9, 1)] {
        let mut runs = 0;
        let mut backends: Vec<Box<dyn Backend<u32>>> = vec![Box::new(Fake { ns })];
        let timings = interleaved(&mut runs, &mut backends, &budget).unwrap();
        assert_eq!((timings[0].bursts, timings[0].median_ns), (3, ns));
        assert_eq!(runs, 1 + 3 * repeats, "one run to warm up, then bursts");
    }
}

#[test]
fn no_two_cases_are_the_same() {
    let names = |cases: Vec<Case<AnyOperation>>| {
        let names = cases.into_iter().map(|case| (case.operation, case.shape));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let all = names(cases::all());
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    assert!(names(cases::tiny()).iter().all(|name| all.contains(name)));
}

/// Writes one byte.
struct Byte(u8);

impl Measured for Byte {
    fn work(&self) -> Work {
        Work { macs: 0, bytes: 1 }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![std::slice::from_mut(&mut self.0)]
    }
}

/// Writes this byte, or nothing.
struct Writes(Option<u8>);

impl Backend<Byte> for Writes {
    fn name(&self) -> &'static str {
        "writes"
    }

    fn run(&mut self, byte: &mut Byte) -> Result<(), DeviceError> {
        byte.0 = self.0.unwrap_or(byte.0);
        Ok(())
    }
}

#[test]
fn other_bits_than_the_judges_are_an_error() {
    let case = Case {
        operation: "byte",
        shape: "1".into(),
        make: Box::new(|| Box::new(Byte(0))),
    };
    // The judge runs first: what it left must not count as the backend's.
    for (byte, same) in [(Some(5), true), (Some(6), false), (None, false)] {
        let mut backends: Vec<Box<dyn Backend<Byte>>> = vec![Box::new(Writes(byte))];
        let measured = measure(&case, &mut Writes(Some(5)), &mut backends, &SHORTEST);
        assert_eq!(measured.is_ok(), same, "{byte:?}");
        if let Err(error) = measured {
            assert!(matches!(error, SuiteError::Differs { .. }));
            let text = "byte 1: writes differs from the reference";
            assert_eq!(error.to_string(), text);
        }
    }
}

fn emulated() -> Box<dyn Device> {
    Box::new(Emulated::new(Target::ORIN_NANO, Options::default()))
}

/// As on a GPU, but slower.
#[test]
fn operations_on_the_emulator() {
    let mut backends: Vec<Box<dyn Backend<AnyOperation>>> =
        vec![Box::new(OperationsOnGpu::new(emulated()))];
    let mut judge = OnProcessor::reference();
    for case in cases::tiny() {
        // Of the linear layers one is enough.
        if ["embed", "qkv", "fc1_gelu", "fc2"].contains(&case.operation) {
            continue;
        }
        let (work, timings) = measure(&case, &mut judge, &mut backends, &SHORTEST).unwrap();
        assert!(work.bytes > 0 && timings[0].median_ns > 0.0);
    }
}

#[test]
fn no_vector_unit_is_left_out() {
    assert_eq!(frames::UNITS.map(|(isa, _)| isa), VectorUnit::ALL);
}

#[test]
fn frames_on_the_emulator() {
    let mut backends: Vec<Box<dyn Backend<frames::Preprocess>>> =
        vec![Box::new(FramesOnGpu::new(emulated()))];
    let case = &frames::cases()[0];
    let measured = measure(case, &mut frames::Judge, &mut backends, &SHORTEST);
    assert_eq!(measured.unwrap().1.len(), 1);
}
