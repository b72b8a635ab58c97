//! The settings of the U-Net, what they must satisfy and what they cost.

use serde::{Deserialize, Serialize};

use super::Tally;
use super::cost::Cost;
use crate::error::{Error, Result};

/// Kind of a level on the way down, by diffusers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks.
    DownBlock2D,
    /// Residual blocks, each followed by self-attention.
    AttnDownBlock2D,
}

/// Kind of a level on the way up, by diffusers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks.
    UpBlock2D,
    /// Residual blocks, each followed by self-attention.
    AttnUpBlock2D,
}

/// Settings of [`UNet2d`](super::UNet2d). Names and defaults are those of diffusers' `UNet2DModel`
/// unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Channels of each level, from the full size down; each level halves height and width.
    pub block_out_channels: Vec<usize>,
    /// Kind of each level on the way down, from the full size down.
    pub down_block_types: Vec<DownBlockType>,
    /// Kind of each level on the way up, from the smallest size up.
    pub up_block_types: Vec<UpBlockType>,
    /// Residual blocks of a level on the way down; on the way up there is one more.
    pub layers_per_block: usize,
    /// Self-attention between the two residual blocks in the middle.
    pub add_attention: bool,
    /// Channels of one attention head; `None` for one head with all channels.
    pub attention_head_dim: Option<usize>,
    /// Groups of every normalisation; must divide all of `block_out_channels`.
    pub norm_num_groups: usize,
    /// Added to the variance in every normalisation.
    pub norm_eps: f64,
    /// Probability of dropping a value before the second convolution of a residual block, 0 to below 1.
    pub dropout: f64,
    /// Number of classes, with "no class" if that is one; `None` for an unconditional network.
    pub num_class_embeds: Option<usize>,
    /// Shift in the exponents of the time embedding's frequencies.
    pub freq_shift: usize,
    /// Cosines before sines in the time embedding.
    pub flip_sin_to_cos: bool,
    /// Start with a last convolution of zeros, so that the first output is 0 (Ho et al. 2020's
    /// code; not a setting of diffusers).
    pub zero_init_out: bool,
    /// Keep only the inputs of residual blocks and attention in training, and run them again in the backward
    /// pass (not a setting of diffusers).
    pub checkpoint_blocks: bool,
}

impl Default for UNetConfig {
    fn default() -> Self {
        use {DownBlockType::*, UpBlockType::*};
        Self {
            in_channels: 3,
            out_channels: 3,
            block_out_channels: vec![224, 448, 672, 896],
            down_block_types: vec![DownBlock2D, AttnDownBlock2D, AttnDownBlock2D, AttnDownBlock2D],
            up_block_types: vec![AttnUpBlock2D, AttnUpBlock2D, AttnUpBlock2D, UpBlock2D],
            layers_per_block: 2,
            add_attention: true,
            attention_head_dim: Some(8),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            dropout: 0.0,
            num_class_embeds: None,
            freq_shift: 0,
            flip_sin_to_cos: true,
            zero_init_out: false,
            checkpoint_blocks: false,
        }
    }
}

/// What one level is made of: [`UNet2d::new`](super::UNet2d::new) builds it, [`UNetConfig::cost`] counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockPlan {
    /// Input and output channels of each residual block.
    pub(super) resnets: Vec<[usize; 2]>,
    /// Whether self-attention follows each residual block.
    pub(super) attention: bool,
    /// Output channels.
    pub(super) channels: usize,
    /// Whether it ends in a change of size.
    pub(super) resample: bool,
}

impl UNetConfig {
    /// A network from `channels` to `channels` whose levels have `block_out_channels`, with
    /// self-attention on the way down and up where `attention` says so. It begins as 0
    /// (`zero_init_out`).
    pub fn symmetric(channels: usize, block_out_channels: &[usize], attention: &[bool]) -> Self {
        use {DownBlockType::*, UpBlockType::*};
        let down = |&attention| if attention { AttnDownBlock2D } else { DownBlock2D };
        let up = |&attention| if attention { AttnUpBlock2D } else { UpBlock2D };
        Self {
            in_channels: channels,
            out_channels: channels,
            block_out_channels: block_out_channels.to_vec(),
            down_block_types: attention.iter().map(down).collect(),
            up_block_types: attention.iter().rev().map(up).collect(),
            zero_init_out: true,
            ..Self::default()
        }
    }

    /// Number of sizes that the network works at.
    pub fn levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// Width of the embedding of time and class.
    pub(super) fn time_embed_dim(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    /// Attention heads of a level with `channels`.
    pub(super) fn heads(&self, channels: usize) -> usize {
        channels / self.attention_head_dim.unwrap_or(channels)
    }

    /// Refuses what can't be built, or can't work on pictures of `height x width`.
    ///
    /// # Errors
    /// [`Error::Config`] that says which setting to change.
    pub fn validate(&self, [height, width]: [usize; 2]) -> Result<()> {
        self.validate_numbers()?;
        self.validate_channels()?;
        let halvings = self.levels() - 1;
        let multiple = 1usize.checked_shl(halvings as u32).unwrap_or(0);
        let fits = |size: usize| size > 0 && size.is_multiple_of(multiple);
        if fits(height) && fits(width) {
            return Ok(());
        }
        Err(Error::config(format!(
            "pictures of {height}x{width} pixels can't be halved {halvings} times; use height and width \
             divisible by {multiple}, or fewer levels in block_out_channels"
        )))
    }

    fn validate_numbers(&self) -> Result<()> {
        let levels = self.levels();
        if levels == 0 {
            return Err(Error::config(
                "block_out_channels is empty; give the channels of at least one level",
            ));
        }
        let lists = [
            ("down_block_types", self.down_block_types.len()),
            ("up_block_types", self.up_block_types.len()),
        ];
        if let Some((name, len)) = lists.into_iter().find(|&(_, len)| len != levels) {
            return Err(Error::config(format!(
                "{name} has {len} entries but block_out_channels has {levels}; give one for each level"
            )));
        }
        let counts = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("layers_per_block", self.layers_per_block),
            ("norm_num_groups", self.norm_num_groups),
            ("num_class_embeds", self.num_class_embeds.unwrap_or(1)),
            ("attention_head_dim", self.attention_head_dim.unwrap_or(1)),
        ];
        if let Some((name, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(Error::config(format!("{name} is 0; it must be at least 1")));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let dropout = self.dropout;
            return Err(Error::config(format!("dropout is {dropout}; it must be at least 0 and below 1")));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps.is_finite()) {
            let eps = self.norm_eps;
            return Err(Error::config(format!("norm_eps is {eps}; it must be a number above 0")));
        }
        Ok(())
    }

    fn validate_channels(&self) -> Result<()> {
        let groups = self.norm_num_groups;
        for (level, &channels) in self.block_out_channels.iter().enumerate() {
            if channels == 0 || !channels.is_multiple_of(groups) {
                return Err(Error::config(format!(
                    "level {level} has {channels} channels, which norm_num_groups = {groups} does not divide; \
                     use a multiple of {groups} or fewer groups"
                )));
            }
            let head = self.attention_head_dim.unwrap_or(channels);
            if self.has_attention(level) && !channels.is_multiple_of(head) {
                return Err(Error::config(format!(
                    "level {level} has {channels} channels, which attention_head_dim = {head} does not divide"
                )));
            }
        }
        let first = self.block_out_channels[0];
        if !first.is_multiple_of(2) || first <= 2 * self.freq_shift {
            return Err(Error::config(format!(
                "the first of block_out_channels is {first}; the time embedding needs an even number \
                 above {}",
                2 * self.freq_shift
            )));
        }
        Ok(())
    }

    /// Whether there is self-attention at `level`, on the way down, in the middle or on the way up.
    fn has_attention(&self, level: usize) -> bool {
        let last = self.levels() - 1;
        self.down_block_types[level] == DownBlockType::AttnDownBlock2D
            || self.up_block_types[last - level] == UpBlockType::AttnUpBlock2D
            || (level == last && self.add_attention)
    }

    /// The levels on the way down, from the full size down.
    pub(super) fn down_plan(&self) -> Vec<BlockPlan> {
        let mut input = self.block_out_channels[0];
        let plan = |(level, (&output, kind)): (usize, (&usize, &DownBlockType))| {
            let resnets =
                (0..self.layers_per_block).map(|_| [std::mem::replace(&mut input, output), output]).collect();
            BlockPlan {
                resnets,
                attention: *kind == DownBlockType::AttnDownBlock2D,
                channels: output,
                resample: level + 1 < self.levels(),
            }
        };
        self.block_out_channels.iter().zip(&self.down_block_types).enumerate().map(plan).collect()
    }

    /// The levels on the way up, from the smallest size up. The input of a residual block is the
    /// output of the one before and a skip connection: what `conv_in`, a residual block or a
    /// halving of the way down has made.
    pub(super) fn up_plan(&self) -> Vec<BlockPlan> {
        let channels = &self.block_out_channels;
        let mut skips = vec![channels[0]];
        for block in self.down_plan() {
            skips.extend(block.resnets.iter().map(|&[_, output]| output));
            skips.extend(block.resample.then_some(block.channels));
        }
        let mut input = channels[self.levels() - 1];
        let levels = channels.iter().enumerate().rev().zip(&self.up_block_types);
        let plan = |((level, &output), kind): ((usize, &usize), &UpBlockType)| {
            let resnets = skips
                .split_off(skips.len() - self.layers_per_block - 1)
                .into_iter()
                .rev()
                .map(|skip| [std::mem::replace(&mut input, output) + skip, output])
                .collect();
            BlockPlan {
                resnets,
                attention: *kind == UpBlockType::AttnUpBlock2D,
                channels: output,
                resample: level > 0,
            }
        };
        levels.map(plan).collect()
    }

    /// What the network costs on a picture of `height x width`, for settings that
    /// [`validate`](Self::validate) accepts.
    pub fn cost(&self, mut size: [usize; 2]) -> Cost {
        let mut tally = Tally::default();
        let (first, time) = (self.block_out_channels[0], self.time_embed_dim());
        let last = self.block_out_channels[self.levels() - 1];
        tally.linear(first, time, 1);
        tally.linear(time, time, 1);
        tally.embedding(self.num_class_embeds.unwrap_or(0), time);
        tally.conv2d(self.in_channels, first, 3, 1, size);
        for block in self.down_plan() {
            self.count_block(&block, size, &mut tally);
            if block.resample {
                size = size.map(|n| n / 2);
                tally.conv2d(block.channels, block.channels, 3, 2, size);
            }
        }
        self.count_resnet([last, last], size, &mut tally);
        if self.add_attention {
            self.count_attention(last, size, &mut tally);
        }
        self.count_resnet([last, last], size, &mut tally);
        for block in self.up_plan() {
            self.count_block(&block, size, &mut tally);
            if block.resample {
                size = size.map(|n| n * 2);
                tally.conv2d(block.channels, block.channels, 3, 1, size);
            }
        }
        tally.group_norm(first, size);
        tally.conv2d(first, self.out_channels, 3, 1, size);
        tally.cost()
    }

    fn count_block(&self, block: &BlockPlan, size: [usize; 2], tally: &mut Tally) {
        for &resnet in &block.resnets {
            self.count_resnet(resnet, size, tally);
            if block.attention {
                self.count_attention(block.channels, size, tally);
            }
        }
    }

    fn count_resnet(&self, [input, output]: [usize; 2], size: [usize; 2], tally: &mut Tally) {
        tally.group_norm(input, size);
        tally.conv2d(input, output, 3, 1, size);
        tally.linear(self.time_embed_dim(), output, 1);
        tally.group_norm(output, size);
        tally.conv2d(output, output, 3, 1, size);
        if input != output {
            tally.conv2d(input, output, 1, 1, size);
        }
    }

    fn count_attention(&self, channels: usize, size: [usize; 2], tally: &mut Tally) {
        let tokens = size[0] * size[1];
        tally.group_norm(channels, size);
        for _ in ["to_q", "to_k", "to_v", "to_out"] {
            tally.linear(channels, channels, tokens);
        }
        tally.attention(channels, self.heads(channels), tokens);
    }
}
