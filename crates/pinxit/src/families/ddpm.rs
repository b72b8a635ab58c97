//! DDPM: a thousand small steps of noise, undone one by one or, with DDIM, many at once.

use super::{Family, Material};
use crate::diffusion::knobs::DiffusionKnobs;
use crate::diffusion::objective::TrainingLevels;
use crate::diffusion::precond::{Preconditioning, Prediction};
use crate::diffusion::sampling::SampleKnobs;
use crate::diffusion::schedule::{Betas, DiscreteLevels};
use crate::diffusion::setup::{self, Kind, Usual};
use crate::error::Result;
use crate::knobs::{self, Knob};

crate::knobs! {
    /// What only DDPM has.
    pub struct DdpmKnobs {
        /// How noise grows from step to step: `linear` (the paper's) or `cosine` (better for small pictures).
        pub betas: Betas = Betas::Linear,
        /// Number of noising steps, at least 2.
        pub noise_steps: usize = 1000,
        /// What the network answers: `epsilon` (the noise), `v` (the velocity) or `x0` (the picture).
        pub prediction: Prediction = Prediction::Epsilon,
    }
}

impl Kind for DdpmKnobs {
    const USUAL: Usual = Usual { sampler: "ddim", steps: 50, clamp: true };

    fn parts(&self) -> Result<(Preconditioning, TrainingLevels)> {
        let levels = DiscreteLevels::new(self.betas, self.noise_steps)?;
        let preconditioning =
            Preconditioning::VariancePreserving { levels: levels.clone(), prediction: self.prediction };
        Ok((preconditioning, TrainingLevels::Discrete(levels)))
    }
}

const KNOBS: [Knob; DiffusionKnobs::KNOBS.len() + DdpmKnobs::KNOBS.len()] =
    knobs::join(DiffusionKnobs::KNOBS, DdpmKnobs::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "ddpm",
    about: "DDPM: the classic; predicts the noise of a thousand small steps and bounds the likelihood.",
    paper: "Ho, Jain, Abbeel 2020, Denoising Diffusion Probabilistic Models; Nichol, Dhariwal 2021, Improved \
            Denoising Diffusion Probabilistic Models",
    material: Material::PicturesOrPairs,
    model_knobs: &KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<DdpmKnobs>,
    cost: setup::cost::<DdpmKnobs>,
    learner: setup::learner::<DdpmKnobs>,
    model: setup::model::<DdpmKnobs>,
};
