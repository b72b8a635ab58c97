//! The Fréchet distance between two sets of features, each taken for a Gaussian.
//!
//! With features of the Inception network of 2015 it is the FID of Heusel et al. 2017 ("GANs trained
//! by a two time-scale update rule", eq. 6); with any other features it is not to be called so.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::knn::Rows;
use super::linalg::{self, Gram};
use crate::error::{Error, Result};

/// Rows that are added to the covariance at a time.
const CHUNK: usize = 256;

/// Mean and covariance of rows that come one after the other, in constant memory.
///
/// What comes out depends on the rows and their order, not on how they were handed over.
#[derive(Debug, Clone)]
pub struct Moments {
    count: usize,
    /// Sum of each feature in single precision: NumPy's `mean` of single-precision rows.
    sums: Vec<f32>,
    /// The first row, subtracted from all others so that a large mean costs no digits.
    origin: Vec<f64>,
    /// Sum of each feature without its origin.
    offsets: Vec<f64>,
    gram: Gram,
    /// Rows that wait for a whole chunk.
    waiting: Vec<f64>,
}

/// A multivariate normal distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gaussian {
    /// Rows that it was estimated from.
    pub count: usize,
    /// Mean of each feature.
    pub mean: Vec<f32>,
    /// Covariance, row after row, divided by `count - 1`.
    pub covariance: Vec<f64>,
}

impl Moments {
    /// Of rows of `width` features.
    pub fn new(width: usize) -> Self {
        Self {
            count: 0,
            sums: vec![0.0; width],
            origin: Vec::new(),
            offsets: vec![0.0; width],
            gram: Gram::new(width),
            waiting: Vec::new(),
        }
    }

    /// Rows so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes up some rows.
    ///
    /// # Errors
    /// [`Error::Config`] for rows of another width, or features that are no finite numbers.
    pub fn add(&mut self, rows: Rows) -> Result<()> {
        if rows.width() != self.sums.len() {
            return Err(Error::config(format!(
                "rows of {} features can't be added to rows of {}",
                rows.width(),
                self.sums.len()
            )));
        }
        rows.check_finite(self.count)?;
        for row in rows.iter() {
            if self.origin.is_empty() {
                self.origin = row.iter().map(|&value| value.into()).collect();
            }
            self.sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            let start = self.waiting.len();
            self.waiting
                .extend(row.iter().zip(&self.origin).map(|(&value, origin)| f64::from(value) - origin));
            self.offsets.iter_mut().zip(&self.waiting[start..]).for_each(|(sum, value)| *sum += value);
            self.count += 1;
            if self.count.is_multiple_of(CHUNK) {
                self.flush();
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        let width = self.sums.len();
        if !self.waiting.is_empty() {
            self.gram.add(&DMatrix::from_row_slice(self.waiting.len() / width, width, &self.waiting));
            self.waiting.clear();
        }
    }

    /// The distribution of the rows.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than two rows.
    pub fn finish(mut self) -> Result<Gaussian> {
        if self.count < 2 {
            return Err(Error::config(format!(
                "the spread of {} can't be told: give at least two pictures",
                if self.count == 1 { "one picture" } else { "no pictures" }
            )));
        }
        self.flush();
        let n = self.count as f64;
        let offsets = &self.offsets;
        let covariance =
            self.gram.map(|row, column, sum| (sum - offsets[row] * offsets[column] / n) / (n - 1.0));
        Ok(Gaussian {
            count: self.count,
            mean: self.sums.iter().map(|sum| sum / n as f32).collect(),
            covariance: covariance.as_slice().to_vec(),
        })
    }
}

impl Gaussian {
    /// The distribution of `rows`.
    ///
    /// # Errors
    /// Those of [`Moments`].
    pub fn of(rows: Rows) -> Result<Self> {
        let mut moments = Moments::new(rows.width());
        moments.add(rows)?;
        moments.finish()
    }

    fn covariance(&self) -> DMatrix<f64> {
        let width = self.mean.len();
        DMatrix::from_column_slice(width, width, &self.covariance)
    }
}

/// `|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)` (Dowson and Landau 1982).
///
/// The eigenvalues of `S1 S2` are the squared singular values of `F1^T F2` for any factors with
/// `S = F F^T`, so no root of a matrix is taken and fewer pictures than features cost no accuracy.
///
/// # Errors
/// [`Error::Config`] if they are of different widths.
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> Result<f64> {
    let width = a.mean.len();
    if width != b.mean.len() || [a, b].iter().any(|g| g.covariance.len() != width * width) {
        return Err(Error::config(format!(
            "features of {width} and of {} values can't be compared: use the same extractor",
            b.mean.len()
        )));
    }
    let (s1, s2) = (a.covariance(), b.covariance());
    let (f1, f2) = rayon::join(
        || linalg::factor(&s1, a.count.saturating_sub(1)),
        || linalg::factor(&s2, b.count.saturating_sub(1)),
    );
    let root = linalg::nuclear_norm(&linalg::transposed_product(&f1, &f2));
    let squared = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
    let means: f64 = a.mean.iter().zip(&b.mean).map(squared).sum();
    Ok(means + s1.trace() + s2.trace() - 2.0 * root)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    fn normal(count: usize, width: usize, stream: u32) -> Vec<f32> {
        let mut values = vec![0.0; count * width];
        Rng::new(3, Purpose::Picture, stream, 0).fill_normal(&mut values);
        values
    }

    fn gaussian(width: usize, mean: f32, deviation: f64) -> Gaussian {
        let at = |i: usize| if i.is_multiple_of(width + 1) { deviation * deviation } else { 0.0 };
        let covariance = (0..width * width).map(at).collect();
        Gaussian { count: 1000, mean: vec![mean; width], covariance }
    }

    /// Analytic: N(0, I) and N(m, s^2 I) are `|m|^2 + d (1 - s)^2` apart.
    #[test]
    fn of_two_normals_it_is_known() {
        let distance = frechet_distance(&gaussian(40, 0.0, 1.0), &gaussian(40, 0.5, 1.7)).unwrap();
        assert!((distance - 40.0 * (0.25 + 0.49)).abs() < 1e-9, "{distance}");
        assert!(frechet_distance(&gaussian(40, 0.1, 2.0), &gaussian(40, 0.1, 2.0)).unwrap().abs() < 1e-9);
    }

    /// Analytic: with fewer rows than features too, a set is 0 from itself, and a shifted copy is
    /// the squared shift away.
    #[test]
    fn fewer_rows_than_features_lose_no_digits() {
        let values = normal(20, 64, 1);
        let shifted: Vec<f32> = values.iter().map(|value| value + 0.25).collect();
        let of = |values: &[f32]| Gaussian::of(Rows::new(values, 64).unwrap()).unwrap();
        assert!(frechet_distance(&of(&values), &of(&values)).unwrap().abs() < 1e-9);
        let distance = frechet_distance(&of(&values), &of(&shifted)).unwrap();
        assert!((distance - 64.0 * 0.0625).abs() < 1e-5, "{distance}");
    }

    #[test]
    fn rows_may_come_in_any_portions() {
        let values = normal(600, 5, 2);
        let whole = Gaussian::of(Rows::new(&values, 5).unwrap()).unwrap();
        let mut moments = Moments::new(5);
        for portion in values.chunks(5 * 7) {
            moments.add(Rows::new(portion, 5).unwrap()).unwrap();
        }
        assert_eq!(moments.finish().unwrap(), whole);
    }

    #[test]
    fn what_has_no_spread_is_refused() {
        let one = Gaussian::of(Rows::new(&[1.0, 2.0], 2).unwrap()).unwrap_err().to_string();
        assert!(one.contains("one picture"), "{one}");
        let nan = Gaussian::of(Rows::new(&[1.0, 2.0, f32::NAN, 1.0], 2).unwrap()).unwrap_err().to_string();
        assert!(nan.contains("picture 1"), "{nan}");
        assert!(frechet_distance(&gaussian(3, 0.0, 1.0), &gaussian(4, 0.0, 1.0)).is_err());
    }
}
