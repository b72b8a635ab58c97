//! E: convolutional variational autoencoder of 64x64x3, 32-64-128-256 channels, 128 latent numbers (Kingma
//! and Welling 2013).

use burn::module::Module;
use burn::tensor::Tensor;
use pinxit::nn::{Activation, Conv2d, ConvTranspose2d, Init, Linear, ops};

use crate::{Trained, Workload, device, hash, number};

const CHANNELS: [usize; 5] = [3, 32, 64, 128, 256];
const LATENT: usize = 128;

#[derive(Module, Debug)]
struct Vae {
    encoder: Vec<Conv2d>,
    mean: Linear,
    log_variance: Linear,
    from_latent: Linear,
    decoder: Vec<ConvTranspose2d>,
}

impl Vae {
    fn new(init: &mut Init) -> Self {
        let down = |i: usize, init: &mut Init| {
            Conv2d::new(CHANNELS[i], CHANNELS[i + 1], 4, init).with_stride(2).with_padding(1)
        };
        let up = |i: usize, init: &mut Init| {
            ConvTranspose2d::new(CHANNELS[i + 1], CHANNELS[i], 4, init).with_stride(2).with_padding(1)
        };
        Self {
            encoder: (0..4).map(|i| down(i, init)).collect(),
            mean: Linear::new(4096, LATENT, init),
            log_variance: Linear::new(4096, LATENT, init),
            from_latent: Linear::new(LATENT, 4096, init),
            decoder: (0..4).rev().map(|i| up(i, init)).collect(),
        }
    }

    /// `[B, 3, 64, 64]`, noise `[B, 128]` -> what it makes of it, mean and log variance `[B, 128]`.
    fn forward(&self, x: Tensor<4>, noise: Tensor<2>) -> (Tensor<4>, [Tensor<2>; 2]) {
        let batch = x.dims()[0];
        let down = |x, conv: &Conv2d| ops::activate(conv.forward(x), Activation::Relu);
        let h = self.encoder.iter().fold(x, down).reshape([batch, 4096]);
        let (mean, log_variance) = (self.mean.forward(h.clone()), self.log_variance.forward(h));
        let z = mean.clone() + (log_variance.clone() * 0.5).exp() * noise;
        let h = ops::activate(self.from_latent.forward(z), Activation::Relu).reshape([batch, 256, 4, 4]);
        let up = |x, (i, conv): (usize, &ConvTranspose2d)| {
            let last = i + 1 == self.decoder.len();
            ops::activate(conv.forward(x), if last { Activation::Sigmoid } else { Activation::Relu })
        };
        (self.decoder.iter().enumerate().fold(h, up), [mean, log_variance])
    }
}

pub(crate) struct Autoencoder {
    network: Trained<Vae>,
    pictures: Tensor<4>,
    noise: Tensor<2>,
}

impl Autoencoder {
    pub(crate) fn new(batch: usize) -> Self {
        Self {
            network: Trained::new(hash::fill(Vae::new(&mut Init::new(0, &device())), 1000)),
            pictures: hash::tensor([batch, 3, 64, 64], 1, 0.5, 0.5),
            noise: hash::tensor([batch, LATENT], 2, 1.0, 0.0),
        }
    }
}

impl Workload for Autoencoder {
    fn step(&mut self, sums: Option<&mut Vec<f64>>) -> Vec<f64> {
        let [batch, c, h, w] = self.pictures.dims();
        let (made, [mean, log_variance]) =
            self.network.network.forward(self.pictures.clone(), self.noise.clone());
        let squares = ops::mse(made, self.pictures.clone()) * (c * h * w) as f64;
        let divergence = (log_variance.clone() + 1.0 - mean.square() - log_variance.exp()).sum();
        let loss = squares - divergence * (0.5 / batch as f64);
        self.network.step(loss.backward(), sums);
        vec![number(&loss)]
    }
}
