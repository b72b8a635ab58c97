//! The linear algebra of the Fréchet distance, on all cores and in an order that the sizes alone fix.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

/// Columns that one task works on.
const BLOCK: usize = 128;

/// `a^T b` for `a [k, m]` and `b [k, n]`: `[m, n]`.
pub(super) fn transposed_product(a: &DMatrix<f64>, b: &DMatrix<f64>) -> DMatrix<f64> {
    let blocks: Vec<DMatrix<f64>> = starts(b.ncols())
        .into_par_iter()
        .map(|start| a.tr_mul(&b.columns(start, BLOCK.min(b.ncols() - start))))
        .collect();
    let values = blocks.iter().flat_map(|block| block.as_slice()).copied();
    DMatrix::from_iterator(a.ncols(), b.ncols(), values)
}

fn starts(columns: usize) -> Vec<usize> {
    (0..columns).step_by(BLOCK).collect()
}

/// A symmetric matrix that grows by `x x^T`, of which only the blocks on and below the diagonal are kept.
#[derive(Debug, Clone)]
pub(super) struct Gram {
    width: usize,
    /// Block j holds the rows from `j BLOCK` on of the columns from `j BLOCK` on.
    blocks: Vec<DMatrix<f64>>,
}

impl Gram {
    /// Zeros `[width, width]`.
    pub(super) fn new(width: usize) -> Self {
        let block = |start| DMatrix::zeros(width - start, BLOCK.min(width - start));
        Self { width, blocks: starts(width).into_iter().map(block).collect() }
    }

    /// Adds `x^T x` of the rows `x [n, width]`.
    pub(super) fn add(&mut self, x: &DMatrix<f64>) {
        self.blocks.par_iter_mut().zip(starts(x.ncols())).for_each(|(block, start)| {
            let (rows, columns) = block.shape();
            block.gemm_tr(1.0, &x.columns(start, rows), &x.columns(start, columns), 1.0);
        });
    }

    /// The whole matrix, each value of the lower part through `value(row, column, sum)`.
    pub(super) fn map(&self, value: impl Fn(usize, usize, f64) -> f64) -> DMatrix<f64> {
        let mut full = DMatrix::zeros(self.width, self.width);
        for (block, start) in self.blocks.iter().zip(starts(self.width)) {
            for column in 0..block.ncols() {
                for row in column..block.nrows() {
                    let value = value(start + row, start + column, block[(row, column)]);
                    full[(start + row, start + column)] = value;
                    full[(start + column, start + row)] = value;
                }
            }
        }
        full
    }
}

/// `F [d, r]` with `F F^T = a` for a positive semidefinite `a` of rank at most `rank`.
pub(super) fn factor(a: &DMatrix<f64>, rank: usize) -> DMatrix<f64> {
    let whole = if rank >= a.nrows() { a.clone().cholesky() } else { None };
    whole.map_or_else(|| pivoted_cholesky(a, rank), |cholesky| cholesky.unpack())
}

/// Cholesky factor by complete pivoting, which ends where the rank does (Higham 1990, "Analysis of
/// the Cholesky decomposition of a semi-definite matrix"). Rows stay in the order of `a`.
fn pivoted_cholesky(a: &DMatrix<f64>, rank: usize) -> DMatrix<f64> {
    let size = a.nrows();
    let mut left = a.diagonal();
    let tolerance = size as f64 * f64::EPSILON * left.max();
    let mut factor = DMatrix::zeros(size, rank.min(size));
    for k in 0..factor.ncols() {
        let pivot = left.imax();
        if left[pivot] <= tolerance {
            return factor.columns(0, k).into_owned();
        }
        let known: DVector<f64> = factor.view((pivot, 0), (1, k)).transpose().column(0).into_owned();
        let mut column = a.column(pivot).into_owned();
        column.gemv(-1.0, &factor.columns(0, k), &known, 1.0);
        column /= left[pivot].sqrt();
        for (left, value) in left.iter_mut().zip(&column) {
            *left -= value * value;
        }
        left[pivot] = 0.0;
        factor.set_column(k, &column);
    }
    factor
}

/// Sum of the singular values of `m`.
pub(super) fn nuclear_norm(m: &DMatrix<f64>) -> f64 {
    let gram = if m.nrows() < m.ncols() {
        let transposed = m.transpose();
        transposed_product(&transposed, &transposed)
    } else {
        transposed_product(m, m)
    };
    gram.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    fn random(rows: usize, columns: usize) -> DMatrix<f64> {
        let mut rng = Rng::new(1, Purpose::Picture, rows as u32, columns as u32);
        DMatrix::from_fn(rows, columns, |_, _| f64::from(rng.normal()))
    }

    /// Oracle: nalgebra's own product, over sizes that blocks don't divide.
    #[test]
    fn blocks_make_the_whole_product() {
        let (a, b) = (random(37, 150), random(37, 301));
        assert!((transposed_product(&a, &b) - a.tr_mul(&b)).amax() < 1e-12);
        let mut gram = Gram::new(301);
        gram.add(&b);
        gram.add(&b);
        assert!((gram.map(|_, _, sum| sum / 2.0) - b.tr_mul(&b)).amax() < 1e-12);
    }

    #[test]
    fn a_factor_gives_its_matrix_back_at_any_rank() {
        for rank in [1, 5, 60] {
            let x = random(rank, 60);
            let a = x.tr_mul(&x);
            let f = factor(&a, rank);
            assert!(f.ncols() <= rank, "{:?}", f.shape());
            assert!((&f * f.transpose() - &a).amax() < 1e-10 * a.amax(), "rank {rank}");
            assert!((pivoted_cholesky(&a, 60).ncols()) <= rank + 1);
        }
    }

    /// Oracle: the singular value decomposition of nalgebra.
    #[test]
    fn the_nuclear_norm_is_the_sum_of_the_singular_values() {
        for (rows, columns) in [(20, 50), (50, 20)] {
            let m = random(rows, columns);
            let expected: f64 = m.singular_values().iter().sum();
            assert!((nuclear_norm(&m) / expected - 1.0).abs() < 1e-12);
        }
    }
}
