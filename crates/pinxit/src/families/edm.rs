//! EDM: denoising with inputs and targets of unit variance.

use super::{Family, Material};
use crate::diffusion::knobs::DiffusionKnobs;
use crate::diffusion::objective::TrainingLevels;
use crate::diffusion::precond::Preconditioning;
use crate::diffusion::sampling::SampleKnobs;
use crate::diffusion::setup::{self, Kind, Usual};
use crate::error::{Error, Result};
use crate::knobs::{self, Knob};

crate::knobs! {
    /// What only EDM has; the defaults are the paper's (table 1).
    pub struct EdmKnobs {
        /// Standard deviation of the values of the pictures in [-1, 1], above 0.
        pub sigma_data: f64 = 0.5,
        /// Mean of the logarithm of the training noise level (P_mean).
        pub level_mean: f64 = -1.2,
        /// Standard deviation of the logarithm of the training noise level (P_std), above 0.
        pub level_std: f64 = 1.2,
    }
}

impl Kind for EdmKnobs {
    const USUAL: Usual = Usual { sampler: "heun", steps: 18, clamp: false };

    fn parts(&self) -> Result<(Preconditioning, TrainingLevels)> {
        let above_zero = |value: f64| value > 0.0 && value.is_finite();
        if !(above_zero(self.sigma_data) && above_zero(self.level_std) && self.level_mean.is_finite()) {
            return Err(Error::config(format!(
                "model.sigma_data and model.level_std must be above 0 and model.level_mean a number, not {}, {} \
                 and {}",
                self.sigma_data, self.level_std, self.level_mean
            )));
        }
        let levels = TrainingLevels::LogNormal { mean: self.level_mean, std: self.level_std };
        Ok((Preconditioning::Edm { sigma_data: self.sigma_data }, levels))
    }
}

const KNOBS: [Knob; DiffusionKnobs::KNOBS.len() + EdmKnobs::KNOBS.len()] =
    knobs::join(DiffusionKnobs::KNOBS, EdmKnobs::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "edm",
    about: "EDM: denoising with every noise level scaled alike; the best pictures for few steps.",
    paper: "Karras, Aittala, Aila, Laine 2022, Elucidating the Design Space of Diffusion-Based Generative Models",
    material: Material::PicturesOrPairs,
    model_knobs: &KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<EdmKnobs>,
    cost: setup::cost::<EdmKnobs>,
    learner: setup::learner::<EdmKnobs>,
    model: setup::model::<EdmKnobs>,
};
