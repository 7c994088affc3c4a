//! Which implementation of the kernels runs: chosen once, by name or best first, never silently.

use super::device::Accelerator;
use super::error::LoadError;
use super::executor::Executor;
use super::host::Host;
use super::options::EngineOptions;
use crate::limits::MAX_THREADS;
use crate::pack::Pack;
use crate::plan::capacity;
use mergevit_kernels::cpu;
use mergevit_kernels::cuda::driver::{self, OpenError};
use mergevit_kernels::ops::{Capacity, Kernels};
use mergevit_kernels::reference::Reference;
use std::fmt;
use std::num::NonZero;

/// Name of the scalar reference, the judge of all others.
const REFERENCE: &str = "reference";

/// Name of the first CUDA device.
pub(super) const CUDA: &str = "cuda";

/// Names of CUDA devices by their number: as many as the largest machines hold.
const DEVICES: [&str; 16] = [
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

/// The number of threads asked for, or else one for each core that this process may use.
pub(super) fn threads(asked: Option<usize>) -> Result<usize, LoadError> {
    let Some(threads) = asked else {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        return Ok(cores.min(MAX_THREADS));
    };
    if (1..=MAX_THREADS).contains(&threads) {
        Ok(threads)
    } else {
        Err(LoadError::Threads { found: threads })
    }
}

/// Makes what the options name, or else the best there is.
pub(super) fn make(pack: &Pack, options: &EngineOptions) -> Result<Box<dyn Executor>, LoadError> {
    let threads = threads(options.threads)?;
    let capacity = capacity(pack.config(), options.max_batch);
    let host = |kernels: Box<dyn Kernels>| -> Box<dyn Executor> {
        if options.tune {
            log::warn!("backend {} has nothing to tune", kernels.name());
        }
        Box::new(Host::new(pack, kernels, options))
    };
    match &options.backend {
        Backend::Auto => match cuda(pack, 0, options) {
            Ok(executor) => Ok(executor),
            Err(error) => {
                let level = match error {
                    LoadError::Cuda(OpenError::NoDriver | OpenError::NoDevice) => log::Level::Info,
                    _ => log::Level::Warn,
                };
                let kernels = cpu::best(threads, &capacity);
                log::log!(level, "{error}; the backend is {}", kernels.name());
                Ok(host(kernels))
            }
        },
        Backend::Named(name) => match ordinal(name) {
            Some(ordinal) => cuda(pack, ordinal, options),
            None => processor(name, threads, &capacity).map(host),
        },
    }
}

/// The number of the CUDA device of this name.
fn ordinal(name: &str) -> Option<usize> {
    let name = if name == "cuda:0" { CUDA } else { name };
    DEVICES.iter().position(|&device| device == name)
}

fn cuda(
    pack: &Pack,
    ordinal: usize,
    options: &EngineOptions,
) -> Result<Box<dyn Executor>, LoadError> {
    let device = driver::open(ordinal)?;
    let name = DEVICES[ordinal];
    log::info!("backend {name}: {}", device.info().name);
    let accelerator = Accelerator::new(pack, Box::new(device), name, options)?;
    Ok(Box::new(accelerator))
}

fn processor(
    name: &str,
    threads: usize,
    capacity: &Capacity,
) -> Result<Box<dyn Kernels>, LoadError> {
    match name {
        "cpu" => return Ok(cpu::best(threads, capacity)),
        REFERENCE => return Ok(Box::new(Reference::new())),
        _ => {}
    }
    let implementation = cpu::implementations()
        .iter()
        .find(|implementation| implementation.name == name)
        .ok_or_else(|| LoadError::UnknownBackend {
            name: name.into(),
            known: backends().map(|backend| backend.name).collect(),
        })?;
    implementation
        .make(threads, capacity)
        .ok_or(LoadError::Refused {
            name: implementation.name,
            needs: implementation.needs,
        })
}
