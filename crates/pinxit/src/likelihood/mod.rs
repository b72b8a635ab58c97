//! What the models that know probabilities share.
//!
//! A model of this kind gives every pixel a distribution ([`pixel`]) over the grey levels that pictures
//! have ([`levels`]): a Bernoulli, a Gaussian ([`gaussian`]), a softmax ([`categorical`]) or a mixture of
//! logistics ([`logistic`]). A latent variable model has only a bound of what it gives ([`bound`]); an
//! [`autoregressive`] one tells it exactly.

pub mod autoregressive;
pub mod bound;
pub mod categorical;
pub mod gaussian;
pub mod levels;
pub mod logistic;
pub mod pixel;

use burn::tensor::Tensor;

pub(crate) use crate::nn::params::values;

/// Bits per dimension of pictures of `dims` values: `nats / (dims ln 2)`. A model that finds all 256
/// values of every pixel equally probable has exactly 8.
pub fn bits_per_dim(nats: f64, dims: usize) -> f64 {
    nats / (dims as f64 * std::f64::consts::LN_2)
}

/// `ln sum_i exp x_i` along `dim`, which stays with size 1.
pub fn ln_sum_exp<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    let largest = x.clone().detach().max_dim(dim);
    (x - largest.clone()).exp().sum_dim(dim).log() + largest
}

/// The sum of all values of each picture, `[B, C, H, W]` -> `[B]`.
pub(crate) fn sum_of_each(x: Tensor<4>) -> Tensor<1> {
    x.sum_dims_squeeze::<1, _>(&[1, 2, 3])
}

#[cfg(test)]
mod tests {
    use super::bits_per_dim;

    #[test]
    fn a_uniform_model_has_exactly_eight_bits() {
        for dims in [1, 64, 784, 3 * 32 * 32] {
            assert_eq!(bits_per_dim(dims as f64 * 256f64.ln(), dims), 8.0);
        }
    }
}
