//! The fully connected layer, with the activation that follows it.

use crate::activation::{Activation, activate, backward_by_value};
use crate::axis::Axis;
use crate::buffer::unwritten;
use crate::gemm::{Operand, Product, Target, gemm};
use crate::glue::{self, Array, Operation};
use crate::reduce;
use crate::store::End;
use burn::tensor::Tensor;
use std::borrow::Cow;

/// `x weight^T + bias`, as PyTorch's `linear`.
///
/// `x [B, in]`, `weight [out, in]`, `bias [out]` give `[B, out]`. Differentiable in all of them.
///
/// # Panics
/// If the sizes do not match.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    linear_activation(x, weight, bias, Activation::None)
}

/// `activation(x weight^T + bias)` in one operation: [`linear`], then [`activate`].
///
/// # Panics
/// If the sizes do not match.
pub fn linear_activation(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<2> {
    let ([_, inputs], [outputs, width]) = (x.dims(), weight.dims());
    assert_eq!(inputs, width, "linear: input {:?} and weight {:?}", x.dims(), weight.dims());
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "linear: bias");
    }
    if !glue::supported_layer(&x, &weight, bias.as_ref()) {
        return activation.composite(burn::tensor::module::linear(x, weight.transpose(), bias));
    }
    if activation.told_by_value() {
        glue::apply_layer(Linear(activation), x, weight, bias)
    } else {
        activate(glue::apply_layer(Linear(Activation::None), x, weight, bias), activation)
    }
}

#[derive(Clone, Debug)]
struct Linear(Activation);

impl Operation for Linear {
    fn keeps_output(&self) -> bool {
        self.0 != Activation::None
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, weight, bias @ ..] = inputs else { unreachable!("linear has two or three inputs") };
        let (sizes, bias) = (Sizes::new(x, weight), bias.first().map(Array::data));
        let end = End { bias, activation: self.0, ..End::default() };
        Array::new(forward(sizes, x.data(), weight.data(), end), [sizes.batch, sizes.outputs])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let (sizes, mut dz) = (Sizes::new(x, weight), Cow::Borrowed(grad.data()));
        if let (Some(y), true) = (inputs.last(), self.keeps_output()) {
            dz = Cow::Owned(backward_by_value(self.0, y.data(), grad.data()));
        }
        let dx = || Array::new(backward_x(sizes, weight.data(), &dz), x.dims::<2>());
        let dw = || Array::new(backward_weight(sizes, x.data(), &dz), weight.dims::<2>());
        let db = || Array::new(reduce::sum_rows(&dz, sizes.outputs), [sizes.outputs]);
        glue::layer_grads(wanted, dx, dw, db)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Sizes {
    fn new(x: &Array, weight: &Array) -> Self {
        let ([batch, inputs], [outputs, _]) = (x.dims(), weight.dims());
        Self { batch, inputs, outputs }
    }

    fn product(&self, a: Operand, b: Operand, to: Target, end: End) -> Vec<f32> {
        let mut out = unwritten(to.rows.len() * to.cols.len());
        // SAFETY: the target is a row-major matrix.
        unsafe { gemm(Product { a, b, to, end }, &mut out) };
        out
    }
}

/// `y[b, o] = end(sum_i x[b, i] weight[o, i])`. The rows of the product, which are read in place, are those of
/// the weight.
pub(crate) fn forward(s: Sizes, x: &[f32], weight: &[f32], end: End) -> Vec<f32> {
    let inputs = Axis::line(s.inputs, 1);
    s.product(
        Operand::new(weight, Axis::line(s.outputs, s.inputs), inputs),
        Operand::new(x, Axis::line(s.batch, s.inputs), inputs),
        Target { rows: Axis::line(s.outputs, 1), cols: Axis::line(s.batch, s.outputs) },
        end,
    )
}

/// `dx[b, i] = sum_o dy[b, o] weight[o, i]`.
pub(crate) fn backward_x(s: Sizes, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    let inputs = Axis::line(s.inputs, 1);
    s.product(
        Operand::new(dy, Axis::line(s.batch, s.outputs), Axis::line(s.outputs, 1)),
        Operand::new(weight, inputs, Axis::line(s.outputs, s.inputs)),
        Target { rows: Axis::line(s.batch, s.inputs), cols: inputs },
        End::default(),
    )
}

/// `dw[o, i] = sum_b dy[b, o] x[b, i]`.
pub(crate) fn backward_weight(s: Sizes, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let inputs = Axis::line(s.inputs, 1);
    s.product(
        Operand::new(dy, Axis::line(s.outputs, 1), Axis::line(s.batch, s.outputs)),
        Operand::new(x, inputs, Axis::line(s.batch, s.inputs)),
        Target { rows: Axis::line(s.outputs, s.inputs), cols: inputs },
        End::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    /// The plain twin: `sum over k < depth of f(i, j, k)` in f64 for an m x n matrix.
    fn twin(m: usize, n: usize, depth: usize, f: impl Fn(usize, usize, usize) -> f32) -> Vec<f64> {
        let sum = |i, j| (0..depth).map(|k| f64::from(f(i, j, k))).sum();
        (0..m * n).map(|at| sum(at / n, at % n)).collect()
    }

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for (batch, inputs, outputs) in [(1, 1, 1), (5, 7, 3), (33, 40, 65), (3, 300, 129), (64, 128, 512)] {
            let s = Sizes { batch, inputs, outputs };
            let (x, w) = (numbers(batch * inputs, 1), numbers(outputs * inputs, 2));
            let (bias, dy) = (numbers(outputs, 3), numbers(batch * outputs, 4));
            let y = twin(batch, outputs, inputs + 1, |b, o, i| {
                if i < inputs { x[b * inputs + i] * w[o * inputs + i] } else { bias[o] }
            });
            assert_close(&forward(s, &x, &w, End::bias(Some(&bias))), &y, 1e-5);
            for activation in [Activation::LeakyRelu(0.2), Activation::Tanh, Activation::Sigmoid] {
                let y: Vec<f64> = y.iter().map(|&y| crate::activation::twin::value(activation, y)).collect();
                let end = End { activation, ..End::bias(Some(&bias)) };
                assert_close(&forward(s, &x, &w, end), &y, 1e-5);
            }
            let dx = twin(batch, inputs, outputs, |b, i, o| dy[b * outputs + o] * w[o * inputs + i]);
            assert_close(&backward_x(s, &w, &dy), &dx, 1e-5);
            let dw = twin(outputs, inputs, batch, |o, i, b| dy[b * outputs + o] * x[b * inputs + i]);
            assert_close(&backward_weight(s, &x, &dy), &dw, 1e-5);
        }
    }
}
