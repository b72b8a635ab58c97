//! Batch normalisation: Ioffe and Szegedy 2015, "Batch Normalization", arXiv:1502.03167, algorithm 1.

use crate::activation::Activation;
use crate::glue::{self, Array, Operation};
use crate::lines::{self, Line, Lines, Pull, Shape};
use crate::norm;
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
    let unbiased = [1.0, unbiased(count)];
    let [mean, variance] = [0, 1].map(|n| {
        let found = moments.get().into_iter().flatten().map(|m| (m[n] * unbiased[n]) as f32);
        glue::into_tensor(Array::new(found.collect(), [channels]))
    });
    BatchNorm { y, mean, variance }
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
    moments: Arc<OnceLock<Vec<[f64; 2]>>>,
}

impl<const D: usize> Operation for BatchNormOp<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, gamma, beta] = inputs else { unreachable!("batch_norm has three inputs") };
        let shape = shape(planes(x.dims::<D>()));
        let moments = self.moments.get_or_init(|| lines::moments(shape, x.data()));
        let lines =
            channels(moments, self.eps, [gamma.data(), beta.data()]).map(|c| c.line).collect::<Vec<_>>();
        let y = Lines { shape, activation: self.activation, lines: &lines, x: x.data() }.forward();
        Array::new(y, x.dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let [x, gamma, beta] = inputs else { unreachable!("batch_norm has three inputs") };
        let shape = shape(planes(x.dims::<D>()));
        let moments = self.moments.get_or_init(|| lines::moments(shape, x.data()));
        let channels: Vec<_> = channels(moments, self.eps, [gamma.data(), beta.data()]).collect();
        let (lines, centres): (Vec<_>, Vec<_>) = channels.iter().map(|c| (c.line, c.mean)).unzip();
        let lines = Lines { shape, activation: self.activation, lines: &lines, x: x.data() };
        let sums = lines.sums(grad.data(), &centres);
        let count = (shape.images * shape.area) as f64;
        let pulls: Vec<_> = channels.iter().zip(&sums).map(|(c, &sums)| c.pull(sums, count)).collect();
        let dx = Array::new(lines.backward(grad.data(), &pulls), x.dims::<D>());
        let dgamma = channels.iter().zip(&sums).map(|(c, sums)| (sums[0] * c.scale) as f32).collect();
        let dbeta = sums.iter().map(|sums| sums[1] as f32).collect();
        let parameters = |grad: Vec<f32>| Some(Array::new(grad, gamma.dims::<1>()));
        vec![Some(dx), parameters(dgamma), parameters(dbeta)]
    }
}

fn shape([images, channels, h, w]: [usize; 4]) -> Shape {
    Shape { images, channels, area: h * w }
}

/// What the normalisation does to a channel.
struct Channel {
    mean: f32,
    /// 1 / sqrt(variance + eps).
    scale: f64,
    line: Line,
}

fn channels(moments: &[[f64; 2]], eps: f64, [gamma, beta]: [&[f32]; 2]) -> impl Iterator<Item = Channel> {
    moments.iter().zip(gamma).zip(beta).map(move |((&[mean, variance], &gamma), &beta)| {
        let scale = 1.0 / (variance + eps).sqrt();
        let slope = f64::from(gamma) * scale;
        let line = Line { slope: slope as f32, intercept: (f64::from(beta) - mean * slope) as f32 };
        Channel { mean: mean as f32, scale, line }
    })
}

impl Channel {
    /// With x' = (x - mean) scale and dn the gradient of what the activation gets,
    /// `dx = slope (dn - mean(dn) - x' mean(dn x'))`, given the sums of `dn (x - mean)` and of `dn`.
    fn pull(&self, [with_x, alone]: [f64; 2], count: f64) -> Pull {
        let slope = f64::from(self.line.slope);
        let by_x = slope * with_x * self.scale * self.scale / count;
        Pull { constant: (slope * alone / count) as f32, by_x: by_x as f32, centre: self.mean }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::activation::ALL;
    use crate::norm::twin::Twin;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for dims in [[9, 1, 1, 1], [21, 70, 1, 1], [3, 5, 5, 7], [17, 20, 4, 4], [2, 3, 35, 33]] {
            let [_, c, ..] = dims;
            for activation in ALL {
                let x: Vec<f32> = numbers(dims.iter().product(), 1).iter().map(|x| 3.0 * x + 1.0).collect();
                let (gamma, beta, dy) = (numbers(c, 2), numbers(c, 3), numbers(x.len(), 4));
                let twin = Twin {
                    x: &x,
                    shift: Vec::new(),
                    gamma: &gamma,
                    beta: &beta,
                    eps: 1e-5,
                    activation,
                    set_of: |i, [channels, area, _]| i / area % channels,
                    line_of: |i, [channels, area, _]| i / area % channels,
                    sizes: [c, dims[2] * dims[3], 0],
                };
                let array = |x: &[f32], dims: &[usize]| Array::new(x.to_vec(), dims);
                let inputs = [array(&x, &dims), array(&gamma, &[c]), array(&beta, &[c])];
                let op = BatchNormOp::<4> { eps: 1e-5, activation, moments: Arc::default() };
                assert_close(op.forward(&inputs).data(), &twin.forward(), 1e-5);
                let got = op.backward(&inputs, &array(&dy, &dims), &[true; 3]);
                for (got, want) in got.iter().zip(twin.backward(&dy)) {
                    assert_close(got.as_ref().unwrap().data(), &want, 1e-5);
                }
            }
        }
    }
}
