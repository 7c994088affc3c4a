//! The shipped PTX on the emulator: it parses, and a matrix product among them computes what it should.

use mergevit_emulator::{BlockOrder, Counts, Launch, Memory, Module, Options, run};
use mergevit_kernels::cuda::gemm::{self, Epilogue, Operands, Tile, Tiling};
use mergevit_kernels::cuda::{self, Address, MODULES};
use mergevit_kernels::testing::Random;
use proptest::prelude::*;

#[test]
fn every_module_parses() {
    for module in MODULES {
        let parsed = Module::parse(module.ptx());
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", module.name()));
        assert!(parsed.kernels().count() > 0, "{}", module.name());
    }
}

struct Product {
    rows: usize,
    outputs: usize,
    inputs: usize,
    splits: usize,
    blocks: usize,
}

/// `gemm_64x64_requantize` with unit scales: sums of products, clamped to a byte.
fn product(module: &Module, shape: &Product, options: &Options) -> (Vec<u8>, Counts) {
    let &Product {
        rows,
        outputs,
        inputs,
        splits,
        blocks,
    } = shape;
    let mut memory = Memory::new();
    let weights = Random(2).bytes(outputs * inputs);
    let weights = gemm::arrange(bytemuck::cast_slice(&weights), inputs);
    let floats = |x: f32| x.to_le_bytes().repeat(outputs);
    let of = gemm::Shape {
        rows: rows as u32,
        outputs: outputs as u32,
        inputs: inputs as u32,
    };
    let tiling = Tiling::new(Tile::T64x64, splits as u32).with_blocks(blocks as u32);
    let output = memory.allocate(rows * outputs);
    let operands = Operands {
        input: Address(memory.upload(&Random(1).bytes(rows * inputs))),
        weights: Address(memory.upload(bytemuck::cast_slice(&weights))),
        scale: Address(memory.upload(&floats(0.001))),
        bias: Address(memory.upload(&floats(0.25))),
        output: Address(output),
        partial: Address(memory.allocate(tiling.partial_bytes(&of))),
        arrived: Address(memory.upload(&vec![0; 4 * tiling.counters(&of)])),
    };
    let planned = gemm::linear(&of, &tiling, &operands, &Epilogue::Requantize);
    let launch = Launch {
        kernel: planned.kernel.name(),
        grid: planned.grid,
        block: [planned.threads, 1, 1],
        shared_bytes: planned.shared_bytes,
        params: planned.params(),
    };
    let counts =
        run(module, &launch, &mut memory, options).unwrap_or_else(|fault| panic!("{fault}"));
    (memory.read(output, rows * outputs).unwrap(), counts)
}

fn expected(shape: &Product) -> Vec<u8> {
    let (input, weights) = (
        Random(1).bytes(shape.rows * shape.inputs),
        Random(2).bytes(shape.outputs * shape.inputs),
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
    let module = Module::parse(cuda::Module::GemmRequantize.ptx()).unwrap();
    for (rows, inputs, splits, blocks) in [
        (1, 64, 1, 9),
        (65, 192, 1, 9),
        (70, 512, 3, 99),
        (70, 512, 1, 3),
        (70, 512, 3, 5),
    ] {
        let shape = Product {
            rows,
            outputs: 128,
            inputs,
            splits,
            blocks,
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
        let mut text = cuda::Module::Attention.ptx().as_bytes().to_vec();
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, [byte]);
        let text = String::from_utf8(text).unwrap();
        if let Err(error) = Module::parse(&text) {
            prop_assert!(error.line >= 1 && error.line as usize <= text.lines().count());
        }
    }
}
