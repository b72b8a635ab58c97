//! Transposed convolution.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Init, ops};

/// The transpose of a 2-D convolution as a linear map, which turns a small picture into a large
/// one (Zeiler et al. 2010; "fractionally-strided" in Radford et al. 2015); with bias unless told
/// otherwise.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    /// `[in, out, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: usize,
    padding: usize,
    output_padding: usize,
}

impl ConvTranspose2d {
    /// Stride 1 and no padding.
    pub fn new(input: usize, output: usize, kernel: usize, init: &mut Init) -> Self {
        // PyTorch takes the fan-in from the second dimension of the weight, which is `output` here.
        let fan_in = output * kernel * kernel;
        Self {
            weight: init.weight([input, output, kernel, kernel], fan_in),
            bias: Some(init.bias([output], fan_in)),
            stride: 1,
            padding: 0,
            output_padding: 0,
        }
    }

    /// With another stride.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Takes `padding` rows and columns off each side of the output.
    #[must_use]
    pub fn with_padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Adds `output_padding` (less than the stride) rows and columns at the lower right.
    #[must_use]
    pub fn with_output_padding(self, output_padding: usize) -> Self {
        Self { output_padding, ..self }
    }

    /// Without bias, as before a normalisation that would take it out again.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// `[B, in, H, W]` -> `[B, out, H', W']` with
    /// `H' = (H - 1) stride - 2 padding + kernel + output_padding`, and `W'` likewise.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        ops::conv_transpose2d(x, self.weight.val(), bias, self.stride, self.padding, self.output_padding)
    }
}
