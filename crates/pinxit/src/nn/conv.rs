//! Convolution.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Init, Weights, ops};

/// 2-D convolution, with bias unless told otherwise.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Stride 1, and as many zeros around as an odd `kernel` needs to keep the size.
    pub fn new(input: usize, output: usize, kernel: usize, init: &mut Init) -> Self {
        let fan_in = input * kernel * kernel;
        Self {
            weight: init.weight([output, input, kernel, kernel], fan_in),
            bias: Some(init.bias([output], fan_in)),
            stride: 1,
            padding: kernel / 2,
        }
    }

    /// The same with all weights zero, so that it starts as the constant 0.
    pub fn zeroed(input: usize, output: usize, kernel: usize, init: &mut Init) -> Self {
        init.with(Weights::Zeros, |init| Self::new(input, output, kernel, init))
    }

    /// With another stride.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With `padding` zeros on each side.
    #[must_use]
    pub fn with_padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Without bias, as before a normalisation that would take it out again.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// `[B, in, H, W]` -> `[B, out, H', W']` with `H' = (H + 2 padding - kernel) / stride + 1`,
    /// rounded down, and `W'` likewise: `ceil(H / stride)` for an odd kernel and its own padding.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), self.stride, self.padding)
    }
}
