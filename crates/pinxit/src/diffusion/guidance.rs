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
        let nothing =
            Condition { classes: vec![self.null_class; condition.classes.len()], ..condition.clone() };
        let unconditional = self.denoiser.denoise(x.clone(), sigma, &nothing);
        if self.scale == 0.0 {
            return unconditional;
        }
        let conditional = self.denoiser.denoise(x, sigma, condition);
        let difference = conditional - unconditional.clone();
        unconditional + difference.mul_scalar(self.scale)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use burn::tensor::Device;

    use super::*;

    /// Paints the number of the class; counts how often it is asked.
    #[derive(Default)]
    struct Classes(Cell<u32>);

    impl Denoiser for Classes {
        fn denoise(&self, x: Tensor<4>, _: f64, condition: &Condition) -> Tensor<4> {
            self.0.set(self.0.get() + 1);
            x.zeros_like().add_scalar(condition.classes[0])
        }
    }

    /// The value and the number of evaluations for class 2 where 5 stands for "no class".
    fn guided(scale: f64, interval: (f64, f64)) -> (f32, u32) {
        let denoiser = Classes::default();
        let guided = Guided { denoiser: &denoiser, scale, null_class: 5, interval };
        let x = Tensor::zeros([1, 1, 1, 1], &Device::flex());
        let value = guided.denoise(x, 1.0, &Condition { classes: vec![2], seen: None }).into_scalar();
        (value, denoiser.0.get())
    }

    #[test]
    fn a_scale_of_one_is_the_class_and_of_zero_none_for_one_evaluation() {
        let always = (0.0, f64::INFINITY);
        assert_eq!(guided(1.0, always), (2.0, 1));
        assert_eq!(guided(0.0, always), (5.0, 1));
    }

    #[test]
    fn guidance_extrapolates_from_no_class_to_class() {
        assert_eq!(guided(3.0, (0.0, f64::INFINITY)), (5.0 + 3.0 * (2.0 - 5.0), 2));
        assert_eq!(guided(0.5, (0.0, f64::INFINITY)), (3.5, 2));
    }

    #[test]
    fn outside_the_interval_there_is_no_guidance() {
        assert_eq!(guided(3.0, (0.2, 0.9)), (2.0, 1));
        assert_eq!(guided(3.0, (1.0, 2.0)), (2.0, 1));
        assert_eq!(guided(3.0, (0.9, 1.0)), (-4.0, 2));
    }
}
