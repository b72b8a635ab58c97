//! Preconditioning: how a denoiser is made of a network.
//!
//! `D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)` (Karras et al. 2022, eq. 7). The choice of
//! the four coefficients is what tells EDM, DDPM and rectified flow apart.

use burn::tensor::Tensor;

use super::schedule::DiscreteLevels;
use super::{Condition, Denoiser, origin};

/// `c_skip, c_out, c_in, c_noise` of one noise level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Share of the noisy picture in the estimate, `c_skip`.
    pub skip: f64,
    /// Scale of the network's output, `c_out`.
    pub out: f64,
    /// Scale of the network's input, `c_in`.
    pub input: f64,
    /// What the network is told of the noise level, `c_noise`.
    pub noise: f64,
}

impl Coefficients {
    /// The network's output that denoises perfectly, as factors of the clean picture and of the
    /// unit noise: `F* = (x0 - c_skip (x0 + sigma n)) / c_out = a x0 + b n`.
    pub fn target(&self, sigma: f64) -> (f64, f64) {
        ((1.0 - self.skip) / self.out, -self.skip * sigma / self.out)
    }
}

/// What a discrete-time network answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// The noise (Ho et al. 2020).
    Epsilon,
    /// The velocity `alpha n - sigma_vp x0` (Salimans and Ho 2022).
    V,
    /// The clean picture.
    X0,
}

/// The coefficients as a function of the noise level.
#[derive(Debug, Clone, PartialEq)]
pub enum Preconditioning {
    /// Inputs and targets of unit variance (Karras et al. 2022, table 1).
    Edm {
        /// Standard deviation of the pictures' values.
        sigma_data: f64,
    },
    /// A variance-preserving network over DDPM's discrete levels; `c_noise` is the real-valued
    /// step.
    VariancePreserving {
        /// The levels it was trained at.
        levels: DiscreteLevels,
        /// What it answers.
        prediction: Prediction,
    },
    /// A rectified flow (Liu et al. 2022): `x_t = (1 - t) x0 + t n` with `t = sigma / (1 + sigma)`,
    /// the network answers the velocity `n - x0` and is told `1000 t`.
    Flow,
}

impl Preconditioning {
    /// The coefficients at noise level `sigma` > 0.
    pub fn at(&self, sigma: f64) -> Coefficients {
        match self {
            Self::Edm { sigma_data } => {
                let (variance, norm) = (sigma_data.powi(2), sigma.hypot(*sigma_data));
                Coefficients {
                    skip: variance / norm.powi(2),
                    out: sigma * sigma_data / norm,
                    input: 1.0 / norm,
                    noise: 0.25 * sigma.ln(),
                }
            }
            Self::VariancePreserving { levels, prediction } => {
                // alpha = sqrt(alpha_bar) = 1 / sqrt(1 + sigma^2) scales to unit variance.
                let alpha = 1.0 / sigma.hypot(1.0);
                let (skip, out) = match prediction {
                    Prediction::Epsilon => (1.0, -sigma),
                    Prediction::V => (alpha.powi(2), -sigma * alpha),
                    Prediction::X0 => (0.0, 1.0),
                };
                Coefficients { skip, out, input: alpha, noise: levels.step_of(sigma) }
            }
            Self::Flow => {
                let signal = 1.0 / (1.0 + sigma);
                let t = sigma * signal;
                Coefficients { skip: signal, out: -t, input: signal, noise: 1000.0 * t }
            }
        }
    }
}

/// A trainable function of a scaled noisy picture and a word about its noise level.
pub trait Network {
    /// `F(x; c_noise)`: x `[B, C + C', H, W]` (with what it is made from), noise `[B]`, classes `[B]` (empty if
    /// unconditional) -> `[B, C, H, W]`.
    fn predict(&self, x: Tensor<4>, noise: Tensor<1>, classes: &[u32]) -> Tensor<4>;
}

/// The denoiser of a network.
pub struct Preconditioned<'a> {
    /// F.
    pub network: &'a dyn Network,
    /// The coefficients around it.
    pub preconditioning: &'a Preconditioning,
}

impl Denoiser for Preconditioned<'_> {
    fn denoise(&self, x: Tensor<4>, sigma: f64, condition: &Condition) -> Tensor<4> {
        let c = self.preconditioning.at(sigma);
        let noise = Tensor::full([x.dims()[0]], c.noise, &x.device());
        let input = origin::beside(x.clone().mul_scalar(c.input), condition.seen.clone());
        let predicted = self.network.predict(input, noise, &condition.classes);
        x.mul_scalar(c.skip) + predicted.mul_scalar(c.out)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::diffusion::schedule::Betas;

    const SIGMAS: [f64; 6] = [0.002, 0.05, 0.5, 1.0, 7.0, 150.0];

    fn variance_preserving(prediction: Prediction) -> Preconditioning {
        let levels = DiscreteLevels::new(Betas::Linear, 1000).unwrap();
        Preconditioning::VariancePreserving { levels, prediction }
    }

    fn all() -> [Preconditioning; 5] {
        [
            Preconditioning::Edm { sigma_data: 0.5 },
            Preconditioning::Flow,
            variance_preserving(Prediction::Epsilon),
            variance_preserving(Prediction::V),
            variance_preserving(Prediction::X0),
        ]
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
    }

    #[test]
    fn the_target_denoises_perfectly() {
        let (x0, n) = (0.7, -1.3);
        for preconditioning in all() {
            for sigma in SIGMAS {
                let c = preconditioning.at(sigma);
                let (clean, unit) = c.target(sigma);
                assert_close(c.skip * (x0 + sigma * n) + c.out * (clean * x0 + unit * n), x0);
            }
        }
    }

    /// Oracle: Karras et al. 2022, appendix B.6: inputs and targets have unit variance.
    #[test]
    fn edm_has_inputs_and_targets_of_unit_variance() {
        let sigma_data = 0.5f64;
        for sigma in SIGMAS {
            let c = Preconditioning::Edm { sigma_data }.at(sigma);
            let (clean, unit) = c.target(sigma);
            assert_close(c.input.powi(2) * (sigma_data.powi(2) + sigma.powi(2)), 1.0);
            assert_close((clean * sigma_data).powi(2) + unit.powi(2), 1.0);
        }
    }

    /// Oracle: the definitions of what each network answers, as factors of (x0, n).
    #[test]
    fn targets_are_those_of_the_papers() {
        for sigma in SIGMAS {
            let alpha = 1.0 / (1.0 + sigma * sigma).sqrt();
            let expected = [
                (Preconditioning::Flow, (-1.0, 1.0)),
                (variance_preserving(Prediction::Epsilon), (0.0, 1.0)),
                (variance_preserving(Prediction::V), (-alpha * sigma, alpha)),
                (variance_preserving(Prediction::X0), (1.0, 0.0)),
            ];
            for (preconditioning, (clean, unit)) in expected {
                let target = preconditioning.at(sigma).target(sigma);
                assert_close(target.0, clean);
                assert_close(target.1, unit);
            }
        }
    }
}
