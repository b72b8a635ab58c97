//! Batch normalisation: Ioffe and Szegedy 2015, "Batch Normalization", arXiv:1502.03167, algorithm 1.

use crate::activation::Activation;
use crate::glue::{self, Array, Operation};
use crate::norm::{self, Norm, Sets};
use burn::tensor::Tensor;
use std::sync::{Arc, OnceLock};

/// What [`batch_norm`] gives.
#[derive(Clone, Debug)]
pub struct BatchNorm<const D: usize> {
    /// The output, of the shape of the input.
    pub y: Tensor<D>,
    /// The mean of each channel, `[C]`, without a gradient.
    pub mean: Tensor<1>,
    /// The variance of each channel with `n - 1` in its denominator, the one whose average PyTorch keeps, `[C]`,
    /// without a gradient.
    pub variance: Tensor<1>,
}

/// `activation((x - mean) / sqrt(variance + eps) * gamma + beta)`, in training.
///
/// `x [B, C, H, W]` or `[B, C]`, `gamma [C]`, `beta [C]` give an output of the shape of `x`. Mean and (biased)
/// variance are those of each channel in the whole batch. Differentiable in `x`, `gamma` and `beta`.
///
/// # Panics
/// If `x` has another rank or one number a channel, or `gamma` or `beta` do not have C elements.
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> BatchNorm<D> {
    let dims @ [_, channels, ..] = planes(x.dims());
    let count = dims.iter().product::<usize>() / channels.max(1);
    assert!(count > 1, "batch_norm: the variance of one number a channel, in {:?}", x.dims());
    assert_eq!(gamma.dims(), [channels], "batch_norm: gamma");
    assert_eq!(beta.dims(), [channels], "batch_norm: beta");
    if !(glue::supported(&x) && glue::supported(&gamma) && glue::supported(&beta)) {
        return composite(x, gamma, beta, eps, activation);
    }
    let op = BatchNormOp::<D> { eps, activation, moments: Arc::default() };
    let moments = op.moments.clone();
    let y = glue::apply3(op, x, gamma, beta);
    let (mean, variance): (Vec<f32>, Vec<f32>) =
        moments.get().into_iter().flat_map(|m| m.as_chunks::<2>().0).map(|&[m, v]| (m, v)).unzip();
    let tensor = |numbers: Vec<f32>| glue::into_tensor(Array::new(numbers, [channels]));
    BatchNorm { y, mean: tensor(mean), variance: tensor(variance) * unbiased(count) }
}

fn unbiased(count: usize) -> f64 {
    count as f64 / (count - 1) as f64
}

/// `[B, C]` as `[B, C, 1, 1]`.
fn planes<const D: usize>(dims: [usize; D]) -> [usize; 4] {
    assert!(D == 2 || D == 4, "batch_norm: an input of shape {dims:?}");
    std::array::from_fn(|i| *dims.get(i).unwrap_or(&1))
}

/// The same as a composition of Burn's operations.
fn composite<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> BatchNorm<D> {
    let (shape, dims @ [b, c, h, w]) = (x.dims(), planes(x.dims()));
    let count = b * h * w;
    let sets = x.reshape(dims).swap_dims(0, 1).reshape([c, count]);
    let (mean, variance, normal) = norm::composite(sets, eps);
    let y = normal * gamma.reshape([c, 1]) + beta.reshape([c, 1]);
    let y = activation.composite(y).reshape([c, b, h, w]).swap_dims(0, 1).reshape(shape);
    let alone = |moment: Tensor<2>| moment.reshape([c]).detach();
    BatchNorm { y, mean: alone(mean), variance: alone(variance) * unbiased(count) }
}

#[derive(Clone, Debug)]
struct BatchNormOp<const D: usize> {
    eps: f64,
    activation: Activation,
    /// Mean and variance of each channel, found by the forward pass.
    moments: Arc<OnceLock<Vec<f32>>>,
}

impl<const D: usize> BatchNormOp<D> {
    fn norm<'a>(&self, inputs: &'a [Array]) -> Norm<'a> {
        let [x, gamma, beta] = inputs else { unreachable!("batch_norm has three inputs") };
        Norm {
            sets: Sets::of_images(planes(x.dims::<D>())),
            eps: self.eps,
            activation: self.activation,
            x: x.data(),
            shift: None,
            gamma: gamma.data(),
            beta: beta.data(),
        }
    }
}

impl<const D: usize> Operation for BatchNormOp<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let (y, moments) = self.norm(inputs).forward();
        self.moments.get_or_init(|| moments);
        Array::new(y, inputs[0].dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let (norm, line) = (self.norm(inputs), inputs[1].dims::<1>());
        let moments = self.moments.get_or_init(|| norm.forward().1);
        let found = norm.backward(moments, grad.data());
        let x = Array::new(found.x, inputs[0].dims::<D>());
        vec![Some(x), Some(Array::new(found.gamma, line)), Some(Array::new(found.beta, line))]
    }
}
