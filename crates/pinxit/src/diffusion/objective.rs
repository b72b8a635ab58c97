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
use crate::nn::ops::{self, Reduction};
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
    /// w `[B]`.
    pub weight: Tensor<1>,
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
        Examples {
            input: ops::mix_images((images.clone(), signal), (noise.clone(), sigma)),
            noise: told,
            target: ops::mix_images((images.clone(), clean), (noise, unit)),
            weight,
        }
    }
}

impl Examples {
    /// The share of these examples in the loss of a batch of `total` pictures, `[1]`.
    pub fn loss(self, predicted: Tensor<4>, total: usize) -> Tensor<1> {
        let [_, channels, height, width] = predicted.dims();
        let error = ops::weighted_mse_loss(predicted, self.target, self.weight, Reduction::Sum);
        error.div_scalar((total * channels * height * width) as f64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::diffusion::precond::Prediction;
    use crate::diffusion::schedule::Betas;

    fn levels() -> DiscreteLevels {
        DiscreteLevels::new(Betas::Cosine, 1000).unwrap()
    }

    fn variance_preserving(prediction: Prediction) -> Preconditioning {
        Preconditioning::VariancePreserving { levels: levels(), prediction }
    }

    fn objective(min_snr_gamma: Option<f64>) -> Objective {
        Objective { levels: TrainingLevels::LogNormal { mean: 0.0, std: 1.0 }, min_snr_gamma }
    }

    fn batch(size: usize) -> Batch {
        let values: Vec<f32> = (0..size * 12).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
        let images = Tensor::from_data(TensorData::new(values, [size, 1, 3, 4]), &Device::flex());
        Batch { images, labels: Vec::new(), ids: (0..size as u32).collect(), offset: 0, inputs: None }
    }

    const STEP: Step = Step { number: 3, seed: 1, rate: 1.0, accumulate: 1 };

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// Oracle: Hang et al. 2023, section 3.4: the weights for noise and for velocity.
    #[test]
    fn min_snr_weights_are_those_of_the_paper() {
        let gamma = 5.0;
        for sigma in [0.01, 0.2, 1.0, 30.0f64] {
            let snr = sigma.powi(-2);
            for (prediction, expected) in [
                (Prediction::X0, snr.min(gamma)),
                (Prediction::Epsilon, snr.min(gamma) / snr),
                (Prediction::V, snr.min(gamma) / (snr + 1.0)),
            ] {
                let c = variance_preserving(prediction).at(sigma);
                let weight = objective(Some(gamma)).weight(sigma, &c);
                assert!((weight / expected - 1.0).abs() < 1e-9, "{prediction:?} {sigma}: {weight}");
            }
        }
    }

    #[test]
    fn the_gradient_of_the_loss_is_that_of_a_weighted_square() {
        let examples =
            objective(Some(5.0)).examples(&variance_preserving(Prediction::Epsilon), &batch(4), &STEP);
        let predicted = Tensor::<4>::ones([4, 1, 3, 4], &Device::flex()).autodiff().require_grad();
        let gradients = examples.clone().loss(predicted.clone(), 4).backward();
        let found = values(predicted.grad(&gradients).unwrap());
        let (target, weight) = (values(examples.target), values(examples.weight));
        for (i, found) in found.into_iter().enumerate() {
            let expected = 2.0 * weight[i / 12] * (1.0 - target[i]) / 48.0;
            assert!((found - expected).abs() < 1e-6, "{i}: {found} is not {expected}");
        }
    }

    #[test]
    fn a_network_that_denoises_perfectly_has_no_loss() {
        for preconditioning in [
            Preconditioning::Flow,
            Preconditioning::Edm { sigma_data: 0.5 },
            variance_preserving(Prediction::V),
        ] {
            let examples = objective(None).examples(&preconditioning, &batch(4), &STEP);
            let perfect = examples.target.clone();
            assert_eq!(examples.loss(perfect, 4).into_scalar::<f32>(), 0.0);
        }
    }

    #[test]
    fn examples_do_not_depend_on_how_a_batch_is_divided() {
        let whole = objective(None).examples(&Preconditioning::Flow, &batch(5), &STEP);
        let parts = batch(5).split(2);
        let part = objective(None).examples(&Preconditioning::Flow, &parts[1], &STEP);
        assert_eq!(values(whole.input)[36..], values(part.input));
        assert_eq!(values(whole.target)[36..], values(part.target));
        assert_eq!(values(whole.noise)[3..], values(part.noise));
    }

    /// Mean and standard deviation of `f(sigma)` over 20,000 draws.
    fn moments(levels: &TrainingLevels, f: impl Fn(f64) -> f64) -> [f64; 2] {
        let mut rng = Rng::new(2, Purpose::TrainLevel, 0, 0);
        let values: Vec<f64> = (0..20_000).map(|_| f(levels.draw(&mut rng))).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 20_000.0;
        [mean, variance.sqrt()]
    }

    #[test]
    fn training_levels_have_their_distributions() {
        let time = |sigma: f64| sigma / (1.0 + sigma);
        let steps = levels();
        let discrete = TrainingLevels::Discrete(levels());
        let (std_of_uniform, std_of_steps) = (1.0 / 12f64.sqrt(), 1000.0 / 12f64.sqrt());
        for ([mean, std], expected) in [
            (moments(&TrainingLevels::LogNormal { mean: -1.2, std: 1.2 }, f64::ln), [-1.2, 1.2]),
            (moments(&TrainingLevels::LogitNormalTime { mean: 0.5, std: 0.8 }, f64::ln), [0.5, 0.8]),
            (moments(&TrainingLevels::UniformTime, time), [0.5, std_of_uniform]),
            (moments(&discrete, |sigma| steps.step_of(sigma)), [499.5, std_of_steps]),
        ] {
            let tolerance = 0.03 * expected[1]; // the standard error of the mean is 0.007 of it
            assert!((mean - expected[0]).abs() < tolerance, "{mean} is not {}", expected[0]);
            assert!((std - expected[1]).abs() < tolerance, "{std} is not {}", expected[1]);
        }
    }
}
