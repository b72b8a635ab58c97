//! Layers that the field knows by name, the only module that calls `pinxit-kernels`.
//!
//! [`ops`] holds the operations, the layer files hold one layer each, and [`UNet2d`] puts them
//! together. [`Init`] hands out first weights; [`params`] reads and writes weights by name;
//! [`Adam`] and [`Ema`] change them.

mod batch_norm;
mod buffer;
mod causal_conv;
mod checkpoint;
mod codebook;
mod conv;
mod conv_transpose;
mod cost;
mod dropout;
mod ema;
mod embedding;
mod init;
mod linear;
mod masked_conv;
mod norm;
pub mod ops;
mod optim;
pub mod params;
mod prelu;
mod rows;
mod spectral;
pub mod stepwise;
mod time;
mod unet;
mod unet_blocks;
mod unet_config;
pub mod weight_norm;

pub use batch_norm::BatchNorm;
pub use buffer::Buffer;
pub use causal_conv::CausalConv2d;
pub use checkpoint::checkpoint;
pub use codebook::Codebook;
pub use conv::Conv2d;
pub use conv_transpose::ConvTranspose2d;
pub use cost::{Budget, Cost, Tally};
pub use dropout::{Dropout, Mode};
pub use ema::{Ema, ramped_decay};
pub use embedding::Embedding;
pub use init::{Init, Weights};
pub use linear::Linear;
pub use masked_conv::{MaskType, MaskedConv2d};
pub use norm::{GroupNorm, InstanceNorm2d, LayerNorm};
pub use ops::Activation;
pub use optim::{Adam, AdamConfig, add_gradients};
pub use prelu::PRelu;
pub use rows::{from_rows, rows};
pub use spectral::{SpectralConv2d, SpectralLinear};
pub use time::{SinusoidalEmbedding, TimestepEmbedding};
pub use unet::UNet2d;
pub use unet_blocks::{Attention, Downsample2d, ResnetBlock2d, Upsample2d};
pub use unet_config::{DownBlockType, UNetConfig, UpBlockType};
