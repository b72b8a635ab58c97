//! What is trained: which noise levels, and how their errors are weighed.
//!
//! The loss is the mean over values and pictures of `w(sigma) (F - F*)^2`, where F* is the network
//! output that denoises perfectly (Karras et al. 2022, eq. 8). With w = 1 in the network's output
//! this is EDM's `lambda = 1 / c_out^2`, DDPM's L_simple and the flow matching loss.

use burn::tensor::{Tensor, TensorData};

use super::noise::{normals, shape_of};
use super::precond::{Coefficients, Preconditioning};
use super::schedule::{DiscreteLevels, FLOW_SIGMA_MAX};
use crate::data::Batch;
use crate::model::Step;
use crate::rng::{Purpose, Rng};

/// The distribution of training noise levels.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingLevels {
    /// `ln sigma ~ N(mean, std^2)` (Karras et al. 2022, table 1).
    LogNormal {
        /// `P_mean`.
        mean: f64,
        /// `P_std`.
        std: f64,
    },
    /// Every step of DDPM equally often (Ho et al. 2020, algorithm 1).
    Discrete(DiscreteLevels),
    /// A flow's time `t = sigma / (1 + sigma)` uniform in [0, 1) (Liu et al. 2022, eq. 1).
    UniformTime,
    /// `logit t ~ N(mean, std^2)`, which is `ln sigma ~ N(mean, std^2)`: more of the middle
    /// (Esser et al. 2024, eq. 19).
    LogitNormalTime {
        /// Location: above 0 trains more at noise, below 0 more at the picture.
        mean: f64,
        /// Spread.
        std: f64,
    },
}

impl TrainingLevels {
    /// One noise level > 0.
    pub fn draw(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::LogNormal { mean, std } | Self::LogitNormalTime { mean, std } => {
                libm::exp(mean + std * f64::from(rng.normal())).clamp(1.0 / FLOW_SIGMA_MAX, FLOW_SIGMA_MAX)
            }
            Self::Discrete(levels) => levels.sigma(rng.below(levels.count() as u32) as usize),
            Self::UniformTime => {
                let t = rng.uniform();
                (t / (1.0 - t)).clamp(1.0 / FLOW_SIGMA_MAX, FLOW_SIGMA_MAX)
            }
        }
    }
}

/// What to learn, independent of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Which noise levels.
    pub levels: TrainingLevels,
    /// Gamma of Min-SNR weighting (Hang et al. 2023, eq. 6), 5 in the paper; `None` weighs the
    /// network's output evenly.
    pub min_snr_gamma: Option<f64>,
}

/// Noisy pictures of one batch and what the network should answer.
#[derive(Debug, Clone)]
pub struct Examples {
    /// `c_in x` `[B, C, H, W]`.
    pub input: Tensor<4>,
    /// `c_noise` `[B]`.
    pub noise: Tensor<1>,
    /// F* `[B, C, H, W]`.
    pub target: Tensor<4>,
    /// w `[B, 1, 1, 1]`.
    pub weight: Tensor<4>,
}

impl Objective {
    /// The weight w(sigma) of a squared error of the network's output.
    ///
    /// Min-SNR weighs the error of the clean picture with `min(SNR, gamma)`, SNR = 1 / sigma^2; the
    /// same in the network's output is `c_out^2` times that.
    pub fn weight(&self, sigma: f64, coefficients: &Coefficients) -> f64 {
        match self.min_snr_gamma {
            None => 1.0,
            Some(gamma) => sigma.powi(-2).min(gamma) * coefficients.out.powi(2),
        }
    }

    /// Noises a batch. Picture i of it draws from `(seed, step, offset + i)`, however the batch is
    /// divided.
    pub fn examples(&self, preconditioning: &Preconditioning, batch: &Batch, step: &Step) -> Examples {
        let (images, count) = (&batch.images, batch.len());
        let device = images.device();
        let stream = |purpose, i| Rng::new(step.seed, purpose, step.number, (batch.offset + i) as u32);
        let streams = (0..count).map(|i| stream(Purpose::TrainNoise, i));
        let noise = normals(streams, shape_of(images), &device);
        let mut columns: [Vec<f32>; 6] = Default::default();
        for i in 0..count {
            let sigma = self.levels.draw(&mut stream(Purpose::TrainLevel, i));
            let c = preconditioning.at(sigma);
            let (clean, unit) = c.target(sigma);
            let row = [c.input, c.input * sigma, clean, unit, self.weight(sigma, &c), c.noise];
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value as f32);
            }
        }
        let [signal, sigma, clean, unit, weight, told] =
            columns.map(|values| Tensor::<1>::from_data(TensorData::new(values, [count]), &device));
        let each = |values: Tensor<1>| values.reshape([count, 1, 1, 1]);
        Examples {
            input: images.clone() * each(signal) + noise.clone() * each(sigma),
            noise: told,
            target: images.clone() * each(clean) + noise * each(unit),
            weight: each(weight),
        }
    }
}

impl Examples {
    /// The share of these examples in the loss of a batch of `total` pictures, `[1]`.
    pub fn loss(self, predicted: Tensor<4>, total: usize) -> Tensor<1> {
        let [_, channels, height, width] = predicted.dims();
        let error = (predicted - self.target).square() * self.weight;
        error.sum().div_scalar((total * channels * height * width) as f64)
    }
}
