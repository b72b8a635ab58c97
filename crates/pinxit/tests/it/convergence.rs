//! Samplers on Gaussian data, where the exact denoiser and the exact solution are known.
//!
//! For pictures of independent values N(mu, s0^2) the denoiser is
//! `D = (mu sigma^2 + x s0^2) / (s0^2 + sigma^2)`, and the probability flow ODE leads from x at sigma to
//! `mu + (x - mu) sqrt((s0^2 + sigma'^2) / (s0^2 + sigma^2))` at sigma'.

use burn::tensor::{Device, Tensor};
use pinxit::data::ImageShape;
use pinxit::diffusion::noise::SeededNoise;
use pinxit::diffusion::samplers::{SAMPLERS, Sampler, Sampling, Settings};
use pinxit::diffusion::schedule::{karras, rectified_flow};
use pinxit::diffusion::{Condition, Denoiser};
use pinxit::watch::Unwatched;

const MU: f64 = 0.3;
const S0: f64 = 0.5;

struct Exact;

impl Denoiser for Exact {
    fn denoise(&self, x: Tensor<4>, sigma: f64, _: &Condition) -> Tensor<4> {
        let total = S0 * S0 + sigma * sigma;
        x.mul_scalar(S0 * S0 / total).add_scalar(MU * sigma * sigma / total)
    }
}

fn solution(x: Tensor<4>, from: f64, to: f64) -> Tensor<4> {
    let shrink = S0.hypot(to) / S0.hypot(from);
    x.sub_scalar(MU).mul_scalar(shrink).add_scalar(MU)
}

/// Pictures of 64 x 64 values from pure noise of level `sigmas[0]`, and that noise.
fn sample(sampler: &Sampler, sigmas: &[f64], settings: Settings) -> (Tensor<4>, Tensor<4>) {
    let shape = ImageShape { channels: 1, height: 64, width: 64 };
    let noise = SeededNoise { seeds: &[1, 2, 3, 4], shape, device: &Device::flex() };
    let condition = Condition::default();
    let sampling = Sampling { denoiser: &Exact, condition: &condition, sigmas, noise: &noise, settings };
    // The exact law of a noisy picture: x0 + sigma n has variance s0^2 + sigma^2.
    let start = noise.start().mul_scalar(S0.hypot(sigmas[0])).add_scalar(MU);
    ((sampler.run)(&sampling, start.clone(), &mut Unwatched).unwrap(), start)
}

/// Largest error against the exact solution.
fn error(sampler: &Sampler, sigmas: &[f64]) -> f64 {
    let (found, start) = sample(sampler, sigmas, Settings::default());
    let exact = solution(start, sigmas[0], *sigmas.last().unwrap());
    (found - exact).abs().max().into_scalar::<f32>().into()
}

/// The levels of a schedule without its 0, where every sampler takes a step of order 1.
fn interior(mut sigmas: Vec<f64>) -> Vec<f64> {
    sigmas.pop();
    sigmas
}

#[test]
fn deterministic_samplers_converge_with_their_order() {
    for sampler in SAMPLERS.iter().filter(|sampler| !sampler.stochastic) {
        let errors = [16, 32, 64].map(|n| error(sampler, &interior(karras(n + 1, 0.05, 10.0, 7.0).unwrap())));
        let orders = [0, 1].map(|i| (errors[i] / errors[i + 1]).log2());
        let order = f64::from(sampler.order);
        assert!(
            orders.iter().all(|found| (found - order).abs() < 0.25),
            "{}: errors {errors:?}, orders {orders:?}",
            sampler.name
        );
    }
}

#[test]
fn flows_converge_from_pure_noise() {
    let pure_noise = |n| rectified_flow(n, 1.0).unwrap();
    for (name, bound) in [("euler", 0.15), ("heun-flow", 0.009), ("dpmpp-2m", 0.03)] {
        let sampler = pinxit::diffusion::samplers::find(name).unwrap();
        let errors = [20, 40].map(|n| error(sampler, &pure_noise(n)));
        assert!(errors[0] < bound && errors[1] < 0.65 * errors[0], "{name}: {errors:?}");
    }
}

#[test]
fn stochastic_samplers_reproduce_mean_and_variance() {
    let find = |name| pinxit::diffusion::samplers::find(name).unwrap();
    let half = Settings { eta: 0.5, ..Settings::default() };
    for (sampler, settings) in
        [(find("ddpm"), Settings::default()), (find("ddim"), half), (find("heun-churn"), Settings::default())]
    {
        let sigmas = karras(200, 0.002, 80.0, 7.0).unwrap();
        let (found, start) = sample(sampler, &sigmas, settings);
        let values: Vec<f32> = found.clone().into_data().try_into_vec().unwrap();
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        // 16,384 values: standard errors 0.004 and 0.0028.
        assert!((mean - MU).abs() < 0.016, "{}: mean {mean}", sampler.name);
        assert!((variance - S0 * S0).abs() < 0.014, "{}: variance {variance}", sampler.name);
        let same_path = (found - solution(start, 80.0, 0.0)).abs().mean().into_scalar::<f32>();
        assert!(same_path > 0.05, "{} added no noise", sampler.name);
    }
}
