//! Linear layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Init, ops};

/// `x weight^T + bias`, stored as PyTorch stores it; with bias unless told otherwise.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// From `input` to `output` features.
    pub fn new(input: usize, output: usize, init: &mut Init) -> Self {
        Self { weight: init.weight([output, input], input), bias: Some(init.bias([output], input)) }
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// `[N, in]` -> `[N, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
