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

/// `input` (M, K) times the transpose of `weight` (N, K), plus `bias` (N): (M, N).
pub(crate) fn linear(input: &[f32], inner: usize, weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let outputs = bias.len();
    let mut out = vec![0.0; input.len() / inner * outputs];
    let left = Matrix::whole(input, inner);
    let right = Matrix::whole(weight, inner).transposed();
    multiply(&mut Matrix::whole_mut(&mut out, outputs), left, right);
    add_bias(&mut out, bias);
    out
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
}
