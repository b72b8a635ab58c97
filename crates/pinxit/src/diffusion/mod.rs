//! Diffusion in independent axes: schedule, preconditioning, objective, sampler, guidance.
//!
//! Everything is written in the variance-exploding form of Karras et al. 2022 (EDM): a noisy image
//! is `x = x0 + sigma * n`. A variance-preserving model (DDPM) or a rectified flow is the same thing
//! with its input scaled, which the preconditioning does; so every sampler serves every family.

use burn::tensor::Tensor;

/// What a picture is asked to show.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Class of each picture `[B]`; empty for an unconditional model. The index `classes.len()`
    /// stands for "no class" (classifier-free guidance).
    pub classes: Vec<u32>,
}

/// An estimate of the clean picture.
pub trait Denoiser {
    /// `D(x; sigma)`: x `[B, C, H, W]`, sigma `[B]` -> denoised `[B, C, H, W]`.
    fn denoise(&self, x: Tensor<4>, sigma: Tensor<1>, condition: &Condition) -> Tensor<4>;
}
