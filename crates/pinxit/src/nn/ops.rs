//! The operations that the layers are made of: the one place that calls kernels.

use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, activation};

/// What follows a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `x * sigmoid(x)` (Elfwing et al. 2017, "swish").
    Silu,
}

/// 2-D convolution with zero padding: x `[B, C, H, W]`, weight `[O, C, k, k]`, bias `[O]` ->
/// `[B, O, (H + 2 padding - k) / stride + 1, (W + 2 padding - k) / stride + 1]`.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    module::conv2d(x, weight, bias, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
}

/// `x weight^T + bias`: x `[N, in]`, weight `[out, in]`, bias `[out]` -> `[N, out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    module::linear(x, weight.transpose(), bias)
}

/// Group normalisation (Wu and He 2018, eq. 1) and an activation: x `[B, C, H, W]`, gamma and
/// beta `[C]` -> `[B, C, H, W]`. The variance is the biased one.
///
/// `groups` must divide C.
pub fn group_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let x = x.reshape([b, groups, c / groups * h * w]); // [B, G, C/G * H * W]
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2); // [B, G, 1]
    let normal = (centred / (variance + eps).sqrt()).reshape([b, c, h, w]);
    let y = normal * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1]);
    match activation {
        Activation::None => y,
        Activation::Silu => silu(y),
    }
}

/// `x * sigmoid(x)`.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::silu(x)
}

/// `softmax(q k^T scale) v` (Vaswani et al. 2017, eq. 1): each `[B, heads, N, d]` ->
/// `[B, heads, N, d]`.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64) -> Tensor<4> {
    let scores = (q * scale).matmul(k.swap_dims(2, 3)); // [B, heads, N, N]
    activation::softmax(scores, 3).matmul(v)
}

/// Every pixel becomes 2 x 2: `[B, C, H, W]` -> `[B, C, 2H, 2W]`.
pub fn upsample_nearest2(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]);
    module::interpolate(x, options)
}

/// The numbers of one step of [`adam`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of the squared gradient.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay, per unit of learning rate.
    pub weight_decay: f64,
    /// The number of this step, from 1.
    pub step: u32,
    /// Factor on the gradient (clipping).
    pub grad_scale: f64,
}

/// One step of AdamW (Kingma and Ba 2014, algorithm 1; Loshchilov and Hutter 2017, algorithm 2)
/// on a parameter, its gradient and its moments, each `[n]` -> the new (parameter, m, v).
pub fn adam(
    param: Tensor<1>,
    grad: Tensor<1>,
    m: Tensor<1>,
    v: Tensor<1>,
    s: AdamStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let grad = grad * s.grad_scale;
    let m = m * s.beta1 + grad.clone() * (1.0 - s.beta1);
    let v = v * s.beta2 + grad.square() * (1.0 - s.beta2);
    let correction1 = 1.0 - s.beta1.powf(f64::from(s.step));
    let correction2 = 1.0 - s.beta2.powf(f64::from(s.step));
    let denominator = v.clone().sqrt() / correction2.sqrt() + s.eps;
    let update = m.clone() / denominator * (s.lr / correction1);
    (param * (1.0 - s.lr * s.weight_decay) - update, m, v)
}

/// `ema + weight (param - ema)`.
pub fn lerp<const D: usize>(ema: Tensor<D>, param: Tensor<D>, weight: f64) -> Tensor<D> {
    ema.clone() + (param - ema) * weight
}

/// The sum of the squares of all elements. Waits for the device.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    x.square().sum().into_scalar::<f64>()
}
