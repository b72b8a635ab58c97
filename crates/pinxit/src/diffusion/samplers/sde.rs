//! Samplers that add noise on their way.

use burn::tensor::Tensor;

use super::ode::{heun_step, step_towards};
use super::{Move, Sampling};
use crate::error::Result;
use crate::watch::Watch;

/// DDIM with the noise share `eta` of the settings (Song et al. 2021, eq. 12).
pub(super) fn ddim(sampling: &Sampling, x: Tensor<4>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    ancestral(sampling, x, sampling.settings.eta, watch)
}

/// DDPM's ancestral sampling with the variance of the true posterior (Ho et al. 2020, algorithm 2
/// with eq. 7): DDIM with eta = 1.
pub(super) fn ddpm(sampling: &Sampling, x: Tensor<4>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    ancestral(sampling, x, 1.0, watch)
}

/// Steps down to a lower level than asked for and adds noise up to it.
///
/// Song et al. 2021, eq. 16 divided by the scale of the signal:
/// `up = eta sqrt(s'^2 (s^2 - s'^2) / s^2)`, `down = sqrt(s'^2 - up^2)`.
fn ancestral(sampling: &Sampling, x: Tensor<4>, eta: f64, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    sampling.walk(x, watch, |x, step| {
        let denoised = sampling.denoise(&x, step.from);
        let ratio = step.to / step.from;
        let up = eta * step.to * (1.0 - ratio * ratio).sqrt();
        let down = (step.to * step.to - up * up).max(0.0).sqrt();
        let x = step_towards(x, denoised, Move { to: down, ..step });
        if up == 0.0 { x } else { x + sampling.noise.step(step.number).mul_scalar(up) }
    })
}

/// EDM's stochastic sampler (Karras et al. 2022, algorithm 2).
pub(super) fn heun_churn(sampling: &Sampling, x: Tensor<4>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    let churn = sampling.settings.churn;
    let steps = (sampling.sigmas.len() - 1) as f64;
    let growth = (churn.amount / steps).min(std::f64::consts::SQRT_2 - 1.0);
    sampling.walk(x, watch, |x, step| {
        if growth == 0.0 || step.from < churn.above || step.from > churn.below {
            return heun_step(sampling, x, step);
        }
        let raised = step.from * (1.0 + growth);
        let added = (raised * raised - step.from * step.from).sqrt() * churn.noise;
        let x = x + sampling.noise.step(step.number).mul_scalar(added);
        heun_step(sampling, x, Move { from: raised, ..step })
    })
}
