//! The gated PixelCNN: two stacks of convolutions that together see every pixel before, without a blind
//! spot.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::setup::NetworkConfig;
use super::{Autoregressive, Place, Start, Walk};
use crate::nn::stepwise::{Taps, Trail};
use crate::nn::{Activation, CausalConv2d, Conv2d, Dropout, Embedding, Init, MaskType, MaskedConv2d, Mode};
use crate::nn::{Cost, Tally, ops};

/// Rows and columns that the first layer sees, as those of a 7x7 mask.
const FIRST: usize = 7;

/// The network of van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders", figure 2.
///
/// The vertical stack sees the rows above, the horizontal one what is to the left in the pixel's own row
/// and, through the vertical one, the rows above.
#[derive(Module, Debug)]
pub struct GatedPixelCnn {
    layers: Vec<GatedLayer>,
    out_1: MaskedConv2d,
    out_2: MaskedConv2d,
    colours: usize,
}

/// One layer of both stacks.
#[derive(Module, Debug)]
struct GatedLayer {
    vertical: CausalConv2d,
    vertical_to_horizontal: Conv2d,
    horizontal: CausalConv2d,
    horizontal_out: MaskedConv2d,
    class_vertical: Option<Embedding>,
    class_horizontal: Option<Embedding>,
    dropout: Dropout,
    /// Whether the input of the horizontal stack is added to its output.
    residual: bool,
}

impl GatedPixelCnn {
    /// A network with fresh weights.
    pub fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let layers = (0..=config.layers).map(|number| GatedLayer::new(config, number, init)).collect();
        let colours = config.colours;
        let mut out =
            |output| MaskedConv2d::new(MaskType::B, config.width, output, 1, init).with_colours(colours);
        Self { layers, out_1: out(config.width), out_2: out(config.output), colours }
    }

    /// What it costs.
    pub fn cost(config: &NetworkConfig) -> Cost {
        let (mut tally, width, size) = (Tally::default(), config.width, config.size);
        for layer in 0..=config.layers {
            let (input, [vertical, horizontal]) = match layer {
                0 => (config.input, [FIRST / 2 * FIRST, FIRST / 2 + 1]),
                _ => (width, [6, 2]),
            };
            tally.taps(input, 2 * width, vertical, size);
            tally.taps(input, 2 * width, horizontal, size);
            tally.conv2d(2 * width, 2 * width, 1, 1, size);
            tally.conv2d(width, width, 1, 1, size);
            tally.embedding(config.classes, if layer == config.layers { 2 } else { 4 } * width);
        }
        tally.conv2d(width, width, 1, 1, size);
        tally.conv2d(width, config.output, 1, 1, size);
        tally.cost()
    }
}

impl GatedLayer {
    fn new(config: &NetworkConfig, number: usize, init: &mut Init) -> Self {
        let (first, last) = (number == 0, number == config.layers);
        let (width, colours) = (config.width, config.colours);
        let (vertical, horizontal) = if first {
            let rows = [FIRST / 2, FIRST];
            let vertical = CausalConv2d::down(config.input, 2 * width, rows, init).shifted(1, 0);
            let horizontal = CausalConv2d::down_right(config.input, 2 * width, [1, FIRST / 2 + 1], init);
            (vertical, horizontal.masked(MaskType::A, colours))
        } else {
            let vertical = CausalConv2d::down(width, 2 * width, [2, 3], init);
            let horizontal = CausalConv2d::down_right(width, 2 * width, [1, 2], init);
            (vertical, horizontal.masked(MaskType::B, colours))
        };
        let mut class = |told: bool| told.then(|| Embedding::new(config.classes, 2 * width, init));
        // Nothing looks at the last output of the vertical stack.
        let (class_vertical, class_horizontal) =
            (class(config.classes > 0 && !last), class(config.classes > 0));
        Self {
            vertical,
            vertical_to_horizontal: Conv2d::new(2 * width, 2 * width, 1, init),
            horizontal,
            horizontal_out: MaskedConv2d::new(MaskType::B, width, width, 1, init).with_colours(colours),
            class_vertical,
            class_horizontal,
            dropout: Dropout::new(config.dropout, init),
            residual: !first,
        }
    }

    /// Both stacks `[B, F, H, W]`.
    fn forward(&self, v: Tensor<4>, h: Tensor<4>, classes: &[u32], mode: &Mode) -> [Tensor<4>; 2] {
        let vertical = self.vertical.forward(v); // [B, 2F, H, W]
        let horizontal =
            self.horizontal.forward(h.clone()) + self.vertical_to_horizontal.forward(vertical.clone());
        let gate = |x: Tensor<4>, class: &Option<Embedding>| {
            let Some(class) = class else { return ops::gated(x) };
            let [batch, features, _, _] = x.dims();
            ops::gated(x + class.forward(classes).reshape([batch, features, 1, 1])) // eq. 4
        };
        let out =
            self.horizontal_out.forward(self.dropout.forward(gate(horizontal, &self.class_horizontal), mode));
        let out = if self.residual { out + h } else { out };
        [gate(vertical, &self.class_vertical), out]
    }
}

impl Autoregressive for GatedPixelCnn {
    fn forward(&self, x: Tensor<4>, classes: &[u32], mode: &Mode) -> Tensor<4> {
        let [mut v, mut h] = [x.clone(), x];
        for layer in &self.layers {
            [v, h] = layer.forward(v, h, classes, mode);
        }
        let h = self.out_1.forward(ops::activate(h, Activation::Relu));
        let parameters = self.out_2.forward(ops::activate(h, Activation::Relu)); // [B, P, H, W]
        by_colour(parameters, self.colours)
    }

    fn walk<'a>(&'a self, start: &Start) -> Box<dyn Walk + 'a> {
        Box::new(GatedWalk::new(self, start))
    }
}

/// A masked convolution's output channel c belongs to colour `c % colours`; a distribution wants all
/// parameters of the first colour before those of the second: `[B, P, ...]` -> `[B, P, ...]`.
pub fn by_colour<const D: usize>(parameters: Tensor<D>, colours: usize) -> Tensor<D> {
    if colours == 1 {
        return parameters;
    }
    let dims = parameters.dims();
    let (batch, each) = (dims[0], dims[1] / colours);
    let rest: usize = dims[2..].iter().product();
    parameters.reshape([batch, each, colours, rest]).swap_dims(1, 2).reshape(dims)
}

/// [`Activation`] of `[B, C]`.
pub(crate) fn relu(x: Tensor<2>) -> Tensor<2> {
    ops::activate(x, Activation::Relu)
}

/// [`ops::gated`] of `[N, 2F]`.
fn gated(x: Tensor<2>) -> Tensor<2> {
    let [rows, features] = x.dims();
    ops::gated(x.reshape([rows, features, 1, 1])).flatten::<2>(1, 3)
}

/// Convolutions that follow each other pixel by pixel, with a ReLU between any two.
pub(crate) fn rectified(convs: &[MaskedConv2d]) -> Vec<Taps> {
    let last = convs.len().saturating_sub(1);
    let activation = |number| if number < last { Activation::Relu } else { Activation::None };
    convs.iter().enumerate().map(|(number, conv)| conv.taps().activated(activation(number))).collect()
}

/// The 1x1 convolution as a matrix.
pub(crate) fn single(conv: &Conv2d) -> Taps {
    Taps::single(conv.weight.val(), conv.bias.as_ref().map(Param::val))
}

/// The network pixel by pixel: the vertical stack a row at a time when the row above is whole, the
/// horizontal one at every pixel.
struct GatedWalk {
    layers: Vec<LayerWalk>,
    out: [Taps; 2],
    colours: usize,
    place: Place,
    width: usize,
    /// Whether the vertical stack has to be computed for this row.
    row_is_new: bool,
    /// The picture.
    input: Trail,
}

/// A layer on its way.
struct LayerWalk {
    vertical: Taps,
    vertical_to_horizontal: Taps,
    horizontal: Taps,
    horizontal_out: Taps,
    /// What the class adds, `[B, 2F]`.
    class: [Option<Tensor<2>>; 2],
    residual: bool,
    /// Output of the vertical stack.
    v: Trail,
    /// Output of the horizontal stack.
    h: Trail,
    /// What the vertical stack tells the horizontal one in this row, `[B, 2F]` a column.
    told: Vec<Tensor<2>>,
}

impl GatedWalk {
    fn new(network: &GatedPixelCnn, start: &Start) -> Self {
        let layer = |layer: &GatedLayer| {
            let trail =
                |keep| Trail::new(start.batch, layer.horizontal_out.weight.dims()[0], keep, &start.device);
            let class = |class: &Option<Embedding>| class.as_ref().map(|class| class.forward(&start.classes));
            LayerWalk {
                vertical: layer.vertical.taps(),
                vertical_to_horizontal: single(&layer.vertical_to_horizontal),
                horizontal: layer.horizontal.taps(),
                horizontal_out: layer.horizontal_out.taps(),
                class: [class(&layer.class_vertical), class(&layer.class_horizontal)],
                residual: layer.residual,
                v: trail(2),
                h: trail(1),
                told: Vec::new(),
            }
        };
        let input = network.layers[0].vertical.weight.dims()[1];
        Self {
            layers: network.layers.iter().map(layer).collect(),
            out: [network.out_1.taps().activated(Activation::Relu), network.out_2.taps()],
            colours: network.colours,
            place: Place::first(start.width),
            width: start.width,
            row_is_new: true,
            input: Trail::new(start.batch, input, FIRST / 2 + 1, &start.device),
        }
    }

    /// The vertical stack of this row.
    fn begin_row(&mut self) {
        let (row, width) = (self.place.at[0], self.width);
        let mut below = &self.input;
        for layer in &mut self.layers {
            let x = layer.vertical.along(below, row, width); // [W B, 2F]
            let told = layer.vertical_to_horizontal.of(x.clone());
            layer.told = told.chunk(width, 0);
            let class = layer.class[0].clone().map(|class| class.repeat_dim(0, width));
            layer.v.set_row(row, gated(class.map_or(x.clone(), |class| x + class)));
            below = &layer.v;
        }
        self.row_is_new = false;
    }
}

impl Walk for GatedWalk {
    fn predict(&mut self, known: Tensor<2>) -> Tensor<2> {
        if self.row_is_new {
            self.begin_row();
        }
        let at @ [row, column] = self.place.at;
        self.input.set(at, known);
        let mut below = &self.input;
        for layer in &mut self.layers {
            let mut x = layer.horizontal.at(below, at) + layer.told[column].clone(); // [B, 2F]
            if let Some(class) = &layer.class[1] {
                x = x + class.clone();
            }
            let mut out = layer.horizontal_out.of(gated(x));
            if layer.residual {
                out = out + below.at(row as isize, column as isize);
            }
            layer.h.set(at, out);
            below = &layer.h;
        }
        let h = self.out[0].of(relu(below.at(row as isize, column as isize)));
        by_colour(self.out[1].of(h), self.colours)
    }

    fn advance(&mut self, pixel: Tensor<2>) {
        self.input.set(self.place.at, pixel);
        self.row_is_new = self.place.advance();
    }
}
