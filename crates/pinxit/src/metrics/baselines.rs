//! Simple models of pictures, which a network's likelihood must beat to be worth anything.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::likelihood::levels::Levels;
use crate::rng::{Purpose, Rng};

/// Every value by itself: how often each grey level stands at each place.
pub struct IndependentPixels {
    levels: Levels,
    /// `-ln p` of each level at each place.
    nats: Vec<f64>,
}

/// How often a level counts at a place where it was never seen.
const UNSEEN: f64 = 0.1;

impl IndependentPixels {
    /// Counts the grey levels of `dataset`.
    ///
    /// # Errors
    /// [`Error::Config`] if it holds no picture.
    pub fn fit(dataset: &dyn Dataset, levels: Levels) -> Result<Self> {
        let (places, count) = (dataset.shape().len(), levels.count());
        let pictures = read(dataset)?;
        let mut seen = vec![UNSEEN; places * count];
        for picture in &pictures {
            for (place, &value) in picture.iter().enumerate() {
                seen[place * count + levels.nearest(value)] += 1.0;
            }
        }
        let total = pictures.len() as f64 + UNSEEN * count as f64;
        Ok(Self { levels, nats: seen.into_iter().map(|seen| -(seen / total).ln()).collect() })
    }

    /// Negative log-likelihood of a picture `[C H W]`.
    pub fn nats(&self, picture: &[f32]) -> f64 {
        let rows = self.nats.chunks(self.levels.count());
        picture.iter().zip(rows).map(|(&value, row)| row[self.levels.nearest(value)]).sum()
    }
}

/// A mixture of Gaussians with full covariances over dequantised pictures, by expectation and
/// maximisation (Dempster et al. 1977).
pub struct GaussianMixture {
    components: Vec<Component>,
}

struct Component {
    ln_weight: f64,
    mean: Vec<f64>,
    /// The lower triangle L with `covariance = L L^T`, `[D, D]`.
    factor: Vec<f64>,
    /// `ln det covariance`.
    ln_det: f64,
}

/// Rounds of expectation and maximisation.
const ROUNDS: usize = 30;

/// Numbers of Gaussians, and ridges, among which [`GaussianMixture::chosen`] chooses.
const CHOICES: ([usize; 4], [f64; 4]) = ([1, 3, 10, 20], [0.0003, 0.001, 0.003, 0.01]);

impl GaussianMixture {
    /// Of several numbers of Gaussians and ridges those that are best on a tenth of the rows, fitted to all rows.
    ///
    /// # Errors
    /// As [`fit`](Self::fit): for fewer rows than would do.
    pub fn chosen(rows: &[Vec<f64>], seed: u64) -> Result<Self> {
        let (unseen, learned) = rows.split_at(rows.len() / 10);
        let (mut best, mut least) = (None, f64::INFINITY);
        for (components, ridge) in CHOICES.0.into_iter().flat_map(|k| CHOICES.1.map(|ridge| (k, ridge))) {
            let mixture = Self::fit(learned, components, ridge, seed)?;
            let nats: f64 = unseen.iter().map(|row| -mixture.ln_density(row)).sum();
            if nats < least {
                (best, least) = (Some((components, ridge)), nats);
            }
        }
        let (components, ridge) = best.unwrap_or((CHOICES.0[0], CHOICES.1[0]));
        Self::fit(rows, components, ridge, seed)
    }

    /// Number of Gaussians.
    pub fn components(&self) -> usize {
        self.components.len()
    }

    /// Fits `components` Gaussians to rows of equal length; `ridge` is added to every variance. It begins
    /// at rows drawn with `seed`.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer rows than components, or a ridge that isn't above 0.
    pub fn fit(rows: &[Vec<f64>], components: usize, ridge: f64, seed: u64) -> Result<Self> {
        if components == 0 || rows.len() < components || ridge.is_nan() || ridge <= 0.0 {
            return Err(Error::config(format!(
                "{components} Gaussians with a ridge of {ridge} can't be fitted to {} pictures",
                rows.len()
            )));
        }
        let everything = vec![1.0; rows.len()];
        let whole = Component::of(rows, &everything, 1.0, ridge);
        let order = Rng::new(seed, Purpose::Picture, 0, 0).permutation(rows.len() as u32);
        let start = |&row: &u32| Component {
            ln_weight: -(components as f64).ln(),
            mean: rows[row as usize].clone(),
            factor: whole.factor.clone(),
            ln_det: whole.ln_det,
        };
        let mut mixture = Self { components: order.iter().take(components).map(start).collect() };
        for _ in 0..ROUNDS {
            mixture = mixture.improved(rows, ridge);
        }
        Ok(mixture)
    }

    /// One round.
    fn improved(&self, rows: &[Vec<f64>], ridge: f64) -> Self {
        let mut shares = vec![vec![0.0; rows.len()]; self.components.len()];
        for (number, row) in rows.iter().enumerate() {
            let joint: Vec<f64> = self.components.iter().map(|component| component.ln_joint(row)).collect();
            let total = ln_sum_exp(&joint);
            for (share, joint) in shares.iter_mut().zip(&joint) {
                share[number] = (joint - total).exp();
            }
        }
        let component = |share: &Vec<f64>| {
            let weight = share.iter().sum::<f64>().max(1e-9);
            Component::of(rows, share, weight / rows.len() as f64, ridge)
        };
        Self { components: shares.iter().map(component).collect() }
    }

    /// `ln p` of a row.
    pub fn ln_density(&self, row: &[f64]) -> f64 {
        let joint: Vec<f64> = self.components.iter().map(|component| component.ln_joint(row)).collect();
        ln_sum_exp(&joint)
    }
}

impl Component {
    /// Mean and covariance of weighted rows.
    fn of(rows: &[Vec<f64>], shares: &[f64], weight: f64, ridge: f64) -> Self {
        let (dims, total) = (rows[0].len(), shares.iter().sum::<f64>().max(1e-9));
        let mut mean = vec![0.0; dims];
        for (row, share) in rows.iter().zip(shares) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += share / total * value);
        }
        let mut covariance = vec![0.0; dims * dims];
        for (row, share) in rows.iter().zip(shares) {
            let away: Vec<f64> = row.iter().zip(&mean).map(|(value, mean)| value - mean).collect();
            for (i, line) in covariance.chunks_mut(dims).enumerate() {
                let factor = share / total * away[i];
                line[..=i].iter_mut().zip(&away).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        for i in 0..dims {
            covariance[i * dims + i] += ridge;
        }
        let factor = cholesky(covariance, dims);
        let ln_det = 2.0 * (0..dims).map(|i| factor[i * dims + i].ln()).sum::<f64>();
        Self { ln_weight: weight.ln(), mean, factor, ln_det }
    }

    /// `ln (weight p(row))`.
    fn ln_joint(&self, row: &[f64]) -> f64 {
        // |L^-1 (row - mean)|^2 by forward substitution.
        let dims = row.len();
        let mut solved = vec![0.0; dims];
        for i in 0..dims {
            let line = &self.factor[i * dims..i * dims + i];
            let known: f64 = line.iter().zip(&solved).map(|(l, x)| l * x).sum();
            solved[i] = (row[i] - self.mean[i] - known) / self.factor[i * dims + i];
        }
        let square: f64 = solved.iter().map(|x| x * x).sum();
        self.ln_weight - 0.5 * (square + self.ln_det + dims as f64 * (2.0 * std::f64::consts::PI).ln())
    }
}

/// The lower triangle L with `L L^T = matrix`, of which the lower half is read.
fn cholesky(mut matrix: Vec<f64>, dims: usize) -> Vec<f64> {
    for i in 0..dims {
        for j in 0..=i {
            let (line_i, line_j) = (&matrix[i * dims..i * dims + j], &matrix[j * dims..j * dims + j]);
            let known: f64 = line_i.iter().zip(line_j).map(|(a, b)| a * b).sum();
            let left = matrix[i * dims + j] - known;
            matrix[i * dims + j] = if i == j { left.max(1e-12).sqrt() } else { left / matrix[j * dims + j] };
        }
    }
    matrix
}

fn ln_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// Every picture of `dataset`.
///
/// # Errors
/// [`Error::Config`] if there is none.
pub fn read(dataset: &dyn Dataset) -> Result<Vec<Vec<f32>>> {
    if dataset.is_empty() {
        return Err(Error::config("there is no picture to learn from"));
    }
    let picture = |index| {
        let mut values = vec![0.0; dataset.shape().len()];
        dataset.read(index, &mut values);
        values
    };
    Ok((0..dataset.len()).map(picture).collect())
}

/// Pictures made real numbers, picture i with noise of its own (see [`Levels::dequantised`]).
pub fn dequantised(pictures: &[Vec<f32>], levels: Levels, seed: u64) -> Vec<Vec<f64>> {
    let n = levels.count() as f64;
    let row = |(index, picture): (usize, &Vec<f32>)| {
        let mut rng = Rng::new(seed, Purpose::Dequantise, 0, index as u32);
        picture.iter().map(|&x| 2.0 * (levels.nearest(x) as f64 + rng.uniform()) / n - 1.0).collect()
    };
    pictures.iter().enumerate().map(row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::builtin;
    use crate::recipe::DataRecipe;

    /// Oracle: two Gaussians that are known, and their density.
    #[test]
    fn a_mixture_finds_the_gaussians_that_made_the_rows() {
        let draw = |rng: &mut Rng| {
            let side = if rng.chance(0.3) { -2.0 } else { 2.0 };
            let (a, b) = (f64::from(rng.normal()), f64::from(rng.normal()));
            (side, vec![side + 0.5 * a, 0.4 * a + 0.3 * b])
        };
        // Covariance [[.25, .2], [.2, .25]], determinant .0225.
        let ln_density = |row: &[f64]| {
            let part = |side: f64, weight: f64| {
                let (x, y) = (row[0] - side, row[1]);
                let square = (0.25 * x * x - 0.4 * x * y + 0.25 * y * y) / 0.0225;
                weight * (-0.5 * square).exp() / (2.0 * std::f64::consts::PI * 0.15)
            };
            (part(-2.0, 0.3) + part(2.0, 0.7)).ln()
        };
        let mut rng = Rng::new(3, Purpose::Picture, 0, 0);
        let mut rows = |count| -> Vec<Vec<f64>> { (0..count).map(|_| draw(&mut rng).1).collect() };
        let (train, unseen) = (rows(4000), rows(1000));
        let mixture = GaussianMixture::fit(&train, 2, 1e-6, 0).unwrap();
        let mean = |f: &dyn Fn(&[f64]) -> f64| unseen.iter().map(|row| f(row)).sum::<f64>() / 1000.0;
        let (found, expected) = (mean(&|row| mixture.ln_density(row)), mean(&ln_density));
        assert!((found - expected).abs() < 0.01, "{found} is not {expected}");
        assert!(GaussianMixture::fit(&train[..1], 2, 1e-6, 0).is_err());
    }

    #[test]
    fn independent_pixels_share_their_mass_among_the_levels() {
        let digits = builtin::open("digits", &DataRecipe::default()).unwrap();
        let levels = Levels::new(17).unwrap();
        let model = IndependentPixels::fit(&*digits, levels).unwrap();
        for place in [0, 27, 63] {
            let mass: f64 = model.nats[place * 17..(place + 1) * 17].iter().map(|nats| (-nats).exp()).sum();
            assert!((mass - 1.0).abs() < 1e-9);
        }
        let pictures = read(&*digits).unwrap();
        let bits =
            pictures.iter().map(|picture| model.nats(picture)).sum::<f64>() / 1797.0 / 64.0 / 2f64.ln();
        assert!((1.0..3.0).contains(&bits), "{bits}");
    }
}
