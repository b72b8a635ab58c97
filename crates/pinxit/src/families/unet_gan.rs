//! U-Net GAN: D goes down to a verdict on the picture and up again to one on each pixel.
//!
//! ```text
//! G: z [128] -> [64, 4, 4] -> blocks that double -> [64, 32, 32] -> [C, 32, 32], tanh
//! D: x [C, 32, 32] -> blocks that halve -> [64, 4, 4] -> 1
//!                  -> blocks that double, with the ways down beside -> [64, 32, 32] -> [1, 32, 32]
//! ```
//! at 32x32. In more and more steps D also learns from real and fake pictures cut together (CutMix).
//!
//! "BUTD-GAN" (bottom-up, top-down) is a name without a paper; this is the nearest thing that can be built, an
//! encoder from the bottom up and a decoder from the top down, and the row answers to that name too.

use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::Loss;
use crate::adversarial::knobs::{AdversarialKnobs, Net, Norm, Settings};
use crate::adversarial::model::SampleKnobs;
use crate::adversarial::setup::{self, Kind};

/// It has no knob that the others have not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnetGan {}

impl Kind for UnetGan {
    fn usual(&self) -> Settings {
        Settings {
            net: Net::Unet,
            latent: 128,
            d_norm: Norm::Spectral,
            loss: Loss::Hinge,
            beta1: 0.0,
            lr: 1e-4,
            d_lr: Some(5e-4), // appendix A: two time scales
            cutmix: 0.5,
            ..Settings::DCGAN
        }
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "unet-gan",
    about: "U-Net GAN: D judges the picture and each pixel. Also called butd-gan here, a name without a paper: this is our reading of it (bottom-up encoder, top-down decoder).",
    paper: "Schoenfeld, Schiele, Khoreva 2020, A U-Net Based Discriminator for Generative Adversarial Networks",
    material: Material::Pictures,
    model_knobs: AdversarialKnobs::KNOBS,
    sample_knobs: SampleKnobs::KNOBS,
    resolve: setup::resolve::<UnetGan>,
    cost: setup::cost::<UnetGan>,
    learner: setup::learner::<UnetGan>,
    model: setup::model::<UnetGan>,
};
