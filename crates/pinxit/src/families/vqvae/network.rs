//! The networks of the VQ-VAE.

use burn::module::Module;
use burn::tensor::{Int, Tensor, activation};

use super::{Config, VqVaeKnobs};
use crate::likelihood::sum_of_each;
use crate::nn::{Activation, Codebook, Conv2d, ConvTranspose2d, Init, ops};

/// Encoder, codebook and decoder (van den Oord et al. 2017, section 4.1): convolutions of stride 2 with
/// 4x4 kernels, two residual blocks, and the same back.
#[derive(Module, Debug)]
pub(super) struct VqVae {
    down: Vec<Conv2d>,
    encoder: Vec<ResidualBlock>,
    to_code: Conv2d,
    pub(super) codebook: Codebook,
    from_code: Conv2d,
    decoder: Vec<ResidualBlock>,
    up: Vec<ConvTranspose2d>,
    conv_out: Conv2d,
}

/// ReLU, 3x3, ReLU, 1x1.
#[derive(Module, Debug)]
struct ResidualBlock {
    conv1: Conv2d,
    conv2: Conv2d,
}

impl VqVae {
    pub(super) fn new(config: &Config, init: &mut Init) -> Self {
        let &VqVaeKnobs { width, codes, code_dim, code_decay, .. } = &config.knobs;
        let inputs = std::iter::once(config.shape.channels).chain(std::iter::repeat(width));
        let down = inputs.take(config.halvings);
        let blocks = |init: &mut Init| {
            [0, 1].map(|_| ResidualBlock {
                conv1: Conv2d::new(width, width, 3, init),
                conv2: Conv2d::new(width, width, 1, init),
            })
        };
        Self {
            down: down
                .map(|input| Conv2d::new(input, width, 4, init).with_stride(2).with_padding(1))
                .collect(),
            encoder: blocks(init).into(),
            to_code: Conv2d::new(width, code_dim, 1, init),
            codebook: Codebook::new(codes, code_dim, code_decay, init),
            from_code: Conv2d::new(code_dim, width, 3, init),
            decoder: blocks(init).into(),
            up: (0..config.halvings)
                .map(|_| ConvTranspose2d::new(width, width, 4, init).with_stride(2).with_padding(1))
                .collect(),
            conv_out: Conv2d::new(width, config.pixels.parameters(), 3, init),
        }
    }

    /// x `[B, C, H, W]` -> `[B, D, h, w]`, before it is rounded to codes.
    pub(super) fn encode(&self, mut x: Tensor<4>) -> Tensor<4> {
        for conv in &self.down {
            x = relu(conv.forward(x)); // [B, F, H/2^i, W/2^i]
        }
        for block in &self.encoder {
            x = block.forward(x);
        }
        self.to_code.forward(relu(x))
    }

    /// z `[B, D, h, w]` -> parameters of every pixel's distribution `[B, P, H, W]`.
    pub(super) fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        let mut x = self.from_code.forward(z);
        for block in &self.decoder {
            x = block.forward(x);
        }
        for conv in &self.up {
            x = relu(conv.forward(x));
        }
        self.conv_out.forward(x)
    }

    /// The nearest codes of z `[B, D, h, w]` as vectors `[B, D, h, w]` and as indices `[B h w]`, both
    /// without autodiff.
    pub(super) fn quantise(&self, z: &Tensor<4>) -> (Tensor<4>, Tensor<1, Int>) {
        let [batch, dim, height, width] = z.dims();
        let rows = vectors(&z.clone().inner());
        let indices = self.codebook.nearest(rows);
        let codes = self.codebook.look_up(indices.clone()).reshape([batch, height, width, dim]);
        (codes.permute([0, 3, 1, 2]), indices)
    }
}

/// `[B, D, h, w]` -> `[B h w, D]`.
pub(super) fn vectors(z: &Tensor<4>) -> Tensor<2> {
    let [batch, dim, height, width] = z.dims();
    z.clone().permute([0, 2, 3, 1]).reshape([batch * height * width, dim])
}

fn relu(x: Tensor<4>) -> Tensor<4> {
    ops::activate(x, Activation::Relu)
}

impl ResidualBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        x.clone() + self.conv2.forward(relu(self.conv1.forward(relu(x))))
    }
}

/// `-ln p(codes)` of each picture: logits `[B, K, h, w]`, codes `[B h w]` -> `[B]`.
pub(super) fn code_nats(logits: Tensor<4>, codes: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _, height, width] = logits.dims();
    let codes = codes.reshape([batch, 1, height, width]);
    let chosen = activation::log_softmax(logits, 1).gather(1, codes); // [B, 1, h, w]
    sum_of_each(chosen).neg()
}
