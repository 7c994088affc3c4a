//! Any pack, of any size, on the emulated GPU: its logits are the processor's, and the table says what every kernel
//! did. Ignored unless asked for, because it wants a pack:
//!
//! ```sh
//! MERGEVIT_PACK=$PWD/vitb.mvit MERGEVIT_SCHEDULE=r13 \
//!     cargo test --release -p mergevit-runtime --test whole_model -- --ignored --nocapture
//! ```

use mergevit_kernels::cuda::Target;
use mergevit_kernels::cuda::testing::{Emulated, Options, Record};
use mergevit_runtime::testing::Random;
use mergevit_runtime::{Engine, Pack, inspect};

#[test]
#[ignore = "set MERGEVIT_PACK to a pack's path, and MERGEVIT_SCHEDULE to a schedule unless the first will do"]
fn a_pack_of_the_callers() {
    let path = std::env::var_os("MERGEVIT_PACK").expect("MERGEVIT_PACK is set");
    let pack = || Pack::open(path.as_ref()).expect("a valid pack");
    let mut options = Engine::options();
    if let Ok(schedule) = std::env::var("MERGEVIT_SCHEDULE") {
        options = options.schedule(schedule);
    }
    let device = Emulated::new(Target::ORIN_NANO, Options::default());
    let ledger = device.ledger();
    let mut gpu = inspect::on_device(pack(), Box::new(device), &options).expect("an engine");
    let mut cpu = options.backend("cpu").build(pack()).expect("an engine");
    let pixels = Random(1).bytes(cpu.pack().config().image_bytes());
    let bits = |engine: &mut Engine| -> Vec<u32> {
        let output = engine.classify_pixels(&pixels).expect("it runs");
        output.logits().iter().map(|x| x.to_bits()).collect()
    };
    assert_eq!(bits(&mut gpu), bits(&mut cpu));
    println!(
        "{}, schedule {}: logits equal those of {}",
        path.display(),
        gpu.schedule().name,
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
