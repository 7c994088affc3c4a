//! `compile-kernels`: makes the modules that are checked in, or checks that they are up to date.

use clap::Parser;
use mergevit_kernel_compiler::manifest::LIMIT_BYTES;
use mergevit_kernel_compiler::{Error, folder, locate};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compiles the CUDA kernels with NVRTC 12.6 into kernels/compiled, and writes what they take of an Orin's SM into
/// kernels/README.md.
#[derive(Debug, Parser)]
#[command(name = "compile-kernels", version)]
struct Cli {
    /// Write nothing; fail if anything there differs from a rebuild.
    #[arg(long)]
    check: bool,
    /// NVRTC's library, or a CUDA toolkit or Python environment that has it [default: MERGEVIT_NVRTC, else an
    /// installed toolkit, else the active Python's nvidia-cuda-nvrtc-cu12].
    #[arg(long, value_name = "PATH")]
    nvrtc: Option<PathBuf>,
    /// Folder with cuda, compiled and README.md.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."), hide_default_value = true)]
    root: PathBuf,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("compile-kernels: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Error> {
    let (nvrtc, path) = locate::nvrtc(cli.nvrtc.as_deref())?;
    println!("NVRTC: {}", path.display());
    let rebuilt = folder::rebuild(&cli.root, &nvrtc)?;
    println!(
        "\n{}\n{} bytes of modules, at most {LIMIT_BYTES}",
        rebuilt.table, rebuilt.bytes
    );
    if !cli.check {
        let changed = rebuilt.write(&cli.root)?;
        changed.iter().for_each(|line| println!("{line}"));
        if changed.is_empty() {
            println!("nothing has changed");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let differences = rebuilt.differences(&cli.root)?;
    if differences.is_empty() {
        println!("everything is as a rebuild gives it");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("compile-kernels: sources and modules disagree");
    differences.iter().for_each(|line| eprintln!("  {line}"));
    eprintln!("hint: cargo run -p mergevit-kernel-compiler");
    Ok(ExitCode::FAILURE)
}
