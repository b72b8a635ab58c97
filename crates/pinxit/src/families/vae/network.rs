//! The networks of the VAE.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::data::ImageShape;
use crate::likelihood::bound::Posterior;
use crate::likelihood::pixel::PixelDistribution;
use crate::nn::{Activation, Conv2d, Cost, Embedding, Init, Linear, Tally, ops};

/// The parts of a resolved recipe that shape the network.
#[derive(Debug, Clone)]
pub struct VaeConfig {
    /// Shape of the pictures.
    pub shape: ImageShape,
    /// Number of classes, 0 for an unconditional network.
    pub classes: usize,
    /// Z.
    pub latents: usize,
    /// Widths of dense hidden layers.
    pub hidden: Vec<usize>,
    /// Channels of each size of a convolutional network, from the full size down; empty for a dense one.
    pub channels: Vec<usize>,
    /// What the decoder's output means.
    pub pixels: PixelDistribution,
}

impl VaeConfig {
    /// Height and width at `level`, halved and rounded up as a convolution of stride 2 does it.
    fn size(&self, level: usize) -> [usize; 2] {
        [self.shape.height, self.shape.width].map(|side| side.div_ceil(1 << level))
    }

    /// Values of the smallest feature map.
    fn innermost(&self) -> usize {
        let last = self.channels.len().saturating_sub(1);
        let [height, width] = self.size(last);
        self.channels.last().map_or(0, |channels| channels * height * width)
    }

    /// Layer by layer what the networks below are built of.
    pub(super) fn cost(&self) -> Cost {
        let (mut tally, pixels) = (Tally::default(), self.shape.height * self.shape.width);
        let (input, output) = (self.shape.len(), self.pixels.parameters());
        if self.channels.is_empty() {
            let widths = |from: usize, to: usize, hidden: Vec<usize>| [vec![from], hidden, vec![to]].concat();
            let inwards = widths(input, 2 * self.latents, self.hidden.clone());
            let outwards = widths(self.latents, output * pixels, self.hidden.iter().rev().copied().collect());
            for pair in inwards.windows(2).chain(outwards.windows(2)) {
                tally.linear(pair[0], pair[1], 1);
            }
            tally.embedding(self.classes, inwards[1] + outwards[1]);
            return tally.cost();
        }
        let (channels, inner) = (&self.channels, self.innermost());
        tally.conv2d(self.shape.channels, channels[0], 3, 1, self.size(0));
        for (level, pair) in channels.windows(2).enumerate() {
            tally.conv2d(pair[0], pair[1], 3, 2, self.size(level + 1)); // down
            tally.conv2d(pair[1], pair[1], 3, 1, self.size(level + 1));
            tally.conv2d(pair[1], pair[0], 3, 1, self.size(level)); // up
            tally.conv2d(pair[0], pair[0], 3, 1, self.size(level));
        }
        tally.linear(inner, 2 * self.latents, 1);
        tally.linear(self.latents, inner, 1);
        tally.conv2d(channels[0], output, 3, 1, self.size(0));
        tally.embedding(self.classes, channels[0] + inner);
        tally.cost()
    }
}

/// Encoder and decoder (Kingma and Welling 2013). Classes are told to the first layer of each, as a
/// one-hot vector beside its input would (Sohn et al. 2015).
#[derive(Module, Debug)]
pub struct Vae {
    /// Pictures to latents.
    pub encoder: Encoder,
    /// Latents to pictures.
    pub decoder: Decoder,
}

/// Pictures to the distribution of latents.
#[derive(Module, Debug)]
pub struct Encoder {
    /// At full size; none in a dense network.
    conv_in: Option<Conv2d>,
    /// For each halving, one convolution of stride 2 and one of stride 1.
    down: Vec<Conv2d>,
    /// Fully connected layers, the last of which gives mean and logarithm of the variance.
    pub linear: Vec<Linear>,
    class_embedding: Option<Embedding>,
}

/// Latents to what [`PixelDistribution`] takes.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Fully connected layers.
    pub linear: Vec<Linear>,
    /// For each doubling, from the smallest size up, two convolutions of stride 1.
    up: Vec<Conv2d>,
    /// At full size; none in a dense network.
    conv_out: Option<Conv2d>,
    class_embedding: Option<Embedding>,
    /// Channels, height and width before each doubling and at the end.
    sizes: Vec<[usize; 3]>,
}

impl Vae {
    /// A network with fresh weights.
    pub fn new(config: &VaeConfig, init: &mut Init) -> Self {
        Self { encoder: Encoder::new(config, init), decoder: Decoder::new(config, init) }
    }

    /// x `[B, C, H, W]`, class of each -> `q(z | x)` over `[B, Z]`.
    pub fn encode(&self, x: Tensor<4>, classes: &[u32]) -> Posterior {
        self.encoder.forward(x, classes)
    }

    /// z `[B, Z]`, class of each -> parameters of every pixel's distribution `[B, P, H, W]`.
    pub fn decode(&self, z: Tensor<2>, classes: &[u32]) -> Tensor<4> {
        self.decoder.forward(z, classes)
    }
}

fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ops::activate(x, Activation::Silu)
}

/// Linear layers from `widths[0]` features to the last of `widths`.
fn linears(widths: &[usize], init: &mut Init) -> Vec<Linear> {
    widths.windows(2).map(|pair| Linear::new(pair[0], pair[1], init)).collect()
}

impl Encoder {
    fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let (channels, output) = (&config.channels, 2 * config.latents);
        let conv_in = channels.first().map(|&first| Conv2d::new(config.shape.channels, first, 3, init));
        let mut down = Vec::new();
        for pair in channels.windows(2) {
            down.push(Conv2d::new(pair[0], pair[1], 3, init).with_stride(2));
            down.push(Conv2d::new(pair[1], pair[1], 3, init));
        }
        let widths = match conv_in {
            Some(_) => vec![config.innermost(), output],
            None => [vec![config.shape.len()], config.hidden.clone(), vec![output]].concat(),
        };
        let told = channels.first().copied().unwrap_or(widths[1]);
        let class_embedding = (config.classes > 0).then(|| Embedding::new(config.classes, told, init));
        Self { conv_in, down, linear: linears(&widths, init), class_embedding }
    }

    fn forward(&self, x: Tensor<4>, classes: &[u32]) -> Posterior {
        let batch = x.dims()[0];
        let mut class = self.class_embedding.as_ref().map(|embedding| embedding.forward(classes));
        let mut x = match &self.conv_in {
            Some(conv_in) => {
                let mut x = conv_in.forward(x); // [B, C0, H, W]
                if let Some(class) = class.take() {
                    let channels = x.dims()[1];
                    x = x + class.reshape([batch, channels, 1, 1]);
                }
                for conv in &self.down {
                    x = conv.forward(silu(x)); // [B, Ci, H/2^i, W/2^i]
                }
                silu(x).flatten::<2>(1, 3)
            }
            None => x.flatten::<2>(1, 3),
        };
        for (number, linear) in self.linear.iter().enumerate() {
            x = linear.forward(if number == 0 { x } else { silu(x) });
            if let Some(class) = class.take() {
                x = x + class;
            }
        }
        let latents = x.dims()[1] / 2;
        Posterior { mean: x.clone().narrow(1, 0, latents), ln_var: x.narrow(1, latents, latents) }
    }
}

impl Decoder {
    fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let (channels, parameters) = (&config.channels, config.pixels.parameters());
        let [height, width] = config.size(0);
        let widths = match channels.is_empty() {
            false => vec![config.latents, config.innermost()],
            true => {
                let hidden = config.hidden.iter().rev().copied().collect();
                [vec![config.latents], hidden, vec![parameters * height * width]].concat()
            }
        };
        let linear = linears(&widths, init);
        let mut up = Vec::new();
        let mut sizes = Vec::new();
        for (level, pair) in channels.windows(2).enumerate().rev() {
            let [height, width] = config.size(level + 1);
            sizes.push([pair[1], height, width]);
            up.push(Conv2d::new(pair[1], pair[0], 3, init));
            up.push(Conv2d::new(pair[0], pair[0], 3, init));
        }
        sizes.push([channels.first().copied().unwrap_or(parameters), height, width]);
        let conv_out = channels.first().map(|&first| Conv2d::new(first, parameters, 3, init));
        let class_embedding = (config.classes > 0).then(|| Embedding::new(config.classes, widths[1], init));
        Self { linear, up, conv_out, class_embedding, sizes }
    }

    fn forward(&self, z: Tensor<2>, classes: &[u32]) -> Tensor<4> {
        let batch = z.dims()[0];
        let mut x = z;
        for (number, linear) in self.linear.iter().enumerate() {
            x = linear.forward(if number == 0 { x } else { silu(x) });
            if let Some(embedding) = self.class_embedding.as_ref().filter(|_| number == 0) {
                x = x + embedding.forward(classes);
            }
        }
        let [channels, height, width] = self.sizes[0];
        let mut x = x.reshape([batch, channels, height, width]);
        for (pair, &[_, height, width]) in self.up.chunks(2).zip(&self.sizes[1..]) {
            // Doubled, and cut where the halving had rounded up.
            x = ops::upsample_nearest2(silu(x)).narrow(2, 0, height).narrow(3, 0, width);
            for (number, conv) in pair.iter().enumerate() {
                x = conv.forward(if number == 0 { x } else { silu(x) });
            }
        }
        match &self.conv_out {
            Some(conv_out) => conv_out.forward(silu(x)), // [B, P, H, W]
            None => x,
        }
    }
}
