//! CycleGAN: pictures of one set made like those of another and back, learned without pairs.
//!
//! ```text
//! G, F: [C, 256, 256] -> [64, 256, 256] -> [128, 128, 128] -> [256, 64, 64] -> 9 blocks -> ... -> [C, 256, 256], tanh
//! D_X, D_Y: [C, 256, 256] -> [64, 128, 128] -> [128, 64, 64] -> [256, 32, 32] -> [512, 31, 31] -> [1, 30, 30]
//! ```

use super::{Family, Material};
use crate::adversarial::Loss;
use crate::knobs::{self, Knob};
use crate::translation::knobs::{Net, Settings, TranslationKnobs};
use crate::translation::model::TranslateKnobs;
use crate::translation::setup::{self, Game, Kind};

crate::knobs! {
    /// The part of the `[model]` table that is CycleGAN's alone.
    pub struct Cyclegan {
        /// Weight of the mean absolute difference between a picture and itself after there and back, from 0.
        pub cycle: f64 = 10.0,
        /// Weight of that between a picture of the other set and what becomes of it, from 0.
        pub identity: f64 = 5.0,
        /// Fakes of earlier steps that the discriminators also see; 0 for none.
        pub pool: usize = 50,
    }
}

/// Zhu et al. 2017, section 7.1: Adam 2e-4 (0.5, 0.999), batch size 1, least squares, instance normalization.
const SETTINGS: Settings = Settings {
    net: Net::Resnet,
    width: 64,
    depth: 8,
    blocks: 9,
    dropout: 0.0,
    patch: 70,
    d_width: 64,
    loss: Loss::LeastSquares,
    beta1: 0.5,
    beta2: 0.999,
    affine: false,
    lr: 2e-4,
    batch: 1,
};

impl Kind for Cyclegan {
    fn usual(&self) -> Settings {
        SETTINGS
    }

    fn game(&self) -> Game {
        Game::Cycle { cycle: self.cycle, identity: self.identity, pool: self.pool }
    }
}

const KNOBS: [Knob; TranslationKnobs::KNOBS.len() + Cyclegan::KNOBS.len()] =
    knobs::join(TranslationKnobs::KNOBS, Cyclegan::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "cyclegan",
    about: "CycleGAN: makes pictures of one folder like those of another and back, without pairs.",
    paper: "Zhu, Park, Isola, Efros 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial \
            Networks",
    material: Material::Domains,
    model_knobs: &KNOBS,
    sample_knobs: TranslateKnobs::KNOBS,
    resolve: setup::resolve::<Cyclegan>,
    cost: setup::cost::<Cyclegan>,
    learner: setup::learner::<Cyclegan>,
    model: setup::model::<Cyclegan>,
};
