//! Layers whose weight is divided by its largest singular value.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Buffer, Init, Mode, ops};

/// A [`Conv2d`](super::Conv2d) with spectral normalisation (Miyato et al. 2018, section 2.1 and
/// algorithm 1), as PyTorch's `spectral_norm` and with its names.
///
/// Each forward pass in training takes one step of the power iteration. Passes that must see the
/// same weight (finite differences) go through as one batch or in [`Mode::Eval`].
#[derive(Module, Debug)]
pub struct SpectralConv2d {
    /// `[out, in, kernel, kernel]`, before the division.
    pub weight_orig: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Left singular vector `[out]`.
    pub weight_u: Buffer<1>,
    /// Right singular vector `[in kernel kernel]`.
    pub weight_v: Buffer<1>,
    stride: usize,
    padding: usize,
}

impl SpectralConv2d {
    /// Stride 1, and as many zeros around as an odd `kernel` needs to keep the size.
    pub fn new(input: usize, output: usize, kernel: usize, init: &mut Init) -> Self {
        let fan_in = input * kernel * kernel;
        let weight_orig = init.weight([output, input, kernel, kernel], fan_in);
        let bias = Some(init.bias([output], fan_in));
        let (weight_u, weight_v) = singular_vectors(weight_orig.val(), init);
        Self { weight_orig, bias, weight_u, weight_v, stride: 1, padding: kernel / 2 }
    }

    /// With another stride.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With `padding` zeros on each side.
    #[must_use]
    pub fn with_padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// `[B, in, H, W]` -> `[B, out, H', W']`, sizes as those of [`Conv2d`](super::Conv2d).
    pub fn forward(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        let weight = divided(self.weight_orig.val(), &self.weight_u, &self.weight_v, mode);
        ops::conv2d(x, weight, self.bias.as_ref().map(Param::val), self.stride, self.padding)
    }
}

/// A [`Linear`](super::Linear) layer with spectral normalisation, as [`SpectralConv2d`].
#[derive(Module, Debug)]
pub struct SpectralLinear {
    /// `[out, in]`, before the division.
    pub weight_orig: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Left singular vector `[out]`.
    pub weight_u: Buffer<1>,
    /// Right singular vector `[in]`.
    pub weight_v: Buffer<1>,
}

impl SpectralLinear {
    /// From `input` to `output` features.
    pub fn new(input: usize, output: usize, init: &mut Init) -> Self {
        let weight_orig = init.weight([output, input], input);
        let bias = Some(init.bias([output], input));
        let (weight_u, weight_v) = singular_vectors(weight_orig.val(), init);
        Self { weight_orig, bias, weight_u, weight_v }
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// `[N, in]` -> `[N, out]`.
    pub fn forward(&self, x: Tensor<2>, mode: &Mode) -> Tensor<2> {
        let weight = divided(self.weight_orig.val(), &self.weight_u, &self.weight_v, mode);
        ops::linear(x, weight, self.bias.as_ref().map(Param::val))
    }
}

/// u drawn at random and the v that belongs to it.
fn singular_vectors<const D: usize>(weight: Tensor<D>, init: &mut Init) -> (Buffer<1>, Buffer<1>) {
    let weight = matrix(weight.inner());
    let u = unit(init.normal([weight.dims()[0]]).val().inner());
    let v = unit(ops::matrix_vector(weight.transpose(), u.clone()));
    (Buffer::new(u), Buffer::new(v))
}

/// The weight divided by `sigma = u^T W v`, with W the weight as a matrix `[out, rest]`. In training
/// `v = W^T u / |W^T u|` and `u = W v / |W v|` first; they are constants to the gradient.
fn divided<const D: usize>(weight: Tensor<D>, u: &Buffer<1>, v: &Buffer<1>, mode: &Mode) -> Tensor<D> {
    if *mode != Mode::Eval {
        let constant = matrix(weight.clone().inner());
        v.set(unit(ops::matrix_vector(constant.clone().transpose(), u.value())));
        u.set(unit(ops::matrix_vector(constant, v.value())));
    }
    let like = weight.device();
    let (u, v) = (ops::onto(u.value(), &like), ops::onto(v.value(), &like));
    let sigma = (ops::matrix_vector(matrix(weight.clone()), v) * u).sum();
    weight / sigma.reshape([1; D])
}

fn matrix<const D: usize>(weight: Tensor<D>) -> Tensor<2> {
    let out = weight.dims()[0];
    weight.reshape([out as i32, -1])
}

/// Of length 1; a vector of zeros stays.
fn unit(x: Tensor<1>) -> Tensor<1> {
    let length = x.clone().square().sum().sqrt().clamp_min(1e-12);
    x / length
}
