//! Forward-mode differentiation: a value and how it moves along a direction.
//!
//! Penalties on the slope of a discriminator need the derivative, by its weights, of a derivative by
//! its input, and the backward pass can't be differentiated again. But the slope along a direction
//! can be carried forward beside the value, layer by layer, with ordinary operations, and those have an ordinary
//! backward pass. So a discriminator is written once, over [`Dual`] numbers, and is asked with or
//! without a direction.

use burn::tensor::{Tensor, activation};

use crate::nn::{Activation, Conv2d, Linear, ops};

/// A value, and its tangent if the input had one: the derivative of the value as the input moves.
#[derive(Debug, Clone)]
pub struct Dual<const D: usize> {
    /// The value.
    pub value: Tensor<D>,
    /// Of the shape of the value.
    pub tangent: Option<Tensor<D>>,
}

impl<const D: usize> From<Tensor<D>> for Dual<D> {
    fn from(value: Tensor<D>) -> Self {
        Self { value, tangent: None }
    }
}

impl<const D: usize> Dual<D> {
    /// A value that moves along `direction`.
    pub fn along(value: Tensor<D>, direction: Tensor<D>) -> Self {
        Self { value, tangent: Some(direction) }
    }

    /// A linear map, which the tangent passes as the value does.
    #[must_use]
    pub fn linear<const E: usize>(self, map: impl Fn(Tensor<D>) -> Tensor<E>) -> Dual<E> {
        Dual { tangent: self.tangent.map(&map), value: map(self.value) }
    }

    /// A linear map of two.
    #[must_use]
    pub fn zip<const E: usize>(
        self,
        other: Self,
        map: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<E>,
    ) -> Dual<E> {
        let tangent = match (self.tangent, other.tangent) {
            (Some(a), Some(b)) => Some(map(a, b)),
            (Some(a), None) => Some(map(a, other.value.zeros_like())),
            (None, Some(b)) => Some(map(self.value.zeros_like(), b)),
            (None, None) => None,
        };
        Dual { value: map(self.value, other.value), tangent }
    }

    /// A constant added, which the tangent does not feel.
    #[must_use]
    pub fn offset(self, constant: Tensor<D>) -> Self {
        Self { value: self.value + constant, ..self }
    }

    /// A map with an offset; `without` is the map without it.
    #[must_use]
    pub fn affine<const E: usize>(
        self,
        map: impl Fn(Tensor<D>) -> Tensor<E>,
        without: impl Fn(Tensor<D>) -> Tensor<E>,
    ) -> Dual<E> {
        Dual { tangent: self.tangent.map(without), value: map(self.value) }
    }

    /// `x` where it is positive, `slope x` where it is not; the ReLU if `slope` is 0.
    #[must_use]
    pub fn leaky_relu(self, slope: f64) -> Self {
        let Some(tangent) = self.tangent else {
            return ops::activate(self.value, Activation::LeakyRelu(slope as f32)).into();
        };
        let positive = self.value.clone().detach().greater_elem(0.0).float();
        let derivative = positive * (1.0 - slope) + slope;
        Self { value: self.value * derivative.clone(), tangent: Some(tangent * derivative) }
    }

    /// `x sigmoid(x)`.
    #[must_use]
    pub fn silu(self) -> Self {
        let Self { value, tangent } = self;
        let Some(tangent) = tangent else { return ops::activate(value, Activation::Silu).into() };
        let sigmoid = activation::sigmoid(value.clone());
        // (x s)' = s + x s (1 - s).
        let derivative = sigmoid.clone() + value.clone() * sigmoid.clone() * (-sigmoid.clone() + 1.0);
        Self { value: value * sigmoid, tangent: Some(tangent * derivative) }
    }
}

impl Dual<4> {
    /// Through a convolution.
    #[must_use]
    pub fn conv2d(self, layer: &Conv2d) -> Self {
        self.affine(|x| layer.forward(x), |t| layer.clone().without_bias().forward(t))
    }
}

impl Dual<2> {
    /// Through a linear layer.
    #[must_use]
    pub fn dense(self, layer: &Linear) -> Self {
        self.affine(|x| layer.forward(x), |t| layer.clone().without_bias().forward(t))
    }
}
