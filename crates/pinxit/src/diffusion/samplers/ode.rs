//! Samplers without noise: solvers of the probability flow ODE.

use burn::tensor::Tensor;

use super::{Move, Sampling};
use crate::error::Result;
use crate::watch::Watch;

/// Euler's step, exact for a constant estimate: `x' = D + (sigma' / sigma) (x - D)`.
///
/// The same as `x + (sigma' - sigma) d` but without its cancellation at large levels.
pub(super) fn step_towards(x: Tensor<4>, denoised: Tensor<4>, step: Move) -> Tensor<4> {
    if step.to == 0.0 {
        return denoised;
    }
    denoised.clone() + (x - denoised).mul_scalar(step.to / step.from)
}

/// Euler's method.
pub(super) fn euler(sampling: &Sampling, x: Tensor<4>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    sampling.walk(x, watch, |x, step| {
        let denoised = sampling.denoise(&x, step.from);
        step_towards(x, denoised, step)
    })
}

/// Heun's method over sigma (Karras et al. 2022, algorithm 1).
pub(super) fn heun(sampling: &Sampling, x: Tensor<4>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    sampling.walk(x, watch, |x, step| heun_step(sampling, x, step))
}

/// One step of Heun's method: the trapezoid of the slopes at both ends; Euler's where the level 0
/// has no slope.
pub(super) fn heun_step(sampling: &Sampling, x: Tensor<4>, step: Move) -> Tensor<4> {
    let denoised = sampling.denoise(&x, step.from);
    let slope = (x.clone() - denoised.clone()).div_scalar(step.from);
    let guess = step_towards(x, denoised, step);
    if step.to == 0.0 {
        return guess;
    }
    let slope_there = (guess.clone() - sampling.denoise(&guess, step.to)).div_scalar(step.to);
    guess + (slope_there - slope).mul_scalar(0.5 * (step.to - step.from))
}

/// Heun's method over a flow's time `t = sigma / (1 + sigma)`.
///
/// With `z = (1 - t) x` the ODE is `dz/dt = v = (x - D) / sigma - D`. The velocity stays bounded
/// from noise to picture, so that steps even in t start at pure noise, which steps over sigma can't.
pub(super) fn heun_flow(sampling: &Sampling, x: Tensor<4>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    sampling.walk(x, watch, |x, step| {
        let denoised = sampling.denoise(&x, step.from);
        let velocity = velocity(&x, denoised.clone(), step.from);
        let guess = step_towards(x, denoised, step);
        if step.to == 0.0 {
            return guess;
        }
        let velocity_there = self::velocity(&guess, sampling.denoise(&guess, step.to), step.to);
        let half = 0.5 * (time(step.to) - time(step.from));
        guess + (velocity_there - velocity).mul_scalar(half * (1.0 + step.to))
    })
}

/// A flow's time of a noise level.
fn time(sigma: f64) -> f64 {
    sigma / (1.0 + sigma)
}

/// A flow's velocity, noise minus picture.
fn velocity(x: &Tensor<4>, denoised: Tensor<4>, sigma: f64) -> Tensor<4> {
    (x.clone() - denoised.clone()).div_scalar(sigma) - denoised
}

/// DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), with one step of order 1 at each end.
///
/// In lambda = -ln(sigma) the estimate is extrapolated to the middle of the step from the last two.
pub(super) fn dpmpp_2m(sampling: &Sampling, x: Tensor<4>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
    let mut before: Option<(Tensor<4>, f64)> = None;
    sampling.walk(x, watch, |x, step| {
        let denoised = sampling.denoise(&x, step.from);
        let length = (step.from / step.to).ln();
        let estimate = match before.take() {
            Some((earlier, earlier_length)) if step.to > 0.0 => {
                let half_ratio = 0.5 * length / earlier_length; // 1 / (2 r)
                denoised.clone() + (denoised.clone() - earlier).mul_scalar(half_ratio)
            }
            _ => denoised.clone(),
        };
        before = Some((denoised, length));
        step_towards(x, estimate, step)
    })
}
