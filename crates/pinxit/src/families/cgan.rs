//! Conditional GAN: the class as a vector beside G's latent vector and beside D's picture.
//!
//! ```text
//! G: z [100], class [n] -> [256] -> [512] -> C H W, tanh
//! D: x [C H W], class [n] -> [512] -> [256] -> 1
//! ```
//! `model.condition = "picture"` puts a whole picture of the class in its place, flattened: 784 values at 28x28.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::knobs::{AdversarialKnobs, Conditioning, Net, Norm, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};

/// It has no knob that the others have not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cgan {}

impl Kind for Cgan {
    fn usual(&self) -> Settings {
        Settings {
            net: Net::Mlp,
            g_layers: Some(vec![256, 512]),
            d_layers: Some(vec![512, 256]),
            d_norm: Norm::None,
            condition: Conditioning::Concat,
            ..Settings::DCGAN
        }
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "cgan",
    about: "Conditional GAN: fully connected networks that are told the class; paints what it is asked for.",
    paper: "Mirza, Osindero 2014, Conditional Generative Adversarial Nets",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<Cgan>,
    cost: setup::cost::<Cgan>,
    learner: setup::learner::<Cgan>,
    model: setup::model::<Cgan>,
};
