//! Diffusion in independent axes: schedule, preconditioning, objective, sampler, guidance.
//!
//! Everything is written in the variance-exploding form of Karras et al. 2022 (EDM): a noisy image
//! is `x = x0 + sigma * n`. A variance-preserving model (DDPM) or a rectified flow is the same thing
//! with its input scaled, which the [preconditioning](precond) does; so every sampler serves every
//! family.
//!
//! | axis | module | what varies |
//! |---|---|---|
//! | network | [`precond::Network`] | the U-Net, or any function of the same shape |
//! | preconditioning | [`precond`] | what the network is shown and what it answers |
//! | objective | [`objective`] | which noise levels are trained, how their errors are weighed |
//! | schedule | [`schedule`] | which noise levels a sampler visits |
//! | sampler | [`samplers`] | how it goes from one level to the next |
//! | guidance | [`guidance`] | how strongly the class is insisted on |
//! | origin | [`origin`] | what pictures are made from beside noise |

pub mod edit;
pub mod guidance;
pub mod knobs;
pub mod learner;
pub mod model;
pub mod noise;
pub mod objective;
pub mod origin;
pub mod precond;
pub mod samplers;
pub mod sampling;
pub mod schedule;
pub mod setup;
pub mod vlb;

use burn::tensor::Tensor;

/// What a picture is asked to show.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Class of each picture `[B]`; empty for an unconditional model. The index `classes.len()`
    /// of the model stands for "no class" (classifier-free guidance).
    pub classes: Vec<u32>,
    /// What each picture is made from, as the network sees it `[B, C', H, W]`; see [`origin`].
    pub seen: Option<Tensor<4>>,
}

/// An estimate of the clean picture.
///
/// The noise level is a number on the host, the same for the whole batch: a sampler knows it, so
/// that scalings are computed in f64 and nothing is read back from the device.
pub trait Denoiser {
    /// `D(x; sigma)`: noisy pictures x `[B, C, H, W]` of level sigma > 0 -> denoised `[B, C, H, W]`.
    fn denoise(&self, x: Tensor<4>, sigma: f64, condition: &Condition) -> Tensor<4>;
}

/// A denoiser whose estimates are cut to the range of pictures, `[-1, 1]`: DDPM's `clip_sample`.
///
/// It keeps a poorly trained model from leaving the data; it also bends the ODE, so that a sampler
/// of order 2 loses its order where the cut bites.
pub struct Clamped<'a>(pub &'a dyn Denoiser);

impl Denoiser for Clamped<'_> {
    fn denoise(&self, x: Tensor<4>, sigma: f64, condition: &Condition) -> Tensor<4> {
        self.0.denoise(x, sigma, condition).clamp(-1.0, 1.0)
    }
}
