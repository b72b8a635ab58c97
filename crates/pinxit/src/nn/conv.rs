//! Convolution.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Init, ops};

/// 2-D convolution with bias.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Stride 1, and as many zeros around as an odd `kernel` needs to keep the size.
    pub fn new(input: usize, output: usize, kernel: usize, init: &mut Init) -> Self {
        let fan_in = input * kernel * kernel;
        Self {
            weight: init.uniform([output, input, kernel, kernel], fan_in),
            bias: init.uniform([output], fan_in),
            stride: 1,
            padding: kernel / 2,
        }
    }

    /// The same with all weights zero, so that it starts as the constant 0.
    pub fn zeroed(input: usize, output: usize, kernel: usize, init: &mut Init) -> Self {
        Self {
            weight: init.zeros([output, input, kernel, kernel]),
            bias: init.zeros([output]),
            stride: 1,
            padding: kernel / 2,
        }
    }

    /// With another stride.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// `[B, in, H, W]` -> `[B, out, ceil(H / stride), ceil(W / stride)]` for an odd kernel.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, self.weight.val(), Some(self.bias.val()), self.stride, self.padding)
    }
}
