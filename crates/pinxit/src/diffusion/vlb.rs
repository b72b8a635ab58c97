//! DDPM's variational bound on the likelihood.

use burn::tensor::Tensor;

use super::noise::{NoiseSource, normals, shape_of};
use super::schedule::DiscreteLevels;
use super::{Condition, Denoiser};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::likelihood::{gaussian, values};
use crate::rng::{Purpose, Rng};
use crate::watch::Watch;

/// `L_vlb = L_T + sum_t L_{t-1} + L_0` (Ho et al. 2020, eq. 5) with the variance of the true posterior.
///
/// Each term is estimated with one noise, so the sum is an unbiased estimate of an upper bound of the
/// negative log-likelihood of 8-bit pictures.
pub struct Bound<'a> {
    /// The model. Estimates cut to `[-1, 1]` make the bound tighter.
    pub denoiser: &'a dyn Denoiser,
    /// Its noise levels.
    pub levels: &'a DiscreteLevels,
    /// What the pictures show.
    pub condition: &'a Condition,
}

impl Bound<'_> {
    /// The bound for each picture of `batch`, in nats. The noise of a picture depends on `seed` and
    /// its id in the data set.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the watcher stops it; [`Error::Config`] if the device can't be read.
    pub fn nats(&self, batch: &Batch, seed: u64, watch: &mut dyn Watch) -> Result<Vec<f64>> {
        let noise = LevelNoise { seed, batch };
        self.nats_with(&batch.images, &noise, watch)
    }

    /// The bound for each of `images` `[B, C, H, W]`, in nats, with the noise `noise.step(t)` at
    /// step t of `0..T`.
    ///
    /// # Errors
    /// As [`Self::nats`].
    pub fn nats_with(
        &self,
        images: &Tensor<4>,
        noise: &dyn NoiseSource,
        watch: &mut dyn Watch,
    ) -> Result<Vec<f64>> {
        let count = self.levels.count();
        let mut nats = self.prior(images)?;
        for t in (0..count).rev() {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let sigma = self.levels.sigma(t);
            let x = images.clone() + noise.step(t as u32).mul_scalar(sigma);
            let denoised = self.denoiser.denoise(x, sigma, self.condition);
            let terms =
                if t == 0 { self.decoder(images, denoised)? } else { self.posterior(t, images, denoised)? };
            for (nats, term) in nats.iter_mut().zip(terms) {
                *nats += term;
            }
            watch.progress("estimating the likelihood", (count - t) as u64, count as u64);
        }
        Ok(nats)
    }

    /// `L_T = KL(q(x_T | x_0) || N(0, I))`.
    fn prior(&self, images: &Tensor<4>) -> Result<Vec<f64>> {
        let signal = self.levels.alpha_bar(self.levels.count() - 1);
        let values = images.dims()[1..].iter().product::<usize>() as f64;
        let squares = sums_of_squares(images.clone())?;
        let kl = |square| 0.5 * (signal * (square - values) - values * (-signal).ln_1p());
        Ok(squares.into_iter().map(kl).collect())
    }

    /// `L_{t-1}` for t > 0, the divergence of two Gaussians of equal variance. In sigmas, with s of t
    /// and s' of t - 1: `(1 / s'^2 - 1 / s^2) |x0 - D|^2 / 2` (Kingma et al. 2021, eq. 13).
    fn posterior(&self, t: usize, images: &Tensor<4>, denoised: Tensor<4>) -> Result<Vec<f64>> {
        let (level, below) = (self.levels.sigma(t), self.levels.sigma(t - 1));
        let factor = 0.5 * (below.powi(-2) - level.powi(-2));
        let squares = sums_of_squares(images.clone() - denoised)?;
        Ok(squares.into_iter().map(|square| factor * square).collect())
    }

    /// `L_0`: a Gaussian around the estimate, integrated over the bin of each of 256 values (Ho et al.
    /// 2020, eq. 13). Its variance is that of the posterior one step up, where it isn't 0.
    fn decoder(&self, images: &Tensor<4>, denoised: Tensor<4>) -> Result<Vec<f64>> {
        let (first, second) = (self.levels.alpha_bar(0), self.levels.alpha_bar(1));
        let variance = (1.0 - second / first) * (1.0 - first) / (1.0 - second);
        let size = images.dims()[1..].iter().product::<usize>();
        let (images, means) = (values(images.clone())?, values(denoised)?);
        let nats = |(x, mean): (&f32, &f32)| gaussian::discretized_nats(*x, *mean, variance.sqrt());
        let pictures = images.chunks(size).zip(means.chunks(size));
        Ok(pictures.map(|(image, mean)| image.iter().zip(mean).map(nats).sum()).collect())
    }
}

/// Noise keyed by the picture's place in the data set.
struct LevelNoise<'a> {
    seed: u64,
    batch: &'a Batch,
}

impl NoiseSource for LevelNoise<'_> {
    fn step(&self, number: u32) -> Tensor<4> {
        let streams = self.batch.ids.iter().map(|&id| Rng::new(self.seed, Purpose::Estimate, number, id));
        normals(streams, shape_of(&self.batch.images), &self.batch.images.device())
    }
}

/// The sum of the squares of each picture.
fn sums_of_squares(images: Tensor<4>) -> Result<Vec<f64>> {
    let sums = images.square().sum_dims_squeeze::<1, _>(&[1, 2, 3]);
    Ok(values(sums)?.into_iter().map(f64::from).collect())
}
