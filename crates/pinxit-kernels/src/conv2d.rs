//! Two-dimensional convolution as a matrix product over gathered patches.
//!
//! [`forward`], [`backward_x`] and [`backward_weight`] over a [`Geometry`] are the one entry of every
//! convolution: a masked one has a geometry with fewer taps, a transposed one exchanges the first two.

use crate::axis::Axis;
use crate::buffer::unwritten;
use crate::gemm::{Operand, Product, Target, gemm, gemm_all, gemm_deep};
use crate::geometry::Geometry;
use crate::glue::{self, Array, Operation};
use crate::pad::pad;
use crate::phases::{Padded, Phase};
use crate::store::End;
use crate::tile::MR;
use crate::{linear, reduce, threads, winograd};
use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use std::borrow::Cow;
use std::sync::Arc;

/// Convolution of images with a kernel, as PyTorch's `conv2d` (no dilation, one group).
///
/// `x [B, C_in, H, W]`, `weight [C_out, C_in, K_h, K_w]`, `bias [C_out]` give `[B, C_out, H', W']` with `H' =
/// (H + 2 padding - K_h) / stride + 1`, rounded down, and `W'` likewise. `padding` zeros surround the image.
/// Differentiable in `x`, `weight` and `bias`.
///
/// # Panics
/// If the channels or the bias do not match, the kernel is larger than the padded image, or the stride is 0.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    check_bias(&weight, bias.as_ref());
    if !glue::supported_layer(&x, &weight, bias.as_ref()) {
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        return burn_conv2d(x, weight, bias, options);
    }
    glue::apply_layer(Conv2d { stride, padding, alive: None }, x, weight, bias)
}

/// [`conv2d`] of stride 1 with a kernel of which some taps are zero in every filter, which are skipped: the
/// causal convolution of van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759,
/// section 3.4.
///
/// `alive` says of each tap, row by row, whether it is there. What `weight` holds at the others does not
/// matter, and its gradient there is 0.
///
/// # Panics
/// As [`conv2d`], and if `alive` does not have `K_h K_w` elements.
pub fn masked_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    alive: &[bool],
    padding: usize,
) -> Tensor<4> {
    check_bias(&weight, bias.as_ref());
    let [_, _, kh, kw] = weight.dims();
    assert_eq!(alive.len(), kh * kw, "masked_conv2d: a mask for a kernel of {kh}x{kw}");
    if glue::supported_layer(&x, &weight, bias.as_ref()) {
        return glue::apply_layer(Conv2d { stride: 1, padding, alive: Some(alive.into()) }, x, weight, bias);
    }
    let mask: Vec<f32> = alive.iter().map(|&alive| f32::from(u8::from(alive))).collect();
    let mask =
        Tensor::<4>::from_data(TensorData::new(mask, [1, 1, kh, kw]), &weight.device()).cast(weight.dtype());
    burn_conv2d(x, weight * mask, bias, ConvOptions::new([1; 2], [padding; 2], [1; 2], 1))
}

fn check_bias(weight: &Tensor<4>, bias: Option<&Tensor<1>>) {
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [weight.dims()[0]], "conv2d: bias");
    }
}

#[derive(Clone, Debug)]
struct Conv2d {
    stride: usize,
    padding: usize,
    alive: Option<Arc<[bool]>>,
}

impl Conv2d {
    fn geometry(&self, x: &Array, weight: &Array) -> Geometry<'_> {
        let geometry = Geometry::new(x.dims(), weight.dims(), self.stride, self.padding);
        self.alive.as_ref().map_or(geometry, |alive| geometry.masked(alive))
    }
}

impl Operation for Conv2d {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, weight, bias @ ..] = inputs else { unreachable!("a convolution has two or three inputs") };
        let geometry = self.geometry(x, weight);
        let y = forward(&geometry, x.data(), weight.data(), bias.first().map(Array::data));
        Array::new(y, geometry.output_dims())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let geometry = self.geometry(x, weight);
        let dx = || Array::new(backward_x(&geometry, weight.data(), grad.data(), None), x.dims::<4>());
        let dw = || Array::new(backward_weight(&geometry, x.data(), grad.data()), weight.dims::<4>());
        let db = || Array::new(backward_bias(grad), [geometry.out_channels]);
        glue::layer_grads(wanted, dx, dw, db)
    }
}

fn pad_input<'a>(g: &Geometry, x: &'a [f32]) -> Cow<'a, [f32]> {
    pad(x, g.input, g.padded(), [g.padding; 2])
}

/// A convolution whose kernel covers the whole image is a fully connected layer.
fn dense(g: &Geometry) -> Option<linear::Sizes> {
    let covers = g.padding == 0 && g.kernel == g.input && g.alive.is_none();
    covers.then(|| linear::Sizes { batch: g.images, inputs: g.filter(), outputs: g.out_channels })
}

/// `y[b, o, .] = sum over (c, i, j) of weight[o, c, i, j] x[b, c, .] + bias[o]`.
pub(crate) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    if let Some(sizes) = dense(g) {
        return linear::forward(sizes, x, weight, End::bias(bias));
    }
    if let Some(y) = winograd::forward(g, x, weight, bias) {
        return y;
    }
    let x = pad_input(g, x);
    let (weights, taps) = (g.weights(), g.taps());
    let product = Product {
        a: Operand::new(weight, Axis::line(g.out_channels, g.filter()), Axis::List(&weights)),
        b: Operand::new(&x, g.pixels(), Axis::List(&taps)),
        to: Target { rows: Axis::line(g.out_channels, g.output_area()), cols: g.output_pixels() },
        end: End::bias(bias),
    };
    let mut y = unwritten(g.output_dims().iter().product());
    // SAFETY: the target is the row-major output itself.
    unsafe { gemm(product, &mut y) };
    y
}

/// `dw[o, c, i, j] = sum over (b, y, x) of dy[b, o, y, x] x[b, c, ...]`, image after image.
pub(crate) fn backward_weight(g: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    if let Some(sizes) = dense(g) {
        return linear::backward_weight(sizes, x, dy);
    }
    if let Some(dw) = winograd::backward_weight(g, x, dy) {
        return dw;
    }
    let x = pad_input(g, x);
    let (taps, weights) = (g.taps(), g.weights());
    let patches = Operand::new(&x, Axis::List(&taps), g.pixels());
    let channels = Operand::new(dy, Axis::line(g.out_channels, g.output_area()), g.output_pixels());
    let (filters, weights) = (Axis::line(g.out_channels, g.filter()), Axis::List(&weights));
    // The rows of the product are read in place, so they are the patches, whose numbers are read by many taps.
    let product = if g.out_channels > MR {
        Product { a: patches, b: channels, to: Target { rows: weights, cols: filters }, end: End::default() }
    } else {
        Product { a: channels, b: patches, to: Target { rows: filters, cols: weights }, end: End::default() }
    };
    let len = g.out_channels * g.filter();
    let mut dw = if g.alive.is_some() { vec![0.0; len] } else { unwritten(len) };
    // SAFETY: the places of different weights are different, and without a mask they are all there are.
    unsafe { gemm_deep(product, &mut dw) };
    dw
}

/// `db[c] = sum over (b, y, x) of dy[b, c, y, x]`.
pub(crate) fn backward_bias(dy: &Array) -> Vec<f32> {
    let [images, channels, h, w] = dy.dims();
    let mut sums = vec![0.0; images * channels];
    threads::for_each_block([&mut sums], [1], dy.data().len(), |plane, [sum]| {
        sum[0] = reduce::sum(&dy.data()[plane * h * w..][..h * w]) as f32;
    });
    reduce::sum_rows(&sums, channels)
}

/// `dx[b, c, .] = sum over (o, i, j) of weight[o, c, i, j] dy[b, o, .] + bias[c]`, where only a transposed
/// convolution has a bias.
pub(crate) fn backward_x(g: &Geometry, weight: &[f32], dy: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    if let (Some(sizes), None) = (dense(g), bias) {
        return linear::backward_x(sizes, weight, dy);
    }
    if let Some(dx) = winograd::backward_x(g, weight, dy, bias) {
        return dx;
    }
    let reach = g.kernel.map(|size| size.div_ceil(g.stride) - 1);
    let last = g.input.map(|size| (size - 1 + g.padding) / g.stride);
    let size: [usize; 2] = std::array::from_fn(|d| reach[d] + g.output[d].max(last[d] + 1));
    let dy = pad(dy, g.output, size, reach);
    let dy = Padded { data: &dy, size, reach };
    let phases: Vec<Phase> =
        (0..g.stride * g.stride).filter_map(|at| Phase::new(g, [at / g.stride, at % g.stride], dy)).collect();
    let products: Vec<Product> = phases.iter().map(|phase| phase.product(g, weight, dy, bias)).collect();
    let mut dx = unwritten(g.images * g.in_channels * g.input_area());
    // SAFETY: each pixel belongs to one phase.
    unsafe { gemm_all(&products, &mut dx) };
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::twin;
    use crate::testing::{assert_close, numbers};

    /// Input [B, C, H, W], weight [O, C, K_h, K_w], stride, padding.
    const CASES: [([usize; 4], [usize; 4], usize, usize); 11] = [
        ([1, 1, 1, 1], [1, 1, 1, 1], 1, 0),
        ([3, 5, 7, 9], [4, 5, 3, 3], 1, 1),
        ([2, 3, 8, 8], [9, 3, 3, 3], 1, 1),
        ([5, 9, 4, 4], [17, 9, 3, 3], 1, 1),
        ([2, 33, 16, 16], [10, 33, 3, 3], 1, 1),
        ([2, 6, 32, 32], [3, 6, 1, 1], 1, 0),
        ([2, 4, 8, 8], [6, 4, 4, 4], 2, 1),
        ([2, 3, 9, 7], [5, 3, 3, 3], 2, 1),
        ([2, 2, 11, 10], [3, 2, 2, 3], 3, 2),
        ([2, 2, 6, 6], [3, 2, 1, 1], 2, 0),
        ([1, 2, 5, 5], [2, 2, 3, 3], 1, 4),
    ];

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for (x_dims, w_dims, stride, padding) in CASES {
            check(&Geometry::new(x_dims, w_dims, stride, padding));
        }
    }

    #[test]
    fn masked_taps_are_skipped_forward_and_backward() {
        for (x_dims, w_dims, stride, padding) in CASES {
            let taps = w_dims[2] * w_dims[3];
            for alive in [taps / 2, taps / 2 + 1, taps] {
                let alive: Vec<bool> = (0..taps).map(|tap| tap < alive).collect();
                check(&Geometry::new(x_dims, w_dims, stride, padding).masked(&alive));
            }
        }
    }

    fn check(g: &Geometry) {
        let x = numbers(g.images * g.in_channels * g.input_area(), 1);
        let weight = numbers(g.out_channels * g.filter(), 2);
        let (bias, in_bias) = (numbers(g.out_channels, 3), numbers(g.in_channels, 5));
        let dy = numbers(g.output_dims().iter().product(), 4);
        assert_close(&forward(g, &x, &weight, Some(&bias)), &twin::forward(g, &x, &weight, &bias), 1e-5);
        let [mut dx, dw, db] = twin::backward(g, &x, &weight, &dy);
        assert_close(&backward_x(g, &weight, &dy, None), &dx, 1e-5);
        let channel = |i: usize| i / g.input_area() % g.in_channels;
        dx.iter_mut().enumerate().for_each(|(i, dx)| *dx += f64::from(in_bias[channel(i)]));
        assert_close(&backward_x(g, &weight, &dy, Some(&in_bias)), &dx, 1e-5);
        assert_close(&backward_weight(g, &x, &dy), &dw, 1e-5);
        assert_close(&backward_bias(&Array::new(dy, g.output_dims())), &db, 1e-5);
    }
}
