//! Activation functions: alone, or as the end of another kernel.
//!
//! Each kind is written once, as [`Activation::value`] and [`Activation::derivative`]. A loop over elements
//! stands inside [`for_kind`], which compiles it once per kind, so that no element asks which kind it is.

use crate::buffer::unwritten;
use crate::exp::{normal, sigmoid, silu, tanh};
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::threads;
use burn::tensor::{Tensor, activation};

/// A function of each element, such as what follows a normalisation or a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// `x`.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` above 0, else `slope x`: Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic
    /// models".
    LeakyRelu(f32),
    /// `x sigmoid(x)`: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", arXiv:1606.08415.
    Silu,
    /// `x P(Z < x)` with Z of the normal distribution, in its exact form with erf: Hendrycks and Gimpel 2016.
    Gelu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
}

impl Activation {
    /// The function at `x`.
    #[inline(always)]
    pub(crate) fn value(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            // A comparison that NaN passes.
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::LeakyRelu(slope) => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Self::Silu => silu(x),
            Self::Gelu => x * normal(x).0,
            Self::Tanh => tanh(x),
            Self::Sigmoid => sigmoid(x),
        }
    }

    /// The derivative of the function at `x`; at the kink of a rectifier the one of its left side, as PyTorch.
    #[inline(always)]
    pub(crate) fn derivative(self, x: f32) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Relu => {
                if x > 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Self::LeakyRelu(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Silu => {
                let s = sigmoid(x);
                s * (1.0 + x * (1.0 - s))
            }
            Self::Gelu => {
                let (below, density) = normal(x);
                below + x * density
            }
            Self::Tanh => {
                let y = tanh(x);
                1.0 - y * y
            }
            Self::Sigmoid => {
                let y = sigmoid(x);
                y * (1.0 - y)
            }
        }
    }

    /// Whether the derivative is a function of the value, so that the backward pass needs no more than the output.
    pub(crate) fn told_by_value(self) -> bool {
        match self {
            Self::None | Self::Relu | Self::Tanh | Self::Sigmoid => true,
            Self::LeakyRelu(slope) => slope > 0.0,
            Self::Silu | Self::Gelu => false,
        }
    }

    /// The derivative where the function is `y`, of a kind that is [`told_by_value`](Self::told_by_value).
    #[inline(always)]
    fn derivative_by_value(self, y: f32) -> f32 {
        match self {
            Self::Tanh => 1.0 - y * y,
            Self::Sigmoid => y * (1.0 - y),
            // The value of a rectifier has the sign of what it is the value of.
            rectifier => rectifier.derivative(y),
        }
    }

    /// The same as a composition of Burn's operations.
    pub(crate) fn composite<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => activation::relu(x),
            Self::LeakyRelu(slope) => activation::leaky_relu(x, f64::from(slope)),
            Self::Silu => activation::silu(x),
            Self::Gelu => activation::gelu(x),
            Self::Tanh => activation::tanh(x),
            Self::Sigmoid => activation::sigmoid(x),
        }
    }
}

/// Compiles a loop once for every kind of the [`Activation`] in the variable named, which in each copy is known to
/// be of that kind.
///
/// It must be a `for` loop: the compiler leaves a closure of this size a function of its own, without the wide
/// instructions of the function around it.
macro_rules! for_kind {
    ($activation:ident => $body:expr) => {
        match $activation {
            crate::Activation::None => for_kind!(@ $activation, crate::Activation::None, $body),
            crate::Activation::Relu => for_kind!(@ $activation, crate::Activation::Relu, $body),
            crate::Activation::LeakyRelu(slope) => {
                for_kind!(@ $activation, crate::Activation::LeakyRelu(slope), $body)
            }
            crate::Activation::Silu => for_kind!(@ $activation, crate::Activation::Silu, $body),
            crate::Activation::Gelu => for_kind!(@ $activation, crate::Activation::Gelu, $body),
            crate::Activation::Tanh => for_kind!(@ $activation, crate::Activation::Tanh, $body),
            crate::Activation::Sigmoid => for_kind!(@ $activation, crate::Activation::Sigmoid, $body),
        }
    };
    (@ $activation:ident, $kind:expr, $body:expr) => {{
        let $activation = $kind;
        $body
    }};
}
pub(crate) use for_kind;

/// `activation` of every element. Differentiable.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    if activation == Activation::None {
        x
    } else if glue::supported(&x) {
        glue::apply1(Activate::<D>(activation), x)
    } else {
        activation.composite(x)
    }
}

#[derive(Clone, Debug)]
struct Activate<const D: usize>(Activation);

impl<const D: usize> Operation for Activate<D> {
    fn keeps_inputs(&self) -> bool {
        !self.0.told_by_value()
    }

    fn keeps_output(&self) -> bool {
        self.0.told_by_value()
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        Array::new(forward(self.0, inputs[0].data()), inputs[0].dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let dx = if self.0.told_by_value() {
            backward_by_value(self.0, inputs[1].data(), grad.data())
        } else {
            backward(self.0, inputs[0].data(), grad.data())
        };
        vec![Some(Array::new(dx, inputs[0].dims::<D>()))]
    }
}

fn forward(activation: Activation, x: &[f32]) -> Vec<f32> {
    let mut y = unwritten(x.len());
    threads::for_each_chunk([&mut y], |range, [y]| values(activation, &x[range], y));
    y
}

fn backward(activation: Activation, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dx = unwritten(x.len());
    threads::for_each_chunk([&mut dx], |range, [dx]| {
        derivatives(activation, &x[range.clone()], &dy[range], dx);
    });
    dx
}

/// `dx` from `y`, for a kind that is [`Activation::told_by_value`].
pub(crate) fn backward_by_value(activation: Activation, y: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dx = unwritten(y.len());
    threads::for_each_chunk([&mut dx], |range, [dx]| {
        derivatives_by_value(activation, &y[range.clone()], &dy[range], dx);
    });
    dx
}

vectorised! {
    fn values(activation: Activation, x: &[f32], y: &mut [f32]) {
        along(activation, (1.0, 0.0), x, y);
    }

    /// `dz = dy activation'(z)` from `y = activation(z)`, for a kind that is [`Activation::told_by_value`].
    fn derivatives_by_value(activation: Activation, y: &[f32], dy: &[f32], dz: &mut [f32]) {
        for_kind!(activation => for ((dz, &y), &dy) in dz.iter_mut().zip(y).zip(dy) {
            *dz = dy * activation.derivative_by_value(y);
        });
    }

    fn derivatives(activation: Activation, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        along_derivative(activation, (1.0, 0.0), [x, dy], dx);
    }
}

/// `y = activation(slope x + intercept)`.
#[inline(always)]
pub(crate) fn along(activation: Activation, (slope, intercept): (f32, f32), x: &[f32], y: &mut [f32]) {
    for_kind!(activation => for (y, &x) in y.iter_mut().zip(x) {
        *y = activation.value(slope * x + intercept);
    });
}

/// `dn = dy activation'(slope x + intercept)`.
#[inline(always)]
pub(crate) fn along_derivative(
    activation: Activation,
    (slope, intercept): (f32, f32),
    [x, dy]: [&[f32]; 2],
    dn: &mut [f32],
) {
    for_kind!(activation => for ((dn, &x), &dy) in dn.iter_mut().zip(x).zip(dy) {
        *dn = dy * activation.derivative(slope * x + intercept);
    });
}

/// The plain twins in f64.
#[cfg(test)]
pub(crate) mod twin {
    use super::Activation;
    use crate::exp::twin::normal;

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    pub(crate) fn value(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::None => x,
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(slope) * x
                }
            }
            Activation::Silu => x * sigmoid(x),
            Activation::Gelu => x * normal(x),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(x),
        }
    }

    /// The slope between two near points, which knows nothing of the derivatives.
    pub(crate) fn derivative(activation: Activation, x: f64) -> f64 {
        let h = 1e-6;
        (value(activation, x + h) - value(activation, x - h)) / (2.0 * h)
    }
}

/// One of each kind.
#[cfg(test)]
pub(crate) const ALL: [Activation; 7] = [
    Activation::None,
    Activation::Relu,
    Activation::LeakyRelu(0.2),
    Activation::Silu,
    Activation::Gelu,
    Activation::Tanh,
    Activation::Sigmoid,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for activation in ALL {
            for len in [0, 1, 17, 40_003] {
                let x: Vec<f32> = numbers(len, 1).iter().map(|x| 12.0 * x).collect();
                let dy = numbers(len, 2);
                let want: Vec<f64> = x.iter().map(|&x| twin::value(activation, f64::from(x))).collect();
                assert_close(&forward(activation, &x), &want, 1e-6);
                let slope = |(&x, &dy)| f64::from(dy) * twin::derivative(activation, f64::from(x));
                let want: Vec<f64> = x.iter().zip(&dy).map(slope).collect();
                assert_close(&backward(activation, &x, &dy), &want, 1e-6);
            }
        }
    }

    #[test]
    fn the_value_tells_the_derivative() {
        let x: Vec<f32> = numbers(1000, 1).iter().map(|x| 4.0 * x).collect();
        for activation in ALL.into_iter().filter(|activation| activation.told_by_value()) {
            let y = forward(activation, &x);
            let want: Vec<f64> = x.iter().map(|&x| twin::derivative(activation, f64::from(x))).collect();
            assert_close(&backward_by_value(activation, &y, &vec![1.0; x.len()]), &want, 1e-5);
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let x: Vec<f32> = numbers(1003, 1).iter().map(|x| 8.0 * x).collect();
        for activation in ALL {
            let (y, dx) = (forward(activation, &x), backward(activation, &x, &vec![1.0; x.len()]));
            for (i, &x) in x.iter().enumerate() {
                assert_eq!(y[i].to_bits(), activation.value(x).to_bits(), "{activation:?} of {x}");
                assert_eq!(dx[i].to_bits(), activation.derivative(x).to_bits(), "{activation:?}' of {x}");
            }
        }
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        for activation in ALL {
            assert!(activation.value(f32::NAN).is_nan(), "{activation:?}");
        }
    }

    #[test]
    fn rectifiers_have_the_slope_of_the_left_side_at_zero() {
        assert_eq!(Activation::Relu.derivative(0.0), 0.0);
        assert_eq!(Activation::LeakyRelu(0.2).derivative(0.0), 0.2);
    }
}
