//! Two-dimensional convolution as a matrix product over gathered patches.
//!
//! The pixel (y, x) of the output sees the input pixels (s y + i - p, s x + j - p) for the taps (i, j) of the
//! kernel, with the stride s and the padding p. With the input padded once, the place of a patch's pixel is a
//! sum of two offsets, one of the output pixel and one of the tap ([`Geometry::pixels`], [`Geometry::taps`]),
//! which is the form that [`crate::gemm`] multiplies directly.

use crate::gemm::{Operand, Target, gemm, multiples};
use crate::glue::{self, Array, Operation};
use crate::{reduce, threads, winograd};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::ConvOptions;
use std::borrow::Cow;

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
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [weight.dims()[0]], "conv2d: bias");
    }
    if !(glue::supported(&x) && glue::supported(&weight) && bias.as_ref().is_none_or(glue::supported)) {
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        return burn_conv2d(x, weight, bias, options);
    }
    let op = Conv2d { stride, padding };
    match bias {
        Some(bias) => glue::apply3(op, x, weight, bias),
        None => glue::apply2(op, x, weight),
    }
}

#[derive(Clone, Debug)]
struct Conv2d {
    stride: usize,
    padding: usize,
}

impl Conv2d {
    fn geometry(&self, x: &Array, weight: &Array) -> Geometry {
        Geometry::new(x.dims(), weight.dims(), self.stride, self.padding)
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
        let dx = || Array::new(backward_x(&geometry, weight.data(), grad.data()), x.dims::<4>());
        let dw = || Array::new(backward_weight(&geometry, x.data(), grad.data()), weight.dims::<4>());
        let db = || Array::new(backward_bias(&geometry, grad.data()), [geometry.out_channels]);
        let mut grads = vec![wanted[0].then(dx), wanted[1].then(dw)];
        if let Some(&wanted) = wanted.get(2) {
            grads.push(wanted.then(db));
        }
        grads
    }
}

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) images: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) input: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Geometry {
    pub(crate) fn new(x: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) -> Self {
        let ([images, in_channels, h, w], [out_channels, channels, kh, kw]) = (x, weight);
        assert_eq!(in_channels, channels, "conv2d: input {x:?} and weight {weight:?} differ in channels");
        assert!(stride > 0, "conv2d: the stride is 0");
        let fits = kh <= h + 2 * padding && kw <= w + 2 * padding && kh * kw > 0;
        assert!(fits, "conv2d: kernel {weight:?} does not fit into {x:?} padded by {padding}");
        let output = [(h + 2 * padding - kh) / stride + 1, (w + 2 * padding - kw) / stride + 1];
        Self { images, in_channels, out_channels, input: [h, w], kernel: [kh, kw], output, stride, padding }
    }

    pub(crate) fn output_dims(&self) -> [usize; 4] {
        [self.images, self.out_channels, self.output[0], self.output[1]]
    }

    fn padded(&self) -> [usize; 2] {
        self.input.map(|size| size + 2 * self.padding)
    }

    fn output_area(&self) -> usize {
        self.output[0] * self.output[1]
    }

    fn input_area(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Numbers of one patch: `C_in K_h K_w`.
    fn patch(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
    }

    /// Place of each tap (c, i, j) in the padded input, relative to its patch.
    fn taps(&self) -> Vec<usize> {
        let [h, w] = self.padded();
        grid([self.in_channels, self.kernel[0], self.kernel[1]], [h * w, w, 1])
    }

    /// Place of the patch of each output pixel (b, y, x) in the padded input.
    fn pixels(&self) -> Vec<usize> {
        let [h, w] = self.padded();
        let steps = [self.in_channels * h * w, self.stride * w, self.stride];
        grid([self.images, self.output[0], self.output[1]], steps)
    }

    /// Place of each output pixel (b, y, x) of channel 0 in the output.
    fn output_pixels(&self) -> Vec<usize> {
        grid([self.images, 1, self.output_area()], [self.out_channels * self.output_area(), 0, 1])
    }
}

/// Offsets of the points of a grid in row-major order.
fn grid(sizes: [usize; 3], steps: [usize; 3]) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(sizes.iter().product());
    for a in 0..sizes[0] {
        for b in 0..sizes[1] {
            let start = a * steps[0] + b * steps[1];
            offsets.extend((0..sizes[2]).map(|c| start + c * steps[2]));
        }
    }
    offsets
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

/// `y[b, o, .] = sum over (c, i, j) of weight[o, c, i, j] x[b, c, .] + bias[o]`.
pub(crate) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    if let Some(y) = winograd::forward(g, x, weight, bias) {
        return y;
    }
    let mut y = vec![0.0; g.output_dims().iter().product()];
    if let Some(bias) = bias {
        threads::for_each_block(
            [&mut y],
            [g.output_area()],
            g.images * g.out_channels * g.output_area(),
            |plane, [y]| {
                y.fill(bias[plane % g.out_channels]);
            },
        );
    }
    let x = pad_input(g, x);
    let (channels, within) = (multiples(g.out_channels, g.patch()), multiples(g.patch(), 1));
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
    let (rows, cols) = (multiples(g.patch(), g.out_channels), multiples(g.out_channels, 1));
    let a = Operand::new(&x, &taps, &pixels);
    let b = Operand::new(dy, &channels, &output_pixels);
    // Summed with the output channels side by side, transposed once.
    let mut sums = vec![0.0; g.out_channels * g.patch()];
    // SAFETY: the target is a row-major matrix.
    unsafe { gemm(a, b, Target { rows: &rows, cols: &cols }, &mut sums) };
    let mut dw = Vec::with_capacity(sums.len());
    (0..g.out_channels).for_each(|o| dw.extend(sums.iter().skip(o).step_by(g.out_channels)));
    dw
}

/// `db[o] = sum over (b, y, x) of dy[b, o, y, x]`.
pub(crate) fn backward_bias(g: &Geometry, dy: &[f32]) -> Vec<f32> {
    let area = g.output_area();
    let mut sums = vec![0.0; g.images * g.out_channels];
    threads::for_each_block([&mut sums], [1], dy.len(), |plane, [sum]| {
        sum[0] = reduce::sum(&dy[plane * area..][..area]) as f32;
    });
    reduce::sum_rows(&sums, g.out_channels)
}

/// `dx`, one phase at a time.
///
/// Input pixels whose padded place is r modulo the stride see only the taps r, r + s, r + 2s, ..., so each of
/// the s x s phases of `dx` is a convolution of `dy` with stride 1 by those taps reversed. With s = 1 this is
/// the convolution with the flipped kernel.
pub(crate) fn backward_x(g: &Geometry, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    if let Some(dx) = winograd::backward_x(g, weight, dy) {
        return dx;
    }
    let mut dx = vec![0.0; g.images * g.in_channels * g.input_area()];
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
    let taps: [usize; 2] = std::array::from_fn(|d| g.kernel[d].saturating_sub(phase[d]).div_ceil(s));
    if count.contains(&0) || taps.contains(&0) {
        return;
    }
    let ([kh, kw], [h, w]) = (g.kernel, size);
    let (mut in_weight, mut in_dy) = (Vec::new(), Vec::new());
    for o in 0..g.out_channels {
        for i in 0..taps[0] {
            for j in 0..taps[1] {
                in_weight.push((o * g.in_channels * kh + phase[0] + i * s) * kw + phase[1] + j * s);
                in_dy.push((o * h + reach[0] - i) * w + reach[1] - j);
            }
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

/// The plain twin: the definition, summed in f64, forward and backward at once.
#[cfg(test)]
pub(crate) mod twin {
    use super::Geometry;

    /// Calls `f(index of y, of x, of weight)` for each product in the definition.
    fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
        let ([h, w], [kh, kw], [oh, ow]) = (g.input, g.kernel, g.output);
        for b in 0..g.images {
            for (o, c) in (0..g.out_channels).flat_map(|o| (0..g.in_channels).map(move |c| (o, c))) {
                for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                    for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                        let (v, u) = (y * g.stride + i, x * g.stride + j);
                        let inside = |at: usize, size: usize| at >= g.padding && at - g.padding < size;
                        if inside(v, h) && inside(u, w) {
                            f(
                                ((b * g.out_channels + o) * oh + y) * ow + x,
                                ((b * g.in_channels + c) * h + v - g.padding) * w + u - g.padding,
                                ((o * g.in_channels + c) * kh + i) * kw + j,
                            );
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
        let area = g.output_area();
        let count = g.images * g.out_channels * area;
        let mut out: Vec<f64> = (0..count).map(|i| f64::from(bias[i / area % g.out_channels])).collect();
        products(g, |y, v, w| out[y] += f64::from(x[v]) * f64::from(weight[w]));
        out
    }

    pub(crate) fn backward(g: &Geometry, x: &[f32], weight: &[f32], dy: &[f32]) -> [Vec<f64>; 3] {
        let mut grads = [vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; g.out_channels]];
        products(g, |y, v, w| {
            grads[0][v] += f64::from(dy[y]) * f64::from(weight[w]);
            grads[1][w] += f64::from(dy[y]) * f64::from(x[v]);
        });
        let area = g.output_area();
        dy.iter().enumerate().for_each(|(i, &dy)| grads[2][i / area % g.out_channels] += f64::from(dy));
        grads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            let g = Geometry::new(x_dims, w_dims, stride, padding);
            let x = numbers(x_dims.iter().product(), 1);
            let weight = numbers(w_dims.iter().product(), 2);
            let bias = numbers(w_dims[0], 3);
            let dy = numbers(g.output_dims().iter().product(), 4);
            assert_close(
                &forward(&g, &x, &weight, Some(&bias)),
                &twin::forward(&g, &x, &weight, &bias),
                1e-5,
            );
            let [dx, dw, db] = twin::backward(&g, &x, &weight, &dy);
            assert_close(&backward_x(&g, &weight, &dy), &dx, 1e-5);
            assert_close(&backward_weight(&g, &x, &dy), &dw, 1e-5);
            assert_close(&backward_bias(&g, &dy), &db, 1e-5);
        }
    }
}
