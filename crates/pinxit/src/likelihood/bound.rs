//! Bounds of a latent variable model: the evidence lower bound and its importance-weighted sharpening.

use burn::tensor::Tensor;

use super::{gaussian, ln_sum_exp};

/// An approximate posterior `q(z | x) = N(mean, exp(ln_var))`, diagonal.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// `[B, Z]`.
    pub mean: Tensor<2>,
    /// `[B, Z]`.
    pub ln_var: Tensor<2>,
}

impl Posterior {
    /// The latents `mean + std noise` of standard normal `noise` `[B, Z]` (Kingma and Welling 2013,
    /// section 2.4).
    pub fn sample(&self, noise: Tensor<2>) -> Tensor<2> {
        self.mean.clone() + self.ln_var.clone().mul_scalar(0.5).exp() * noise
    }

    /// Each picture `times` times over, all of them after one another: `[B, Z]` -> `[times B, Z]`.
    #[must_use]
    pub fn repeated(&self, times: usize) -> Self {
        let repeat = |x: &Tensor<2>| x.clone().repeat_dim(0, times);
        Self { mean: repeat(&self.mean), ln_var: repeat(&self.ln_var) }
    }

    /// `KL(q(z | x) || N(0, I))` of each latent, `[B, Z]` (Kingma and Welling 2013, appendix B).
    pub fn kl(&self) -> Tensor<2> {
        gaussian::kl_to_standard(self.mean.clone(), self.ln_var.clone())
    }

    /// `ln p(z) - ln q(z | x)` of latents `[B, Z]` -> `[B]`.
    pub fn ln_prior_over_posterior(&self, z: Tensor<2>) -> Tensor<1> {
        let zeros = z.zeros_like();
        let prior = gaussian::ln_density(z.clone(), zeros.clone(), zeros);
        let posterior = gaussian::ln_density(z, self.mean.clone(), self.ln_var.clone());
        (prior - posterior).sum_dim(1).squeeze_dim(1)
    }
}

/// The rate of a batch `[B, Z]` with a floor (Kingma et al. 2016, "Improving Variational Autoencoders
/// with Inverse Autoregressive Flow", eq. 16): no latent's mean divergence over the batch is paid for
/// below `free` nats. Gives the batch's sum `[1]`.
pub fn free_bits(kl: Tensor<2>, free: f64) -> Tensor<1> {
    let batch = kl.dims()[0] as f64;
    if free <= 0.0 {
        return kl.sum();
    }
    kl.mean_dim(0).clamp_min(free).sum().mul_scalar(batch)
}

/// The importance-weighted bound of `-ln p(x)` (Burda et al. 2015, eq. 8): ln weights
/// `ln p(x | z) + ln p(z) - ln q(z | x)` of K samples `[K, B]` -> nats `[B]`,
/// `ln K - ln sum_k w_k`. One sample is the evidence lower bound.
pub fn importance_weighted(ln_weights: Tensor<2>) -> Tensor<1> {
    let samples = ln_weights.dims()[0] as f64;
    ln_sum_exp(ln_weights, 0).squeeze_dim::<1>(0).neg().add_scalar(samples.ln())
}
