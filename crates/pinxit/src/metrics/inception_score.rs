//! The Inception Score: are single pictures told apart with certainty, and is the whole varied?
//!
//! Salimans et al. 2016, "Improved techniques for training GANs", section 4. It never looks at real
//! pictures, so it is reported beside distances and not in their place.

use super::kernel::Spread;
use super::knn::Rows;
use super::numpy::RandomState;
use crate::error::{Error, Result};

/// Parts over which the score is averaged.
pub const SPLITS: usize = 10;
/// The seed of the published shuffle.
pub const SEED: u32 = 2020;

/// `exp(E KL(p(y | x) || p(y)))` over [`SPLITS`] parts of the rows `logits`, shuffled by NumPy's
/// `RandomState(seed)`; 1 to the number of classes.
///
/// # Errors
/// [`Error::Config`] for fewer rows than parts, or logits that are not finite.
pub fn inception_score(logits: Rows, seed: u32) -> Result<Spread> {
    let count = logits.len();
    if count < SPLITS {
        return Err(Error::config(format!(
            "the Inception Score takes at least {SPLITS} pictures, not {count}"
        )));
    }
    logits.check_finite(0)?;
    let order = RandomState::new(seed).permutation(count as u32);
    let part = |i: usize| score(logits, &order[i * count / SPLITS..(i + 1) * count / SPLITS]);
    Ok(Spread::of(&(0..SPLITS).map(part).collect::<Vec<_>>()))
}

fn score(logits: Rows, part: &[u32]) -> f64 {
    let n = part.len() as f64;
    let rows: Vec<Vec<f64>> = part.iter().map(|&row| log_softmax(logits.row(row as usize))).collect();
    let mut marginal = vec![0.0; logits.width()];
    for row in &rows {
        marginal.iter_mut().zip(row).for_each(|(sum, log_p)| *sum += libm::exp(*log_p) / n);
    }
    let log_marginal: Vec<f64> = marginal.into_iter().map(libm::log).collect();
    let divergence = |row: &Vec<f64>| -> f64 {
        let terms = row.iter().zip(&log_marginal);
        // What no picture of the part shows adds 0, not NaN.
        terms
            .map(|(log_p, log_q)| (libm::exp(*log_p), log_p - log_q))
            .filter(|(p, _)| *p > 0.0)
            .map(|(p, d)| p * d)
            .sum()
    };
    libm::exp(rows.iter().map(divergence).sum::<f64>() / n)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = logits.iter().map(|&logit| f64::from(logit) - f64::from(largest)).collect();
    let log_sum = libm::log(shifted.iter().map(|value| libm::exp(*value)).sum());
    shifted.into_iter().map(|value| value - log_sum).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Analytic: 1 if nothing is told apart, the number of classes if all are certain and balanced.
    #[test]
    fn its_bounds_are_reached() {
        let uniform = vec![3.0; 50 * 7];
        let spread = inception_score(Rows::new(&uniform, 7).unwrap(), 2020).unwrap();
        assert!((spread.mean - 1.0).abs() < 1e-12 && spread.deviation < 1e-12);
        // One-hot, and every class equally often in each part of 20, in whatever order.
        let order = RandomState::new(5).permutation(200);
        let mut certain = vec![0.0; 200 * 4];
        for (place, &row) in order.iter().enumerate() {
            certain[row as usize * 4 + place % 4] = 1000.0;
        }
        let spread = inception_score(Rows::new(&certain, 4).unwrap(), 5).unwrap();
        assert!((spread.mean - 4.0).abs() < 1e-9, "{spread:?}");
    }

    #[test]
    fn too_few_pictures_are_refused() {
        assert!(inception_score(Rows::new(&[0.0; 18], 2).unwrap(), 0).is_err());
    }
}
