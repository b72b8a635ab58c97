//! B: DCGAN for 64x64 (Radford et al. 2015), 64 features.

use burn::module::Module;
use burn::tensor::Tensor;
use pinxit::nn::{Activation, BatchNorm, Conv2d, ConvTranspose2d, Init, Mode, ops};

use crate::gan::{Gan, Network};
use crate::{Workload, device};

const TRAIN: Mode = Mode::Train { seed: 0, step: 0, offset: 0 };

#[derive(Module, Debug)]
struct Up {
    conv: ConvTranspose2d,
    norm: BatchNorm,
}

#[derive(Module, Debug)]
struct Generator {
    blocks: Vec<Up>,
    last: ConvTranspose2d,
}

fn up(input: usize, output: usize, init: &mut Init) -> ConvTranspose2d {
    ConvTranspose2d::new(input, output, 4, init).with_stride(2).with_padding(1).without_bias()
}

impl Generator {
    fn new(init: &mut Init) -> Self {
        let first = ConvTranspose2d::new(100, 512, 4, init).without_bias();
        let mut blocks = vec![Up { conv: first, norm: BatchNorm::new(512, init) }];
        for (input, output) in [(512, 256), (256, 128), (128, 64)] {
            blocks.push(Up { conv: up(input, output, init), norm: BatchNorm::new(output, init) });
        }
        Self { blocks, last: up(64, 3, init) }
    }
}

impl Network<4> for Generator {
    /// `[B, 100, 1, 1]` -> `[B, 3, 64, 64]`.
    fn forward(&self, z: Tensor<4>) -> Tensor<4> {
        let block = |x, block: &Up| block.norm.forward(block.conv.forward(x), Activation::Relu, &TRAIN);
        let x = self.blocks.iter().fold(z, block);
        ops::activate(self.last.forward(x), Activation::Tanh)
    }
}

#[derive(Module, Debug)]
struct Down {
    conv: Conv2d,
    norm: BatchNorm,
}

#[derive(Module, Debug)]
struct Discriminator {
    first: Conv2d,
    blocks: Vec<Down>,
    last: Conv2d,
}

fn down(input: usize, output: usize, init: &mut Init) -> Conv2d {
    Conv2d::new(input, output, 4, init).with_stride(2).with_padding(1).without_bias()
}

impl Discriminator {
    fn new(init: &mut Init) -> Self {
        let block = |(input, output), init: &mut Init| Down {
            conv: down(input, output, init),
            norm: BatchNorm::new(output, init),
        };
        Self {
            first: down(3, 64, init),
            blocks: [(64, 128), (128, 256), (256, 512)].map(|channels| block(channels, init)).into(),
            last: Conv2d::new(512, 1, 4, init).with_padding(0).without_bias(),
        }
    }
}

impl Network<4> for Discriminator {
    /// `[B, 3, 64, 64]` -> `[B, 1, 1, 1]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let leaky = Activation::LeakyRelu(0.2);
        let x = ops::activate(self.first.forward(x), leaky);
        let block = |x, block: &Down| block.norm.forward(block.conv.forward(x), leaky, &TRAIN);
        self.last.forward(self.blocks.iter().fold(x, block))
    }
}

pub(crate) fn workload(batch: usize) -> impl Workload {
    let init = &mut Init::new(0, &device());
    Gan::new(Generator::new(init), Discriminator::new(init), [batch, 3, 64, 64], [batch, 100, 1, 1])
}
