//! Conditional DCGAN: the class as a vector beside the latent vector and as planes beside the picture.
//!
//! ```text
//! G: z [100], class [n] -> [256, 7, 7] -> [128, 14, 14] -> [C, 28, 28], tanh
//! D: x [C, 28, 28], class [n, 28, 28] -> [64, 14, 14] -> [128, 7, 7] -> 1
//! ```
//! at 28x28. `model.condition = "projection"` puts the class into G's normalisation and into an inner product of D
//! (Miyato and Koyama 2018), `"classifier"` lets D name it (AC-GAN, Odena et al. 2017).

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::knobs::{AdversarialKnobs, Conditioning, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};

/// It has no knob that the others have not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cdcgan {}

impl Kind for Cdcgan {
    fn usual(&self) -> Settings {
        Settings { condition: Conditioning::Concat, ..Settings::DCGAN }
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "cdcgan",
    about: "Conditional DCGAN: convolutional networks that are told the class; as AC-GAN or with projection too.",
    paper: "Mirza, Osindero 2014, Conditional Generative Adversarial Nets; Radford, Metz, Chintala 2015, DCGAN; Odena, Olah, Shlens 2017, AC-GAN",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<Cdcgan>,
    cost: setup::cost::<Cdcgan>,
    learner: setup::learner::<Cdcgan>,
    model: setup::model::<Cdcgan>,
};
