//! Classifier-free guidance.

use burn::tensor::Tensor;

use super::{Condition, Denoiser};

/// A denoiser that moves away from what it would paint without a class (Ho and Salimans 2022):
/// `D = D_uncond + g (D_cond - D_uncond)`.
pub struct Guided<'a> {
    /// The denoiser; it knows the class `null_class` as "no class".
    pub denoiser: &'a dyn Denoiser,
    /// g: 1 follows the data, more insists on the class, 0 ignores it.
    pub scale: f64,
    /// The index that stands for "no class".
    pub null_class: u32,
    /// Noise levels `(above, up to)` in which to guide; elsewhere g is 1 (Kynkaanniemi et al. 2024).
    pub interval: (f64, f64),
}

impl Denoiser for Guided<'_> {
    fn denoise(&self, x: Tensor<4>, sigma: f64, condition: &Condition) -> Tensor<4> {
        let (low, high) = self.interval;
        if self.scale == 1.0 || !(low < sigma && sigma <= high) {
            return self.denoiser.denoise(x, sigma, condition);
        }
        let nothing = Condition { classes: vec![self.null_class; condition.classes.len()] };
        let unconditional = self.denoiser.denoise(x.clone(), sigma, &nothing);
        if self.scale == 0.0 {
            return unconditional;
        }
        let conditional = self.denoiser.denoise(x, sigma, condition);
        let difference = conditional - unconditional.clone();
        unconditional + difference.mul_scalar(self.scale)
    }
}
