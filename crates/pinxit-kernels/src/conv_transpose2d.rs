//! Transposed convolution: the gradient of a convolution with respect to its input, as an operation.
//!
//! Its input plays the gradient of the output, its output the gradient of the input, and its weight is the
//! same: so forward is [`conv2d::backward_x`], and backward is [`conv2d::forward`].

use crate::conv2d;
use crate::geometry::Geometry;
use crate::glue::{Array, Operation};
use burn::tensor::Tensor;
use burn::tensor::module::conv_transpose2d as burn_conv_transpose2d;
use burn::tensor::ops::ConvTransposeOptions;

/// Transposed convolution, as PyTorch's `conv_transpose2d` (no dilation, one group).
///
/// `x [B, C_in, H, W]`, `weight [C_in, C_out, K_h, K_w]`, `bias [C_out]` give `[B, C_out, H', W']` with `H' =
/// (H - 1) stride - 2 padding + K_h + output_padding`, and `W'` likewise. Differentiable in `x`, `weight` and
/// `bias`.
///
/// # Panics
/// If the channels or the bias do not match, the output would be empty, or `output_padding` is not less than
/// the stride.
pub fn conv_transpose2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
    output_padding: usize,
) -> Tensor<4> {
    let op = ConvTranspose2d { stride, padding, output_padding };
    // Asks about the sizes.
    let _ = op.geometry(x.dims(), weight.dims());
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [weight.dims()[1]], "conv_transpose2d: bias");
    }
    if conv2d::supported(&x, &weight, bias.as_ref()) {
        return conv2d::apply(op, x, weight, bias);
    }
    let options = ConvTransposeOptions::new([stride; 2], [padding; 2], [output_padding; 2], [1; 2], 1);
    burn_conv_transpose2d(x, weight, bias, options)
}

#[derive(Clone, Debug)]
struct ConvTranspose2d {
    stride: usize,
    padding: usize,
    output_padding: usize,
}

impl ConvTranspose2d {
    /// The convolution whose input has the size of this one's output.
    fn geometry(&self, x: [usize; 4], weight: [usize; 4]) -> Geometry<'static> {
        let ([images, channels, ..], [in_channels, out_channels, ..]) = (x, weight);
        assert_eq!(channels, in_channels, "conv_transpose2d: input {x:?} and weight {weight:?}");
        assert!(
            self.output_padding < self.stride,
            "conv_transpose2d: an output padding of {} with the stride {}",
            self.output_padding,
            self.stride
        );
        let [h, w] = [2, 3].map(|d| {
            let full = (x[d].max(1) - 1) * self.stride + weight[d] + self.output_padding;
            let size = full.checked_sub(2 * self.padding).filter(|&size| size > 0 && x[d] > 0);
            assert!(size.is_some(), "conv_transpose2d: nothing is left of {x:?} by {weight:?}");
            size.unwrap_or_default()
        });
        Geometry::new([images, out_channels, h, w], weight, self.stride, self.padding)
    }

    fn of(&self, inputs: &[Array]) -> Geometry<'static> {
        self.geometry(inputs[0].dims(), inputs[1].dims())
    }
}

impl Operation for ConvTranspose2d {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, weight, bias @ ..] = inputs else { unreachable!("a convolution has two or three inputs") };
        let g = self.of(inputs);
        let y = conv2d::backward_x(&g, weight.data(), x.data(), bias.first().map(Array::data));
        Array::new(y, [g.images, g.in_channels, g.input[0], g.input[1]])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let (g, dy) = (self.of(inputs), grad.data());
        let dx = || Array::new(conv2d::forward(&g, dy, inputs[1].data(), None), inputs[0].dims::<4>());
        let dw = || Array::new(conv2d::backward_weight(&g, dy, inputs[0].data()), inputs[1].dims::<4>());
        let db = || Array::new(conv2d::backward_bias(grad), [g.in_channels]);
        let mut grads = vec![wanted[0].then(dx), wanted[1].then(dw)];
        if let Some(&wanted) = wanted.get(2) {
            grads.push(wanted.then(db));
        }
        grads
    }
}
