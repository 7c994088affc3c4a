//! `ldmatrix` and `mma`.

mod common;

use common::Bench;
use proptest::prelude::*;

/// Stores A (16 x 32 bytes, rows), B (32 x 8, columns of 32 bytes) and C to registers as the manual's figures for
/// `mma.m16n8k32` say, and D back: a[0..4] at `%rd1`, b[0..2], c[0..4] behind, in words of each lane.
const MULTIPLY: &str = "mul.wide.u32 %rd10, %r0, 40;\nadd.s64 %rd10, %rd1, %rd10;\n\
    ld.global.v2.u32 {%r1, %r2}, [%rd10];\nld.global.v2.u32 {%r3, %r4}, [%rd10+8];\n\
    ld.global.v2.u32 {%r5, %r6}, [%rd10+16];\nld.global.v2.u32 {%r7, %r8}, [%rd10+24];\n\
    ld.global.v2.u32 {%r9, %r10}, [%rd10+32];\n\
    mma.sync.aligned.m16n8k32.row.col.TYPES {%r11, %r12, %r13, %r14}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, \
    {%r7, %r8, %r9, %r10};\n\
    mul.wide.u32 %rd11, %r0, 16;\nadd.s64 %rd11, %rd0, %rd11;\nst.global.v4.u32 [%rd11], {%r11, %r12, %r13, %r14};";

/// The manual's formulas for the elements of A: "row = groupID for a_i where 0 <= i < 4 || 8 <= i < 12, groupID + 8
/// otherwise; col = threadID_in_group * 4 + (i & 0x3) for i < 8, plus 16 for i >= 8".
fn a_place(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane / 4, lane % 4);
    let row = if i < 4 || (8..12).contains(&i) {
        group
    } else {
        group + 8
    };
    let column = thread * 4 + (i & 3) + if i < 8 { 0 } else { 16 };
    (row, column)
}

/// B: "row = threadID_in_group * 4 + (i & 0x3) for i < 4, plus 16 for i >= 4; col = groupID".
fn b_place(lane: usize, i: usize) -> (usize, usize) {
    (
        (lane % 4) * 4 + (i & 3) + if i < 4 { 0 } else { 16 },
        lane / 4,
    )
}

/// C and D: "row = groupID for i < 2, groupID + 8 for i >= 2; col = threadID_in_group * 2 + (i & 0x1)".
fn c_place(lane: usize, i: usize) -> (usize, usize) {
    (
        lane / 4 + if i < 2 { 0 } else { 8 },
        (lane % 4) * 2 + (i & 1),
    )
}

#[derive(Debug)]
struct Product {
    a: Vec<u8>,
    b: Vec<u8>,
    c: Vec<i32>,
}

impl Product {
    /// Fragments in the manual's layout; `swap` exchanges the two registers of B.
    fn fragments(&self, swap: bool) -> Vec<u32> {
        let mut words = Vec::new();
        for lane in 0..32 {
            let a = |i| {
                let (row, column) = a_place(lane, i);
                self.a[32 * row + column]
            };
            let b = |i: usize| {
                let (row, column) = b_place(lane, if swap { i ^ 4 } else { i });
                self.b[32 * column + row]
            };
            words.extend((0..4).map(|r| u32::from_le_bytes([0, 1, 2, 3].map(|i| a(4 * r + i)))));
            words.extend((0..2).map(|r| u32::from_le_bytes([0, 1, 2, 3].map(|i| b(4 * r + i)))));
            words.extend((0..4).map(|i| {
                let (row, column) = c_place(lane, i);
                self.c[8 * row + column].cast_unsigned()
            }));
        }
        words
    }

    /// The product by definition, one element after another.
    fn expected(&self, a_signed: bool, b_signed: bool, saturate: bool) -> Vec<i32> {
        let widen = |x: u8, signed: bool| {
            if signed {
                i64::from(x.cast_signed())
            } else {
                i64::from(x)
            }
        };
        let mut d = Vec::new();
        for row in 0..16 {
            for column in 0..8 {
                let products = (0..32).map(|k| {
                    widen(self.a[32 * row + k], a_signed) * widen(self.b[32 * column + k], b_signed)
                });
                let sum = i64::from(self.c[8 * row + column]) + products.sum::<i64>();
                d.push(if saturate {
                    sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32
                } else {
                    sum as i32
                });
            }
        }
        d
    }

    fn run(&self, types: &str, swap: bool) -> Vec<i32> {
        let body = MULTIPLY.replace("TYPES", types);
        let mut bench = Bench::new("", &body)
            .room(0, 128)
            .words(1, &self.fragments(swap));
        let counts = bench.succeed();
        assert_eq!(counts.matrix.multiply_accumulates, 4096);
        let found = bench.read(0, 128);
        let mut d = vec![0; 128];
        for lane in 0..32 {
            for i in 0..4 {
                let (row, column) = c_place(lane, i);
                d[8 * row + column] = found[4 * lane + i].cast_signed();
            }
        }
        d
    }
}

fn products() -> impl Strategy<Value = Product> {
    let bytes = |count| prop::collection::vec(any::<u8>(), count);
    let sums = prop::collection::vec(any::<i32>(), 128);
    (bytes(512), bytes(256), sums).prop_map(|(a, b, c)| Product { a, b, c })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn products_are_exact(product in products()) {
        for (types, a_signed, b_signed, saturate) in [
            ("s32.s8.s8.s32", true, true, false),
            ("s32.u8.s8.s32", false, true, false),
            ("s32.s8.u8.s32", true, false, false),
            ("s32.u8.u8.s32", false, false, false),
            ("satfinite.s32.s8.s8.s32", true, true, true),
        ] {
            let want = product.expected(a_signed, b_signed, saturate);
            prop_assert_eq!(product.run(types, false), want, "{}", types);
        }
    }

    #[test]
    fn a_wrong_fragment_order_gives_a_wrong_product(product in products()) {
        let want = product.expected(true, true, false);
        prop_assume!((0..8).any(|column| {
            let column = &product.b[32 * column..32 * column + 32];
            column[..16] != column[16..]
        }));
        prop_assert_ne!(product.run("s32.s8.s8.s32", true), want);
    }
}

/// Fills 512 bytes of shared memory with 16-bit numbers 0, 1, ..., then loads matrices.
fn load_matrix(instruction: &str, registers: usize) -> Vec<u32> {
    let body = format!(
        "mov.u32 %r1, room;\nshl.b32 %r2, %r0, 4;\nadd.s32 %r2, %r1, %r2;\nshl.b32 %r3, %r0, 19;\n\
         shl.b32 %r4, %r0, 3;\nor.b32 %r3, %r3, %r4;\nadd.s32 %r3, %r3, 0x10000;\nst.shared.u32 [%r2], %r3;\n\
         add.s32 %r3, %r3, 0x20002;\nst.shared.u32 [%r2+4], %r3;\nadd.s32 %r3, %r3, 0x20002;\n\
         st.shared.u32 [%r2+8], %r3;\nadd.s32 %r3, %r3, 0x20002;\nst.shared.u32 [%r2+12], %r3;\n{instruction}\n\
         mul.wide.u32 %rd11, %r0, 16;\nadd.s64 %rd11, %rd0, %rd11;\n\
         st.global.v4.u32 [%rd11], {{%r11, %r12, %r13, %r14}};"
    );
    let zeros = "mov.u32 %r11, 0;\nmov.u32 %r12, 0;\nmov.u32 %r13, 0;\nmov.u32 %r14, 0;\n";
    let variables = ".shared .align 16 .b8 room[512];";
    let mut bench = Bench::new(variables, &(zeros.to_owned() + &body)).room(0, 128);
    let counts = bench.succeed();
    assert_eq!(counts.shared.read.bytes, 128 * registers as u64);
    assert_eq!(
        counts.bank_conflicts, 12,
        "of four stores of words 16 bytes apart"
    );
    bench.read(0, 128)
}

#[test]
fn matrices_are_loaded_row_by_row() {
    // Matrix m is rows 8 m to 8 m + 7; element (row, column) of it is 64 m + 8 row + column.
    let found = load_matrix(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r11, %r12, %r13, %r14}, [%r2];",
        4,
    );
    for lane in 0..32 {
        for matrix in 0..4 {
            let first = 64 * matrix + 8 * (lane / 4) + 2 * (lane % 4);
            assert_eq!(found[4 * lane + matrix], (first | (first + 1) << 16) as u32);
        }
    }
    let two = load_matrix(
        "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r11, %r12}, [%r2];",
        2,
    );
    assert_eq!((two[4 * 31 + 1], two[4 * 31 + 2]), (found[4 * 31 + 1], 0));
    let generic = "cvt.u64.u32 %rd20, %r2;\ncvta.shared.u64 %rd20, %rd20;\n\
                   ldmatrix.sync.aligned.m8n8.x1.b16 {%r11}, [%rd20];";
    let one = load_matrix(generic, 1);
    assert_eq!((one[4 * 5], one[4 * 5 + 1]), (found[4 * 5], 0));
}

#[test]
fn matrices_are_loaded_transposed() {
    let load = "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r11, %r12, %r13, %r14}, [%r2];";
    let found = load_matrix(load, 4);
    for lane in 0..32 {
        for matrix in 0..4 {
            let first = 64 * matrix + 8 * (2 * (lane % 4)) + lane / 4;
            assert_eq!(found[4 * lane + matrix], (first | (first + 8) << 16) as u32);
        }
    }
}
