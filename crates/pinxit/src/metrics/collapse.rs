//! Whether a model paints everything that there is, or the same few things again and again.

use serde::Serialize;

use super::knn::{self, Rows};
use super::memorisation::Audit;
use crate::error::{Error, Result};

/// Median distance of a row to its nearest other row, over the same of as many real rows: about 1 for
/// a model that varies as reality does, well below 1 for one that repeats itself.
///
/// # Errors
/// [`Error::Config`] for fewer than two rows of either, or different widths.
pub fn neighbour_spread(generated: Rows, real: Rows) -> Result<f64> {
    let count = generated.len().min(real.len());
    let median = |rows: Rows| -> Result<f64> {
        let shuffled = rows.shuffled();
        let rows = Rows::new(&shuffled[..count * rows.width()], rows.width())?;
        let found = knn::neighbours(rows, rows, 2)?;
        let mut distances: Vec<f64> =
            found.iter().filter_map(|found| found.last()).map(|found| found.distance).collect();
        distances.sort_by(f64::total_cmp);
        distances.get(count / 2).copied().ok_or_else(|| Error::config("there are no pictures"))
    };
    let (generated, real) = (median(generated)?, median(real)?);
    match real > 0.0 {
        true => Ok(generated / real),
        false => Err(Error::config("half of the real pictures are copies of each other")),
    }
}

/// Shares of the classes, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shares {
    /// Of the generated pictures.
    pub generated: Vec<f64>,
    /// Of the real pictures.
    pub real: Vec<f64>,
}

impl Shares {
    /// The classes that logits name.
    ///
    /// # Errors
    /// [`Error::Config`] if there are no pictures or the numbers of classes differ.
    pub fn of(generated: Rows, real: Rows) -> Result<Self> {
        if generated.width() != real.width() || generated.is_empty() || real.is_empty() {
            return Err(Error::config(
                "shares of classes take generated and real pictures of the same classes",
            ));
        }
        Ok(Self { generated: shares(generated), real: shares(real) })
    }

    /// Half the sum of the differences (total variation): 0 for the shares of reality, 1 for classes
    /// that don't occur there.
    pub fn difference(&self) -> f64 {
        self.generated.iter().zip(&self.real).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
    }

    /// Classes of the real pictures that occur among the generated ones, and all of them.
    pub fn hit(&self) -> (usize, usize) {
        let there = self.real.iter().zip(&self.generated).filter(|(real, _)| **real > 0.0);
        let hit = there.clone().filter(|(_, generated)| **generated > 0.0).count();
        (hit, there.count())
    }
}

fn shares(logits: Rows) -> Vec<f64> {
    let mut shares = vec![0.0; logits.width()];
    for row in logits.iter() {
        let largest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        if let Some((class, _)) = largest {
            shares[class] += 1.0 / logits.len() as f64;
        }
    }
    shares
}

/// Estimate of the number of different pictures that a model can paint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Support {
    /// Pairs of copies among the samples.
    pub pairs: usize,
    /// The estimate; a lower bound if there are no pairs.
    pub size: f64,
}

impl Support {
    /// By the birthday paradox: s samples of n equally likely pictures hold s (s - 1) / 2n pairs of
    /// copies (Arora and Zhang 2018, "Do GANs learn the distribution?", section 2).
    pub fn of(audit: &Audit) -> Self {
        let s = audit.samples as f64;
        let pairs = audit.cliques.iter().map(|clique| clique.len() * (clique.len() - 1) / 2).sum::<usize>();
        Self { pairs, size: s * (s - 1.0) / 2.0 / pairs.max(1) as f64 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    /// Analytic: a set against itself is 1, and one of half the size in every direction a half.
    #[test]
    fn spread_is_relative_to_reality() {
        let mut values = vec![0.0; 400 * 3];
        Rng::new(3, Purpose::Picture, 0, 0).fill_normal(&mut values);
        let half: Vec<f32> = values.iter().map(|value| value / 2.0).collect();
        let (real, half) = (Rows::new(&values, 3).unwrap(), Rows::new(&half, 3).unwrap());
        assert_eq!(neighbour_spread(real, real).unwrap(), 1.0);
        assert!((neighbour_spread(half, real).unwrap() - 0.5).abs() < 1e-6);
        assert!(neighbour_spread(real, Rows::new(&[1.0; 30], 3).unwrap()).is_err());
    }

    #[test]
    fn shares_tell_of_missing_classes() {
        let logits = |classes: &[usize]| -> Vec<f32> {
            classes
                .iter()
                .flat_map(|&class| (0..4).map(move |i| if i == class { 5.0 } else { 0.0 }))
                .collect()
        };
        let (generated, real) = (logits(&[0, 0, 1, 1]), logits(&[0, 1, 2, 2]));
        let shares = Shares::of(Rows::new(&generated, 4).unwrap(), Rows::new(&real, 4).unwrap()).unwrap();
        assert_eq!((shares.difference(), shares.hit()), (0.5, (2, 3)));
    }
}
