//! Group normalisation.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Activation, Init, ops};

/// Normalises each group of channels of each picture, then scales and shifts each channel
/// (Wu and He 2018).
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// Scale `[C]`, gamma in the paper.
    pub weight: Param<Tensor<1>>,
    /// Shift `[C]`, beta in the paper.
    pub bias: Param<Tensor<1>>,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// `groups` must divide `channels`; `eps` is added to the variance.
    pub fn new(groups: usize, channels: usize, eps: f64, init: &mut Init) -> Self {
        Self { weight: init.ones([channels]), bias: init.zeros([channels]), groups, eps }
    }

    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        ops::group_norm(x, self.weight.val(), self.bias.val(), self.groups, self.eps, activation)
    }

    /// The same of x + shift: x `[B, C, H, W]`, shift `[B, C]` -> `[B, C, H, W]`.
    pub fn forward_shifted(&self, x: Tensor<4>, shift: Tensor<2>, activation: Activation) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        ops::shifted_group_norm(x, shift, weight, bias, self.groups, self.eps, activation)
    }
}
