//! The images that ship, on the emulator: they parse, and a matrix product among them computes what it should.

use mergevit_emulator::{BlockOrder, Counts, Launch, Memory, Module, Options, run};
use proptest::prelude::*;

fn image(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/images");
    std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

#[test]
fn every_image_parses() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/images");
    let mut kernels = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".ptx") {
            let module = Module::parse(&image(&name));
            let module = module.unwrap_or_else(|error| panic!("{name}: {error}"));
            kernels += module.kernels().count();
        }
    }
    assert!(kernels > 0);
}

/// Bytes that look random.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

struct Product {
    rows: usize,
    outputs: usize,
    inputs: usize,
    splits: usize,
}

/// `gemm_64x64_requantize` with unit scales: sums of products, clamped to a byte.
fn product(module: &Module, shape: &Product, options: &Options) -> (Vec<u8>, Counts) {
    let &Product {
        rows,
        outputs,
        inputs,
        splits,
    } = shape;
    let mut memory = Memory::new();
    let floats = |x: f32| x.to_le_bytes().repeat(outputs);
    let tiles = rows.div_ceil(64) * (outputs / 64);
    let output = memory.allocate(rows * outputs);
    let pointers = [
        memory.upload(&bytes(rows * inputs, 1)),
        memory.upload(&bytes(outputs * inputs, 2)),
        memory.upload(&floats(0.001)),
        memory.upload(&floats(0.25)),
        output,
        0,
        0,
        memory.allocate(tiles * splits * 64 * 64 * 4),
        memory.upload(&vec![0; 4 * tiles]),
    ];
    let numbers = [rows, outputs, inputs, 0, 0, 0, 0, 0];
    let mut params: Vec<u8> = pointers
        .iter()
        .flat_map(|pointer| pointer.to_le_bytes())
        .collect();
    params.extend(
        numbers
            .iter()
            .flat_map(|&number| (number as u32).to_le_bytes()),
    );
    let launch = Launch {
        kernel: "gemm_64x64_requantize",
        grid: [rows.div_ceil(64) as u32, outputs as u32 / 64, splits as u32],
        block: [128, 1, 1],
        shared_bytes: 5 * 128 * 64,
        params: &params,
    };
    let counts =
        run(module, &launch, &mut memory, options).unwrap_or_else(|fault| panic!("{fault}"));
    (memory.read(output, rows * outputs).unwrap(), counts)
}

fn expected(shape: &Product) -> Vec<u8> {
    let (input, weights) = (
        bytes(shape.rows * shape.inputs, 1),
        bytes(shape.outputs * shape.inputs, 2),
    );
    let signed = |byte: u8| i32::from(byte.cast_signed());
    let mut output = Vec::new();
    for row in input.chunks_exact(shape.inputs) {
        for column in weights.chunks_exact(shape.inputs) {
            let sum: i32 = row
                .iter()
                .zip(column)
                .map(|(&a, &b)| signed(a) * signed(b))
                .sum();
            let y = (sum as f32).mul_add(0.001, 0.25).round_ties_even();
            output.push((y.clamp(-127.0, 127.0) as i8).cast_unsigned());
        }
    }
    output
}

#[test]
fn a_shipped_matrix_product_is_right_in_any_order() {
    let module = Module::parse(&image("gemm_requantize.compute_80.ptx")).unwrap();
    for (rows, inputs, splits) in [(1, 64, 1), (65, 192, 1), (70, 512, 3)] {
        let shape = Product {
            rows,
            outputs: 128,
            inputs,
            splits,
        };
        let want = expected(&shape);
        let orders = [
            BlockOrder::Ascending,
            BlockOrder::Descending,
            BlockOrder::Shuffled(5),
        ];
        for (seed, order) in orders.into_iter().enumerate() {
            let options = Options::default()
                .with_order(order)
                .with_warp_seed(seed as u64);
            let (found, counts) = product(&module, &shape, &options);
            assert!(found == want, "{rows} rows, {inputs} inputs, {order:?}");
            assert!(counts.matrix.s8_s8 > 0);
            assert_eq!(counts.local, Default::default(), "nothing is spilled");
            assert_eq!(counts.bank_conflicts, 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged text is read or refused, never a panic.
    #[test]
    fn damage_is_refused(at in any::<prop::sample::Index>(), length in 0..40usize, byte in 0..128u8) {
        let mut text = image("attention.compute_80.ptx").into_bytes();
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, [byte]);
        let text = String::from_utf8(text).unwrap();
        if let Err(error) = Module::parse(&text) {
            prop_assert!(error.line >= 1 && error.line as usize <= text.lines().count());
        }
    }
}
