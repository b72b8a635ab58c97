//! R3GAN: a relativistic loss with penalties on real and fake pictures, which together make a game that
//! converges, on residual networks without normalisation.
//!
//! ```text
//! G: z [64] -> [256, 4, 4] -> blocks -> [128, 8, 8] -> blocks -> ... -> [32, 32, 32] -> blocks -> [C, 32, 32]
//! D: x [C, 32, 32] -> [32, 32, 32] -> blocks -> [64, 16, 16] -> ... -> [256, 4, 4] -> blocks -> basis [256] -> 1
//! ```
//! at 32x32.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::knobs::{AdversarialKnobs, Net, Norm, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};
use crate::adversarial::{Loss, Penalty};

/// It has no knob that the others have not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct R3gan {}

impl Kind for R3gan {
    fn usual(&self) -> Settings {
        Settings {
            net: Net::Modern,
            width: 32,
            latent: 64,
            g_norm: Norm::None,
            d_norm: Norm::None,
            loss: Loss::Relativistic,
            penalty: Penalty::R1R2,
            penalty_weight: 1.0,
            beta1: 0.0,
            beta2: 0.99,
            ..Settings::DCGAN
        }
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "r3gan",
    about: "R3GAN: relativistic loss with penalties on both sides and a modern small network; the GAN to begin with.",
    paper: "Huang, Gokaslan, Kuleshov, Tompkin 2024, The GAN is dead; long live the GAN! A Modern Baseline GAN",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<R3gan>,
    cost: setup::cost::<R3gan>,
    learner: setup::learner::<R3gan>,
    model: setup::model::<R3gan>,
};
