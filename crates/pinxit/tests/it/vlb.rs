//! DDPM's variational bound. Oracles: oracle/vlb.py (Ho et al. 2020 in NumPy and SciPy), and Gaussian
//! data, where the error of the best denoiser is known.

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::data::Batch;
use pinxit::diffusion::noise::NoiseSource;
use pinxit::diffusion::precond::{Preconditioned, Preconditioning, Prediction};
use pinxit::diffusion::schedule::{Betas, DiscreteLevels};
use pinxit::diffusion::vlb::Bound;
use pinxit::diffusion::{Clamped, Condition, Denoiser};
use pinxit::likelihood::gaussian::discretized_nats;
use pinxit::rng::{Purpose, Rng};
use pinxit::watch::Unwatched;
use serde::Deserialize;

use crate::samplers::Linear;

#[derive(Deserialize)]
struct Golden {
    shape: [usize; 4],
    steps: usize,
    images: Vec<u8>,
    noise: Vec<Vec<f32>>,
    nats: Vec<f64>,
}

impl Golden {
    fn tensor(&self, values: Vec<f32>) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values, self.shape), &Device::flex())
    }
}

impl NoiseSource for Golden {
    fn step(&self, number: u32) -> Tensor<4> {
        self.tensor(self.noise[number as usize].clone())
    }
}

#[test]
fn the_bound_is_that_of_the_paper() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden/vlb.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let levels = DiscreteLevels::new(Betas::Linear, golden.steps).unwrap();
    let preconditioning =
        Preconditioning::VariancePreserving { levels: levels.clone(), prediction: Prediction::Epsilon };
    let denoiser = Preconditioned { network: &Linear, preconditioning: &preconditioning };
    let images = golden.tensor(golden.images.iter().map(|&v| (f64::from(v) / 127.5 - 1.0) as f32).collect());
    let bound = Bound { denoiser: &Clamped(&denoiser), levels: &levels, condition: &Condition::default() };
    let nats = bound.nats_with(&images, &golden, &mut Unwatched).unwrap();
    assert_eq!(nats.len(), golden.nats.len());
    for (ours, theirs) in nats.iter().zip(&golden.nats) {
        assert!((ours - theirs).abs() < 1e-4 * theirs, "{ours} is not {theirs}");
    }
}

const S0: f64 = 0.3;

/// The best denoiser of pictures of values N(0, s0^2).
struct Exact;

impl Denoiser for Exact {
    fn denoise(&self, x: Tensor<4>, sigma: f64, _: &Condition) -> Tensor<4> {
        x.mul_scalar(S0 * S0 / (S0 * S0 + sigma * sigma))
    }
}

/// Pictures of 32 x 32 values N(0, s0^2), rounded to 8 bits.
fn gaussian_pictures(count: usize) -> Batch {
    let mut rng = Rng::new(3, Purpose::Picture, 0, 0);
    let level = |x: f64| ((x.clamp(-1.0, 1.0) + 1.0) * 127.5).round() / 127.5 - 1.0;
    let values: Vec<f32> = (0..count * 1024).map(|_| level(S0 * f64::from(rng.normal())) as f32).collect();
    let images = Tensor::from_data(TensorData::new(values, [count, 1, 32, 32]), &Device::flex());
    Batch { images, labels: Vec::new(), ids: (10..10 + count as u32).collect(), offset: 0, inputs: None }
}

/// The expected bound of one value: the error of the best denoiser has the variance
/// `s0^2 sigma^2 / (s0^2 + sigma^2)` at every level, so every term of the bound is known.
fn expected_nats(levels: &DiscreteLevels) -> f64 {
    let variance = |sigma: f64| (S0.powi(-2) + sigma.powi(-2)).recip();
    let step = |t: usize| {
        let (level, below) = (levels.sigma(t), levels.sigma(t - 1));
        0.5 * (below.powi(-2) - level.powi(-2)) * variance(level)
    };
    // L_0 by the trapezoid rule over the denoiser's error; its Gaussian has the posterior's variance
    // of the second level, beta_2 (1 - alpha_bar_1) / (1 - alpha_bar_2).
    let (first, second) = (levels.alpha_bar(0), levels.alpha_bar(1));
    let std = ((1.0 - second / first) * (1.0 - first) / (1.0 - second)).sqrt();
    let spread = variance(levels.sigma(0)).sqrt();
    let decoder = |i: i32| {
        let z = f64::from(i) / 100.0;
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        0.01 * density * discretized_nats(0.0, (z * spread) as f32, std)
    };
    (1..levels.count()).map(step).sum::<f64>() + (-800..=800).map(decoder).sum::<f64>()
}

#[test]
fn the_bound_of_a_gaussian_is_the_expected_one_and_above_its_entropy() {
    let levels = DiscreteLevels::new(Betas::Linear, 1000).unwrap();
    let bound = Bound { denoiser: &Exact, levels: &levels, condition: &Condition::default() };
    let nats = bound.nats(&gaussian_pictures(6), 0, &mut Unwatched).unwrap();
    let mean = nats.iter().sum::<f64>() / 6.0 / 1024.0;
    let expected = expected_nats(&levels);
    assert!((mean / expected - 1.0).abs() < 0.01, "{mean} is not {expected}");
    // The density of a value has the entropy ln(s0 sqrt(2 pi e)), its 8 bits ln(127.5) more.
    let entropy = (S0 * (2.0 * std::f64::consts::PI * std::f64::consts::E).sqrt() * 127.5).ln();
    assert!(mean > entropy && mean < entropy + 1.0, "{mean} against {entropy}");
}

#[test]
fn a_bound_depends_on_the_picture_and_the_seed_and_not_on_the_batch() {
    let levels = DiscreteLevels::new(Betas::Cosine, 50).unwrap();
    let bound = Bound { denoiser: &Exact, levels: &levels, condition: &Condition::default() };
    let batch = gaussian_pictures(4);
    let nats = |batch: &Batch, seed| bound.nats(batch, seed, &mut Unwatched).unwrap();
    let parts = batch.split(3);
    assert_eq!(parts[1].ids, [12, 13]);
    assert_eq!(nats(&batch, 1)[2..], nats(&parts[1], 1));
    assert_ne!(nats(&batch, 1), nats(&batch, 2));
}
