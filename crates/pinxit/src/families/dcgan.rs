//! DCGAN: convolutions with stride 2 in both networks, normalised by batch.
//!
//! ```text
//! G: z [100] -> [512, 4, 4] -> [256, 8, 8] -> [128, 16, 16] -> [64, 32, 32] -> [C, 64, 64], tanh
//! D: x [C, 64, 64] -> [64, 32, 32] -> [128, 16, 16] -> [256, 8, 8] -> [512, 4, 4] -> 1
//! ```
//! at 64x64; fewer halvings of smaller pictures.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::knobs::{AdversarialKnobs, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};

/// Nothing is DCGAN's alone.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dcgan {}

impl Kind for Dcgan {
    fn usual(&self) -> Settings {
        Settings::DCGAN
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "dcgan",
    about: "DCGAN: the classic convolutional GAN; quick, and the base of most that came after.",
    paper: "Radford, Metz, Chintala 2015, Unsupervised Representation Learning with Deep Convolutional Generative \
            Adversarial Networks",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<Dcgan>,
    cost: setup::cost::<Dcgan>,
    learner: setup::learner::<Dcgan>,
    model: setup::model::<Dcgan>,
};
