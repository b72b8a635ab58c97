//! Convolution that sees only what comes before in raster order.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Init, ops};

pub use super::ops::MaskType;

/// 2-D convolution that sees the pixels above and to the left (van den Oord et al. 2016, "Pixel
/// Recurrent Neural Networks", section 3.4 and figure 2).
///
/// With several `colours` (3 for RGB), channel c, counted from 0, belongs to colour `c % colours`,
/// and at the pixel itself a colour sees the colours before it (type A) or up to itself (type B).
/// Masked weights have no effect on the output and get no gradient.
#[derive(Module, Debug)]
pub struct MaskedConv2d {
    /// `[out, in, kernel, kernel]`, with the masked weights.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    mask: MaskType,
    colours: usize,
    padding: usize,
}

impl MaskedConv2d {
    /// Stride 1 and an odd `kernel`, so that the size stays; one colour.
    pub fn new(mask: MaskType, input: usize, output: usize, kernel: usize, init: &mut Init) -> Self {
        let fan_in = input * kernel * kernel;
        Self {
            weight: init.weight([output, input, kernel, kernel], fan_in),
            bias: Some(init.bias([output], fan_in)),
            mask,
            colours: 1,
            padding: kernel / 2,
        }
    }

    /// In the order of `colours`, at least 1.
    #[must_use]
    pub fn with_colours(self, colours: usize) -> Self {
        Self { colours, ..self }
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// `[B, in, H, W]` -> `[B, out, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        ops::masked_conv2d(x, self.weight.val(), bias, self.mask, self.colours, self.padding)
    }
}
