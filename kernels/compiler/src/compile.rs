//! Compiles sources to modules.

use crate::error::Error;
use crate::nvrtc::{Compiled, Nvrtc, Output};
use crate::resources::{self, Resources};
use crate::sources::Source;
use crate::{ptx, ptxas};
use rayon::prelude::*;

/// File name ending of machine code for Jetson Orin.
pub const CUBIN: &str = ".sm_87.cubin";
/// File name ending of PTX for any GPU since.
pub const PTX: &str = ".compute_80.ptx";

// Contraction would change results, so it is off. Line information, which every comment would change, is left
// out.
const MACHINE_CODE: &[&str] = &[
    "--gpu-architecture=sm_87",
    "--std=c++17",
    "-default-device",
    "--fmad=false",
    "--ptxas-options=-v",
];
const VIRTUAL_MACHINE: &[&str] = &[
    "--gpu-architecture=compute_80",
    "--std=c++17",
    "-default-device",
    "--fmad=false",
];

/// Stack of a compiling thread: as large as a main thread's.
const STACK_BYTES: usize = 8 << 20;

/// The options of both compilations: they decide what a module is, as its sources do.
pub fn options() -> Vec<&'static str> {
    [MACHINE_CODE, VIRTUAL_MACHINE].concat()
}

/// A compiled source file.
#[derive(Clone, Debug)]
pub struct Module {
    /// The source file's name without its extension.
    pub name: String,
    /// ELF file for sm_87.
    pub cubin: Vec<u8>,
    /// PTX text for compute_80.
    pub ptx: String,
    /// Resources of the machine code's kernels, in the order of their names.
    pub kernels: Vec<Resources>,
}

/// Compiles all sources, as many at a time as there are processors; the modules are in the order of the sources.
///
/// # Errors
/// The first source file that does not compile without a warning, or has a kernel that uses local memory.
pub fn compile(nvrtc: &Nvrtc, sources: &[Source]) -> Result<Vec<Module>, Error> {
    let pool = rayon::ThreadPoolBuilder::new()
        .stack_size(STACK_BYTES)
        .build();
    let pool = pool.map_err(|error| Error::Nvrtc(format!("no threads to compile on: {error}")))?;
    pool.install(|| {
        sources
            .par_iter()
            .map(|source| module(nvrtc, source))
            .collect()
    })
}

fn module(nvrtc: &Nvrtc, source: &Source) -> Result<Module, Error> {
    let (machine_code, virtual_machine) = rayon::join(
        || run(nvrtc, source, MACHINE_CODE, Output::Cubin),
        || run(nvrtc, source, VIRTUAL_MACHINE, Output::Ptx),
    );
    let (machine_code, virtual_machine) = (machine_code?, virtual_machine?);
    let text = String::from_utf8(virtual_machine.code);
    let text = text.map_err(|_| Error::source(&source.file(), "its PTX is not text"))?;
    let text = ptx::for_older_drivers(&text)?;
    let kernels = resources::gather(
        source,
        &ptxas::parse(&machine_code.log)?,
        &ptx::entries(&text)?,
    )?;
    Ok(Module {
        name: source.name.clone(),
        cubin: machine_code.code,
        ptx: text,
        kernels,
    })
}

fn run(
    nvrtc: &Nvrtc,
    source: &Source,
    options: &[&'static str],
    output: Output,
) -> Result<Compiled, Error> {
    let refuse = |reason: String, log: String| Error::Compile {
        file: source.file(),
        architecture: options[0].trim_start_matches("--gpu-architecture="),
        reason,
        log,
    };
    let headers: Vec<(&str, &str)> = source
        .headers
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let compiled = nvrtc.compile(&source.file(), &source.text, &headers, options, output);
    let compiled = compiled.map_err(|refused| refuse(refused.reason, refused.log))?;
    // A report of the assembler, or a warning of the compiler, which must not be lost.
    if compiled
        .log
        .lines()
        .any(|line| !line.trim().is_empty() && !line.starts_with("ptxas"))
    {
        return Err(refuse("warnings".to_owned(), compiled.log));
    }
    Ok(compiled)
}
