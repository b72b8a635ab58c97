//! SiLU, `x sigmoid(x)`: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", arXiv:1606.08415.

use crate::exp::sigmoid;
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::threads;
use burn::tensor::{Tensor, activation};

/// `x sigmoid(x)` of every element. Differentiable.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if glue::supported(&x) { glue::apply1(Silu::<D>, x) } else { activation::silu(x) }
}

#[derive(Clone, Debug)]
struct Silu<const D: usize>;

impl<const D: usize> Operation for Silu<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        Array::new(forward(inputs[0].data()), inputs[0].dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        vec![Some(Array::new(backward(inputs[0].data(), grad.data()), inputs[0].dims::<D>()))]
    }
}

fn forward(x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    threads::for_each_chunk([&mut y], |range, [y]| values(&x[range], y));
    y
}

fn backward(x: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dx = vec![0.0; x.len()];
    threads::for_each_chunk([&mut dx], |range, [dx]| derivatives(&x[range.clone()], &dy[range], dx));
    dx
}

vectorised! {
    fn values(x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = value(x));
    }

    fn derivatives(x: &[f32], dy: &[f32], dx: &mut [f32]) {
        dx.iter_mut().zip(x).zip(dy).for_each(|((dx, &x), &dy)| *dx = dy * derivative(x));
    }
}

/// `x sigmoid(x)`.
#[inline(always)]
pub(crate) fn value(x: f32) -> f32 {
    x * sigmoid(x)
}

/// `d/dx x sigmoid(x) = s (1 + x (1 - s))` with `s = sigmoid(x)`.
#[inline(always)]
pub(crate) fn derivative(x: f32) -> f32 {
    let s = sigmoid(x);
    s * (1.0 + x * (1.0 - s))
}

/// The plain twins in f64.
#[cfg(test)]
pub(crate) mod twin {
    pub(crate) fn value(x: f64) -> f64 {
        x / (1.0 + (-x).exp())
    }

    pub(crate) fn derivative(x: f64) -> f64 {
        let s = 1.0 / (1.0 + (-x).exp());
        s * (1.0 + x * (1.0 - s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for len in [0, 1, 17, 40_003] {
            let x: Vec<f32> = numbers(len, 1).iter().map(|x| 12.0 * x).collect();
            let dy = numbers(len, 2);
            let want: Vec<f64> = x.iter().map(|&x| twin::value(f64::from(x))).collect();
            assert_close(&forward(&x), &want, 1e-6);
            let pairs = x.iter().zip(&dy);
            let want: Vec<f64> =
                pairs.map(|(&x, &dy)| f64::from(dy) * twin::derivative(f64::from(x))).collect();
            assert_close(&backward(&x, &dy), &want, 1e-6);
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let x = numbers(1003, 1);
        assert!(forward(&x).iter().zip(&x).all(|(y, &x)| y.to_bits() == value(x).to_bits()));
    }
}
