//! Whole kernels as NVRTC writes them: those of the example.

use mergevit_emulator::{BlockOrder, Counts, Fault, Launch, Memory, Module, Options, Rule, run};
use proptest::prelude::*;

const PTX: &str = include_str!("../examples/block_sum.ptx");
const BLOCKS: u32 = 3;
const THREADS: u32 = 256;

const ORDERS: [BlockOrder; 3] = [
    BlockOrder::Ascending,
    BlockOrder::Descending,
    BlockOrder::Shuffled(5),
];

/// Each block's sum of the numbers from 0 on, and what the launch did.
fn sums(kernel: &str, options: &Options) -> Result<(Vec<u32>, Counts), Fault> {
    let module = Module::parse(PTX).unwrap();
    let mut memory = Memory::new();
    let numbers: Vec<u8> = (0..BLOCKS * THREADS).flat_map(u32::to_le_bytes).collect();
    let pointers = [
        memory.upload(&numbers),
        memory.allocate(4 * BLOCKS as usize),
    ];
    let launch = Launch {
        kernel,
        grid: [BLOCKS, 1, 1],
        block: [THREADS, 1, 1],
        shared_bytes: 0,
        params: &pointers.map(u64::to_le_bytes).concat(),
    };
    let counts = run(&module, &launch, &mut memory, options)?;
    let bytes = memory.read(pointers[1], 4 * BLOCKS as usize).unwrap();
    let words = bytes.chunks_exact(4);
    let words = words.map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    Ok((words.collect(), counts))
}

#[test]
fn a_reduction_is_right_under_every_schedule() {
    let expected: Vec<u32> = (0..BLOCKS)
        .map(|block| (block * THREADS..(block + 1) * THREADS).sum())
        .collect();
    for order in ORDERS {
        for seed in 0..6 {
            let options = Options::default().with_order(order).with_warp_seed(seed);
            let (found, counts) = sums("block_sum", &options).unwrap();
            assert_eq!(found, expected, "{options:?}");
            assert_eq!(counts.global.read.bytes, u64::from(4 * BLOCKS * THREADS));
            assert_eq!(counts.barriers, u64::from(9 * BLOCKS));
            assert_eq!(counts.bank_conflicts, 0);
        }
    }
}

#[test]
fn a_reduction_without_its_barrier_is_caught_under_every_schedule() {
    for order in ORDERS {
        for seed in 0..6 {
            let options = Options::default().with_order(order).with_warp_seed(seed);
            let fault = sums("block_sum_racy", &options).unwrap_err();
            assert!(matches!(fault.rule, Rule::SharedRace { .. }), "{fault}");
            assert!(fault.instruction.contains(".shared.u32"), "{fault}");
        }
    }
}

/// Modules that would take more memory than there is, or that a recursive reader would fall over.
#[test]
fn immoderate_modules_are_refused() {
    let global = ".global .align 4096 .b8 v[268435456];\n".repeat(16);
    let local = ".local .b8 v[268435456];\n".repeat(17);
    let kernel = |body: &str| format!(".entry k() {{ {body} ret; }}");
    let nested = "{".repeat(1 << 20);
    let cases = [
        (global, "variables"),
        (kernel(&local), "variables"),
        (
            kernel(".reg .b32 %r<60000>; .reg .b32 %s<60000>;"),
            "registers",
        ),
        (
            ".entry k() .maxntid 65536,65536,1 { ret; }".into(),
            "threads",
        ),
        (kernel(&format!("mov.b32 {nested}")), "nested"),
        (format!(".global .b32 v[1] = {nested}"), "nested"),
    ];
    for (text, what) in cases {
        let error = Module::parse(&text).unwrap_err();
        assert!(error.what.contains(what), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged text is read or refused, never a panic.
    #[test]
    fn damage_is_refused(at in any::<prop::sample::Index>(), length in 0..40usize, byte in 0..128u8) {
        let mut text = PTX.as_bytes().to_vec();
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, [byte]);
        let text = String::from_utf8(text).unwrap();
        if let Err(error) = Module::parse(&text) {
            prop_assert!(error.line >= 1 && error.line as usize <= text.lines().count());
        }
    }
}
