//! Matrix products on strided views: a safe interface to the `gemm` crate.

use gemm::{Parallelism, gemm};

/// A read-only matrix view. Element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A writable matrix view with unit column stride.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> Matrix<'a> {
    /// All of row-major `data` with `columns` columns.
    pub(crate) fn whole(data: &'a [f32], columns: usize) -> Self {
        Self::columns(data, columns, 0, columns)
    }

    /// Columns `first..first + columns` of row-major `data` with rows of `stride`.
    pub(crate) fn columns(data: &'a [f32], stride: usize, first: usize, columns: usize) -> Self {
        assert!(data.len().is_multiple_of(stride) && first + columns <= stride);
        let rows = data.len() / stride;
        Self {
            data: &data[first.min(data.len())..],
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// A writable [`Matrix::whole`].
    pub(crate) fn whole_mut(data: &'a mut [f32], columns: usize) -> MatrixMut<'a> {
        Self::columns_mut(data, columns, 0, columns)
    }

    /// A writable [`Matrix::columns`].
    pub(crate) fn columns_mut(
        data: &'a mut [f32],
        stride: usize,
        first: usize,
        columns: usize,
    ) -> MatrixMut<'a> {
        assert!(data.len().is_multiple_of(stride) && first + columns <= stride);
        let (rows, first) = (data.len() / stride, first.min(data.len()));
        MatrixMut {
            data: &mut data[first..],
            rows,
            columns,
            row_stride: stride,
        }
    }

    /// The transpose, by swapping strides.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Whether every element lies inside `data`.
    fn holds(&self) -> bool {
        let last = (self.rows.max(1) - 1) * self.row_stride
            + (self.columns.max(1) - 1) * self.column_stride;
        self.rows == 0 || self.columns == 0 || last < self.data.len()
    }
}

/// `out = left * right`, on this thread.
pub(crate) fn multiply(out: &mut MatrixMut<'_>, left: Matrix<'_>, right: Matrix<'_>) {
    assert_eq!(
        (out.rows, out.columns, left.columns),
        (left.rows, right.columns, right.rows)
    );
    let last = (out.rows.max(1) - 1) * out.row_stride + out.columns.max(1) - 1;
    assert!(left.holds() && right.holds() && last < out.data.len());
    // SAFETY: the asserts above show that every element the shapes and strides name lies inside its
    // slice; `out` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm(
            out.rows,
            out.columns,
            left.columns,
            out.data.as_mut_ptr(),
            1,
            out.row_stride as isize,
            false,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Adds `bias` (N) to every row of `rows` (M, N).
pub(super) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
    }
}

/// Outputs whose weights are laid out at once: a multiple of the rows of any of `gemm`'s tiles, of which 3072 channels
/// stay in a level-2 cache of 1 MiB.
const PANEL: usize = 64;

/// Rows of an input from which laying out weights pays.
const PANEL_ROWS: usize = 128;

/// `input` (M, K) times the transpose of `weight` (N, K), plus `bias` (N): (M, N).
pub(crate) fn linear(input: &[f32], inner: usize, weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut out = Vec::new();
    linear_into(&mut out, input, inner, weight, bias);
    out
}

/// [`linear`] in place of what `out` holds.
///
/// `gemm` wants output channels next to each other, and gathers them four bytes at a time where they are not. Of many
/// rows, so the weights are laid out before, in blocks.
pub(super) fn linear_into(
    out: &mut Vec<f32>,
    input: &[f32],
    inner: usize,
    weight: &[f32],
    bias: &[f32],
) {
    let (rows, outputs) = (input.len() / inner, bias.len());
    out.resize(rows * outputs, 0.0);
    let left = Matrix::whole(input, inner);
    if rows < PANEL_ROWS {
        let right = Matrix::whole(weight, inner).transposed();
        multiply(&mut Matrix::whole_mut(out, outputs), left, right);
    } else {
        let mut panel = vec![0.0; PANEL.min(outputs) * inner];
        for first in (0..outputs).step_by(PANEL) {
            let count = PANEL.min(outputs - first);
            let panel = &mut panel[..count * inner];
            transpose(&weight[first * inner..][..count * inner], inner, panel);
            let mut out = Matrix::columns_mut(out, outputs, first, count);
            multiply(&mut out, left, Matrix::whole(panel, count));
        }
    }
    add_bias(out, bias);
}

/// `rows` (N, K) to `columns` (K, N), in squares that read and write whole cache lines.
fn transpose(rows: &[f32], inner: usize, columns: &mut [f32]) {
    const SQUARE: usize = 16;
    let outputs = rows.len() / inner;
    for output in (0..outputs).step_by(SQUARE) {
        for first in (0..inner).step_by(SQUARE) {
            let (wide, high) = (SQUARE.min(inner - first), SQUARE.min(outputs - output));
            let mut square = [[0.0; SQUARE]; SQUARE];
            for y in 0..high {
                let row = &rows[(output + y) * inner + first..][..wide];
                for (column, &x) in square.iter_mut().zip(row) {
                    column[y] = x;
                }
            }
            for (x, column) in square[..wide].iter().enumerate() {
                columns[(first + x) * outputs + output..][..high].copy_from_slice(&column[..high]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_products_are_products() {
        let (m, n, k) = (5, 7, 3);
        let a: Vec<f32> = (0..m * 10).map(|i| i as f32 * 0.25 - 3.0).collect();
        let b: Vec<f32> = (0..n * k).map(|i| 2.0 - i as f32 * 0.5).collect();
        let mut c = vec![9.0; m * 8];
        let left = Matrix::columns(&a, 10, 4, k);
        let right = Matrix::whole(&b, k).transposed();
        multiply(&mut Matrix::columns_mut(&mut c, 8, 1, n), left, right);
        for i in 0..m {
            assert_eq!(c[i * 8], 9.0, "outside of the view");
            for j in 0..n {
                let want: f32 = (0..k).map(|x| a[i * 10 + 4 + x] * b[j * k + x]).sum();
                assert_eq!(c[i * 8 + 1 + j], want);
            }
        }
    }

    #[test]
    fn weights_that_are_laid_out_give_the_same_bits() {
        // Neither outputs nor channels fill squares and blocks.
        let (rows, outputs, inner) = (PANEL_ROWS + 3, 2 * PANEL + 6, 37);
        let value = |i: usize| (i * 2_654_435_761 % 1000) as f32 * 0.01 - 5.0;
        let input: Vec<f32> = (0..rows * inner).map(value).collect();
        let weight: Vec<f32> = (0..outputs * inner).map(|i| value(i + 7)).collect();
        let bias: Vec<f32> = (0..outputs).map(value).collect();
        let many = linear(&input, inner, &weight, &bias);
        let few = PANEL_ROWS / 2 * inner;
        let parts = input
            .chunks(few)
            .flat_map(|input| linear(input, inner, &weight, &bias));
        assert_eq!(many, parts.collect::<Vec<_>>());
    }
}
