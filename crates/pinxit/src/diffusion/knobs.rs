//! The knobs that every diffusion family shares, and what they are when left open.

use super::origin::Origin;
use crate::data::{DataFacts, ImageShape};
use crate::error::{Error, Result};
use crate::nn::{Budget, UNetConfig};

crate::knobs! {
    /// The part of a diffusion family's `[model]` table that all of them share.
    pub struct DiffusionKnobs {
        /// Channels of the U-Net at full size, a multiple of 8.
        pub width: Option<usize> = None,
        /// Channels of each level as a multiple of `width`; each further level halves height and width.
        pub multipliers: Option<Vec<usize>> = None,
        /// Residual blocks of each level.
        pub blocks: usize = 2,
        /// Shorter sides, in pixels, of the levels with self-attention; the middle always has it.
        pub attention: Option<Vec<usize>> = None,
        /// Channels of an attention head; one head with all channels when not given.
        pub head_dim: Option<usize> = None,
        /// Probability of dropping a value inside a residual block, 0 to below 1.
        pub dropout: f64 = 0.0,
        /// Probability of hiding the class of a picture, which guidance needs, 0 to below 1.
        pub label_drop: f64 = 0.1,
        /// Times that pictures grow: above 1 they are made from their own small ones (SR3), not from noise alone.
        pub scale: usize = 1,
        /// Gamma of Min-SNR weighting of noise levels, 5 in its paper; off when not given.
        pub min_snr_gamma: Option<f64> = None,
    }
}

/// Pictures, repeats counted, without which a network had better be smaller.
const ENOUGH_PICTURES: f64 = 40_000.0;
/// Channels, levels and blocks beyond which no machine follows.
const LARGEST: usize = 4096;
/// The longer side, in pixels, that the smallest level of a U-Net may have.
const SMALLEST_LEVEL: usize = 20;

impl DiffusionKnobs {
    /// Fills in what is open, for pictures of `facts` and what the machine can do in the time given,
    /// and refuses what can't work.
    ///
    /// # Errors
    /// [`Error::Config`] that says which knob or size to change.
    pub fn fill(&mut self, facts: &DataFacts, budget: Budget) -> Result<()> {
        let ImageShape { height, width, .. } = facts.shape;
        let multipliers = match &self.multipliers {
            Some(multipliers) => multipliers.clone(),
            None => multipliers(height, width)?,
        };
        let side = height.min(width);
        let attention = (1..multipliers.len()).map(|level| side >> level).filter(|&side| side <= 8).collect();
        self.multipliers = Some(multipliers);
        self.attention.get_or_insert(attention);
        if self.width.is_none() {
            self.width = Some(self.affordable_width(facts, budget)?);
        }
        if !(0.0..1.0).contains(&self.label_drop) {
            return Err(Error::config(format!(
                "model.label_drop is {}; it must be at least 0 and below 1",
                self.label_drop
            )));
        }
        if self.min_snr_gamma.is_some_and(|gamma| gamma.is_nan() || gamma <= 0.0) {
            return Err(Error::config("model.min_snr_gamma must be above 0; leave it away to turn it off"));
        }
        self.unet(facts).map(drop)
    }

    /// The widest usual network that sees enough pictures to learn from within the budget.
    fn affordable_width(&self, facts: &DataFacts, budget: Budget) -> Result<usize> {
        let ImageShape { height, width, .. } = facts.shape;
        let usual = if height.min(width) <= 12 { [64, 48, 32, 24] } else { [48, 32, 24, 16] };
        let Some(budget) = budget else { return Ok(usual[0]) };
        for candidate in usual {
            let unet = Self { width: Some(candidate), ..self.clone() }.unet(facts)?;
            let macs = 3.0 * unet.cost([height, width]).forward_macs as f64; // forward, two products backward
            if macs * ENOUGH_PICTURES <= budget {
                return Ok(candidate);
            }
        }
        Ok(usual[3])
    }

    /// The network of filled-in knobs.
    ///
    /// # Errors
    /// [`Error::Config`] that says which knob or size to change.
    pub fn unet(&self, facts: &DataFacts) -> Result<UNetConfig> {
        let (Some(width), Some(multipliers), Some(sides)) = (self.width, &self.multipliers, &self.attention)
        else {
            return Err(Error::config(
                "the recipe is not resolved: model.width, model.multipliers and model.attention are open",
            ));
        };
        if width == 0 || width % 8 != 0 || width > LARGEST {
            return Err(Error::config(format!(
                "model.width is {width}; it must be a multiple of 8 up to {LARGEST}"
            )));
        }
        if multipliers.is_empty() || multipliers.iter().any(|&multiplier| !(1..=64).contains(&multiplier)) {
            return Err(Error::config(format!(
                "model.multipliers is {multipliers:?}; it needs a number from 1 to 64 for each level"
            )));
        }
        if !(1..=64).contains(&self.blocks) {
            return Err(Error::config(format!("model.blocks is {}; it must be 1 to 64", self.blocks)));
        }
        if let Some(head) = self.head_dim
            && (head == 0 || multipliers.iter().any(|multiplier| multiplier * width % head != 0))
        {
            return Err(Error::config(format!(
                "model.head_dim is {head}; it must divide the channels of every level, model.width times \
                 model.multipliers"
            )));
        }
        let channels: Vec<_> = multipliers.iter().map(|multiplier| multiplier * width).collect();
        let side = facts.shape.height.min(facts.shape.width);
        let attention: Vec<_> = (0..channels.len()).map(|level| sides.contains(&(side >> level))).collect();
        let origin = self.origin(facts)?;
        let (shape, classes) = (facts.shape, origin.classes(facts).len());
        let config = UNetConfig {
            in_channels: shape.channels + origin.channels(shape),
            layers_per_block: self.blocks,
            attention_head_dim: self.head_dim,
            norm_num_groups: groups(width),
            dropout: self.dropout,
            num_class_embeds: (classes > 0).then_some(classes + 1),
            ..UNetConfig::symmetric(shape.channels, &channels, &attention)
        };
        config.validate([shape.height, shape.width])?;
        Ok(config)
    }

    /// What pictures of `facts` are made from.
    ///
    /// # Errors
    /// Those of [`Origin::new`].
    pub fn origin(&self, facts: &DataFacts) -> Result<Origin> {
        Origin::new(self.scale, facts)
    }

    /// A learning rate that suits the width: 1e-3 up to 64 channels, a fifth of it for each doubling
    /// down to DDPM's 2e-4 at 128.
    pub fn learning_rate(&self) -> f64 {
        let doublings = (self.width.unwrap_or(64) as f64 / 64.0).log2();
        (1e-3 * 5f64.powf(-doublings)).clamp(2e-4, 1e-3)
    }
}

/// As many levels as it takes to get small enough for attention in the middle.
fn multipliers(height: usize, width: usize) -> Result<Vec<usize>> {
    let longer = height.max(width);
    let wanted = match longer {
        0..=12 => 2,
        13..=40 => 3,
        41..=80 => 4,
        _ => 5,
    };
    let halvings = (height | width).trailing_zeros() as usize; // of the less even side
    let levels = wanted.min(halvings + 1);
    if longer >> (levels - 1) > SMALLEST_LEVEL && levels < wanted {
        let multiple = 1 << (wanted - 1);
        let near = |size: usize| (size / multiple).max(1) * multiple;
        return Err(Error::config(format!(
            "pictures of {height}x{width} pixels can be halved only {halvings} times, too few for a U-Net; \
             use --size {}x{}",
            near(height),
            near(width)
        )));
    }
    Ok([1, 2, 2, 4, 4].into_iter().take(levels).collect())
}

/// Groups of a normalisation: 32 as usual, fewer so that each has at least 4 channels.
fn groups(width: usize) -> usize {
    [32, 16, 8, 4].into_iter().find(|groups| width.is_multiple_of(4 * groups)).unwrap_or(2)
}
