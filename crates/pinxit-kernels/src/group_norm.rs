//! Group normalisation with the activation that follows it: Wu and He 2018, "Group Normalization",
//! arXiv:1803.08494, equations 1, 2 and 7.
//!
//! The channels of one image and one group are one contiguous run of numbers, which stays in the cache
//! through the passes over it. The backward pass computes the statistics and the activation again instead of
//! storing them.

use crate::activation::{Activation, for_kind};
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::{reduce, threads};
use burn::tensor::Tensor;

/// `activation((x - mean) / sqrt(variance + eps) * gamma + beta)`.
///
/// `x [B, C, H, W]`, `gamma [C]`, `beta [C]` give `[B, C, H, W]`. Mean and (biased) variance are those of the
/// `C / groups` channels of a group in one image. Differentiable in `x`, `gamma` and `beta`.
///
/// # Panics
/// If `groups` is 0 or does not divide C, or `gamma` or `beta` do not have C elements.
pub fn group_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let channels = x.dims()[1];
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "group_norm: {groups} groups of {channels} channels"
    );
    assert_eq!(gamma.dims(), [channels], "group_norm: gamma");
    assert_eq!(beta.dims(), [channels], "group_norm: beta");
    if glue::supported(&x) && glue::supported(&gamma) && glue::supported(&beta) {
        glue::apply3(GroupNorm { groups, eps, activation }, x, gamma, beta)
    } else {
        composite(x, gamma, beta, groups, eps, activation)
    }
}

/// The same as a composition of Burn's operations.
fn composite(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let x = x.reshape([b, groups, c / groups * h * w]);
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normal = (centred / (variance + eps).sqrt()).reshape([b, c, h, w]);
    activation.composite(normal * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1]))
}

#[derive(Clone, Debug)]
struct GroupNorm {
    groups: usize,
    eps: f64,
    activation: Activation,
}

impl GroupNorm {
    fn problem<'a>(&self, inputs: &'a [Array]) -> Problem<'a> {
        let [x, gamma, beta] = inputs else { unreachable!("group_norm has three inputs") };
        let [_, c, h, w] = x.dims();
        Problem {
            groups: self.groups,
            channels: c / self.groups,
            area: h * w,
            eps: self.eps,
            activation: self.activation,
            x: x.data(),
            gamma: gamma.data(),
            beta: beta.data(),
        }
    }
}

impl Operation for GroupNorm {
    fn forward(&self, inputs: &[Array]) -> Array {
        Array::new(self.problem(inputs).forward(), inputs[0].dims::<4>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let [dx, dgamma, dbeta] = self.problem(inputs).backward(grad.data());
        let parameters = inputs[1].dims::<1>();
        let grads = [
            Array::new(dx, inputs[0].dims::<4>()),
            Array::new(dgamma, parameters),
            Array::new(dbeta, parameters),
        ];
        grads.map(Some).into()
    }
}

/// The inputs, where a group has `channels` channels of `area` elements.
struct Problem<'a> {
    groups: usize,
    channels: usize,
    area: usize,
    eps: f64,
    activation: Activation,
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
}

/// Mean and 1 / sqrt(variance + eps) of a group.
#[derive(Clone, Copy)]
struct Statistics {
    mean: f32,
    scale: f32,
}

impl Problem<'_> {
    fn group_len(&self) -> usize {
        self.channels * self.area
    }

    /// The group `index` of all groups of all images, and its first channel.
    fn group(&self, index: usize) -> (&[f32], usize) {
        let x = &self.x[index * self.group_len()..][..self.group_len()];
        (x, index % self.groups * self.channels)
    }

    #[inline(always)]
    fn statistics(&self, x: &[f32]) -> Statistics {
        let count = x.len() as f64;
        let mean = (reduce::fold([x], |[x]| x) / count) as f32;
        let squares = reduce::fold([x], |[x]| (x - mean) * (x - mean));
        Statistics { mean, scale: (1.0 / (squares / count + self.eps).sqrt()) as f32 }
    }

    /// Slope and intercept of the normalisation of one channel: `y = slope x + intercept` before the
    /// activation.
    #[inline(always)]
    fn line(&self, statistics: Statistics, channel: usize) -> (f32, f32) {
        let slope = self.gamma[channel] * statistics.scale;
        (slope, self.beta[channel] - statistics.mean * slope)
    }

    fn forward(&self) -> Vec<f32> {
        let mut y = vec![0.0; self.x.len()];
        threads::for_each_block([&mut y], [self.group_len()], self.x.len(), |index, [y]| {
            forward_group(self, index, y);
        });
        y
    }

    /// The gradients of x, gamma and beta.
    fn backward(&self, dy: &[f32]) -> [Vec<f32>; 3] {
        let width = self.groups * self.channels;
        let mut dx = vec![0.0; self.x.len()];
        let mut sums = vec![0.0; self.x.len() / self.area.max(1) * 2];
        let sizes = [self.group_len(), 2 * self.channels];
        threads::for_each_block([&mut dx, &mut sums], sizes, self.x.len(), |index, [dx, sums]| {
            let dy = &dy[index * self.group_len()..][..self.group_len()];
            backward_group(self, index, dy, dx, sums);
        });
        let (dgamma, dbeta) =
            reduce::sum_rows(&sums, 2 * width).as_chunks::<2>().0.iter().map(|&[g, b]| (g, b)).unzip();
        [dx, dgamma, dbeta]
    }
}

vectorised! {
    fn forward_group(p: &Problem, index: usize, y: &mut [f32]) {
        let (x, first) = p.group(index);
        let statistics = p.statistics(x);
        let activation = p.activation;
        let channels = x.chunks_exact(p.area).zip(y.chunks_exact_mut(p.area));
        for (c, (x, y)) in channels.enumerate() {
            let (slope, intercept) = p.line(statistics, first + c);
            let pairs = y.iter_mut().zip(x);
            for_kind!(activation => pairs.for_each(|(y, &x)| *y = activation.value(slope * x + intercept)));
        }
    }

    /// With x' = (x - mean) scale, n = gamma x' + beta and dn = dy activation'(n):
    /// `dx = scale (gamma dn - mean(gamma dn) - x' mean(gamma dn x'))`, the means over the group.
    /// `sums` gets the sums of dn x' and of dn for each channel.
    fn backward_group(p: &Problem, index: usize, dy: &[f32], dx: &mut [f32], sums: &mut [f32]) {
        let (x, first) = p.group(index);
        let statistics @ Statistics { mean, scale } = p.statistics(x);
        let activation = p.activation;
        let mut means = [0.0_f64; 2];
        for (c, sums) in sums.chunks_exact_mut(2).enumerate() {
            let channel = c * p.area..(c + 1) * p.area;
            let (x, dy, dx) = (&x[channel.clone()], &dy[channel.clone()], &mut dx[channel]);
            let (slope, intercept) = p.line(statistics, first + c);
            let all = dx.iter_mut().zip(x).zip(dy);
            for_kind!(activation => all.for_each(|((dn, &x), &dy)| {
                *dn = dy * activation.derivative(slope * x + intercept);
            }));
            let with_x = reduce::fold([&*dx, x], |[dn, x]| dn * (x - mean));
            let found = [with_x * f64::from(scale), reduce::fold([&*dx], |[dn]| dn)];
            for n in 0..2 {
                sums[n] = found[n] as f32;
                means[n] += found[n] * f64::from(p.gamma[first + c]) / p.group_len() as f64;
            }
        }
        let by_x = means[0] as f32 * scale * scale;
        let constant = means[1] as f32 * scale;
        for (c, (x, dx)) in x.chunks_exact(p.area).zip(dx.chunks_exact_mut(p.area)).enumerate() {
            let slope = p.gamma[first + c] * scale;
            dx.iter_mut().zip(x).for_each(|(d, &x)| *d = *d * slope - constant - (x - mean) * by_x);
        }
    }
}

/// The plain twin: the definition in f64, with the gradients as the chain rule gives them.
#[cfg(test)]
mod twin {
    use super::Problem;
    use crate::activation::twin as activation;

    /// The normalised x and 1 / sqrt(variance + eps) of each element's group.
    fn normalise(p: &Problem) -> (Vec<f64>, Vec<f64>) {
        let (mut normal, mut scales) = (Vec::new(), Vec::new());
        for group in p.x.chunks(p.group_len()) {
            let n = group.len() as f64;
            let mean = group.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let variance = group.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            let scale = 1.0 / (variance + p.eps).sqrt();
            normal.extend(group.iter().map(|&x| (f64::from(x) - mean) * scale));
            scales.extend(vec![scale; group.len()]);
        }
        (normal, scales)
    }

    fn channel(p: &Problem, i: usize) -> usize {
        i / p.area % (p.groups * p.channels)
    }

    fn before_activation(p: &Problem, normal: &[f64]) -> Vec<f64> {
        let line =
            |(i, x): (usize, &f64)| x * f64::from(p.gamma[channel(p, i)]) + f64::from(p.beta[channel(p, i)]);
        normal.iter().enumerate().map(line).collect()
    }

    pub(super) fn forward(p: &Problem) -> Vec<f64> {
        let n = before_activation(p, &normalise(p).0).into_iter();
        n.map(|n| activation::value(p.activation, n)).collect()
    }

    pub(super) fn backward(p: &Problem, dy: &[f32]) -> [Vec<f64>; 3] {
        let (normal, scales) = normalise(p);
        let slope = |n: &f64| activation::derivative(p.activation, *n);
        let dn: Vec<f64> =
            before_activation(p, &normal).iter().zip(dy).map(|(n, &dy)| f64::from(dy) * slope(n)).collect();
        let mut parameters = [vec![0.0; p.gamma.len()], vec![0.0; p.gamma.len()]];
        for i in 0..dn.len() {
            parameters[0][channel(p, i)] += dn[i] * normal[i];
            parameters[1][channel(p, i)] += dn[i];
        }
        let mut dx = vec![0.0; dn.len()];
        for start in (0..dn.len()).step_by(p.group_len()) {
            let group = start..start + p.group_len();
            let n = p.group_len() as f64;
            let inner = |i: usize| dn[i] * f64::from(p.gamma[channel(p, i)]);
            let mean = group.clone().map(inner).sum::<f64>() / n;
            let along = group.clone().map(|i| inner(i) * normal[i]).sum::<f64>() / n;
            group.for_each(|i| dx[i] = scales[i] * (inner(i) - mean - normal[i] * along));
        }
        let [dgamma, dbeta] = parameters;
        [dx, dgamma, dbeta]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::ALL;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for (images, groups, channels, area) in
            [(1, 1, 1, 9), (3, 2, 3, 35), (2, 4, 1, 16), (5, 8, 4, 64), (2, 2, 5, 900)]
        {
            for activation in ALL {
                let width = groups * channels;
                let x: Vec<f32> = numbers(images * width * area, 1).iter().map(|x| 3.0 * x + 1.0).collect();
                let (gamma, beta, dy) = (numbers(width, 2), numbers(width, 3), numbers(x.len(), 4));
                let p = Problem {
                    groups,
                    channels,
                    area,
                    eps: 1e-5,
                    activation,
                    x: &x,
                    gamma: &gamma,
                    beta: &beta,
                };
                assert_close(&p.forward(), &twin::forward(&p), 1e-5);
                for (got, want) in p.backward(&dy).iter().zip(twin::backward(&p, &dy)) {
                    assert_close(got, &want, 1e-5);
                }
            }
        }
    }
}
