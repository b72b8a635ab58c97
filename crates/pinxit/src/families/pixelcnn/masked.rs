//! The PixelCNN of the first paper: one stack of masked convolutions.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::likelihood::autoregressive::gated::{by_colour, rectified, relu};
use crate::likelihood::autoregressive::setup::NetworkConfig;
use crate::likelihood::autoregressive::{Autoregressive, Place, Start, Walk};
use crate::nn::stepwise::{Taps, Trail};
use crate::nn::{Activation, Cost, Dropout, Embedding, Init, MaskType, MaskedConv2d, Mode, Tally, ops};

/// A 7x7 convolution of type A, then residual blocks of type B (van den Oord et al. 2016, "Pixel Recurrent
/// Neural Networks", table 1 and figure 5). It has a blind spot: what is above and to the right of the
/// pixel beyond the diagonal.
#[derive(Module, Debug)]
pub struct MaskedPixelCnn {
    conv_in: MaskedConv2d,
    class_embedding: Option<Embedding>,
    blocks: Vec<Block>,
    out: Vec<MaskedConv2d>,
    colours: usize,
}

/// 1x1 to half the features, 3x3, and 1x1 back.
#[derive(Module, Debug)]
struct Block {
    convs: Vec<MaskedConv2d>,
    dropout: Dropout,
}

impl MaskedPixelCnn {
    /// A network with fresh weights.
    pub fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let &NetworkConfig { width, colours, .. } = config;
        let conv = |mask, input, output, kernel, init: &mut Init| {
            MaskedConv2d::new(mask, input, output, kernel, init).with_colours(colours)
        };
        let block = |_| Block {
            convs: [(width, width / 2, 1), (width / 2, width / 2, 3), (width / 2, width, 1)]
                .map(|(input, output, kernel)| conv(MaskType::B, input, output, kernel, init))
                .into(),
            dropout: Dropout::new(config.dropout, init),
        };
        let blocks = (0..config.layers).map(block).collect();
        Self {
            conv_in: conv(MaskType::A, config.input, width, 7, init),
            class_embedding: (config.classes > 0).then(|| Embedding::new(config.classes, width, init)),
            blocks,
            out: [width, config.output].map(|output| conv(MaskType::B, width, output, 1, init)).into(),
            colours,
        }
    }

    /// What it costs.
    pub fn cost(config: &NetworkConfig) -> Cost {
        let (mut tally, width, size) = (Tally::default(), config.width, config.size);
        tally.conv2d(config.input, width, 7, 1, size);
        tally.embedding(config.classes, width);
        for _ in 0..config.layers {
            tally.conv2d(width, width / 2, 1, 1, size);
            tally.conv2d(width / 2, width / 2, 3, 1, size);
            tally.conv2d(width / 2, width, 1, 1, size);
        }
        tally.conv2d(width, width, 1, 1, size);
        tally.conv2d(width, config.output, 1, 1, size);
        tally.cost()
    }
}

impl Autoregressive for MaskedPixelCnn {
    fn forward(&self, x: Tensor<4>, classes: &[u32], mode: &Mode) -> Tensor<4> {
        let relu = |x: Tensor<4>| ops::activate(x, Activation::Relu);
        let mut x = self.conv_in.forward(x); // [B, F, H, W]
        if let Some(embedding) = &self.class_embedding {
            let [batch, features, _, _] = x.dims();
            x = x + embedding.forward(classes).reshape([batch, features, 1, 1]);
        }
        for block in &self.blocks {
            let mut y = x.clone();
            for conv in &block.convs {
                y = conv.forward(relu(y)); // [B, F/2, H, W], at last [B, F, H, W]
            }
            x = x + block.dropout.forward(y, mode);
        }
        for conv in &self.out {
            x = conv.forward(relu(x));
        }
        by_colour(x, self.colours) // [B, P, H, W]
    }

    fn walk<'a>(&'a self, start: &Start) -> Box<dyn Walk + 'a> {
        let trail = |channels, keep| Trail::new(start.batch, channels, keep, &start.device);
        let block = |block: &Block| (rectified(&block.convs), trail(block.convs[0].weight.dims()[0], 2));
        Box::new(MaskedWalk {
            conv_in: self.conv_in.taps(),
            class: self.class_embedding.as_ref().map(|embedding| embedding.forward(&start.classes)),
            blocks: self.blocks.iter().map(block).collect(),
            out: rectified(&self.out),
            colours: self.colours,
            place: Place::first(start.width),
            input: trail(self.conv_in.weight.dims()[1], 4),
        })
    }
}

/// The network pixel by pixel: of every layer that looks at neighbours, their features are kept.
struct MaskedWalk {
    conv_in: Taps,
    class: Option<Tensor<2>>,
    /// The three convolutions of a block, and what the second one looks at.
    blocks: Vec<(Vec<Taps>, Trail)>,
    out: Vec<Taps>,
    colours: usize,
    place: Place,
    input: Trail,
}

impl Walk for MaskedWalk {
    fn predict(&mut self, known: Tensor<2>) -> Tensor<2> {
        let at = self.place.at;
        self.input.set(at, known);
        let mut x = self.conv_in.at(&self.input, at); // [B, F]
        if let Some(class) = &self.class {
            x = x + class.clone();
        }
        for (convs, narrow) in &mut self.blocks {
            let [down, middle, up] = convs.as_slice() else { continue };
            narrow.set(at, down.of(relu(x.clone())));
            x = x + up.of(middle.at(narrow, at));
        }
        x = self.out.iter().fold(relu(x), |x, conv| conv.of(x));
        by_colour(x, self.colours)
    }

    fn advance(&mut self, pixel: Tensor<2>) {
        self.input.set(self.place.at, pixel);
        self.place.advance();
    }
}
