//! Matrix products over all threads, in blocks of rows that do not depend on the number of threads.

use super::weights::Linear;
use crate::fp32::linear;
use rayon::prelude::*;

/// Rows of one task.
const BLOCK: usize = 64;

/// `input` (R, K) times the transpose of `weight` (N, K), plus `bias` (N): (R, N).
fn product(input: &[f32], inner: usize, weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let blocks: Vec<Vec<f32>> = input
        .par_chunks(BLOCK * inner)
        .map(|rows| linear(rows, inner, weight, bias))
        .collect();
    blocks.concat()
}

/// `input` (R, K) times the transpose of `weight` (N, K): (R, N).
pub(super) fn matmul_transposed(input: &[f32], weight: &[f32], inner: usize) -> Vec<f32> {
    product(input, inner, weight, &vec![0.0; weight.len() / inner])
}

/// The layer's real output for `input` (R, K): (R, N).
pub(super) fn real_output(layer: &Linear<'_>, input: &[f32]) -> Vec<f32> {
    product(input, layer.inputs, layer.weight, layer.bias)
}
