//! The knobs that the families of pictures to pictures share, and what they are when left open.

use serde::{Deserialize, Serialize};

use super::nets::patch;
use crate::adversarial::Loss;
use crate::data::{DataFacts, ImageShape, InputFacts};
use crate::error::{Error, Result};
use crate::nn::AdamConfig;

/// Which network turns pictures into pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Net {
    /// Down to a pixel and up again with skips: Isola et al. 2017.
    Unet,
    /// Residual blocks at a quarter of the sides: Johnson et al. 2016, Zhu et al. 2017.
    Resnet,
}

crate::knobs! {
    /// The part of a family's `[model]` table that all of them share.
    pub struct TranslationKnobs {
        /// Network: `unet` or `resnet`.
        pub net: Option<Net> = None,
        /// Channels of the generator's first layer.
        pub width: Option<usize> = None,
        /// Times that `unet` halves the picture; down to a pixel, at most 8, when not given.
        pub depth: Option<usize> = None,
        /// Blocks of `resnet`; 6 below 256 pixels and 9 from there on when not given.
        pub blocks: Option<usize> = None,
        /// Probability with which the generator drops values, 0 to below 1.
        pub dropout: Option<f64> = None,
        /// Side in pixels of what each verdict is on: 1, 16, 34, 70, 142 or 286.
        pub patch: Option<usize> = None,
        /// Channels of the discriminator's first layer.
        pub d_width: Option<usize> = None,
        /// `minimax`, `non-saturating`, `hinge` or `least-squares`.
        pub loss: Option<Loss> = None,
        /// Decay of Adam's mean of the gradient, 0 to below 1.
        pub beta1: Option<f64> = None,
        /// Decay of Adam's mean of the squared gradient, 0 to below 1.
        pub beta2: Option<f64> = None,
    }
}

/// Knobs with nothing left open.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the knob of its name")]
pub struct Settings {
    pub net: Net,
    pub width: usize,
    pub depth: usize,
    pub blocks: usize,
    pub dropout: f64,
    pub patch: usize,
    pub d_width: usize,
    pub loss: Loss,
    pub beta1: f64,
    pub beta2: f64,
    /// Whether the discriminator's normalisation scales and shifts.
    pub affine: bool,
    /// The learning rate of both players, `train.lr`.
    pub lr: f64,
    /// Pictures a step, `train.batch`.
    pub batch: usize,
}

/// Most layers of a U-Net: those of Isola et al. 2017 at 256 pixels.
const DEEPEST: usize = 8;
/// Sides from which a ResNet has 9 blocks (Zhu et al. 2017, section 7.2).
const LARGE: usize = 256;
/// Channels and blocks beyond which no machine follows.
const MOST: usize = 4096;

impl Settings {
    /// Refuses what can't be for pictures of `shape`.
    ///
    /// # Errors
    /// [`Error::Config`] that says which knob to change.
    pub fn check(&self, shape: ImageShape) -> Result<()> {
        let ImageShape { height, width, .. } = shape;
        let sizes = [("width", self.width), ("d_width", self.d_width), ("blocks", self.blocks)];
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !(1..=MOST).contains(size)) {
            return Err(Error::config(format!("model.{name} is {size}; it must be 1 to {MOST}")));
        }
        let shares = [("dropout", self.dropout), ("beta1", self.beta1), ("beta2", self.beta2)];
        if let Some((name, value)) = shares.iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return Err(Error::config(format!("model.{name} is {value}; it must be at least 0 and below 1")));
        }
        if self.loss.threshold().is_none() {
            return Err(Error::config(
                "model.loss must be one of single verdicts with a threshold: minimax, non-saturating, hinge or \
                 least-squares",
            ));
        }
        if !patch::PATCHES.contains(&self.patch) {
            return Err(Error::config(format!(
                "model.patch is {}; it must be one of {:?}",
                self.patch,
                patch::PATCHES
            )));
        }
        if !patch::fits(self.patch, [height, width]) {
            return Err(Error::config(format!(
                "model.patch = {} has no verdict on pictures of {height}x{width} pixels: take a smaller one of {:?}",
                self.patch,
                patch::PATCHES
            )));
        }
        let near = |side: usize, of: usize| (side / of).max(2) * of;
        match self.net {
            Net::Unet if !(2..=16).contains(&self.depth) || (height | width) % (1 << self.depth) != 0 => {
                let of = 1 << self.depth.clamp(2, DEEPEST);
                Err(Error::config(format!(
                    "a U-Net of model.depth = {} layers halves pictures of {height}x{width} pixels as often, at \
                     least twice, and they don't divide by {of}: use --size {}x{}, another model.depth or \
                     model.net = \"resnet\"",
                    self.depth,
                    near(height, of),
                    near(width, of)
                )))
            }
            Net::Resnet if (height | width) % 4 != 0 || height.min(width) < 8 => Err(Error::config(format!(
                "a ResNet needs sides that divide by 4 and are at least 8, not {height}x{width}: use --size {}x{}",
                near(height, 4),
                near(width, 4)
            ))),
            _ => Ok(()),
        }
    }

    /// How both players step.
    pub(super) fn optimizer(&self) -> AdamConfig {
        AdamConfig { beta1: self.beta1, beta2: self.beta2, ..AdamConfig::default() }
    }

    /// Both sides of what goes in must divide by this.
    pub(super) fn multiple(&self) -> usize {
        match self.net {
            Net::Unet => 1 << self.depth,
            Net::Resnet => 4,
        }
    }

    /// What the verdicts on real and on fake patches cost the discriminator and what those on fakes cost the
    /// generator, as factors on [`Loss`]: the field has no half in the least squares, and halves the
    /// discriminator's part (Isola et al. 2017, section 3.3; Zhu et al. 2017, section 4).
    pub(super) fn weights(&self) -> [f64; 2] {
        match self.loss {
            Loss::LeastSquares => [1.0, 2.0],
            _ => [0.5, 1.0],
        }
    }
}

impl TranslationKnobs {
    /// These knobs, with `usual` for what is open; sizes follow the pictures.
    pub fn settings(&self, usual: &Settings, facts: &DataFacts) -> Settings {
        let ImageShape { height, width, .. } = facts.shape;
        let short = height.min(width).max(1);
        let halvings = ((height | width).trailing_zeros() as usize).min(short.ilog2() as usize).min(DEEPEST);
        let patch = patch::PATCHES[1..=3].iter().rev().copied().find(|&patch| patch <= short);
        let patch = patch.unwrap_or(if patch::fits(16, [height, width]) { 16 } else { 1 });
        let g_width = self.width.unwrap_or(usual.width);
        Settings {
            net: self.net.unwrap_or(usual.net),
            width: g_width,
            depth: self.depth.unwrap_or(halvings),
            blocks: self.blocks.unwrap_or(if height.max(width) < LARGE { 6 } else { 9 }),
            dropout: self.dropout.unwrap_or(usual.dropout),
            patch: self.patch.unwrap_or(patch),
            d_width: self.d_width.unwrap_or(if self.width.is_some() { g_width } else { usual.d_width }),
            loss: self.loss.unwrap_or(usual.loss),
            beta1: self.beta1.unwrap_or(usual.beta1),
            beta2: self.beta2.unwrap_or(usual.beta2),
            ..usual.clone()
        }
    }
}

impl From<Settings> for TranslationKnobs {
    fn from(settings: Settings) -> Self {
        Self {
            net: Some(settings.net),
            width: Some(settings.width),
            depth: Some(settings.depth),
            blocks: Some(settings.blocks),
            dropout: Some(settings.dropout),
            patch: Some(settings.patch),
            d_width: Some(settings.d_width),
            loss: Some(settings.loss),
            beta1: Some(settings.beta1),
            beta2: Some(settings.beta2),
        }
    }
}

/// What goes in, of a family that needs it.
///
/// # Errors
/// [`Error::Config`] if nothing does.
pub(super) fn inputs(facts: &DataFacts) -> Result<InputFacts> {
    facts.inputs.ok_or_else(|| {
        Error::config(
            "this family makes pictures from pictures: set data.inputs or data.pair to say from which",
        )
    })
}
