//! Which implementation of the kernels runs: chosen once, by name or best first, never silently.

use super::LoadError;
use crate::limits::MAX_THREADS;
use mergevit_kernels::cpu;
use mergevit_kernels::ops::{Capacity, Kernels};
use mergevit_kernels::reference::Reference;
use std::fmt;
use std::num::NonZero;

/// Name of the scalar reference, the judge of all others.
const REFERENCE: &str = "reference";

/// Which backend to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The best that this machine can run.
    #[default]
    Auto,
    /// `reference`, `cpu` (the best of them), or one of [`backends`] in full, as `cpu/avx512-vnni`.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Its name.
    pub name: &'static str,
    /// What it needs of the machine.
    pub needs: &'static str,
    /// Whether the machine has it.
    pub available: bool,
}

/// Every backend of this program, best first.
pub fn backends() -> impl Iterator<Item = BackendStatus> {
    let reference = BackendStatus {
        name: REFERENCE,
        needs: "nothing",
        available: true,
    };
    cpu::implementations()
        .iter()
        .map(|implementation| BackendStatus {
            name: implementation.name,
            needs: implementation.needs,
            available: implementation.available(),
        })
        .chain([reference])
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

pub(super) fn make(
    backend: &Backend,
    threads: usize,
    capacity: &Capacity,
) -> Result<Box<dyn Kernels>, LoadError> {
    let name = match backend {
        Backend::Auto => return Ok(cpu::best(threads, capacity)),
        Backend::Named(name) => name.as_str(),
    };
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
