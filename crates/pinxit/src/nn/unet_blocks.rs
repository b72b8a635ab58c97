//! The parts of the U-Net. Field names are those of diffusers, because they name the parameters.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::unet_config::{BlockPlan, UNetConfig};
use super::{Activation, Conv2d, Dropout, GroupNorm, Init, Linear, Mode, checkpoint, ops};

/// Two normalised 3x3 convolutions beside a shortcut, with the time added between them
/// (Ho et al. 2020, appendix B).
#[derive(Module, Debug)]
pub struct ResnetBlock2d {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    dropout: Dropout,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    checkpoint: bool,
}

impl ResnetBlock2d {
    /// From `input` to `output` channels.
    pub fn new([input, output]: [usize; 2], config: &UNetConfig, init: &mut Init) -> Self {
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        Self {
            norm1: GroupNorm::new(groups, input, eps, init),
            conv1: Conv2d::new(input, output, 3, init),
            time_emb_proj: Linear::new(config.time_embed_dim(), output, init),
            norm2: GroupNorm::new(groups, output, eps, init),
            dropout: Dropout::new(config.dropout, init),
            conv2: Conv2d::new(output, output, 3, init),
            conv_shortcut: (input != output).then(|| Conv2d::new(input, output, 1, init)),
            checkpoint: config.checkpoint_blocks,
        }
    }

    /// x `[B, C, H, W]`, beside it the channels of a skip connection if the block is on the way up, together
    /// `input`; time after its SiLU `[B, T, 1, 1]` -> `[B, output, H, W]`.
    pub fn forward(
        &self,
        x: Tensor<4>,
        skip: Option<Tensor<4>>,
        time: &mut Tensor<4>,
        mode: &Mode,
    ) -> Tensor<4> {
        let mode = *mode;
        let inputs = [time.clone(), x].into_iter().chain(skip).collect();
        // A chain: the gradients of all blocks are summed one after the other, whatever the order in which a
        // graph with or without checkpoints is gone through.
        *time = ops::identity(time.clone());
        checkpoint(self.checkpoint, self, inputs, move |block, mut inputs| {
            let time = inputs.remove(0).flatten(1, 3);
            let first = inputs.remove(0);
            block.layers(inputs.into_iter().fold(first, ops::concat_channels), time, &mode)
        })
    }

    /// x `[B, input, H, W]`, time `[B, T]` -> `[B, output, H, W]`.
    fn layers(&self, x: Tensor<4>, time: Tensor<2>, mode: &Mode) -> Tensor<4> {
        let h = self.conv1.forward(self.norm1.forward(x.clone(), Activation::Silu));
        let time = self.time_emb_proj.forward(time); // [B, output]
        let h = self.dropout.forward(self.norm2.forward_shifted(h, time, Activation::Silu), mode);
        let h = self.conv2.forward(h);
        match &self.conv_shortcut {
            Some(shortcut) => ops::add(shortcut.forward(x), h),
            None => ops::add(x, h),
        }
    }
}

/// Self-attention between all pixels, added to its input.
#[derive(Module, Debug)]
pub struct Attention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    /// One layer; a list because diffusers calls it `to_out.0`.
    to_out: Vec<Linear>,
    heads: usize,
    checkpoint: bool,
}

impl Attention {
    /// On `channels`.
    pub fn new(channels: usize, config: &UNetConfig, init: &mut Init) -> Self {
        Self {
            group_norm: GroupNorm::new(config.norm_num_groups, channels, config.norm_eps, init),
            to_q: Linear::new(channels, channels, init),
            to_k: Linear::new(channels, channels, init),
            to_v: Linear::new(channels, channels, init),
            to_out: vec![Linear::new(channels, channels, init)],
            heads: config.heads(channels),
            checkpoint: config.checkpoint_blocks,
        }
    }

    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        checkpoint(self.checkpoint, self, vec![x], |block, mut inputs| block.layers(inputs.remove(0)))
    }

    fn layers(&self, x: Tensor<4>) -> Tensor<4> {
        let c = x.dims()[1];
        let h = self.group_norm.forward(x.clone(), Activation::None);
        // A linear layer on every pixel is a 1x1 convolution: nothing is brought into the order of tokens.
        let project = |layer: &Linear, h: Tensor<4>| {
            ops::conv2d(
                h,
                layer.weight.val().reshape([c, c, 1, 1]),
                layer.bias.as_ref().map(Param::val),
                1,
                0,
            )
        };
        let [q, k, v] = [&self.to_q, &self.to_k, &self.to_v].map(|layer| project(layer, h.clone()));
        let y = ops::attention2d(q, k, v, self.heads, 1.0 / ((c / self.heads) as f64).sqrt());
        ops::add(x, self.to_out.iter().fold(y, |y, layer| project(layer, y)))
    }
}

/// Halves height and width by a convolution.
#[derive(Module, Debug)]
pub struct Downsample2d {
    conv: Conv2d,
}

impl Downsample2d {
    /// On `channels`.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        Self { conv: Conv2d::new(channels, channels, 3, init).with_stride(2) }
    }

    /// `[B, C, H, W]` -> `[B, C, H/2, W/2]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(x)
    }
}

/// Doubles height and width, then smooths by a convolution.
#[derive(Module, Debug)]
pub struct Upsample2d {
    conv: Conv2d,
}

impl Upsample2d {
    /// On `channels`.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        Self { conv: Conv2d::new(channels, channels, 3, init) }
    }

    /// `[B, C, H, W]` -> `[B, C, 2H, 2W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(ops::upsample_nearest2(x))
    }
}

/// A level on the way down.
#[derive(Module, Debug)]
pub(super) struct DownBlock2d {
    resnets: Vec<ResnetBlock2d>,
    /// One for each residual block, or none.
    attentions: Vec<Attention>,
    /// One, or none in the last level.
    downsamplers: Vec<Downsample2d>,
}

impl DownBlock2d {
    pub(super) fn new(plan: &BlockPlan, config: &UNetConfig, init: &mut Init) -> Self {
        let (resnets, attentions) = layers(plan, config, init);
        let downsamplers =
            plan.resample.then(|| Downsample2d::new(plan.channels, init)).into_iter().collect();
        Self { resnets, attentions, downsamplers }
    }

    /// `[B, C, H, W]` -> `[B, C', H/2, W/2]`; pushes what it makes on `skips`.
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &mut Tensor<4>,
        skips: &mut Vec<Tensor<4>>,
        mode: &Mode,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, None, time, mode);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x);
            }
            skips.push(x.clone());
        }
        for downsample in &self.downsamplers {
            x = downsample.forward(x);
            skips.push(x.clone());
        }
        x
    }
}

/// The smallest size: attention between two residual blocks.
#[derive(Module, Debug)]
pub(super) struct MidBlock2d {
    /// One, or none.
    attentions: Vec<Attention>,
    resnets: Vec<ResnetBlock2d>,
}

impl MidBlock2d {
    pub(super) fn new(channels: usize, config: &UNetConfig, init: &mut Init) -> Self {
        let attention = config.add_attention.then(|| Attention::new(channels, config, init));
        Self {
            attentions: attention.into_iter().collect(),
            resnets: (0..2).map(|_| ResnetBlock2d::new([channels; 2], config, init)).collect(),
        }
    }

    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub(super) fn forward(&self, mut x: Tensor<4>, time: &mut Tensor<4>, mode: &Mode) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, None, time, mode);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x);
            }
        }
        x
    }
}

/// A level on the way up.
#[derive(Module, Debug)]
pub(super) struct UpBlock2d {
    resnets: Vec<ResnetBlock2d>,
    /// One for each residual block, or none.
    attentions: Vec<Attention>,
    /// One, or none in the last level.
    upsamplers: Vec<Upsample2d>,
}

impl UpBlock2d {
    pub(super) fn new(plan: &BlockPlan, config: &UNetConfig, init: &mut Init) -> Self {
        let (resnets, attentions) = layers(plan, config, init);
        let upsamplers = plan.resample.then(|| Upsample2d::new(plan.channels, init)).into_iter().collect();
        Self { resnets, attentions, upsamplers }
    }

    /// `[B, C, H, W]` -> `[B, C', 2H, 2W]`; takes what it needs from `skips`.
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &mut Tensor<4>,
        skips: &mut Vec<Tensor<4>>,
        mode: &Mode,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, skips.pop(), time, mode);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x);
            }
        }
        for upsample in &self.upsamplers {
            x = upsample.forward(x);
        }
        x
    }
}

/// Residual blocks and attention of a level.
fn layers(plan: &BlockPlan, config: &UNetConfig, init: &mut Init) -> (Vec<ResnetBlock2d>, Vec<Attention>) {
    let resnets = plan.resnets.iter().map(|&channels| ResnetBlock2d::new(channels, config, init)).collect();
    let attentions = if plan.attention { plan.resnets.len() } else { 0 };
    (resnets, (0..attentions).map(|_| Attention::new(plan.channels, config, init)).collect())
}
