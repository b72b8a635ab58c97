//! Samplers: from noise to a picture along falling noise levels.
//!
//! A sampler is a function over a denoiser, noise levels and a source of noise; it doesn't know
//! what kind of model it runs. To add one, write the function and add a row to [`SAMPLERS`].
//!
//! All follow the probability flow ODE `dx/dsigma = (x - D(x; sigma)) / sigma` (Karras et al. 2022,
//! eq. 1 and 3) or a stochastic process with the same marginals.

mod ode;
mod sde;

use burn::tensor::Tensor;

use super::noise::NoiseSource;
use super::{Condition, Denoiser};
use crate::error::{Error, Result};
use crate::watch::Watch;

/// A way from noise to a picture.
pub struct Sampler {
    /// As typed after `--sampler`.
    pub name: &'static str,
    /// One sentence for a newcomer.
    pub about: &'static str,
    /// Authors, year, and where in the paper.
    pub paper: &'static str,
    /// Order of convergence in the number of steps, of its deterministic part.
    pub order: u32,
    /// Whether it adds noise on its way (with its default settings).
    pub stochastic: bool,
    /// The largest noise level that it can start at with few steps; others take any.
    pub largest_sigma: f64,
    /// The fields of [`Settings`] that it reads.
    pub settings: &'static [&'static str],
    /// Takes noise x `[B, C, H, W]` of level `sigmas[0]` to pictures.
    pub run: fn(&Sampling, Tensor<4>, &mut dyn Watch) -> Result<Tensor<4>>,
}

/// Every sampler.
pub static SAMPLERS: &[Sampler] = &[
    Sampler {
        name: "euler",
        about: "Straight steps; simple and fast, needs 50 steps or more.",
        paper: "Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative Models, algorithm 1 \
                without lines 6-8",
        order: 1,
        stochastic: false,
        largest_sigma: f64::INFINITY,
        settings: &[],
        run: ode::euler,
    },
    Sampler {
        name: "heun",
        about: "Each step corrected once, over the noise level; two evaluations a step, good from 18 steps.",
        paper: "Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative Models, algorithm 1",
        order: 2,
        stochastic: false,
        largest_sigma: 1e3,
        settings: &[],
        run: ode::heun,
    },
    Sampler {
        name: "heun-flow",
        about: "Each step corrected once, over the time of a rectified flow; two evaluations a step.",
        paper: "Heun's method on Liu et al. 2022, Flow Straight and Fast, eq. 1",
        order: 2,
        stochastic: false,
        largest_sigma: f64::INFINITY,
        settings: &[],
        run: ode::heun_flow,
    },
    Sampler {
        name: "heun-churn",
        about: "Heun with noise added before each step, which corrects earlier errors.",
        paper: "Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative Models, algorithm 2",
        order: 2,
        stochastic: true,
        largest_sigma: 1e3,
        settings: &["churn"],
        run: sde::heun_churn,
    },
    Sampler {
        name: "ddim",
        about: "Steps of any length between DDPM's levels; eta adds noise.",
        paper: "Song et al. 2021, Denoising Diffusion Implicit Models, eq. 12 and 16",
        order: 1,
        stochastic: false,
        largest_sigma: f64::INFINITY,
        settings: &["eta"],
        run: sde::ddim,
    },
    Sampler {
        name: "ddpm",
        about: "The random walk back that DDPM was derived with; needs hundreds of steps.",
        paper: "Ho et al. 2020, Denoising Diffusion Probabilistic Models, algorithm 2 and eq. 7",
        order: 1,
        stochastic: true,
        largest_sigma: f64::INFINITY,
        settings: &[],
        run: sde::ddpm,
    },
    Sampler {
        name: "dpmpp-2m",
        about: "Uses the estimate of the step before; one evaluation a step, good from 15 steps.",
        paper: "Lu et al. 2022, DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models, \
                algorithm 2",
        order: 2,
        stochastic: false,
        largest_sigma: f64::INFINITY,
        settings: &[],
        run: ode::dpmpp_2m,
    },
];

/// The sampler called `name`.
///
/// # Errors
/// [`Error::Config`] with the names that exist.
pub fn find(name: &str) -> Result<&'static Sampler> {
    SAMPLERS.iter().find(|sampler| sampler.name == name).ok_or_else(|| {
        let names: Vec<_> = SAMPLERS.iter().map(|sampler| sampler.name).collect();
        Error::config(format!("there is no sampler \"{name}\"; the samplers are: {}", names.join(", ")))
    })
}

/// Everything that a sampler works with.
pub struct Sampling<'a> {
    /// The model, with guidance and clamping if any.
    pub denoiser: &'a dyn Denoiser,
    /// What to paint.
    pub condition: &'a Condition,
    /// Falling noise levels; the pictures are those of the last one, usually 0.
    pub sigmas: &'a [f64],
    /// Where noise on the way comes from.
    pub noise: &'a dyn NoiseSource,
    /// What some samplers can be told.
    pub settings: Settings,
}

/// What some samplers can be told; each row of [`SAMPLERS`] names what it reads.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Settings {
    /// DDIM's share of DDPM's noise, 0 to 1.
    pub eta: f64,
    /// How `heun-churn` adds noise.
    pub churn: Churn,
}

/// The noise of EDM's stochastic sampler (Karras et al. 2022, algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Churn {
    /// How much of the noise level is renewed over all steps, `S_churn` >= 0.
    pub amount: f64,
    /// Smallest noise level at which to add noise, `S_tmin`.
    pub above: f64,
    /// Largest noise level at which to add noise, `S_tmax`.
    pub below: f64,
    /// Standard deviation of the noise, `S_noise`.
    pub noise: f64,
}

impl Default for Churn {
    /// EDM's settings for unconditional CIFAR-10 (table 5).
    fn default() -> Self {
        Self { amount: 30.0, above: 0.01, below: 1.0, noise: 1.007 }
    }
}

/// One step of a sampler: from one noise level to the next.
#[derive(Debug, Clone, Copy)]
struct Move {
    /// Number of the step, from 0.
    number: u32,
    /// The level of the noisy picture.
    from: f64,
    /// The level to reach.
    to: f64,
}

impl Sampling<'_> {
    /// D(x; sigma).
    fn denoise(&self, x: &Tensor<4>, sigma: f64) -> Tensor<4> {
        self.denoiser.denoise(x.clone(), sigma, self.condition)
    }

    /// Walks x through all levels; shows progress and stops when asked.
    fn walk(
        &self,
        mut x: Tensor<4>,
        watch: &mut dyn Watch,
        mut step: impl FnMut(Tensor<4>, Move) -> Tensor<4>,
    ) -> Result<Tensor<4>> {
        let total = self.sigmas.len().saturating_sub(1) as u64;
        for (number, levels) in (0u32..).zip(self.sigmas.windows(2)) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            x = step(x, Move { number, from: levels[0], to: levels[1] });
            watch.progress("sampling", u64::from(number) + 1, total);
        }
        Ok(x)
    }
}
