//! C: diffusion U-Net of 32x32x3 (Ho et al. 2020): 64 channels times 1, 2, 2, two residual blocks a level,
//! attention at 16x16 and in the middle.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::checkpoint::Array;
use pinxit::nn::{DownBlockType, Init, Mode, UNet2d, UNetConfig, UpBlockType, ops, params};

use crate::{Trained, Workload, device, hash, number};

fn config() -> UNetConfig {
    use {DownBlockType::*, UpBlockType::*};
    UNetConfig {
        block_out_channels: vec![64, 128, 128],
        down_block_types: vec![DownBlock2D, AttnDownBlock2D, DownBlock2D],
        up_block_types: vec![UpBlock2D, AttnUpBlock2D, UpBlock2D],
        attention_head_dim: Some(32),
        freq_shift: 1,
        flip_sin_to_cos: false,
        ..UNetConfig::default()
    }
}

/// The network with the weights that the other side's has; there, one convolution makes queries, keys and
/// values.
fn network() -> UNet2d {
    let fresh = UNet2d::new(&config(), &mut Init::new(0, &device()));
    let shapes = params::export(&fresh).unwrap();
    let mut fill = Fill { shapes, seed: 1000, found: BTreeMap::new() };
    for name in ["time_embedding.linear_1", "time_embedding.linear_2", "conv_in"] {
        fill.layer(name);
    }
    for level in 0..3 {
        fill.block(&format!("down_blocks.{level}"), 2);
        fill.layer(&format!("down_blocks.{level}.downsamplers.0.conv"));
    }
    fill.block("mid_block", 2);
    for level in 0..3 {
        fill.block(&format!("up_blocks.{level}"), 3);
        fill.layer(&format!("up_blocks.{level}.upsamplers.0.conv"));
    }
    fill.layer("conv_norm_out");
    fill.layer("conv_out");
    params::import(fresh, &fill.found).unwrap()
}

struct Fill {
    shapes: BTreeMap<String, Array>,
    seed: u32,
    found: BTreeMap<String, Array>,
}

impl Fill {
    /// Residual blocks, each followed by its attention.
    fn block(&mut self, name: &str, resnets: usize) {
        for i in 0..resnets {
            for part in ["norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut"] {
                self.layer(&format!("{name}.resnets.{i}.{part}"));
            }
            self.attention(&format!("{name}.attentions.{i}"));
        }
    }

    /// Weight and bias, of a layer that may not be there.
    fn layer(&mut self, name: &str) {
        let in_norm = name.contains("norm");
        for what in ["weight", "bias"] {
            let name = format!("{name}.{what}");
            let Some(like) = self.shapes.get(&name) else { return };
            self.found.insert(name, hash::parameter(&like.shape, in_norm, what == "weight", self.seed));
            self.seed += 1;
        }
    }

    fn attention(&mut self, name: &str) {
        let Some(like) = self.shapes.get(&format!("{name}.to_q.bias")) else { return };
        let channels = like.shape[0];
        self.layer(&format!("{name}.group_norm"));
        for (what, shape) in [("weight", vec![3 * channels, channels]), ("bias", vec![3 * channels])] {
            let whole = hash::parameter(&shape, false, what == "weight", self.seed);
            self.seed += 1;
            let shape = [&[channels], &shape[1..]].concat();
            let parts = whole.values.chunks_exact(whole.values.len() / 3);
            for (part, values) in ["to_q", "to_k", "to_v"].iter().zip(parts) {
                let array = Array { shape: shape.clone(), values: values.to_vec() };
                self.found.insert(format!("{name}.{part}.{what}"), array);
            }
        }
        self.layer(&format!("{name}.to_out.0"));
    }
}

fn times(batch: usize, device: &Device) -> Tensor<1> {
    let times = (0..batch).map(|i| i as f32 * 50.0 + 7.0).collect();
    Tensor::from_data(TensorData::new(times, [batch]), device)
}

pub(crate) struct Diffusion {
    network: Trained<UNet2d>,
    pictures: Tensor<4>,
    noise: Tensor<4>,
}

impl Diffusion {
    pub(crate) fn new(batch: usize) -> Self {
        Self {
            network: Trained::new(network()),
            pictures: hash::tensor([batch, 3, 32, 32], 1, 1.0, 0.0),
            noise: hash::tensor([batch, 3, 32, 32], 2, 1.0, 0.0),
        }
    }
}

impl Workload for Diffusion {
    fn step(&mut self, sums: Option<&mut Vec<f64>>) -> Vec<f64> {
        let times = times(self.pictures.dims()[0], &device());
        let predicted = self.network.network.forward(self.pictures.clone(), times, &[], &Mode::Eval);
        let loss = ops::mse(predicted, self.noise.clone());
        self.network.step(loss.backward(), sums);
        vec![number(&loss)]
    }
}

/// One pass without gradients.
pub(crate) struct Inference {
    network: UNet2d,
    pictures: Tensor<4>,
}

impl Inference {
    pub(crate) fn new(batch: usize) -> Self {
        Self {
            network: Trained::new(network()).evaluated(),
            pictures: hash::data([batch, 3, 32, 32], 1, 1.0, 0.0, &Device::flex()),
        }
    }
}

impl Workload for Inference {
    fn step(&mut self, _: Option<&mut Vec<f64>>) -> Vec<f64> {
        let times = times(self.pictures.dims()[0], &Device::flex());
        let predicted = self.network.forward(self.pictures.clone(), times, &[], &Mode::Eval);
        vec![f64::from(predicted.slice([0..1, 0..1, 0..1, 0..1]).into_scalar::<f32>())]
    }
}
