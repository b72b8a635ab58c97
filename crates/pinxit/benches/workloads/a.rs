//! A: fully connected GAN, 100-256-512-784 with BatchNorm against 784-512-256-1 (Goodfellow et al. 2014, as
//! commonly built since).

use burn::module::Module;
use burn::tensor::Tensor;
use pinxit::nn::{Activation, BatchNorm, Init, Linear, Mode, ops};

use crate::gan::{Gan, Network};
use crate::{Workload, device};

const TRAIN: Mode = Mode::Train { seed: 0, step: 0, offset: 0 };
const LEAKY: Activation = Activation::LeakyRelu(0.2);

#[derive(Module, Debug)]
struct Generator {
    linear_1: Linear,
    norm_1: BatchNorm,
    linear_2: Linear,
    norm_2: BatchNorm,
    linear_3: Linear,
}

impl Generator {
    fn new(init: &mut Init) -> Self {
        Self {
            linear_1: Linear::new(100, 256, init),
            norm_1: BatchNorm::new(256, init),
            linear_2: Linear::new(256, 512, init),
            norm_2: BatchNorm::new(512, init),
            linear_3: Linear::new(512, 784, init),
        }
    }
}

impl Network<2> for Generator {
    /// `[B, 100]` -> `[B, 784]`.
    fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        let x = self.norm_1.forward(self.linear_1.forward(z), LEAKY, &TRAIN);
        let x = self.norm_2.forward(self.linear_2.forward(x), LEAKY, &TRAIN);
        ops::activate(self.linear_3.forward(x), Activation::Tanh)
    }
}

#[derive(Module, Debug)]
struct Discriminator {
    linear_1: Linear,
    linear_2: Linear,
    linear_3: Linear,
}

impl Discriminator {
    fn new(init: &mut Init) -> Self {
        Self {
            linear_1: Linear::new(784, 512, init),
            linear_2: Linear::new(512, 256, init),
            linear_3: Linear::new(256, 1, init),
        }
    }
}

impl Network<2> for Discriminator {
    /// `[B, 784]` -> `[B, 1]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = ops::activate(self.linear_1.forward(x), LEAKY);
        let x = ops::activate(self.linear_2.forward(x), LEAKY);
        self.linear_3.forward(x)
    }
}

pub(crate) fn workload(batch: usize) -> impl Workload {
    let init = &mut Init::new(0, &device());
    Gan::new(Generator::new(init), Discriminator::new(init), [batch, 784], [batch, 100])
}
