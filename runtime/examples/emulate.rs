//! Runs one image through a pack on the emulated GPU, checks the logits against the processor's, and prints
//! what every kernel did.
//!
//! ```sh
//! cargo run --release -p mergevit-runtime --example emulate -- PACK [SCHEDULE]
//! ```

use mergevit_kernels::cuda::Target;
use mergevit_kernels::cuda::testing::{Emulated, Options, Record};
use mergevit_runtime::testing::Random;
use mergevit_runtime::{Engine, EngineOptions, Pack};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match emulate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn emulate() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: emulate PACK [SCHEDULE]")?;
    let path = Path::new(&path);
    let mut cpu = Engine::load(path, &EngineOptions::default())?;
    let device = Emulated::new(Target::ORIN_NANO, Options::default());
    let ledger = device.ledger();
    let options = EngineOptions::default();
    let mut gpu = Engine::on_device(Pack::open(path)?, Box::new(device), &options)?;
    if let Some(schedule) = args.next() {
        cpu.set_schedule(&schedule)?;
        gpu.set_schedule(&schedule)?;
    }
    let pixels = Random(1).bytes(cpu.pack().config().image_bytes());
    let logits = gpu.classify_pixels(&pixels)?.logits().to_vec();
    let equal = cpu.classify_pixels(&pixels)?.logits() == logits;
    println!(
        "{}, schedule {}: logits {} those of {}",
        path.display(),
        gpu.schedule().name,
        if equal { "equal" } else { "DIFFER from" },
        cpu.backend(),
    );
    println!(
        "{:26}{:>9}{:>8}{:>10}{:>10}{:>9}{:>9}{:>9}{:>10}{:>10}",
        "kernel",
        "launches",
        "blocks",
        "IMMA",
        "MMAC",
        "k instr",
        "said",
        "kB read",
        "coalesced",
        "conflicts",
    );
    let mut total = Record::default();
    for (name, record) in ledger.records() {
        print(name, &record);
        total.launches += record.launches;
        total.work.instructions += record.work.instructions;
        total.counts += record.counts;
    }
    print("total", &total);
    if equal {
        Ok(())
    } else {
        Err("the logits differ".into())
    }
}

fn print(name: &str, record: &Record) {
    let counts = &record.counts;
    let percent = |part: u64, whole: u64| match whole {
        0 => "-".into(),
        _ => format!("{:.0} %", 100.0 * part as f64 / whole as f64),
    };
    let (read, write) = (counts.global.read, counts.global.write);
    let shared = counts.shared.read.accesses + counts.shared.write.accesses;
    println!(
        "{name:26}{:>9}{:>8}{:>10}{:>10.1}{:>9}{:>9}{:>9}{:>10}{:>10}",
        record.launches,
        counts.blocks,
        counts.matrix.s8_s8 + counts.matrix.mixed,
        counts.matrix.multiply_accumulates as f64 / 1e6,
        counts.instructions.total().warps / 1000,
        record.work.instructions / 1000,
        read.bytes / 1000,
        percent(
            read.bytes + write.bytes,
            32 * (read.sectors + write.sectors)
        ),
        percent(counts.bank_conflicts, shared),
    );
}
