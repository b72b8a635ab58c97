//! Fidelity and diversity apart: is a generated picture where real ones are, and the other way round?
//!
//! Each set is taken for the union of balls around its points that reach to their k-th neighbour
//! (Kynkäänniemi et al. 2019, "Improved precision and recall metric", eq. 1 to 3; Naeem et al. 2020,
//! "Reliable fidelity and diversity metrics", eq. 3 and 4). Every distance is measured, so time grows
//! with the product of the numbers of pictures, and all features are held in memory.

use rayon::prelude::*;

use super::knn::{self, Rows};
use crate::error::{Error, Result};

/// Most pictures of either set: 50,000 against 50,000 is what the literature reports.
pub const MOST: usize = 50_000;

/// Neighbours that the published precision and recall reach to.
pub const PRECISION_RECALL_K: usize = 3;
/// Neighbours that the published density and coverage reach to.
pub const DENSITY_COVERAGE_K: usize = 5;

/// Shares of one set that lie in the balls of the other, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// Of the generated pictures in the balls of real ones.
    pub precision: f64,
    /// Of the real pictures in the balls of generated ones.
    pub recall: f64,
}

/// The counterparts that a single outlier can't spoil.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DensityCoverage {
    /// Mean number of real balls around a generated picture, over k; above 1 where samples crowd.
    pub density: f64,
    /// Share of the real balls that hold a generated picture, 0 to 1.
    pub coverage: f64,
}

/// Precision and recall; a point on the rim of a ball is in it, as in torch-fidelity.
///
/// # Errors
/// [`Error::Config`] if a set has at most `k` or more than [`MOST`] pictures, the widths differ or a
/// feature is not finite.
pub fn precision_recall(generated: Rows, real: Rows, k: usize) -> Result<PrecisionRecall> {
    check(generated, real, k)?;
    let share = |points: Rows, balls: Rows| -> Result<f64> {
        let radii = radii(balls, k)?;
        let inside = points.values().par_chunks(points.width()).filter(|point| {
            balls.iter().zip(&radii).any(|(centre, &radius)| knn::is_within(point, centre, radius))
        });
        Ok(inside.count() as f64 / points.len() as f64)
    };
    Ok(PrecisionRecall { precision: share(generated, real)?, recall: share(real, generated)? })
}

/// Density and coverage; a point on the rim of a ball is outside, as in the paper's code.
///
/// # Errors
/// Those of [`precision_recall`].
pub fn density_coverage(generated: Rows, real: Rows, k: usize) -> Result<DensityCoverage> {
    check(generated, real, k)?;
    let radii = radii(real, k)?;
    let around = |point: &[f32]| {
        real.iter().zip(&radii).filter(|(centre, radius)| knn::is_nearer(point, centre, **radius)).count()
    };
    let hits: usize = generated.values().par_chunks(generated.width()).map(around).sum();
    let nearest = knn::nearest(real, generated)?;
    let covered = nearest.iter().zip(&radii).filter(|(nearest, radius)| nearest.distance < **radius).count();
    Ok(DensityCoverage {
        density: hits as f64 / (k * generated.len()) as f64,
        coverage: covered as f64 / real.len() as f64,
    })
}

/// Distance from each row to its k-th neighbour among the others.
pub(super) fn radii(rows: Rows, k: usize) -> Result<Vec<f64>> {
    let found = knn::neighbours(rows, rows, k + 1)?; // itself among them
    Ok(found.iter().filter_map(|neighbours| neighbours.last()).map(|farthest| farthest.distance).collect())
}

fn check(generated: Rows, real: Rows, k: usize) -> Result<()> {
    if generated.width() != real.width() {
        let (a, b) = (generated.width(), real.width());
        return Err(Error::config(format!("features of {a} and of {b} values: use the same extractor")));
    }
    for (name, rows) in [("generated", generated), ("real", real)] {
        let count = rows.len();
        if !(k + 1..=MOST).contains(&count) || k == 0 {
            return Err(Error::config(format!(
                "balls to neighbour {k} need {} to {MOST} {name} pictures, not {count}",
                k + 1
            )));
        }
        rows.check_finite(0)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    fn normal(count: usize, stream: u32) -> Vec<f32> {
        let mut values = vec![0.0; count * 8];
        Rng::new(3, Purpose::Picture, stream, 0).fill_normal(&mut values);
        values
    }

    /// Analytic (Naeem et al. 2020, section 3.3): for equal distributions density is 1 on average and
    /// coverage about 1 - 2^-k.
    #[test]
    fn equal_distributions_are_dense_and_covered() {
        let (a, b) = (normal(3000, 1), normal(3000, 2));
        let (a, b) = (Rows::new(&a, 8).unwrap(), Rows::new(&b, 8).unwrap());
        let found = density_coverage(a, b, 5).unwrap();
        assert!((found.density - 1.0).abs() < 0.05, "{found:?}");
        assert!((found.coverage - (1.0 - 0.5f64.powi(5))).abs() < 0.01, "{found:?}");
    }

    /// Analytic: points on a line, by hand.
    #[test]
    fn rims_count_for_precision_and_not_for_density() {
        let (real, generated) = ([0.0, 1.0, 2.0, 10.0], [3.0, -5.0, 100.0]);
        let (real, generated) = (Rows::new(&real, 1).unwrap(), Rows::new(&generated, 1).unwrap());
        // Balls of k = 1 reach 1, 1, 1 and 8 far: 3 is on the rim of 2 and inside that of 10.
        let share = precision_recall(generated, real, 1).unwrap().precision;
        assert_eq!(share, 1.0 / 3.0);
        let found = density_coverage(generated, real, 1).unwrap();
        assert_eq!((found.density, found.coverage), (1.0 / 3.0, 0.25));
    }

    #[test]
    fn too_few_pictures_are_refused() {
        let rows = Rows::new(&[0.0, 1.0, 2.0], 1).unwrap();
        assert!(precision_recall(rows, rows, 3).is_err());
        assert!(density_coverage(rows, rows, 0).is_err());
    }
}
