//! The kernel distance between two sets of features: an unbiased estimate that few pictures suffice for.
//!
//! With features of the Inception network it is the KID of Binkowski et al. 2018 ("Demystifying MMD
//! GANs", section 4).

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::knn::Rows;
use super::numpy::RandomState;
use crate::error::{Error, Result};

/// How the distance is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsets {
    /// Random subsets that are compared.
    pub count: usize,
    /// Pictures of a subset, of either set.
    pub size: usize,
    /// Seed of NumPy's `RandomState` that draws them.
    pub seed: u32,
}

impl Default for Subsets {
    /// 100 subsets of 1000, seed 2020: the published protocol in torch-fidelity's seed.
    fn default() -> Self {
        Self { count: 100, size: 1000, seed: 2020 }
    }
}

/// A mean over parts of the data and how much the parts differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean of the parts.
    pub mean: f64,
    /// Their standard deviation, divided by their number (not by one less).
    pub deviation: f64,
}

impl Spread {
    /// Of the values of all parts.
    pub(super) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        Self { mean, deviation: variance.sqrt() }
    }
}

/// Mean over subsets of the unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3)
/// under the kernel `(x . y / d + 1)^3`, in double precision: the single precision of the published
/// code costs it up to 1e-5 of the value.
///
/// Slightly below 0 for sets of one distribution. Subsets are drawn in the order of the published
/// code: of `a`, then of `b`, subset by subset.
///
/// # Errors
/// [`Error::Config`] if a subset is larger than a set or smaller than 2, there are no subsets, the
/// widths differ or a feature is not finite.
pub fn kernel_distance(a: Rows, b: Rows, subsets: Subsets) -> Result<Spread> {
    if a.width() != b.width() {
        let (a, b) = (a.width(), b.width());
        return Err(Error::config(format!("features of {a} and of {b} values: use the same extractor")));
    }
    let fewest = a.len().min(b.len());
    if subsets.size > fewest || subsets.size < 2 || subsets.count == 0 {
        return Err(Error::config(format!(
            "{} subsets of {} can't be drawn of {fewest} pictures: take at least one subset of 2 to {fewest}",
            subsets.count, subsets.size
        )));
    }
    a.check_finite(0)?;
    b.check_finite(0)?;
    let mut state = RandomState::new(subsets.seed);
    let mut draw = |rows: Rows| state.choice(rows.len() as u32, subsets.size);
    let drawn: Vec<_> = (0..subsets.count).map(|_| (draw(a), draw(b))).collect();
    let values: Vec<f64> =
        drawn.par_iter().map(|(i, j)| squared_discrepancy(&columns(a, i), &columns(b, j))).collect();
    Ok(Spread::of(&values))
}

/// The rows `indices` as columns.
fn columns(rows: Rows, indices: &[u32]) -> DMatrix<f64> {
    let values = indices.iter().flat_map(|&index| rows.row(index as usize)).map(|&value| value.into());
    DMatrix::from_iterator(rows.width(), indices.len(), values)
}

fn squared_discrepancy(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let m = x.ncols() as f64;
    let within = |x: &DMatrix<f64>| {
        let kernel = kernel(x, x);
        (kernel.sum() - kernel.trace()) / (m * (m - 1.0))
    };
    within(x) + within(y) - 2.0 * kernel(x, y).sum() / (m * m)
}

fn kernel(x: &DMatrix<f64>, y: &DMatrix<f64>) -> DMatrix<f64> {
    let gamma = 1.0 / x.nrows() as f64;
    x.tr_mul(y).map(|product| (product * gamma + 1.0).powi(3))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Analytic: constant rows of value u and v have the discrepancy k(u,u) + k(v,v) - 2 k(u,v).
    #[test]
    fn of_two_points_it_is_known() {
        let (a, b) = (vec![1.0; 40], vec![-0.5; 40]);
        let subsets = Subsets { count: 3, size: 5, seed: 1 };
        let spread = kernel_distance(Rows::new(&a, 4).unwrap(), Rows::new(&b, 4).unwrap(), subsets).unwrap();
        assert!((spread.mean - (8.0 + 1.953_125 - 2.0 * 0.125)).abs() < 1e-6, "{spread:?}");
        assert!(spread.deviation < 1e-6);
    }

    #[test]
    fn subsets_that_cannot_be_drawn_are_refused() {
        let values = vec![1.0; 40];
        let rows = Rows::new(&values, 4).unwrap();
        for (count, size) in [(1, 11), (0, 5), (1, 1)] {
            assert!(kernel_distance(rows, rows, Subsets { count, size, seed: 0 }).is_err());
        }
    }
}
