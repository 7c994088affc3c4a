//! Runs one kernel of a PTX file and says what it did, or which rule it breaks and where.
//!
//! ```text
//! cargo run --example check_ptx -- FILE KERNEL GRID BLOCK [SHARED_BYTES] [PARAM]...
//!
//! GRID, BLOCK     blocks of the grid, threads of a block: 8, 8x4 or 8x4x2
//! SHARED_BYTES    shared=4096: dynamic shared memory of a block
//! PARAM           in kernel order:
//!   in:1024       pointer to 1024 bytes that the host has filled with 0, 1, 2, ... as 32-bit integers
//!   out:1024      pointer to 1024 bytes that nothing has written
//!   u32:7, i32:-7, u64:7, f32:0.5, f64:0.5
//! ```
//!
//! The exit status is 0 for a clean run, 1 for a fault and 2 for arguments or PTX that are not understood.

use mergevit_emulator::{BlockOrder, Counts, Launch, Memory, Module, Options, run};
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "usage: check_ptx FILE KERNEL GRID BLOCK [shared=BYTES] [in:BYTES | out:BYTES | u32:N | \
                     i32:N | u64:N | f32:X | f64:X]...";

/// Schedules to run under: a fault that one of them hides another one may show.
const SCHEDULES: [(BlockOrder, u64); 3] = [
    (BlockOrder::Ascending, 1),
    (BlockOrder::Descending, 2),
    (BlockOrder::Shuffled(3), 3),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match check(&arguments) {
        Ok(clean) => ExitCode::from(u8::from(!clean)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the kernel under every schedule until one faults; whether none does.
fn check(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let [file, kernel, grid, block, rest @ ..] = arguments else {
        return Err(USAGE.into());
    };
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let module = Module::parse(&text).map_err(|error| format!("{file}: {error}"))?;
    let (grid, block) = (sizes(grid)?, sizes(block)?);
    let (shared_bytes, params) = match rest.split_first() {
        Some((first, params)) if first.starts_with("shared=") => (first[7..].parse()?, params),
        _ => (0, rest),
    };
    for (order, warp_seed) in SCHEDULES {
        let mut memory = Memory::new();
        let params = parameters(params, &mut memory)?;
        let launch = Launch {
            kernel,
            grid,
            block,
            shared_bytes,
            params: &params,
        };
        let options = Options::default()
            .with_order(order)
            .with_warp_seed(warp_seed);
        let start = Instant::now();
        match run(&module, &launch, &mut memory, &options) {
            Ok(counts) => report(order, &counts, start.elapsed().as_secs_f64()),
            Err(fault) => {
                println!("{order:?}: FAULT\n{fault}");
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn report(order: BlockOrder, counts: &Counts, seconds: f64) {
    let instructions = counts.instructions.total().warps;
    println!(
        "{order:?}: clean; {} blocks, {instructions} warp instructions in {:.1} ms, {} and {} bytes of global \
         memory read and written, {} bank conflicts",
        counts.blocks,
        1e3 * seconds,
        counts.global.read.bytes,
        counts.global.write.bytes,
        counts.bank_conflicts
    );
}

/// `8`, `8x4` or `8x4x2`.
fn sizes(text: &str) -> Result<[u32; 3], Box<dyn Error>> {
    let mut sizes = [1; 3];
    let parts: Vec<&str> = text.split('x').collect();
    if parts.len() > sizes.len() {
        return Err(format!("{text}: at most three sizes").into());
    }
    for (size, part) in sizes.iter_mut().zip(parts) {
        *size = part.parse().map_err(|error| format!("{text}: {error}"))?;
    }
    Ok(sizes)
}

/// The kernel's parameter buffer: each parameter at a multiple of its size.
fn parameters(arguments: &[String], memory: &mut Memory) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut buffer = Vec::new();
    for argument in arguments {
        let bytes = parameter(argument, memory).map_err(|error| format!("{argument}: {error}"))?;
        buffer.resize(buffer.len().next_multiple_of(bytes.len()), 0);
        buffer.extend(bytes);
    }
    Ok(buffer)
}

fn parameter(argument: &str, memory: &mut Memory) -> Result<Vec<u8>, Box<dyn Error>> {
    let (kind, value) = argument.split_once(':').ok_or(USAGE)?;
    Ok(match kind {
        "in" => {
            let words = value.parse::<u32>()?.div_ceil(4);
            let bytes: Vec<u8> = (0..words).flat_map(u32::to_le_bytes).collect();
            memory.upload(&bytes).to_le_bytes().into()
        }
        "out" => memory.allocate(value.parse()?).to_le_bytes().into(),
        "u32" => value.parse::<u32>()?.to_le_bytes().into(),
        "i32" => value.parse::<i32>()?.to_le_bytes().into(),
        "u64" => value.parse::<u64>()?.to_le_bytes().into(),
        "f32" => value.parse::<f32>()?.to_le_bytes().into(),
        "f64" => value.parse::<f64>()?.to_le_bytes().into(),
        _ => return Err(USAGE.into()),
    })
}
