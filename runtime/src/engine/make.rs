//! Makes what runs a plan: chosen once, by name or best first, never silently.

use super::backend::{Backend, CPU, DEVICES, REFERENCE, backends, ordinal};
use super::device::Accelerator;
use super::error::LoadError;
use super::executor::Executor;
use super::host::Host;
use super::options::EngineOptions;
use crate::limits::MAX_THREADS;
use crate::pack::Pack;
use crate::plan::capacity;
use mergevit_kernels::cpu::{self, MakeError};
use mergevit_kernels::cuda::driver::{self, OpenError};
use mergevit_kernels::ops::{Capacity, Kernels};
use mergevit_kernels::reference::Reference;
use std::num::NonZero;

/// The number of threads asked for, or else one for each core that this process may use.
fn threads(asked: Option<usize>) -> Result<usize, LoadError> {
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

/// What was chosen.
pub(super) struct Made {
    pub(super) executor: Box<dyn Executor>,
    /// Why [`Backend::Auto`] did not take a CUDA device.
    pub(super) refusal: Option<LoadError>,
}

impl Made {
    fn named(executor: Box<dyn Executor>) -> Self {
        Self {
            executor,
            refusal: None,
        }
    }
}

/// Makes what the options name, or else the best there is.
pub(super) fn make(pack: &Pack, options: &EngineOptions) -> Result<Made, LoadError> {
    let threads = threads(options.threads)?;
    let capacity = capacity(pack.config(), options.max_batch);
    let host = |kernels: Box<dyn Kernels>| -> Result<Box<dyn Executor>, LoadError> {
        if options.tune {
            log::warn!("backend {} has nothing to tune", kernels.name());
        }
        Ok(Box::new(Host::new(pack, kernels, options)?))
    };
    match &options.backend {
        Backend::Auto => match cuda(pack, 0, options) {
            Ok(executor) => Ok(Made::named(executor)),
            Err(error) => {
                let level = match error {
                    LoadError::Cuda(OpenError::NoDriver | OpenError::NoDevice) => log::Level::Info,
                    _ => log::Level::Warn,
                };
                let kernels = processor(CPU, threads, &capacity)?;
                log::log!(level, "{error}; the backend is {}", kernels.name());
                Ok(Made {
                    executor: host(kernels)?,
                    refusal: Some(error),
                })
            }
        },
        Backend::Named(name) => match ordinal(name) {
            Some(ordinal) => cuda(pack, ordinal, options).map(Made::named),
            None => processor(name, threads, &capacity)
                .and_then(host)
                .map(Made::named),
        },
    }
}

fn cuda(
    pack: &Pack,
    ordinal: usize,
    options: &EngineOptions,
) -> Result<Box<dyn Executor>, LoadError> {
    let device = driver::open(ordinal, &options.open)?;
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
        CPU => return cpu::best(threads, capacity).map_err(|error| not_made(CPU, "", error)),
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
        .map_err(|error| not_made(implementation.name, implementation.needs, error))
}

/// Why the backend `name`, which needs `needs`, was not made.
fn not_made(name: &'static str, needs: &'static str, error: MakeError) -> LoadError {
    match error {
        MakeError::Thread {
            number,
            threads,
            source,
        } => LoadError::Thread {
            number,
            threads,
            source,
        },
        MakeError::OutOfMemory(error) => error.into(),
        _ => LoadError::Refused { name, needs },
    }
}
