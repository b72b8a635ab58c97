//! WGAN-GP: the critic's slope between real and fake pictures is kept near 1.
//!
//! Networks as `dcgan`, D without normalisation; `model.net = "resnet"` for the paper's residual ones. The penalty's
//! gradient is exact and takes no second backward pass (`adversarial/penalty.rs`).

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::knobs::{AdversarialKnobs, Norm, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};
use crate::adversarial::{Loss, Penalty};

/// It has no knob that the others have not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WganGp {}

impl Kind for WganGp {
    fn usual(&self) -> Settings {
        Settings {
            d_norm: Norm::None,
            loss: Loss::Wasserstein,
            penalty: Penalty::Gp,
            penalty_weight: 10.0,
            d_steps: 5,
            beta1: 0.0,
            beta2: 0.9,
            lr: 1e-4,
            ..Settings::DCGAN
        }
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "wgan-gp",
    about: "WGAN-GP: the critic of WGAN with a penalty on its slope; trains where others collapse.",
    paper: "Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville 2017, Improved Training of Wasserstein GANs",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<WganGp>,
    cost: setup::cost::<WganGp>,
    learner: setup::learner::<WganGp>,
    model: setup::model::<WganGp>,
};
