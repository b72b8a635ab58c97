//! The U-Net of denoising diffusion.

use burn::module::Module;
use burn::tensor::Tensor;

use super::unet_blocks::{DownBlock2d, MidBlock2d, UpBlock2d};
use super::{
    Activation, Conv2d, Embedding, GroupNorm, Init, Mode, SinusoidalEmbedding, TimestepEmbedding, UNetConfig,
    ops,
};

/// A U-Net (Ronneberger et al. 2015) with residual blocks, self-attention and a time
/// (Ho et al. 2020), in the form of diffusers' `UNet2DModel`: same topology, same names of parameters.
#[derive(Module, Debug)]
pub struct UNet2d {
    conv_in: Conv2d,
    time_proj: SinusoidalEmbedding,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<Embedding>,
    down_blocks: Vec<DownBlock2d>,
    mid_block: MidBlock2d,
    up_blocks: Vec<UpBlock2d>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet2d {
    /// A network with fresh weights, for a config that [`UNetConfig::validate`] accepts.
    pub fn new(config: &UNetConfig, init: &mut Init) -> Self {
        let channels = &config.block_out_channels;
        let (first, last, time) = (channels[0], channels[channels.len() - 1], config.time_embed_dim());
        let last_conv = if config.zero_init_out { Conv2d::zeroed } else { Conv2d::new };
        Self {
            conv_in: Conv2d::new(config.in_channels, first, 3, init),
            time_proj: SinusoidalEmbedding::new(first, config.freq_shift, config.flip_sin_to_cos),
            time_embedding: TimestepEmbedding::new(first, time, init),
            class_embedding: config.num_class_embeds.map(|classes| Embedding::new(classes, time, init)),
            down_blocks: config.down_plan().iter().map(|plan| DownBlock2d::new(plan, config, init)).collect(),
            mid_block: MidBlock2d::new(last, config, init),
            up_blocks: config.up_plan().iter().map(|plan| UpBlock2d::new(plan, config, init)).collect(),
            conv_norm_out: GroupNorm::new(config.norm_num_groups, first, config.norm_eps, init),
            conv_out: last_conv(first, config.out_channels, 3, init),
        }
    }

    /// x `[B, C, H, W]`, time `[B]` (any real number), class of each picture -> `[B, C', H, W]`.
    ///
    /// No `classes` at all means that no class embedding is added; an unconditional network
    /// ignores them.
    pub fn forward(&self, x: Tensor<4>, timestep: Tensor<1>, classes: &[u32], mode: &Mode) -> Tensor<4> {
        let mut time = self.time_embedding.forward(self.time_proj.forward(timestep)); // [B, T]
        if let Some(embedding) = self.class_embedding.as_ref().filter(|_| !classes.is_empty()) {
            time = time + embedding.forward(classes);
        }
        let time = ops::activate(time, Activation::Silu); // every residual block begins with it

        let mut x = self.conv_in.forward(x); // [B, C0, H, W]
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &time, &mut skips, mode); // [B, Ci, H/2^i, W/2^i]
        }
        x = self.mid_block.forward(x, &time, mode);
        for block in &self.up_blocks {
            x = block.forward(x, &time, &mut skips, mode);
        }
        self.conv_out.forward(self.conv_norm_out.forward(x, Activation::Silu)) // [B, C', H, W]
    }
}
