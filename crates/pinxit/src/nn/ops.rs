//! The operations that the layers are made of: the one place that calls kernels.
//!
//! On the CPU they are the kernels of `pinxit-kernels`, on a GPU compositions of Burn's operations;
//! a layer doesn't know.

use burn::tensor::ops::{AvgPoolOptions, PadMode};
use burn::tensor::{Device, Int, Tensor, TensorData, activation, module};

pub use pinxit_kernels::{
    Activation, AdamStep, activate, adam, attention, conv_transpose2d, conv2d, group_norm, lerp, linear,
    sum_of_squares, upsample_nearest2,
};

/// `tanh(a) sigmoid(b)` of the two halves of the channels (van den Oord et al. 2016, "Conditional
/// Image Generation with PixelCNN Decoders", eq. 2): `[B, 2C, H, W]` -> `[B, C, H, W]`.
pub fn gated(x: Tensor<4>) -> Tensor<4> {
    let half = x.dims()[1] / 2;
    let (a, b) = (x.clone().narrow(1, 0, half), x.narrow(1, half, half));
    a.tanh() * activation::sigmoid(b)
}

/// Instance normalisation with optional scale and shift `[C]`, and activation: `[B, C, H, W]` ->
/// `[B, C, H, W]`.
pub fn instance_norm(
    x: Tensor<4>,
    affine: Option<(Tensor<1>, Tensor<1>)>,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let channels = x.dims()[1];
    let (gamma, beta) = affine
        .unwrap_or_else(|| (Tensor::ones([channels], &x.device()), Tensor::zeros([channels], &x.device())));
    group_norm(x, gamma, beta, channels, eps, activation)
}

/// Normalisation of the last dimension: `[..., C]` -> `[..., C]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    let features = gamma.dims()[0];
    let mut line = [1; D];
    line[D - 1] = features;
    centred / (variance + eps).sqrt() * gamma.reshape(line) + beta.reshape(line)
}

/// Batch normalisation by the batch's statistics, and activation. Gives `[B, C, ...]` and the mean
/// and the (biased) variance `[C]`, both without autodiff.
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> (Tensor<D>, [Tensor<1>; 2]) {
    let dims = x.dims();
    let (b, c) = (dims[0], dims[1]);
    let x = x.reshape([b as i32, c as i32, -1]); // [B, C, N]
    let n = x.dims()[2] as f64 * b as f64;
    let total = |x: Tensor<3>| x.sum_dim(2).sum_dim(0) / n; // [1, C, 1]
    let mean = total(x.clone());
    let centred = x - mean.clone();
    let variance = total(centred.clone().square());
    let statistics = [mean, variance.clone()].map(|t| t.inner().reshape([c]));
    let y = centred / (variance + eps).sqrt() * gamma.reshape([1, c, 1]) + beta.reshape([1, c, 1]);
    (activate(y.reshape(dims), activation), statistics)
}

/// Batch normalisation by given mean and variance `[C]` (without autodiff), and activation:
/// `[B, C, ...]` -> `[B, C, ...]`.
pub fn batch_norm_inference<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    [mean, variance]: [Tensor<1>; 2],
    eps: f64,
    activation: Activation,
) -> Tensor<D> {
    let device = x.device();
    let slope = gamma * onto((variance + eps).sqrt().recip(), &device);
    let intercept = beta - onto(mean, &device) * slope.clone();
    let mut line = [1; D];
    line[1] = slope.dims()[0];
    activate(x * slope.reshape(line) + intercept.reshape(line), activation)
}

/// Whether a masked convolution sees the pixel itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskType {
    /// Not the pixel itself, only what comes before it: the first layer.
    A,
    /// The pixel itself as well: all other layers.
    B,
}

/// Convolution with stride 1 that sees only what comes before in raster order; see
/// [`MaskedConv2d`](super::MaskedConv2d).
///
/// `x [B, C_in, H, W]`, `weight [C_out, C_in, K, K]` with odd K, `bias [C_out]` give
/// `[B, C_out, H', W']` with `H' = H + 2 padding - K + 1`.
pub fn masked_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    mask: MaskType,
    colours: usize,
    padding: usize,
) -> Tensor<4> {
    let dims @ [_, _, kh, kw] = weight.dims();
    let mask = causal_mask(dims, mask, colours);
    let alive: Vec<bool> =
        (0..kh * kw).map(|tap| mask.iter().skip(tap).step_by(kh * kw).any(|&seen| seen > 0.0)).collect();
    // The taps are the same for all pairs of channels, except for the pixel itself of several colours.
    let weight = if colours > 1 {
        weight * Tensor::from_data(TensorData::new(mask, dims), &x.device())
    } else {
        weight
    };
    pinxit_kernels::masked_conv2d(x, weight, bias, &alive, padding)
}

/// 1 where a weight `[out, in, kernel, kernel]` is seen and 0 where it is masked.
fn causal_mask([out, input, kh, kw]: [usize; 4], mask: MaskType, colours: usize) -> Vec<f32> {
    let centre = (kh / 2, kw / 2);
    let mut seen = Vec::with_capacity(out * input * kh * kw);
    for (o, i) in (0..out).flat_map(|o| (0..input).map(move |i| (o % colours, i % colours))) {
        let itself = if mask == MaskType::A { i < o } else { i <= o };
        for at in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
            seen.push(f32::from(u8::from(at < centre || at == centre && itself)));
        }
    }
    seen
}

/// `matrix [M, N]` times `vector [N]` -> `[M]`.
pub fn matrix_vector(matrix: Tensor<2>, vector: Tensor<1>) -> Tensor<1> {
    let rows = matrix.dims()[0];
    linear(vector.unsqueeze(), matrix, None).reshape([rows])
}

/// Adds `padding` rows and columns on each side, mirrored without the edge itself; `padding` must
/// be less than the size. `[B, C, H, W]` -> `[B, C, H + 2 padding, W + 2 padding]`.
pub fn reflection_pad(x: Tensor<4>, padding: usize) -> Tensor<4> {
    x.pad([(padding, padding), (padding, padding)], PadMode::Reflect)
}

/// Channels to pixels (Shi et al. 2016, eq. 4): `[B, C r^2, H, W]` -> `[B, C, H r, W r]`.
pub fn pixel_shuffle(x: Tensor<4>, r: usize) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let c = c / (r * r);
    x.reshape([b, c, r, r, h, w]).permute([0, 1, 4, 2, 5, 3]).reshape([b, c, h * r, w * r])
}

/// Means of the squares of `size x size` pixels, which must divide the picture:
/// `[B, C, H, W]` -> `[B, C, H / size, W / size]`.
pub fn avg_pool2d(x: Tensor<4>, size: usize) -> Tensor<4> {
    let options = AvgPoolOptions {
        kernel_size: [size; 2],
        stride: [size; 2],
        padding: [(0, 0); 2],
        count_include_pad: true,
        ceil_mode: false,
    };
    module::avg_pool2d(x, options)
}

/// Mean of `(x - target)^2` over all elements: `[1]`.
pub fn mse<const D: usize>(x: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    (x - target).square().mean()
}

/// Mean binary cross-entropy between `sigmoid(logits)` and the constant `target` (0 to 1): `[1]`.
pub fn bce_with_logits<const D: usize>(logits: Tensor<D>, target: f64) -> Tensor<1> {
    // max(x, 0) - x target + ln(1 + exp(-|x|)), which never overflows.
    let log = (logits.clone().abs().neg().exp() + 1.0).log();
    (activation::relu(logits.clone()) - logits * target + log).mean()
}

/// Mean of `-ln softmax(logits)[target]` over batch and pixels, with the classes in dimension 1:
/// logits `[B, K, H, W]`, targets `[B, H, W]` from 0 to K - 1 -> `[1]`.
pub fn cross_entropy(logits: Tensor<4>, targets: Tensor<3, Int>) -> Tensor<1> {
    activation::log_softmax(logits, 1).gather(1, targets.unsqueeze_dim::<4>(1)).mean().neg()
}

/// A constant for computations with tensors of `device`: with autodiff if that has it.
pub fn onto<const D: usize>(constant: Tensor<D>, device: &Device) -> Tensor<D> {
    if device.is_autodiff() { Tensor::from_inner(constant) } else { constant }
}
