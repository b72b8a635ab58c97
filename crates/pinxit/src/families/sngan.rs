//! SN-GAN: each weight of D is divided by its largest singular value, which bounds D's slope.
//!
//! ```text
//! G: z [128] -> [512, 4, 4] -> [256, 8, 8] -> [128, 16, 16] -> [64, 32, 32] -> [C, 32, 32], tanh
//! D: x [C, 32, 32] -> [64, 32, 32] -> [64, 16, 16] -> [128, 16, 16] -> [128, 8, 8] -> [256, 8, 8] -> [256, 4, 4]
//!    -> [512, 4, 4] -> 1
//! ```
//! at 32x32 (table 3); `model.net = "resnet"` for table 4. `model.condition = "projection"` for classes.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::Loss;
use crate::adversarial::knobs::{AdversarialKnobs, Net, Norm, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};

/// It has no knob that the others have not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sngan {}

impl Kind for Sngan {
    fn usual(&self) -> Settings {
        Settings { net: Net::Cnn, latent: 128, d_norm: Norm::Spectral, loss: Loss::Hinge, ..Settings::DCGAN }
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "sngan",
    about: "SN-GAN: a discriminator of bounded slope by spectral normalisation, hinge loss; robust and quick.",
    paper: "Miyato, Kataoka, Koyama, Yoshida 2018, Spectral Normalization for Generative Adversarial Networks; Miyato, Koyama 2018, cGANs with Projection Discriminator",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<Sngan>,
    cost: setup::cost::<Sngan>,
    learner: setup::learner::<Sngan>,
    model: setup::model::<Sngan>,
};
