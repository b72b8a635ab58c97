//! The first GAN: fully connected networks, in the three sizes that tutorials build.
//!
//! ```text
//! pyramid  G: z [100] -> [256] -> [512] -> C H W, tanh; BatchNorm      D: C H W -> [512] -> [256] -> 1
//! wide     G: z [100] -> five of [8192] (4x4x512) -> C H W; BatchNorm  D: C H W -> five of [8192] -> 1
//! small    G: z [100] -> three of [128] -> C H W                       D: C H W -> three of [128] -> 1
//! ```
//! with LeakyReLU between. The loss is the one that the paper trains with (section 3, "non-saturating");
//! `model.loss = "minimax"` is its eq. 1.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::knobs::{AdversarialKnobs, Net, Norm, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};
use crate::knobs::{self, Knob};

/// Sizes of the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Layers that grow to the picture, and shrink from it.
    Pyramid,
    /// Layers as wide as 512 channels of 4x4 pixels; 300 million weights.
    Wide,
    /// Layers of 128.
    Small,
}

crate::knobs! {
    /// What only the fully connected GAN has.
    pub struct GanKnobs {
        /// `pyramid` (256 and 512 units), `wide` (five of 8192) or `small` (three of 128).
        pub preset: Preset = Preset::Pyramid,
    }
}

impl Kind for GanKnobs {
    fn usual(&self) -> Settings {
        let (g_layers, d_layers, g_norm) = match self.preset {
            Preset::Pyramid => (vec![256, 512], vec![512, 256], Norm::Batch),
            Preset::Wide => (vec![8192; 5], vec![8192; 5], Norm::Batch),
            Preset::Small => (vec![128; 3], vec![128; 3], Norm::None),
        };
        Settings {
            net: Net::Mlp,
            g_layers: Some(g_layers),
            d_layers: Some(d_layers),
            g_norm,
            d_norm: Norm::None,
            ..Settings::DCGAN
        }
    }
}

const KNOBS: [Knob; AdversarialKnobs::KNOBS.len() + GanKnobs::KNOBS.len()] =
    knobs::join(AdversarialKnobs::KNOBS, GanKnobs::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "gan",
    about: "The first GAN: fully connected networks; trains in seconds, and shows every way in which a GAN can fail.",
    paper: "Goodfellow et al. 2014, Generative Adversarial Nets",
    material: Material::Pictures,
    model_knobs: &KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<GanKnobs>,
    cost: setup::cost::<GanKnobs>,
    learner: setup::learner::<GanKnobs>,
    model: setup::model::<GanKnobs>,
};
