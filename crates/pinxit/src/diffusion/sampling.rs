//! The `[sample]` table of the diffusion families, and the plan that it makes.

use serde::{Deserialize, Serialize};

use super::guidance::Guided;
use super::precond::Preconditioning;
use super::samplers::{self, Churn, Sampler, Settings};
use super::schedule::{self, Spacing};
use super::{Clamped, Denoiser};
use crate::error::{Error, Result};

/// Which noise levels a sampler visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// EDM's, with `rho`, `sigma_min` and `sigma_max`.
    Karras,
    /// Even steps of a rectified flow's time, with `shift`.
    Flow,
    /// DDPM's steps, see [`Spacing::Leading`].
    Leading,
    /// DDPM's steps, see [`Spacing::Trailing`].
    Trailing,
    /// DDPM's steps, see [`Spacing::Linspace`].
    Linspace,
    /// DDPM's steps, see [`Spacing::Multistep`].
    Multistep,
}

crate::knobs! {
    /// How a diffusion model samples.
    pub struct SampleKnobs {
        /// Sampling steps: more are slower and truer.
        pub steps: Option<usize> = None,
        /// `euler`, `heun`, `heun-flow`, `heun-churn`, `ddim`, `ddpm` or `dpmpp-2m`.
        pub sampler: Option<String> = None,
        /// How strongly to insist on the class: 1 follows the data, 0 ignores the class.
        pub guidance: Option<f64> = None,
        /// Noise level up to which to guide.
        pub guidance_max: Option<f64> = None,
        /// Noise level above which to guide.
        pub guidance_min: Option<f64> = None,
        /// Noise levels: `karras`, `flow`, or for ddpm `leading`, `trailing`, `linspace`, `multistep`.
        pub schedule: Option<Schedule> = None,
        /// How far `karras` moves steps to small noise levels, 7 when not given.
        pub rho: Option<f64> = None,
        /// Smallest noise level of `karras` before 0.
        pub sigma_min: Option<f64> = None,
        /// Largest noise level of `karras`.
        pub sigma_max: Option<f64> = None,
        /// How far `flow` moves steps to large noise levels: 1 not at all, 3 for large pictures.
        pub shift: Option<f64> = None,
        /// Cut every estimate of the picture to its range, as DDPM does.
        pub clamp: Option<bool> = None,
        /// Noise of `ddim`: 0 none, 1 as much as `ddpm`.
        pub eta: Option<f64> = None,
        /// Noise of `heun-churn` over all steps (S_churn), 30 when not given.
        pub churn: Option<f64> = None,
        /// Smallest noise level at which `heun-churn` adds noise (S_tmin).
        pub churn_min: Option<f64> = None,
        /// Largest noise level at which `heun-churn` adds noise (S_tmax).
        pub churn_max: Option<f64> = None,
        /// Standard deviation of the noise of `heun-churn` (S_noise), just above 1.
        pub churn_noise: Option<f64> = None,
        /// Of a picture that is there: how much of the way from noise it goes again, 0 (stays) to 1 (forgotten).
        pub strength: Option<f64> = None,
        /// The class that such a picture shows, to turn it into another one by inverting the way from noise.
        pub from_class: Option<String> = None,
        /// Times that each stretch of the way is gone where a part is painted anew, 4 when not given.
        pub resample: Option<usize> = None,
        /// Steps of such a stretch, a tenth of all when not given.
        pub jump: Option<usize> = None,
    }
}

/// Checked settings: how to change a picture that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct EditKnobs {
    /// How much of the way from noise is gone again.
    pub strength: Option<f64>,
    /// The class that the picture shows.
    pub from_class: Option<String>,
    /// Times that each stretch is gone.
    pub resample: usize,
    /// Steps of a stretch.
    pub jump: usize,
}

/// Times that a stretch is gone at most: Lugmayr et al. 2022, section 5.5, see no gain past 20.
const MOST_TURNS: usize = 1000;

/// Checked settings: how to walk from noise to a picture.
pub struct SamplePlan {
    /// The sampler.
    pub sampler: &'static Sampler,
    /// Its noise levels, ending in 0.
    pub sigmas: Vec<f64>,
    /// Its settings.
    pub settings: Settings,
    guidance: f64,
    interval: (f64, f64),
    clamp: bool,
}

/// More steps than any sampler can use in f32.
const MOST_STEPS: usize = 100_000;

impl SampleKnobs {
    /// Turns knobs into a plan for a model with `preconditioning`.
    ///
    /// # Errors
    /// [`Error::Config`] for a value out of range, or a knob that the sampler or schedule has no
    /// use for.
    pub fn plan(&self, preconditioning: &Preconditioning) -> Result<SamplePlan> {
        let name = self.sampler.as_deref().ok_or_else(|| Error::config("sample.sampler is not set"))?;
        let steps = self.steps.ok_or_else(|| Error::config("sample.steps is not set"))?;
        if steps > MOST_STEPS {
            return Err(Error::config(format!(
                "sample.steps is {steps}; more than {MOST_STEPS} serve nothing"
            )));
        }
        let sampler = samplers::find(name)?;
        let schedule = self.schedule.unwrap_or_else(|| preconditioning.usual_schedule(sampler));
        self.refuse_useless(sampler, schedule)?;
        let sigmas = self.sigmas(preconditioning, schedule, steps)?;
        if sigmas[0] > sampler.largest_sigma {
            return Err(Error::config(format!(
                "sampler \"{name}\" can't start at the noise level {} of schedule \"{}\"; use the schedule \
                 \"karras\" or another sampler",
                sigmas[0],
                schedule.name()
            )));
        }
        Ok(SamplePlan {
            sampler,
            sigmas,
            settings: self.settings()?,
            guidance: ranged("guidance", self.guidance.unwrap_or(1.0), 0.0, 1000.0)?,
            interval: (self.guidance_min.unwrap_or(0.0), self.guidance_max.unwrap_or(f64::INFINITY)),
            clamp: self.clamp.unwrap_or(false),
        })
    }

    /// How to change a picture that is there, in `steps`.
    ///
    /// # Errors
    /// [`Error::Config`] for a value out of range.
    pub fn edit(&self, steps: usize) -> Result<EditKnobs> {
        let (resample, jump) = (self.resample.unwrap_or(4), self.jump.unwrap_or(steps.div_ceil(10)));
        if !(1..=MOST_TURNS).contains(&resample) || jump == 0 {
            return Err(Error::config(format!(
                "sample.resample is {resample} and sample.jump {jump}: they must be at least 1, and the first at \
                 most {MOST_TURNS}"
            )));
        }
        let strength = self.strength.map(|strength| ranged("strength", strength, 0.0, 1.0)).transpose()?;
        Ok(EditKnobs { strength, from_class: self.from_class.clone(), resample, jump })
    }

    /// Refuses what is for pictures that are there, where pictures are made from seeds.
    ///
    /// # Errors
    /// [`Error::Config`] naming the knob.
    pub fn refuse_edits(&self) -> Result<()> {
        let given = [("strength", self.strength.is_some()), ("from_class", self.from_class.is_some())];
        refuse(
            &given,
            "for changing a picture (pinxit translate) with a model that paints from seeds; leave it away",
        )?;
        self.refuse_repainting()
    }

    /// Refuses what is for painting the hidden part of a picture, where nothing is hidden.
    ///
    /// # Errors
    /// [`Error::Config`] naming the knob.
    pub fn refuse_repainting(&self) -> Result<()> {
        let given = [("resample", self.resample.is_some()), ("jump", self.jump.is_some())];
        refuse(
            &given,
            "for painting what a mask hides (pinxit translate --mask or --extend); give one, or leave it away",
        )
    }

    fn sigmas(
        &self,
        preconditioning: &Preconditioning,
        schedule: Schedule,
        steps: usize,
    ) -> Result<Vec<f64>> {
        let Some(spacing) = schedule.spacing() else {
            if schedule == Schedule::Flow {
                return schedule::rectified_flow(steps, self.shift.unwrap_or(1.0));
            }
            let (low, high) = preconditioning.usual_range();
            let (low, high) = (self.sigma_min.unwrap_or(low), self.sigma_max.unwrap_or(high));
            return schedule::karras(steps, low, high, self.rho.unwrap_or(7.0));
        };
        match preconditioning {
            Preconditioning::VariancePreserving { levels, .. } => levels.schedule(spacing, steps),
            _ => Err(Error::config(format!(
                "schedule \"{}\" picks from the discrete noise levels of ddpm, which this model doesn't \
                 have; use \"karras\" or \"flow\"",
                schedule.name()
            ))),
        }
    }

    fn settings(&self) -> Result<Settings> {
        let usual = Churn::default();
        let churn = Churn {
            amount: ranged("churn", self.churn.unwrap_or(usual.amount), 0.0, f64::MAX)?,
            above: self.churn_min.unwrap_or(usual.above),
            below: self.churn_max.unwrap_or(usual.below),
            noise: ranged("churn_noise", self.churn_noise.unwrap_or(usual.noise), 0.0, 2.0)?,
        };
        Ok(Settings { eta: ranged("eta", self.eta.unwrap_or(0.0), 0.0, 1.0)?, churn })
    }

    /// Refuses knobs that would change nothing.
    fn refuse_useless(&self, sampler: &Sampler, schedule: Schedule) -> Result<()> {
        let of_sampler = |knob| (sampler.settings.contains(&knob), format!("sampler \"{}\"", sampler.name));
        let of_schedule = |wanted| (schedule == wanted, format!("schedule \"{}\"", schedule.name()));
        for (knob, given, (used, by)) in [
            ("eta", self.eta.is_some(), of_sampler("eta")),
            ("churn", self.churn.is_some(), of_sampler("churn")),
            ("churn_min", self.churn_min.is_some(), of_sampler("churn")),
            ("churn_max", self.churn_max.is_some(), of_sampler("churn")),
            ("churn_noise", self.churn_noise.is_some(), of_sampler("churn")),
            ("rho", self.rho.is_some(), of_schedule(Schedule::Karras)),
            ("sigma_min", self.sigma_min.is_some(), of_schedule(Schedule::Karras)),
            ("sigma_max", self.sigma_max.is_some(), of_schedule(Schedule::Karras)),
            ("shift", self.shift.is_some(), of_schedule(Schedule::Flow)),
        ] {
            if given && !used {
                return Err(Error::config(format!("sample.{knob} has no effect on {by}; leave it away")));
            }
        }
        Ok(())
    }
}

impl SamplePlan {
    /// Whether the plan needs to know what the model paints without a class.
    pub fn guides(&self) -> bool {
        self.guidance != 1.0
    }

    /// Runs `sample` with the plan's guidance and clamping around `denoiser`.
    pub fn with_denoiser<T>(
        &self,
        denoiser: &dyn Denoiser,
        null_class: u32,
        sample: impl FnOnce(&dyn Denoiser) -> T,
    ) -> T {
        let guided = Guided { denoiser, scale: self.guidance, null_class, interval: self.interval };
        if self.clamp { sample(&Clamped(&guided)) } else { sample(&guided) }
    }
}

impl Schedule {
    fn spacing(self) -> Option<Spacing> {
        match self {
            Self::Karras | Self::Flow => None,
            Self::Leading => Some(Spacing::Leading),
            Self::Trailing => Some(Spacing::Trailing),
            Self::Linspace => Some(Spacing::Linspace),
            Self::Multistep => Some(Spacing::Multistep),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Karras => "karras",
            Self::Flow => "flow",
            Self::Leading => "leading",
            Self::Trailing => "trailing",
            Self::Linspace => "linspace",
            Self::Multistep => "multistep",
        }
    }
}

impl Preconditioning {
    /// The schedule that suits model and sampler. Heun's method over sigma always gets EDM's, whose
    /// steps are made for it.
    fn usual_schedule(&self, sampler: &Sampler) -> Schedule {
        match self {
            _ if sampler.largest_sigma.is_finite() => Schedule::Karras,
            Self::Edm { .. } => Schedule::Karras,
            Self::VariancePreserving { .. } => Schedule::Trailing,
            Self::Flow => Schedule::Flow,
        }
    }

    /// Smallest and largest noise level of [`schedule::karras`]: EDM's, within what the model was
    /// trained for.
    fn usual_range(&self) -> (f64, f64) {
        let (low, high) = (0.002, 80.0);
        match self {
            Self::VariancePreserving { levels, .. } => {
                (levels.sigma(0).max(low), levels.sigma(levels.count() - 1).min(high))
            }
            Self::Edm { .. } | Self::Flow => (low, high),
        }
    }
}

/// Refuses a knob that was given where it has no use.
fn refuse(knobs: &[(&str, bool)], what_for: &str) -> Result<()> {
    match knobs.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Error::config(format!("sample.{name} is {what_for}"))),
    }
}

/// `value` if it lies in `low..=high`.
fn ranged(knob: &str, value: f64, low: f64, high: f64) -> Result<f64> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    let range = if high < f64::MAX { format!("from {low} to {high}") } else { format!("at least {low}") };
    Err(Error::config(format!("sample.{knob} is {value}; it must be {range}")))
}
