//! Layer normalisation: Ba et al. 2016, "Layer Normalization", arXiv:1607.06450, equation 3.

use crate::activation::{Activation, for_kind};
use crate::buffer::unwritten;
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::{norm, reduce, threads};
use burn::tensor::Tensor;

/// Rows whose gradients of gamma and beta one task sums.
const PART: usize = 32;

/// `activation((x - mean) / sqrt(variance + eps) * gamma + beta)` with mean and (biased) variance of each row.
///
/// `x [N, D]`, `gamma [D]`, `beta [D]` give `[N, D]`. Differentiable in all three.
///
/// # Panics
/// If `gamma` or `beta` do not have D elements.
pub fn layer_norm(
    x: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> Tensor<2> {
    let width = x.dims()[1];
    assert_eq!(gamma.dims(), [width], "layer_norm: gamma");
    assert_eq!(beta.dims(), [width], "layer_norm: beta");
    if glue::supported(&x) && glue::supported(&gamma) && glue::supported(&beta) {
        return glue::apply3(LayerNorm { eps, activation }, x, gamma, beta);
    }
    let (_, _, normal) = norm::composite(x, eps);
    activation.composite(normal * gamma.unsqueeze() + beta.unsqueeze())
}

#[derive(Clone, Debug)]
struct LayerNorm {
    eps: f64,
    activation: Activation,
}

impl LayerNorm {
    fn rows<'a>(&self, inputs: &'a [Array]) -> Rows<'a> {
        let [x, gamma, beta] = inputs else { unreachable!("layer_norm has three inputs") };
        let Self { eps, activation } = *self;
        Rows { eps, activation, x: x.data(), gamma: gamma.data(), beta: beta.data() }
    }
}

impl Operation for LayerNorm {
    fn forward(&self, inputs: &[Array]) -> Array {
        Array::new(self.rows(inputs).forward(), inputs[0].dims::<2>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let [dx, dgamma, dbeta] = self.rows(inputs).backward(grad.data());
        let line = inputs[1].dims::<1>();
        vec![
            Some(Array::new(dx, inputs[0].dims::<2>())),
            Some(Array::new(dgamma, line)),
            Some(Array::new(dbeta, line)),
        ]
    }
}

/// The inputs; a row is as long as gamma.
struct Rows<'a> {
    eps: f64,
    activation: Activation,
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
}

impl Rows<'_> {
    fn width(&self) -> usize {
        self.gamma.len()
    }

    fn forward(&self) -> Vec<f32> {
        let mut y = unwritten(self.x.len());
        let size = PART * self.width();
        threads::for_each_block([&mut y], [size], self.x.len(), |part, [y]| {
            forward_rows(self, &self.x[part * size..][..y.len()], y);
        });
        y
    }

    /// The gradients of x, gamma and beta.
    fn backward(&self, dy: &[f32]) -> [Vec<f32>; 3] {
        let (width, size) = (self.width(), PART * self.width());
        let mut dx = unwritten(self.x.len());
        let mut sums = vec![0.0; 2 * width * self.x.len().div_ceil(size.max(1))];
        threads::for_each_block([&mut dx, &mut sums], [size, 2 * width], self.x.len(), |part, [dx, sums]| {
            let part = part * size..part * size + dx.len();
            backward_rows(self, &self.x[part.clone()], &dy[part], dx, sums);
        });
        let mut dgamma = reduce::sum_rows(&sums, 2 * width);
        let dbeta = dgamma.split_off(width);
        [dx, dgamma, dbeta]
    }

    /// Mean and 1 / sqrt(variance + eps) of a row.
    #[inline(always)]
    fn moments(&self, x: &[f32]) -> (f32, f32) {
        let count = x.len() as f64;
        let mean = (reduce::fold([x], |[x]| x) / count) as f32;
        let squares = reduce::fold([x], |[x]| (x - mean) * (x - mean));
        (mean, (1.0 / (squares / count + self.eps).sqrt()) as f32)
    }
}

vectorised! {
    fn forward_rows(p: &Rows, x: &[f32], y: &mut [f32]) {
        let (activation, width) = (p.activation, p.width());
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let (mean, scale) = p.moments(x);
            for_kind!(activation => for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(p.gamma).zip(p.beta) {
                *y = activation.value((x - mean) * scale * gamma + beta);
            });
        }
    }

    /// With x' = (x - mean) scale, n = gamma x' + beta and dn = dy activation'(n):
    /// `dx = scale (gamma dn - mean(gamma dn) - x' mean(gamma dn x'))`, the means over the row. `sums` gets the
    /// sums over the rows of dn x', then those of dn.
    fn backward_rows(p: &Rows, x: &[f32], dy: &[f32], dx: &mut [f32], sums: &mut [f32]) {
        let (activation, width) = (p.activation, p.width());
        let (with_x, alone) = sums.split_at_mut(width);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for ((x, dy), dx) in rows {
            let (mean, scale) = p.moments(x);
            let all = dx.iter_mut().zip(x).zip(dy).zip(p.gamma).zip(p.beta);
            for_kind!(activation => for ((((dn, &x), &dy), &gamma), &beta) in all {
                *dn = dy * activation.derivative((x - mean) * scale * gamma + beta);
            });
            for (((with_x, alone), &dn), &x) in with_x.iter_mut().zip(alone.iter_mut()).zip(&*dx).zip(x) {
                *with_x += dn * (x - mean) * scale;
                *alone += dn;
            }
            let along = reduce::fold([dx, x, p.gamma], |[dn, x, gamma]| dn * gamma * (x - mean));
            let constant = reduce::fold([dx, p.gamma], |[dn, gamma]| dn * gamma);
            let by_x = (along / width as f64) as f32 * scale * scale * scale;
            let constant = (constant / width as f64) as f32 * scale;
            for ((dx, &x), &gamma) in dx.iter_mut().zip(x).zip(p.gamma) {
                *dx = *dx * gamma * scale - constant - (x - mean) * by_x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::ALL;
    use crate::norm::twin::Twin;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for (rows, width) in [(1, 5), (3, 16), (70, 33), (5, 1030)] {
            for activation in ALL {
                let x: Vec<f32> = numbers(rows * width, 1).iter().map(|x| 3.0 * x + 1.0).collect();
                let (gamma, beta, dy) = (numbers(width, 2), numbers(width, 3), numbers(x.len(), 4));
                let twin = Twin {
                    x: &x,
                    shift: Vec::new(),
                    gamma: &gamma,
                    beta: &beta,
                    eps: 1e-5,
                    activation,
                    set_of: |i, [width, ..]| i / width,
                    line_of: |i, [width, ..]| i % width,
                    sizes: [width, 0, 0],
                };
                let p = Rows { eps: 1e-5, activation, x: &x, gamma: &gamma, beta: &beta };
                assert_close(&p.forward(), &twin.forward(), 1e-5);
                for (got, want) in p.backward(&dy).iter().zip(twin.backward(&dy)) {
                    assert_close(got, &want, 2e-5);
                }
            }
        }
    }
}
