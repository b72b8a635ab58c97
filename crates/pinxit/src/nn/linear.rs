//! Linear layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Init, ops};

/// `x weight^T + bias`, stored as PyTorch stores it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// From `input` to `output` features.
    pub fn new(input: usize, output: usize, init: &mut Init) -> Self {
        Self { weight: init.uniform([output, input], input), bias: init.uniform([output], input) }
    }

    /// `[N, in]` -> `[N, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(x, self.weight.val(), Some(self.bias.val()))
    }
}
