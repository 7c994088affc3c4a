//! `ldmatrix` and `mma` (PTX ISA 9.7.14 "Warp Level Matrix Multiply-Accumulate Instructions").

use super::environment::{Environment, Progress, whole_warp};
use super::memory::{Target, addresses};
use crate::counts::{Counts, Traffic, bank_conflicts};
use crate::fault::{Rule, Trouble};
use crate::op::{ALL, LANES, LoadMatrix, Mma, Word};
use crate::warp::Warp;

/// Bytes of a row of an 8 x 8 matrix of 16-bit elements.
const ROW: usize = 16;

/// PTX ISA "ldmatrix": lanes 8 i to 8 i + 7 give the row addresses of matrix i. Lane l receives elements 2 (l % 4)
/// and the next of row l / 4; transposed, of column l / 4.
pub(super) fn load(
    warp: &mut Warp,
    active: u32,
    load: &LoadMatrix,
    env: &mut Environment<'_>,
) -> Result<Progress, Trouble> {
    if whole_warp(warp, active)? == Progress::Wait {
        return Ok(Progress::Wait);
    }
    let mut starts = addresses(warp, &load.address);
    let count = usize::from(load.count);
    for matrix in 0..count {
        let mut rows = [[0u8; ROW]; 8];
        for (row, bytes) in rows.iter_mut().enumerate() {
            let lane = 8 * matrix + row;
            let at = |rule| Trouble::at_lane(lane, rule);
            let target = Target::of(load.space, starts[lane]);
            target.aligned(ROW as u32).map_err(at)?;
            let Target::Shared(address) = target else {
                let what = format!(
                    "ldmatrix from {:#x}, which is not shared memory",
                    starts[lane]
                );
                return Err(at(Rule::Undefined(what)));
            };
            starts[lane] = address;
            let place = env.shared.place(address, ROW as u32).map_err(at)?;
            let found = env.shared.load(warp.id, place, ROW, u64::MAX).map_err(at)?;
            bytes.copy_from_slice(found);
        }
        let element = |row: usize, column: usize| {
            u32::from(u16::from_le_bytes([
                rows[row][2 * column],
                rows[row][2 * column + 1],
            ]))
        };
        let value: Word = std::array::from_fn(|lane| {
            let (outer, inner) = (lane / 4, 2 * (lane % 4));
            match load.transposed {
                false => element(outer, inner) | element(outer, inner + 1) << 16,
                true => element(inner, outer) | element(inner + 1, outer) << 16,
            }
        });
        warp.set_word(load.d[matrix], ALL, &value);
    }
    let rows = if count == 4 {
        ALL
    } else {
        (1 << (8 * count)) - 1
    };
    env.counts.shared.read += Traffic {
        accesses: 1,
        bytes: (count * 8 * ROW) as u64,
        sectors: 0,
    };
    env.counts.bank_conflicts += bank_conflicts(&starts, rows, ROW as u32);
    Ok(Progress::Done)
}

/// Rows, columns and depth of the product.
const M: usize = 16;
const N: usize = 8;
const K: usize = 32;

fn widen(byte: u8, signed: bool) -> i16 {
    if signed {
        i16::from(byte.cast_signed())
    } else {
        i16::from(byte)
    }
}

/// PTX ISA "Matrix Fragments for mma.m16n8k32". With g = lane / 4 and q = lane % 4: A's register r holds row
/// g + 8 (r % 2), columns 4 q + 16 (r / 2) and the three after; B's register r holds column g, rows 4 q + 16 r and
/// the three after; register r of C and D is row g + 8 (r / 2), column 2 q + r % 2.
pub(super) fn multiply(
    warp: &mut Warp,
    active: u32,
    mma: &Mma,
    counts: &mut Counts,
) -> Result<Progress, Trouble> {
    if whole_warp(warp, active)? == Progress::Wait {
        return Ok(Progress::Wait);
    }
    let mut a = [[0i16; K]; M];
    let mut b = [[0i16; K]; N];
    for lane in 0..LANES {
        let (g, q) = (lane / 4, lane % 4);
        for (r, &reg) in mma.a.iter().enumerate() {
            let bytes = warp.words[reg as usize][lane].to_le_bytes();
            let columns = 4 * q + 16 * (r / 2);
            let row = &mut a[g + 8 * (r % 2)][columns..columns + 4];
            row.copy_from_slice(&bytes.map(|byte| widen(byte, mma.a_signed)));
        }
        for (r, &reg) in mma.b.iter().enumerate() {
            let bytes = warp.words[reg as usize][lane].to_le_bytes();
            let column = &mut b[g][4 * q + 16 * r..4 * q + 16 * r + 4];
            column.copy_from_slice(&bytes.map(|byte| widen(byte, mma.b_signed)));
        }
    }
    let products = product(&a, &b);
    let mut d = [[0u32; LANES]; 4];
    for (r, (d, &reg)) in d.iter_mut().zip(&mma.c).enumerate() {
        let c = &warp.words[reg as usize];
        for lane in 0..LANES {
            let (g, q) = (lane / 4, lane % 4);
            let (sum, c) = (
                products[g + 8 * (r / 2)][2 * q + r % 2],
                c[lane].cast_signed(),
            );
            let total = if mma.saturate {
                c.saturating_add(sum)
            } else {
                c.wrapping_add(sum)
            };
            d[lane] = total.cast_unsigned();
        }
    }
    for (d, &reg) in d.iter().zip(&mma.d) {
        warp.set_word(reg, ALL, d);
    }
    let kind = if mma.a_signed && mma.b_signed {
        &mut counts.matrix.s8_s8
    } else {
        &mut counts.matrix.mixed
    };
    *kind += 1;
    counts.matrix.multiply_accumulates += (M * N * K) as u64;
    Ok(Progress::Done)
}

/// A times B, exact: 32 products of bytes are far from overflow.
fn product(a: &[[i16; K]; M], b: &[[i16; K]; N]) -> [[i32; N]; M] {
    let mut sums = [[0; N]; M];
    for (row, sums) in a.iter().zip(&mut sums) {
        for (column, sum) in b.iter().zip(sums) {
            *sum = row
                .iter()
                .zip(column)
                .map(|(&x, &y)| i32::from(x) * i32::from(y))
                .sum();
        }
    }
    sums
}
