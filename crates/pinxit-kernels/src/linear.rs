//! The fully connected layer.

use crate::axis::Axis;
use crate::buffer::unwritten;
use crate::gemm::{Operand, Product, Target, gemm};
use crate::glue::{self, Array, Operation};
use crate::reduce;
use crate::store::End;
use burn::tensor::Tensor;

/// `x weight^T + bias`, as PyTorch's `linear`.
///
/// `x [B, in]`, `weight [out, in]`, `bias [out]` give `[B, out]`. Differentiable in all of them.
///
/// # Panics
/// If the sizes do not match.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let ([_, inputs], [outputs, width]) = (x.dims(), weight.dims());
    assert_eq!(inputs, width, "linear: input {:?} and weight {:?}", x.dims(), weight.dims());
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "linear: bias");
    }
    if !(glue::supported(&x) && glue::supported(&weight) && bias.as_ref().is_none_or(glue::supported)) {
        return burn::tensor::module::linear(x, weight.transpose(), bias);
    }
    match bias {
        Some(bias) => glue::apply3(Linear, x, weight, bias),
        None => glue::apply2(Linear, x, weight),
    }
}

#[derive(Clone, Debug)]
struct Linear;

impl Operation for Linear {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, weight, bias @ ..] = inputs else { unreachable!("linear has two or three inputs") };
        let sizes = Sizes::new(x, weight);
        let y = forward(sizes, x.data(), weight.data(), bias.first().map(Array::data));
        Array::new(y, [sizes.batch, sizes.outputs])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let sizes = Sizes::new(x, weight);
        let dx = || Array::new(backward_x(sizes, weight.data(), grad.data()), x.dims::<2>());
        let dw = || Array::new(backward_weight(sizes, x.data(), grad.data()), weight.dims::<2>());
        let db = || Array::new(reduce::sum_rows(grad.data(), sizes.outputs), [sizes.outputs]);
        let mut grads = vec![wanted[0].then(dx), wanted[1].then(dw)];
        if let Some(&wanted) = wanted.get(2) {
            grads.push(wanted.then(db));
        }
        grads
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

/// `y[b, o] = sum_i x[b, i] weight[o, i] + bias[o]`. The rows of the product, which are read in place, are those of
/// the weight.
pub(crate) fn forward(s: Sizes, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let inputs = Axis::line(s.inputs, 1);
    s.product(
        Operand::new(weight, Axis::line(s.outputs, s.inputs), inputs),
        Operand::new(x, Axis::line(s.batch, s.inputs), inputs),
        Target { rows: Axis::line(s.outputs, 1), cols: Axis::line(s.batch, s.outputs) },
        End::bias(bias),
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
            assert_close(&forward(s, &x, &w, Some(&bias)), &y, 1e-5);
            let dx = twin(batch, inputs, outputs, |b, i, o| dy[b * outputs + o] * w[o * inputs + i]);
            assert_close(&backward_x(s, &w, &dy), &dx, 1e-5);
            let dw = twin(outputs, inputs, batch, |o, i, b| dy[b * outputs + o] * x[b * inputs + i]);
            assert_close(&backward_weight(s, &x, &dy), &dw, 1e-5);
        }
    }
}
