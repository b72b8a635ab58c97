//! Two-dimensional convolution as a matrix product over gathered patches.
//!
//! [`forward`], [`backward_x`] and [`backward_weight`] over a [`Geometry`] are the one entry of every
//! convolution: a masked one has a geometry with fewer taps, a transposed one exchanges the first two.

use crate::gemm::{Operand, Target, gemm, multiples};
use crate::geometry::{Geometry, grid};
use crate::glue::{self, Array, Operation};
use crate::{reduce, threads, winograd};
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
    if !supported(&x, &weight, bias.as_ref()) {
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        return burn_conv2d(x, weight, bias, options);
    }
    apply(Conv2d { stride, padding, alive: None }, x, weight, bias)
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
    if supported(&x, &weight, bias.as_ref()) {
        return apply(Conv2d { stride: 1, padding, alive: Some(alive.into()) }, x, weight, bias);
    }
    let mask: Vec<f32> = alive.iter().map(|&alive| f32::from(u8::from(alive))).collect();
    let mask = Tensor::from_data(TensorData::new(mask, [1, 1, kh, kw]), &weight.device());
    burn_conv2d(x, weight * mask, bias, ConvOptions::new([1; 2], [padding; 2], [1; 2], 1))
}

fn check_bias(weight: &Tensor<4>, bias: Option<&Tensor<1>>) {
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [weight.dims()[0]], "conv2d: bias");
    }
}

/// Whether the kernels handle these tensors.
pub(crate) fn supported<const D: usize>(x: &Tensor<D>, weight: &Tensor<D>, bias: Option<&Tensor<1>>) -> bool {
    glue::supported(x) && glue::supported(weight) && bias.is_none_or(glue::supported)
}

/// `op(x, weight, bias)` or `op(x, weight)`.
pub(crate) fn apply<const D: usize>(
    op: impl Operation,
    x: Tensor<D>,
    weight: Tensor<D>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    match bias {
        Some(bias) => glue::apply3(op, x, weight, bias),
        None => glue::apply2(op, x, weight),
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
        let mut grads = vec![wanted[0].then(dx), wanted[1].then(dw)];
        if let Some(&wanted) = wanted.get(2) {
            grads.push(wanted.then(db));
        }
        grads
    }
}

/// The planes of `x`, `from` in size, set into planes of zeros of the size `to` at (`top`, `top`).
fn pad(x: &[f32], from: [usize; 2], to: [usize; 2], top: [usize; 2]) -> Cow<'_, [f32]> {
    if from == to {
        return Cow::Borrowed(x);
    }
    let (area, padded) = (from[0] * from[1], to[0] * to[1]);
    let mut out = vec![0.0; x.len() / area.max(1) * padded];
    threads::for_each_block([&mut out], [padded], x.len(), |plane, [out]| {
        let rows = x[plane * area..][..area].chunks_exact(from[1]);
        for (row, out) in rows.zip(out.chunks_exact_mut(to[1]).skip(top[0])) {
            out[top[1]..top[1] + from[1]].copy_from_slice(row);
        }
    });
    Cow::Owned(out)
}

fn pad_input<'a>(g: &Geometry, x: &'a [f32]) -> Cow<'a, [f32]> {
    pad(x, g.input, g.padded(), [g.padding; 2])
}

/// Sets the planes of images to the bias of their channel.
fn fill_planes(y: &mut [f32], area: usize, bias: Option<&[f32]>) {
    let len = y.len();
    if let Some(bias) = bias {
        threads::for_each_block([y], [area], len, |plane, [y]| y.fill(bias[plane % bias.len()]));
    }
}

/// `y[b, o, .] = sum over (c, i, j) of weight[o, c, i, j] x[b, c, .] + bias[o]`.
pub(crate) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    if let Some(y) = winograd::forward(g, x, weight, bias) {
        return y;
    }
    let mut y = vec![0.0; g.output_dims().iter().product()];
    fill_planes(&mut y, g.output_area(), bias);
    let x = pad_input(g, x);
    let (channels, within) = (multiples(g.out_channels, g.filter()), g.weights());
    let (pixels, taps) = (g.pixels(), g.taps());
    let (rows, cols) = (multiples(g.out_channels, g.output_area()), g.output_pixels());
    let a = Operand::new(weight, &channels, &within);
    let b = Operand::new(&x, &pixels, &taps);
    // SAFETY: the target is the row-major output itself.
    unsafe { gemm(a, b, Target { rows: &rows, cols: &cols }, &mut y) };
    y
}

/// `dw[o, c, i, j] = sum over (b, y, x) of dy[b, o, y, x] x[b, c, ...]`, image after image.
pub(crate) fn backward_weight(g: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    if let Some(dw) = winograd::backward_weight(g, x, dy) {
        return dw;
    }
    let x = pad_input(g, x);
    let (taps, pixels) = (g.taps(), g.pixels());
    let (channels, output_pixels) = (multiples(g.out_channels, g.output_area()), g.output_pixels());
    let (rows, cols) = (multiples(taps.len(), g.out_channels), multiples(g.out_channels, 1));
    let a = Operand::new(&x, &taps, &pixels);
    let b = Operand::new(dy, &channels, &output_pixels);
    // Summed with the output channels side by side, transposed once.
    let mut sums = vec![0.0; g.out_channels * taps.len()];
    // SAFETY: the target is a row-major matrix.
    unsafe { gemm(a, b, Target { rows: &rows, cols: &cols }, &mut sums) };
    let mut dw = vec![0.0; g.out_channels * g.filter()];
    let weights = g.weights();
    for (o, dw) in dw.chunks_exact_mut(g.filter().max(1)).enumerate() {
        for (&at, sums) in weights.iter().zip(sums.chunks_exact(g.out_channels)) {
            dw[at] = sums[o];
        }
    }
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

/// `dx`, one phase at a time.
///
/// Input pixels whose padded place is r modulo the stride see only the taps r, r + s, r + 2s, ..., so each of
/// the s x s phases of `dx` is a convolution of `dy` with stride 1 by those taps reversed. With s = 1 this is
/// the convolution with the flipped kernel. `bias` is one of the input channels, which a transposed
/// convolution adds.
pub(crate) fn backward_x(g: &Geometry, weight: &[f32], dy: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    if let Some(dx) = winograd::backward_x(g, weight, dy, bias) {
        return dx;
    }
    let mut dx = vec![0.0; g.images * g.in_channels * g.input_area()];
    fill_planes(&mut dx, g.input_area(), bias);
    let reach = g.kernel.map(|size| size.div_ceil(g.stride) - 1);
    let last = g.input.map(|size| (size - 1 + g.padding) / g.stride);
    let size: [usize; 2] = std::array::from_fn(|d| reach[d] + g.output[d].max(last[d] + 1));
    let dy = pad(dy, g.output, size, reach);
    for phase in 0..g.stride * g.stride {
        let phase = [phase / g.stride, phase % g.stride];
        backward_x_phase(g, phase, weight, &dy, size, reach, &mut dx);
    }
    dx
}

fn backward_x_phase(
    g: &Geometry,
    phase: [usize; 2],
    weight: &[f32],
    dy: &[f32],
    size: [usize; 2],
    reach: [usize; 2],
    dx: &mut [f32],
) {
    let s = g.stride;
    // Places q with 0 <= s q + phase - padding < size of the input.
    let first: [usize; 2] = std::array::from_fn(|d| g.padding.saturating_sub(phase[d]).div_ceil(s));
    let end: [usize; 2] =
        std::array::from_fn(|d| (g.input[d] + g.padding).saturating_sub(phase[d]).div_ceil(s));
    let count: [usize; 2] = std::array::from_fn(|d| end[d].saturating_sub(first[d]));
    let taps = g.phase_taps(phase);
    if count.contains(&0) || taps.is_empty() {
        return;
    }
    let ([kh, kw], [h, w]) = (g.kernel, size);
    let (mut in_weight, mut in_dy) = (Vec::new(), Vec::new());
    for o in 0..g.out_channels {
        for [i, j] in &taps {
            in_weight.push((o * g.in_channels * kh + i) * kw + j);
            in_dy.push((o * h + reach[0] - i / s) * w + reach[1] - j / s);
        }
    }
    let offset = |steps: [usize; 2], start: usize, image: usize| {
        let mut offsets = grid([g.images, count[0], count[1]], [image, steps[0], steps[1]]);
        offsets.iter_mut().for_each(|offset| *offset += start);
        offsets
    };
    let patches = offset([w, 1], first[0] * w + first[1], g.out_channels * h * w);
    let [top, left]: [usize; 2] = std::array::from_fn(|d| first[d] * s + phase[d] - g.padding);
    let cols = offset([s * g.input[1], s], top * g.input[1] + left, g.in_channels * g.input_area());
    let channels = multiples(g.in_channels, kh * kw);
    let rows = multiples(g.in_channels, g.input_area());
    let a = Operand::new(weight, &channels, &in_weight);
    let b = Operand::new(dy, &patches, &in_dy);
    // SAFETY: different pixels of different planes.
    unsafe { gemm(a, b, Target { rows: &rows, cols: &cols }, dx) };
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
