//! Noise levels: the discrete steps of DDPM, and the levels that a sampler visits.
//!
//! A schedule is a vector of `steps + 1` falling noise levels `sigma` that ends in 0.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the variance `beta_t` of DDPM's noising steps grows with t.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Betas {
    /// From 1e-4 to 0.02 on a straight line (Ho et al. 2020, section 4).
    Linear,
    /// So that the signal falls on a squared cosine (Nichol and Dhariwal 2021, eq. 17).
    Cosine,
}

impl Betas {
    /// `beta_t` for t in `0..steps`.
    ///
    /// The line's ends are DDPM's for 1000 steps and scale with the number of steps, so that the
    /// last level stays the same noise.
    pub fn values(self, steps: usize) -> Vec<f64> {
        match self {
            Self::Linear => {
                let scale = 1000.0 / steps as f64;
                let (first, last) = (1e-4 * scale, 0.02 * scale);
                linspace(first, last, steps).into_iter().map(|beta| beta.min(0.999)).collect()
            }
            Self::Cosine => {
                let signal = |t: usize| {
                    let angle = (t as f64 / steps as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
                    libm::cos(angle).powi(2)
                };
                (0..steps).map(|t| (1.0 - signal(t + 1) / signal(t)).min(0.999)).collect()
            }
        }
    }
}

/// Which of DDPM's discrete steps a sampler visits (Lin et al. 2024, table 2; diffusers'
/// `timestep_spacing`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// Every k-th step from 0 up: DDPM and DDIM as published; never starts at the last step.
    Leading,
    /// Every k-th step from the last down.
    Trailing,
    /// From the last to the first step, real-valued: diffusers' Euler.
    Linspace,
    /// One point more than Linspace, rounded, without the first step: diffusers' DPM-Solver++.
    Multistep,
}

/// DDPM's discrete noise levels.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscreteLevels {
    /// `alpha_bar_t`: what is left of the variance of the signal after step t, falling.
    alpha_bar: Vec<f64>,
}

impl DiscreteLevels {
    /// The levels of `steps` noising steps.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than 2 steps.
    pub fn new(betas: Betas, steps: usize) -> Result<Self> {
        if steps < 2 {
            return Err(Error::config(format!("{steps} noise levels are too few: DDPM needs at least 2")));
        }
        let mut signal = 1.0;
        let alpha_bar = betas.values(steps).into_iter().map(|beta| {
            signal *= 1.0 - beta;
            signal
        });
        Ok(Self { alpha_bar: alpha_bar.collect() })
    }

    /// Number of levels T.
    pub fn count(&self) -> usize {
        self.alpha_bar.len()
    }

    /// `alpha_bar_t` of step `t` in `0..T`, the last one for any t beyond.
    pub fn alpha_bar(&self, t: usize) -> f64 {
        self.alpha_bar[t.min(self.count() - 1)]
    }

    /// `sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t)`: the level of step `t` where the signal
    /// keeps its scale.
    pub fn sigma(&self, t: usize) -> f64 {
        let signal = self.alpha_bar(t);
        ((1.0 - signal) / signal).sqrt()
    }

    /// The level of a real-valued step, on straight lines between the steps.
    pub fn sigma_at(&self, t: f64) -> f64 {
        let t = t.clamp(0.0, (self.count() - 1) as f64);
        let (low, part) = (t.floor() as usize, t.fract());
        self.sigma(low) * (1.0 - part) + self.sigma(low + 1) * part
    }

    /// The real-valued step of a level: the inverse of [`Self::sigma_at`], held to `[0, T - 1]`.
    pub fn step_of(&self, sigma: f64) -> f64 {
        let mut low = 0;
        let mut high = self.count() - 1;
        if sigma <= self.sigma(low) {
            return 0.0;
        }
        if sigma >= self.sigma(high) {
            return high as f64;
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.sigma(middle) <= sigma { low = middle } else { high = middle }
        }
        let (below, above) = (self.sigma(low), self.sigma(high));
        low as f64 + (sigma - below) / (above - below)
    }

    /// The noise levels of `steps` sampling steps, and 0.
    ///
    /// # Errors
    /// [`Error::Config`] unless `1 <= steps <= T`, below T for [`Spacing::Multistep`].
    pub fn schedule(&self, spacing: Spacing, steps: usize) -> Result<Vec<f64>> {
        require_steps(steps)?;
        let most = self.count() - usize::from(spacing == Spacing::Multistep);
        if steps > most {
            return Err(Error::config(format!(
                "{steps} sampling steps are more than this model's noise levels allow; ask for {most} or fewer"
            )));
        }
        let times = self.times(spacing, steps);
        Ok(times.into_iter().map(|t| self.sigma_at(t)).chain([0.0]).collect())
    }

    /// The steps that `spacing` visits, falling.
    fn times(&self, spacing: Spacing, steps: usize) -> Vec<f64> {
        let (count, last) = (self.count() as f64, (self.count() - 1) as f64);
        match spacing {
            Spacing::Leading => {
                let stride = self.count() / steps;
                (0..steps).rev().map(|i| (i * stride) as f64).collect()
            }
            Spacing::Trailing => (0..steps)
                .map(|i| (count - i as f64 * count / steps as f64).round_ties_even() - 1.0)
                .collect(),
            Spacing::Linspace => linspace(last, 0.0, steps),
            Spacing::Multistep => {
                let mut times = linspace(last, 0.0, steps + 1);
                times.pop();
                times.into_iter().map(f64::round_ties_even).collect()
            }
        }
    }
}

/// EDM's levels (Karras et al. 2022, eq. 5): `rho` moves steps towards small levels; and 0.
///
/// # Errors
/// [`Error::Config`] unless `steps > 0`, `0 < sigma_min < sigma_max` and `rho > 0`.
pub fn karras(steps: usize, sigma_min: f64, sigma_max: f64, rho: f64) -> Result<Vec<f64>> {
    require_steps(steps)?;
    if !(0.0 < sigma_min && sigma_min < sigma_max && sigma_max.is_finite() && rho > 0.0) {
        return Err(Error::config(format!(
            "the Karras schedule needs 0 < sigma_min < sigma_max and rho > 0, not sigma_min = {sigma_min}, \
             sigma_max = {sigma_max}, rho = {rho}"
        )));
    }
    let (start, end) = (sigma_max.powf(1.0 / rho), sigma_min.powf(1.0 / rho));
    Ok(linspace(start, end, steps).into_iter().map(|root| root.powf(rho)).chain([0.0]).collect())
}

/// The level that stands for the pure noise of a rectified flow at t = 1, where the
/// variance-exploding form is infinite: `t = 1 - 1e-5`.
pub const FLOW_SIGMA_MAX: f64 = 99_999.0;

/// A rectified flow's even time steps `t = sigma / (1 + sigma)` from 1 to 0, shifted to noise
/// (Esser et al. 2024, eq. 23): `t' = shift t / (1 + (shift - 1) t)`, which is
/// `sigma' = shift * sigma`.
///
/// # Errors
/// [`Error::Config`] unless `steps > 0` and `0 < shift <= 100`.
pub fn rectified_flow(steps: usize, shift: f64) -> Result<Vec<f64>> {
    require_steps(steps)?;
    if !(shift > 0.0 && shift <= 100.0) {
        return Err(Error::config(format!(
            "the shift of a schedule must be above 0 and at most 100, not {shift}"
        )));
    }
    let sigma = |t: f64| (shift * t / (1.0 - t)).min(FLOW_SIGMA_MAX);
    Ok(linspace(1.0, 0.0, steps + 1).into_iter().map(sigma).collect())
}

fn require_steps(steps: usize) -> Result<()> {
    if steps == 0 {
        return Err(Error::config("0 sampling steps make no picture; ask for at least 1"));
    }
    Ok(())
}

/// `count` evenly spaced values from `first` to `last`, both included.
fn linspace(first: f64, last: f64, count: usize) -> Vec<f64> {
    let intervals = count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| first + (last - first) * i as f64 / intervals).collect()
}
