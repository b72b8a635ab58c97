//! D: gated PixelCNN of 28x28 pixels with 256 levels, 64 channels, 8 blocks (van den Oord et al. 2016; one
//! stack).

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use pinxit::nn::{Activation, Conv2d, Init, MaskType, MaskedConv2d, ops};

use crate::{Trained, Workload, device, hash, number};

#[derive(Module, Debug)]
struct Block {
    masked: MaskedConv2d,
    mix: Conv2d,
}

#[derive(Module, Debug)]
struct PixelCnn {
    first: MaskedConv2d,
    blocks: Vec<Block>,
    out_1: Conv2d,
    out_2: Conv2d,
}

impl PixelCnn {
    fn new(channels: usize, blocks: usize, init: &mut Init) -> Self {
        let block = |init: &mut Init| Block {
            masked: MaskedConv2d::new(MaskType::B, channels, 2 * channels, 3, init),
            mix: Conv2d::new(channels, channels, 1, init),
        };
        Self {
            first: MaskedConv2d::new(MaskType::A, 1, channels, 7, init),
            blocks: (0..blocks).map(|_| block(init)).collect(),
            out_1: Conv2d::new(channels, channels, 1, init),
            out_2: Conv2d::new(channels, 256, 1, init),
        }
    }

    /// `[B, 1, H, W]` -> logits `[B, 256, H, W]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let block = |h: Tensor<4>, block: &Block| {
            let gated = ops::gated(block.masked.forward(h.clone()));
            h + block.mix.forward(gated)
        };
        let h = self.blocks.iter().fold(self.first.forward(x), block);
        let h = self.out_1.forward(ops::activate(h, Activation::Relu));
        self.out_2.forward(ops::activate(h, Activation::Relu))
    }
}

pub(crate) struct Autoregression {
    network: Trained<PixelCnn>,
    pictures: Tensor<4>,
    levels: Tensor<3, Int>,
}

impl Autoregression {
    pub(crate) fn new(batch: usize) -> Self {
        let network = PixelCnn::new(64, 8, &mut Init::new(0, &device()));
        let level = |x: f32| (((x + 1.0) * 128.0) as i64).clamp(0, 255);
        let levels: Vec<i64> = hash::values(batch * 784, 2, 1.0, 0.0).into_iter().map(level).collect();
        Self {
            network: Trained::new(hash::fill(network, 1000)),
            pictures: hash::tensor([batch, 1, 28, 28], 1, 1.0, 0.0),
            levels: Tensor::from_data(TensorData::new(levels, [batch, 28, 28]), &device()),
        }
    }
}

impl Workload for Autoregression {
    fn step(&mut self, sums: Option<&mut Vec<f64>>) -> Vec<f64> {
        let logits = self.network.network.forward(self.pictures.clone());
        let loss = ops::cross_entropy(logits, self.levels.clone());
        self.network.step(loss.backward(), sums);
        vec![number(&loss)]
    }
}
