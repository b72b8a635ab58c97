//! Wasserstein GAN: D ("the critic") estimates a distance, and is kept from being steep by bounds on its weights.
//!
//! Networks as `dcgan`. The paper's own words on the bound: "clearly a terrible way"; `wgan-gp` came of it.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::Loss;
use crate::adversarial::knobs::{AdversarialKnobs, Optimizer, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};

/// It has no knob that the others have not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wgan {}

impl Kind for Wgan {
    fn usual(&self) -> Settings {
        Settings {
            loss: Loss::Wasserstein,
            weight_clip: 0.01,
            d_steps: 5,
            optimizer: Optimizer::Rmsprop,
            beta2: 0.99, // PyTorch's alpha
            lr: 5e-5,
            ..Settings::DCGAN
        }
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "wgan",
    about: "WGAN: a critic that measures a distance instead of judging; steady, slow, bounded weights.",
    paper: "Arjovsky, Chintala, Bottou 2017, Wasserstein GAN",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<Wgan>,
    cost: setup::cost::<Wgan>,
    learner: setup::learner::<Wgan>,
    model: setup::model::<Wgan>,
};
