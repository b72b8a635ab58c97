//! Normalisations of each picture by itself.

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
}

/// Normalises each channel of each picture (Ulyanov et al. 2016); without scale and shift unless
/// told otherwise, as PyTorch's `InstanceNorm2d`.
#[derive(Module, Debug)]
pub struct InstanceNorm2d {
    /// Scale `[C]`.
    pub weight: Option<Param<Tensor<1>>>,
    /// Shift `[C]`.
    pub bias: Option<Param<Tensor<1>>>,
    eps: f64,
}

impl InstanceNorm2d {
    /// `eps` is added to the variance; PyTorch's default is 1e-5.
    pub fn new(eps: f64) -> Self {
        Self { weight: None, bias: None, eps }
    }

    /// With learned scale and shift of each of `channels`.
    pub fn affine(channels: usize, eps: f64, init: &mut Init) -> Self {
        Self { weight: Some(init.scale([channels])), bias: Some(init.zeros([channels])), eps }
    }

    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let affine = self.weight.as_ref().zip(self.bias.as_ref()).map(|(w, b)| (w.val(), b.val()));
        ops::instance_norm(x, affine, self.eps, activation)
    }
}

/// Normalises the last dimension (Ba et al. 2016), then scales and shifts each feature.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale `[C]`.
    pub weight: Param<Tensor<1>>,
    /// Shift `[C]`.
    pub bias: Param<Tensor<1>>,
    eps: f64,
}

impl LayerNorm {
    /// Of `features`; `eps` is added to the variance, PyTorch's default is 1e-5.
    pub fn new(features: usize, eps: f64, init: &mut Init) -> Self {
        Self { weight: init.ones([features]), bias: init.zeros([features]), eps }
    }

    /// `[..., C]` -> `[..., C]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }
}
