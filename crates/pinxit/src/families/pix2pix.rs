//! pix2pix: pictures from pictures, learned from pairs.
//!
//! ```text
//! G: x [C, 256, 256] -> [64, 128, 128] -> [128, 64, 64] -> ... -> [512, 1, 1] -> ... -> y [C', 256, 256], tanh
//! D: (x, y) [C + C', 256, 256] -> [64, 128, 128] -> [128, 64, 64] -> [256, 32, 32] -> [512, 31, 31] -> [1, 30, 30]
//! ```
//! at 256x256; fewer halvings and smaller patches of smaller pictures.

use super::{Family, Material};
use crate::adversarial::Loss;
use crate::knobs::{self, Knob};
use crate::translation::knobs::{Net, Settings, TranslationKnobs};
use crate::translation::model::TranslateKnobs;
use crate::translation::setup::{self, Game, Kind};

crate::knobs! {
    /// The part of the `[model]` table that is pix2pix's alone.
    pub struct Pix2pix {
        /// Weight of the mean absolute difference from the right picture, from 0.
        pub l1: f64 = 100.0,
    }
}

/// Isola et al. 2017, section 6.2: "from scratch ... batch size 1", Adam 2e-4 (0.5, 0.999).
const SETTINGS: Settings = Settings {
    net: Net::Unet,
    width: 64,
    depth: 8,
    blocks: 9,
    dropout: 0.5,
    patch: 70,
    d_width: 64,
    loss: Loss::NonSaturating,
    beta1: 0.5,
    beta2: 0.999,
    affine: true,
    lr: 2e-4,
    batch: 1,
};

impl Kind for Pix2pix {
    fn usual(&self) -> Settings {
        SETTINGS
    }

    fn game(&self) -> Game {
        Game::Paired { l1: self.l1 }
    }
}

const KNOBS: [Knob; TranslationKnobs::KNOBS.len() + Pix2pix::KNOBS.len()] =
    knobs::join(TranslationKnobs::KNOBS, Pix2pix::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "pix2pix",
    about: "pix2pix: turns pictures into others, as outlines into colour, learned from pairs.",
    paper: "Isola, Zhu, Zhou, Efros 2017, Image-to-Image Translation with Conditional Adversarial Networks",
    material: Material::Pairs,
    model_knobs: &KNOBS,
    sample_knobs: TranslateKnobs::KNOBS,
    resolve: setup::resolve::<Pix2pix>,
    cost: setup::cost::<Pix2pix>,
    learner: setup::learner::<Pix2pix>,
    model: setup::model::<Pix2pix>,
};
