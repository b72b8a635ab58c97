//! PixelRNN: LSTMs that run over the picture, row by row or diagonal by diagonal.

mod cell;
mod diagonal;
mod row_lstm;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::data::DataFacts;
use crate::error::Result;
use crate::knobs::{self, Knob};
use crate::likelihood::autoregressive::gated::{by_colour, rectified, relu};
use crate::likelihood::autoregressive::knobs::{AutoregressiveKnobs, AutoregressiveSampleKnobs};
use crate::likelihood::autoregressive::setup::{self, Kind, NetworkConfig};
use crate::likelihood::autoregressive::{Autoregressive, Place, Start, Walk};
use crate::likelihood::pixel;
use crate::nn::stepwise::{Taps, Trail};
use crate::nn::{Activation, Cost, Dropout, Embedding, Init, MaskType, MaskedConv2d, Mode, Tally, ops};

use diagonal::DiagonalBiLstm;
use row_lstm::RowLstm;

/// Which LSTM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// From row to row; sees a triangle above the pixel.
    Row,
    /// From diagonal to diagonal, both ways; sees everything before the pixel.
    Diagonal,
}

crate::knobs! {
    /// What only PixelRNN has.
    pub struct PixelRnnKnobs {
        /// `row` (Row LSTM) or `diagonal` (Diagonal BiLSTM, better and slower).
        pub variant: Variant = Variant::Diagonal,
    }
}

/// A 7x7 convolution of type A, layers of LSTM with residual connections, two 1x1 convolutions (van den
/// Oord et al. 2016, "Pixel Recurrent Neural Networks", table 1).
///
/// The first LSTM from the right of the diagonal network is told of the pixel itself too, which the mask of the
/// first convolution hides: its output moves down a row and so comes after that pixel. With the paper's one
/// convolution for both sides the last pixel of a row would be told to nobody at the beginning of the next.
#[derive(Module, Debug)]
pub struct PixelRnn {
    conv_in: MaskedConv2d,
    conv_in_right: Option<MaskedConv2d>,
    class_embedding: Option<Embedding>,
    layers: Vec<Layer>,
    out: Vec<MaskedConv2d>,
    colours: usize,
}

/// An LSTM from 2F features to F, and back to 2F to be added to its input (figure 5).
#[derive(Module, Debug)]
struct Layer {
    lstm: Lstm,
    dropout: Dropout,
    up: MaskedConv2d,
}

/// The LSTM of a variant.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network holds a few of these at most")]
enum Lstm {
    /// See [`RowLstm`].
    Row(RowLstm),
    /// See [`DiagonalBiLstm`].
    Diagonal(DiagonalBiLstm),
}

/// A layer whose state runs over the picture.
trait Recurrent {
    /// `[B, 2F, H, W]` -> `[B, F, H, W]`; a state from the right that comes a row later may see `right` instead.
    fn forward(&self, x: Tensor<4>, right: Tensor<4>) -> Tensor<4>;

    /// The same, pixel by pixel.
    fn walk(&self, start: &Start) -> Box<dyn RecurrentWalk>;
}

/// A recurrent layer on its way.
trait RecurrentWalk {
    /// The output `[B, F]` at the pixel that comes next, from its input `[B, 2F]`; the same pixel may be
    /// asked again with another input.
    fn step(&mut self, at: [usize; 2], x: Tensor<2>) -> Tensor<2>;

    /// What a state from the right sees of a row that is whole `[W B, 2F]`, if it is not the row's input.
    fn see_right(&mut self, _row: usize, _right: Tensor<2>) {}
}

impl Lstm {
    fn recurrent(&self) -> &dyn Recurrent {
        match self {
            Self::Row(lstm) => lstm,
            Self::Diagonal(lstm) => lstm,
        }
    }
}

impl PixelRnn {
    /// A network with fresh weights.
    pub fn new(config: &NetworkConfig, variant: Variant, init: &mut Init) -> Self {
        let &NetworkConfig { width, colours, .. } = config;
        let conv = |mask, input, output, kernel, init: &mut Init| {
            MaskedConv2d::new(mask, input, output, kernel, init).with_colours(colours)
        };
        let conv_in = conv(MaskType::A, config.input, width, 7, init);
        let conv_in_right = (variant == Variant::Diagonal)
            .then(|| MaskedConv2d::new(MaskType::B, config.input, width, 7, init));
        let class_embedding = (config.classes > 0).then(|| Embedding::new(config.classes, width, init));
        let layer = |_| Layer {
            lstm: match variant {
                Variant::Row => Lstm::Row(RowLstm::new(config, init)),
                Variant::Diagonal => Lstm::Diagonal(DiagonalBiLstm::new(config, init)),
            },
            dropout: Dropout::new(config.dropout, init),
            up: conv(MaskType::B, width / 2, width, 1, init),
        };
        let layers = (0..config.layers).map(layer).collect();
        let out = [width, config.output].map(|output| conv(MaskType::B, width, output, 1, init)).into();
        Self { conv_in, conv_in_right, class_embedding, layers, out, colours }
    }

    /// What it costs.
    pub fn cost(config: &NetworkConfig, variant: Variant) -> Cost {
        let (mut tally, width, size) = (Tally::default(), config.width, config.size);
        for _ in 0..if variant == Variant::Diagonal { 2 } else { 1 } {
            tally.conv2d(config.input, width, 7, 1, size);
        }
        tally.embedding(config.classes, width);
        for _ in 0..config.layers {
            match variant {
                Variant::Row => RowLstm::count(config, &mut tally),
                Variant::Diagonal => DiagonalBiLstm::count(config, &mut tally),
            }
            tally.conv2d(width / 2, width, 1, 1, size);
        }
        tally.conv2d(width, width, 1, 1, size);
        tally.conv2d(width, config.output, 1, 1, size);
        tally.cost()
    }
}

impl Autoregressive for PixelRnn {
    fn forward(&self, x: Tensor<4>, classes: &[u32], mode: &Mode) -> Tensor<4> {
        let class = self.class_embedding.as_ref().map(|embedding| {
            let embedded = embedding.forward(classes);
            let [batch, features] = embedded.dims();
            embedded.reshape([batch, features, 1, 1])
        });
        let tell = |x: Tensor<4>| class.iter().fold(x, |x, class| x + class.clone());
        let mut right = self.conv_in_right.as_ref().map(|conv| tell(conv.forward(x.clone())));
        let mut x = tell(self.conv_in.forward(x)); // [B, 2F, H, W]
        for layer in &self.layers {
            let right = right.take().unwrap_or_else(|| x.clone());
            let hidden = layer.lstm.recurrent().forward(x.clone(), right); // [B, F, H, W]
            x = x + layer.up.forward(layer.dropout.forward(hidden, mode));
        }
        for conv in &self.out {
            x = conv.forward(ops::activate(x, Activation::Relu));
        }
        by_colour(x, self.colours) // [B, P, H, W]
    }

    fn walk<'a>(&'a self, start: &Start) -> Box<dyn Walk + 'a> {
        let channels = self.conv_in.weight.dims()[1];
        let layer = |layer: &Layer| (layer.lstm.recurrent().walk(start), layer.up.taps());
        Box::new(PixelRnnWalk {
            conv_in: self.conv_in.taps(),
            conv_in_right: self.conv_in_right.as_ref().map(MaskedConv2d::taps),
            class: self.class_embedding.as_ref().map(|embedding| embedding.forward(&start.classes)),
            layers: self.layers.iter().map(layer).collect(),
            out: rectified(&self.out),
            colours: self.colours,
            place: Place::first(start.width),
            width: start.width,
            // The row above is looked at from the first pixel of the next.
            input: Trail::new(start.batch, channels, 5, &start.device),
        })
    }
}

/// The network pixel by pixel.
struct PixelRnnWalk {
    conv_in: Taps,
    conv_in_right: Option<Taps>,
    class: Option<Tensor<2>>,
    layers: Vec<(Box<dyn RecurrentWalk>, Taps)>,
    out: Vec<Taps>,
    colours: usize,
    place: Place,
    width: usize,
    input: Trail,
}

impl PixelRnnWalk {
    /// Tells the first LSTM from the right of the row above, which is whole.
    fn see_right(&mut self, row: usize) {
        let (Some(conv), Some((lstm, _))) = (&self.conv_in_right, self.layers.first_mut()) else { return };
        let mut right = conv.along(&self.input, row, self.width); // [W B, 2F]
        if let Some(class) = &self.class {
            right = right + class.clone().repeat_dim(0, self.width);
        }
        lstm.see_right(row, right);
    }
}

impl Walk for PixelRnnWalk {
    fn predict(&mut self, known: Tensor<2>) -> Tensor<2> {
        let at = self.place.at;
        if let (0, Some(above)) = (at[1], at[0].checked_sub(1)) {
            self.see_right(above);
        }
        self.input.set(at, known);
        let mut x = self.conv_in.at(&self.input, at); // [B, 2F]
        if let Some(class) = &self.class {
            x = x + class.clone();
        }
        for (lstm, up) in &mut self.layers {
            x = x.clone() + up.of(lstm.step(at, x));
        }
        x = self.out.iter().fold(relu(x), |x, conv| conv.of(x));
        by_colour(x, self.colours)
    }

    fn advance(&mut self, pixel: Tensor<2>) {
        self.input.set(self.place.at, pixel);
        self.place.advance();
    }
}

impl Kind for PixelRnnKnobs {
    type Network = PixelRnn;

    fn fill(&mut self, _: &DataFacts) {}

    fn usual_layers(&self) -> usize {
        3
    }

    fn pixels(&self) -> (pixel::Kind, usize) {
        (pixel::Kind::Softmax, 1)
    }

    fn check(&self, _: &NetworkConfig) -> Result<()> {
        Ok(())
    }

    fn network(&self, config: &NetworkConfig, init: &mut Init) -> PixelRnn {
        PixelRnn::new(config, self.variant, init)
    }

    fn cost(&self, config: &NetworkConfig) -> Cost {
        PixelRnn::cost(config, self.variant)
    }
}

const KNOBS: [Knob; AutoregressiveKnobs::KNOBS.len() + PixelRnnKnobs::KNOBS.len()] =
    knobs::join(AutoregressiveKnobs::KNOBS, PixelRnnKnobs::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "pixelrnn",
    about: "PixelRNN: as pixelcnn, with LSTMs over rows or diagonals in place of convolutions; slower to train.",
    paper: "van den Oord, Kalchbrenner, Kavukcuoglu 2016, Pixel Recurrent Neural Networks",
    material: Material::Pictures,
    model_knobs: &KNOBS,
    sample_knobs: AutoregressiveSampleKnobs::KNOBS,
    resolve: setup::resolve::<PixelRnnKnobs>,
    cost: setup::cost::<PixelRnnKnobs>,
    learner: setup::learner::<PixelRnnKnobs>,
    model: setup::model::<PixelRnnKnobs>,
};
