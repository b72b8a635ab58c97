//! The operations that the layers are made of: the one place that calls kernels.
//!
//! On the CPU they are the kernels of `pinxit-kernels`, on a GPU compositions of Burn's operations;
//! a layer doesn't know.

use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Int, Tensor, TensorData};
use pinxit_kernels as kernels;

pub use pinxit_kernels::{
    Activation, AdamStep, Descent, Found, Leaf, Optimized, Reduction, Windows, activate, adam, add,
    attention, attention2d, avg_pool2d, batch_norm, bce_with_logits_each, can_defer, concat_channels,
    conv_transpose2d, conv2d, deferred, gaussian_kl, global_norm, group_norm, identity, instance_norm,
    l1_loss, lerp, linear, linear_activation, max_pool2d, mix_images, mse_loss, peak, reparameterise, root,
    scale_images, scale_shift, set_exact, shifted_group_norm, sum_all, sum_pixels, upsample_nearest2,
    weighted_mse_loss,
};

/// `tanh(a) sigmoid(b)` of the two halves of the channels (van den Oord et al. 2016, "Conditional
/// Image Generation with PixelCNN Decoders", eq. 2): `[B, 2C, H, W]` -> `[B, C, H, W]`.
pub fn gated(x: Tensor<4>) -> Tensor<4> {
    kernels::gated(x, [Activation::Tanh, Activation::Sigmoid])
}

/// Normalisation of the last dimension: `[..., C]` -> `[..., C]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64) -> Tensor<D> {
    let dims = x.dims();
    let rows = dims[..D - 1].iter().product::<usize>();
    kernels::layer_norm(x.reshape([rows, dims[D - 1]]), gamma, beta, eps, Activation::None).reshape(dims)
}

/// Batch normalisation by given mean and variance `[C]` (without autodiff), and activation:
/// `[B, C]` or `[B, C, H, W]` -> the same shape.
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
    kernels::scale_shift(x, slope, intercept, activation)
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
    let mask = causal_mask(dims, [kh / 2, kw / 2], mask, colours);
    let alive: Vec<bool> =
        (0..kh * kw).map(|tap| mask.iter().skip(tap).step_by(kh * kw).any(|&seen| seen > 0.0)).collect();
    // The taps are the same for all pairs of channels, except for the pixel itself of several colours.
    let weight = if colours > 1 {
        weight * Tensor::from_data(TensorData::new(mask, dims), &x.device())
    } else {
        weight
    };
    kernels::masked_conv2d(x, weight, bias, &alive, padding)
}

/// 1 where a weight `[out, in, rows, columns]` is seen and 0 where it is masked; the pixel itself is at
/// `centre`.
pub(super) fn causal_mask(
    [out, input, kh, kw]: [usize; 4],
    [row, column]: [usize; 2],
    mask: MaskType,
    colours: usize,
) -> Vec<f32> {
    let centre = (row, column);
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

/// Mean of `(x - target)^2` over all elements: `[1]`.
pub fn mse<const D: usize>(x: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    mse_loss(x, target, Reduction::Mean)
}

/// Mean binary cross-entropy between `sigmoid(logits)` and the constant `target` (0 to 1): `[1]`.
pub fn bce_with_logits<const D: usize>(logits: Tensor<D>, target: f64) -> Tensor<1> {
    kernels::bce_with_logits(logits, target as f32, Reduction::Mean)
}

/// Mean of `-ln softmax(logits)[target]` over batch and pixels, with the classes in dimension 1:
/// logits `[B, K, H, W]`, targets `[B, H, W]` from 0 to K - 1 -> `[1]`.
pub fn cross_entropy(logits: Tensor<4>, targets: Tensor<3, Int>) -> Tensor<1> {
    kernels::cross_entropy(logits, targets.flatten(0, 2), Reduction::Mean)
}

/// A constant for computations with tensors of `device`: with autodiff if that has it.
pub fn onto<const D: usize>(constant: Tensor<D>, device: &Device) -> Tensor<D> {
    if device.is_autodiff() { Tensor::from_inner(constant) } else { constant }
}
