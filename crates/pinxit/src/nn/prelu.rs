//! A rectifier with a learned slope.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Activation, Init, ops};

/// `x` where it is positive and `a x` where it is not, with one learned a (He et al. 2015, eq. 1, "channel-shared").
/// PyTorch's `PReLU`.
#[derive(Module, Debug)]
pub struct PRelu {
    /// a `[1]`.
    pub weight: Param<Tensor<1>>,
}

impl PRelu {
    /// PyTorch's first slope, 0.25.
    pub fn new(init: &mut Init) -> Self {
        Self { weight: init.constant([1], 0.25) }
    }

    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let negative = ops::activate(-x.clone(), Activation::Relu) * self.weight.val().reshape([1, 1, 1, 1]);
        ops::activate(x, Activation::Relu) - negative
    }
}
