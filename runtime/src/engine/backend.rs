//! The backends by name: which there are, and which of them this machine can run.

use mergevit_kernels::cpu;
use mergevit_kernels::cuda::driver::{self, OpenError};
use std::fmt;

/// Name of the scalar reference, the judge of all others.
pub(super) const REFERENCE: &str = "reference";

/// Name of the best backend on the processor.
pub(super) const CPU: &str = "cpu";

/// Name of the first CUDA device.
pub(super) const CUDA: &str = "cuda";

/// Names of CUDA devices by their number: as many as the largest machines hold.
pub(super) const DEVICES: [&str; 16] = [
    CUDA, "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6", "cuda:7", "cuda:8", "cuda:9",
    "cuda:10", "cuda:11", "cuda:12", "cuda:13", "cuda:14", "cuda:15",
];

/// What a CUDA device must be.
const CUDA_NEEDS: &str = "an NVIDIA GPU of compute capability 8.0 or later and its driver";

/// Which backend to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// The best that this machine can run.
    #[default]
    Auto,
    /// `cuda` (the first device), `cuda:1` and so on, `cpu` (the best of them), `reference`, or one of
    /// [`backends`] in full, e.g. `cpu/avx512-vnni`.
    Named(String),
}

impl From<&str> for Backend {
    /// `auto`, or a name.
    fn from(name: &str) -> Self {
        match name {
            "auto" => Self::Auto,
            name => Self::Named(name.into()),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// A backend of this program on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStatus {
    /// Its name.
    pub name: &'static str,
    /// What it needs of the machine.
    pub needs: &'static str,
    /// Whether the machine has it.
    pub available: bool,
    /// Why not, if it has not.
    pub refusal: Option<String>,
}

impl BackendStatus {
    fn new(name: &'static str, needs: &'static str, refusal: Option<String>) -> Self {
        Self {
            name,
            needs,
            available: refusal.is_none(),
            refusal,
        }
    }
}

/// Every backend of this program, best first. Of CUDA devices, all that the driver finds, and at least one
/// entry to say why there is none.
pub fn backends() -> impl Iterator<Item = BackendStatus> {
    let processors = cpu::implementations().iter().map(|implementation| {
        let refusal = format!("needs {}", implementation.needs);
        BackendStatus::new(
            implementation.name,
            implementation.needs,
            (!implementation.available()).then_some(refusal),
        )
    });
    let reference = BackendStatus::new(REFERENCE, "nothing", None);
    devices().into_iter().chain(processors).chain([reference])
}

fn devices() -> Vec<BackendStatus> {
    let status = |name, result: Result<(), OpenError>| {
        BackendStatus::new(
            name,
            CUDA_NEEDS,
            result.err().map(|error| error.to_string()),
        )
    };
    match driver::probe() {
        Ok(driver) => {
            let devices = DEVICES.into_iter().zip(&driver.devices);
            devices
                .map(|(name, device)| status(name, device.check(driver.version)))
                .collect()
        }
        Err(error) => vec![status(CUDA, Err(error))],
    }
}

/// The number of the CUDA device of this name.
pub(super) fn ordinal(name: &str) -> Option<usize> {
    let name = if name == "cuda:0" { CUDA } else { name };
    DEVICES.iter().position(|&device| device == name)
}
