//! Rectified flow: the network learns the straight way from noise to picture.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::diffusion::knobs::DiffusionKnobs;
use crate::diffusion::objective::TrainingLevels;
use crate::diffusion::precond::Preconditioning;
use crate::diffusion::sampling::SampleKnobs;
use crate::diffusion::setup::{self, Kind, Usual};
use crate::error::{Error, Result};
use crate::knobs::{self, Knob};

/// How training times are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// Evenly from picture to noise.
    Uniform,
    /// More often from the middle (Esser et al. 2024, eq. 19).
    LogitNormal,
}

crate::knobs! {
    /// What only a rectified flow has.
    pub struct FlowKnobs {
        /// Training times: `uniform`, or `logit-normal` for more of the middle.
        pub times: Times = Times::LogitNormal,
        /// Middle of `logit-normal`: above 0 trains more at noise, below 0 more at the picture.
        pub times_mean: f64 = 0.0,
        /// Spread of `logit-normal`, above 0.
        pub times_std: f64 = 1.0,
    }
}

impl Kind for FlowKnobs {
    const USUAL: Usual = Usual { sampler: "heun-flow", steps: 20, clamp: false };

    fn parts(&self) -> Result<(Preconditioning, TrainingLevels)> {
        let levels = match self.times {
            Times::Uniform => TrainingLevels::UniformTime,
            Times::LogitNormal if self.times_std > 0.0 && self.times_mean.is_finite() => {
                TrainingLevels::LogitNormalTime { mean: self.times_mean, std: self.times_std }
            }
            Times::LogitNormal => {
                return Err(Error::config(format!(
                    "model.times_std is {}; it must be above 0, and model.times_mean a number",
                    self.times_std
                )));
            }
        };
        Ok((Preconditioning::Flow, levels))
    }
}

const KNOBS: [Knob; DiffusionKnobs::KNOBS.len() + FlowKnobs::KNOBS.len()] =
    knobs::join(DiffusionKnobs::KNOBS, FlowKnobs::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "flow",
    about: "Rectified flow: learns the straight way from noise to picture; quick to train, few steps to sample.",
    paper: "Liu, Gong, Liu 2022, Flow Straight and Fast; Lipman et al. 2022, Flow Matching for Generative Modeling",
    material: Material::PicturesOrPairs,
    model_knobs: &KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<FlowKnobs>,
    cost: setup::cost::<FlowKnobs>,
    learner: setup::learner::<FlowKnobs>,
    model: setup::model::<FlowKnobs>,
};
