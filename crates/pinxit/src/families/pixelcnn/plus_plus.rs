//! PixelCNN++: shifted convolutions at several sizes with short-cuts between them.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

use crate::likelihood::autoregressive::setup::NetworkConfig;
use crate::likelihood::autoregressive::{Autoregressive, Place, Start, Walk};
use crate::nn::stepwise::{Taps, Trail};
use crate::nn::weight_norm::{self, FirstPass, weight_norm};
use crate::nn::{CausalConv2d, Cost, Dropout, Embedding, Init, Mode, Tally, Weights, ops};

/// The network of Salimans et al. 2017, figure 2: a stream u that sees the rows above and a stream v that sees the
/// pixels to the left as well, each on its way to smaller sizes and back, with a short-cut from every layer of the
/// way down to one of the way up. All weights are normalised, and begin as the first pictures ask (Salimans and
/// Kingma 2016), as in the paper's code.
#[derive(Module, Debug)]
pub struct PixelCnnPlusPlus {
    u_in: CausalConv2d,
    v_in_above: CausalConv2d,
    v_in_left: CausalConv2d,
    levels: Vec<Level>,
    out: CausalConv2d,
}

/// The layers of one size; in every pair the stream u comes first.
#[derive(Module, Debug)]
struct Level {
    down: Vec<[GatedResnet; 2]>,
    /// To the next smaller size, and back; none at the smallest.
    shrink: Vec<CausalConv2d>,
    grow: Vec<ShiftedDeconv2d>,
    up: Vec<[GatedResnet; 2]>,
}

/// Two causal convolutions with a gate, around which the input goes (section 2.4 and the paper's code).
#[derive(Module, Debug)]
struct GatedResnet {
    conv_1: CausalConv2d,
    /// Of another stream, or of the way down.
    shortcut: Option<CausalConv2d>,
    dropout: Dropout,
    conv_2: CausalConv2d,
    class_embedding: Option<Embedding>,
}

/// The transpose of a causal convolution of stride 2: pixel (p, q) looks at (p / 2, q / 2), and with three
/// columns at its right neighbour too.
#[derive(Module, Debug)]
struct ShiftedDeconv2d {
    /// `[in, out, 2, columns]`.
    weight: Param<Tensor<4>>,
    /// `[out]` each.
    bias: Param<Tensor<1>>,
    gain: Param<Tensor<1>>,
}

/// Rows and columns of the convolutions of the streams u and v.
const KERNELS: [[usize; 2]; 2] = [[2, 3], [2, 2]];

/// Standard deviation of a layer's first outputs, and of the gates of a residual layer.
const STD: f64 = 1.0;
const GATE_STD: f64 = 0.1;
/// Standard deviation of what a class first adds.
const CLASS_STD: f64 = 0.05;

/// A causal convolution of stream u (0) or v (1).
fn stream_conv(stream: usize, input: usize, output: usize, init: &mut Init) -> CausalConv2d {
    let new = if stream == 0 { CausalConv2d::down } else { CausalConv2d::down_right };
    new(input, output, KERNELS[stream], init).weight_normalised(init)
}

/// A convolution of the pixel alone.
fn pixel_conv(input: usize, output: usize, init: &mut Init) -> CausalConv2d {
    CausalConv2d::down_right(input, output, [1, 1], init).weight_normalised(init)
}

/// One pass through the network.
struct Pass<'a> {
    classes: &'a [u32],
    mode: &'a Mode,
    /// Where first gains and biases are kept, if they are looked for.
    first: Option<FirstPass>,
}

impl Pass<'_> {
    fn conv(&self, conv: &CausalConv2d, x: Tensor<4>, std: f64) -> Tensor<4> {
        let y = conv.forward(x);
        match (&self.first, &conv.gain) {
            (Some(first), Some(gain)) => first.settle(y, gain, &conv.bias, std),
            _ => y,
        }
    }

    fn deconv(&self, conv: &ShiftedDeconv2d, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let y = conv.forward(x, size);
        match &self.first {
            Some(first) => first.settle(y, &conv.gain, &conv.bias, STD),
            None => y,
        }
    }
}

/// `elu([x, -x])` over the channels (Shang et al. 2016 with an ELU).
fn concat_elu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::elu(Tensor::cat(vec![x.clone(), x.neg()], 1), 1.0)
}

/// `a sigmoid(b)` of the two halves of the channels.
fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let half = x.dims()[1] / 2;
    x.clone().narrow(1, 0, half) * activation::sigmoid(x.narrow(1, half, half))
}

/// With a channel of ones, so that the network knows where the picture ends.
fn with_ones<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let ones = x.clone().narrow(1, 0, 1).ones_like();
    Tensor::cat(vec![x, ones], 1)
}

impl PixelCnnPlusPlus {
    /// A network of `sizes` sizes, each half of the one before, with `config.layers` layers a size on the
    /// way down.
    pub fn new(config: &NetworkConfig, sizes: usize, init: &mut Init) -> Self {
        let (input, width) = (config.input + 1, config.width);
        let first = |conv: CausalConv2d, init: &mut Init| conv.weight_normalised(init);
        Self {
            u_in: first(CausalConv2d::down(input, width, [2, 3], init).shifted(1, 0), init),
            v_in_above: first(CausalConv2d::down(input, width, [1, 3], init).shifted(1, 0), init),
            v_in_left: first(CausalConv2d::down_right(input, width, [2, 1], init).shifted(0, 1), init),
            levels: (0..sizes).map(|level| Level::new(config, level + 1 == sizes, init)).collect(),
            out: pixel_conv(width, config.output, init),
        }
    }

    /// What it costs.
    pub fn cost(config: &NetworkConfig, sizes: usize) -> Cost {
        let (mut tally, width) = (Tally::default(), config.width);
        for (taps, _) in [(6, "u"), (3, "v above"), (2, "v left")] {
            tally.taps(config.input + 1, width, taps, config.size);
            tally.gains(width);
        }
        for level in 0..sizes {
            let size = config.size.map(|side| side.div_ceil(1 << level));
            let last = level + 1 == sizes;
            let mut resnet = |taps: usize, shortcut: usize| {
                tally.taps(2 * width, width, taps, size);
                tally.taps(2 * width, 2 * width, taps, size);
                tally.gains(3 * width);
                if shortcut > 0 {
                    tally.taps(2 * shortcut * width, width, 1, size);
                    tally.gains(width);
                }
                tally.embedding(config.classes, 2 * width);
            };
            for _ in 0..config.layers {
                resnet(6, 0);
                resnet(4, 1);
            }
            for _ in 0..config.layers + usize::from(!last) {
                resnet(6, 1);
                resnet(4, 2);
            }
            if !last {
                let half = config.size.map(|side| side.div_ceil(2 << level));
                for taps in [6, 4] {
                    tally.taps(width, width, taps, half); // shrink
                    tally.taps(width, width, taps, half); // grow
                    tally.gains(2 * width);
                }
            }
        }
        tally.taps(width, config.output, 1, config.size);
        tally.gains(config.output);
        tally.cost()
    }

    /// The levels from `number` on, to the smallest and back: both streams `[B, F, H, W]`.
    fn run(&self, number: usize, [mut u, mut v]: [Tensor<4>; 2], pass: &Pass) -> [Tensor<4>; 2] {
        let level = &self.levels[number];
        let mut skips = vec![[u.clone(), v.clone()]];
        for [of_u, of_v] in &level.down {
            u = of_u.forward(u, None, pass);
            v = of_v.forward(v, Some(u.clone()), pass);
            skips.push([u.clone(), v.clone()]);
        }
        if let ([shrink_u, shrink_v], [grow_u, grow_v]) = (level.shrink.as_slice(), level.grow.as_slice()) {
            let [_, _, height, width] = u.dims();
            let small = [pass.conv(shrink_u, u, STD), pass.conv(shrink_v, v, STD)];
            let [small_u, small_v] = self.run(number + 1, small, pass);
            u = pass.deconv(grow_u, small_u, [height, width]);
            v = pass.deconv(grow_v, small_v, [height, width]);
        } else if let Some(last) = skips.pop() {
            [u, v] = last;
        }
        for ([of_u, of_v], [skip_u, skip_v]) in level.up.iter().zip(skips.into_iter().rev()) {
            u = of_u.forward(u, Some(skip_u), pass);
            v = of_v.forward(v, Some(Tensor::cat(vec![u.clone(), skip_v], 1)), pass);
        }
        [u, v]
    }

    /// `[B, C, H, W]` -> `[B, P, H, W]`.
    fn pass(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let x = with_ones(x);
        let u = pass.conv(&self.u_in, x.clone(), STD);
        let v = pass.conv(&self.v_in_above, x.clone(), STD) + pass.conv(&self.v_in_left, x, STD);
        let [_, v] = self.run(0, [u, v], pass);
        pass.conv(&self.out, activation::elu(v, 1.0), STD)
    }
}

impl Level {
    fn new(config: &NetworkConfig, last: bool, init: &mut Init) -> Self {
        let width = config.width;
        let pair = |shortcuts: [usize; 2], init: &mut Init| {
            [0, 1].map(|stream| GatedResnet::new(config, stream, shortcuts[stream] * width, init))
        };
        let between = if last { 0 } else { 2 };
        Self {
            down: (0..config.layers).map(|_| pair([0, 1], init)).collect(),
            shrink: (0..between).map(|s| stream_conv(s, width, width, init).with_stride(2)).collect(),
            grow: (0..between).map(|s| ShiftedDeconv2d::new(width, KERNELS[s], init)).collect(),
            up: (0..config.layers + between / 2).map(|_| pair([1, 2], init)).collect(),
        }
    }
}

impl GatedResnet {
    /// With a short-cut of `shortcut` features, if any.
    fn new(config: &NetworkConfig, stream: usize, shortcut: usize, init: &mut Init) -> Self {
        let width = config.width;
        Self {
            conv_1: stream_conv(stream, 2 * width, width, init),
            shortcut: (shortcut > 0).then(|| pixel_conv(2 * shortcut, width, init)),
            dropout: Dropout::new(config.dropout, init),
            conv_2: stream_conv(stream, 2 * width, 2 * width, init),
            class_embedding: (config.classes > 0)
                .then(|| Embedding::scaled(config.classes, 2 * width, CLASS_STD, init)),
        }
    }

    /// x and the short-cut's end `[B, F or 2F, H, W]` -> `[B, F, H, W]`.
    fn forward(&self, x: Tensor<4>, other: Option<Tensor<4>>, pass: &Pass) -> Tensor<4> {
        let mut y = pass.conv(&self.conv_1, concat_elu(x.clone()), STD);
        if let (Some(shortcut), Some(other)) = (&self.shortcut, other) {
            y = y + pass.conv(shortcut, concat_elu(other), STD);
        }
        let y = self.dropout.forward(concat_elu(y), pass.mode);
        let mut y = pass.conv(&self.conv_2, y, GATE_STD); // [B, 2F, H, W]
        if let Some(embedding) = &self.class_embedding {
            let [batch, features, _, _] = y.dims();
            y = y + embedding.forward(pass.classes).reshape([batch, features, 1, 1]);
        }
        x + gate(y)
    }
}

impl ShiftedDeconv2d {
    fn new(width: usize, [rows, columns]: [usize; 2], init: &mut Init) -> Self {
        let shape = [width, width, rows, columns];
        let weight = init.with(Weights::Normal(weight_norm::STD), |init| init.weight(shape, 1));
        Self { weight, bias: init.zeros([width]), gain: init.ones([width]) }
    }

    fn seen_weight(&self) -> Tensor<4> {
        weight_norm(self.weight.val(), self.gain.val(), 1)
    }

    /// Columns that are cut off on the left.
    fn cut(&self) -> usize {
        (self.weight.dims()[3] - 1) / 2
    }

    /// `[B, F, ceil(H / 2), ceil(W / 2)]` -> `[B, F, H, W]`.
    fn forward(&self, x: Tensor<4>, [height, width]: [usize; 2]) -> Tensor<4> {
        let y = ops::conv_transpose2d(x, self.seen_weight(), Some(self.bias.val()), 2, 0, 0);
        y.narrow(2, 0, height).narrow(3, self.cut(), width)
    }

    /// The same one pixel at a time: for an even and an odd row, and in it for an even and an odd column,
    /// what pixel (p, q) sees relative to (p / 2, q / 2).
    fn taps(&self) -> [[Taps; 2]; 2] {
        let weight = self.seen_weight().swap_dims(0, 1); // [out, in, rows, columns]
        let half = |distance: isize| (distance % 2 == 0).then_some(distance / 2);
        [0, 1].map(|odd_row| {
            [0, 1].map(|odd_column| {
                let place = |row: usize, column: usize| {
                    let from = odd_column + self.cut() as isize - column as isize;
                    Some([half(odd_row - row as isize)?, half(from)?])
                };
                Taps::new(weight.clone(), Some(self.bias.val()), 1, place)
            })
        })
    }
}

impl Autoregressive for PixelCnnPlusPlus {
    fn forward(&self, x: Tensor<4>, classes: &[u32], mode: &Mode) -> Tensor<4> {
        self.pass(x, &Pass { classes, mode, first: None })
    }

    fn started(&self, x: Tensor<4>, classes: &[u32], mode: &Mode) -> Option<Self> {
        let pass = Pass { classes, mode, first: Some(FirstPass::default()) };
        self.pass(x, &pass);
        pass.first.map(|first| first.applied(self.clone()))
    }

    fn walk<'a>(&'a self, start: &Start) -> Box<dyn Walk + 'a> {
        let channels = self.u_in.weight.dims()[1];
        let levels = self.levels.iter().enumerate();
        Box::new(PlusPlusWalk {
            u_in: self.u_in.taps(),
            v_in: [self.v_in_above.taps(), self.v_in_left.taps()],
            levels: levels.map(|(number, level)| LevelWalk::new(level, number, start)).collect(),
            out: self.out.taps(),
            place: Place::first(start.width),
            row_is_new: true,
            input: Trail::new(start.batch, channels, 3, &start.device),
        })
    }
}

/// The network pixel by pixel: stream u a row at a time, stream v at every pixel, and a smaller size
/// where a pixel of it begins (Ramachandran et al. 2017, "Fast Generation for Convolutional
/// Autoregressive Models").
struct PlusPlusWalk {
    u_in: Taps,
    v_in: [Taps; 2],
    levels: Vec<LevelWalk>,
    out: Taps,
    place: Place,
    row_is_new: bool,
    input: Trail,
}

/// One size on its way.
struct LevelWalk {
    width: usize,
    down: Vec<[ResnetWalk; 2]>,
    shrink: Vec<Taps>,
    grow: Vec<[[Taps; 2]; 2]>,
    up: Vec<[ResnetWalk; 2]>,
    /// Stream u in this row after each layer of the way down and of the way up, column by column.
    u_down: Vec<Vec<Tensor<2>>>,
    u_up: Vec<Vec<Tensor<2>>>,
    /// Both streams at the end of the way down, and of the way up.
    bottom: [Trail; 2],
    top: [Trail; 2],
}

/// A gated residual layer on its way: what its two convolutions look at is kept.
struct ResnetWalk {
    conv_1: Taps,
    shortcut: Option<Taps>,
    conv_2: Taps,
    class: Option<Tensor<2>>,
    seen_1: Trail,
    seen_2: Trail,
}

/// What is computed at a time.
#[derive(Clone, Copy)]
enum Span {
    Pixel([usize; 2]),
    /// A row and its width: `[W B, C]`.
    Row(usize, usize),
}

impl Span {
    fn put(self, trail: &mut Trail, values: Tensor<2>) {
        match self {
            Self::Pixel(at) => trail.set(at, values),
            Self::Row(row, _) => trail.set_row(row, values),
        }
    }

    fn look(self, taps: &Taps, trail: &Trail) -> Tensor<2> {
        match self {
            Self::Pixel(at) => taps.at(trail, at),
            Self::Row(row, width) => taps.along(trail, row, width),
        }
    }

    /// What is the same for all pixels, `[B, C]`.
    fn spread(self, values: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Pixel(_) => values,
            Self::Row(_, width) => values.repeat_dim(0, width),
        }
    }
}

impl ResnetWalk {
    fn new(resnet: &GatedResnet, start: &Start) -> Self {
        let trail = || Trail::new(start.batch, resnet.conv_1.weight.dims()[1], 2, &start.device);
        Self {
            conv_1: resnet.conv_1.taps(),
            shortcut: resnet.shortcut.as_ref().map(CausalConv2d::taps),
            conv_2: resnet.conv_2.taps(),
            class: resnet.class_embedding.as_ref().map(|embedding| embedding.forward(&start.classes)),
            seen_1: trail(),
            seen_2: trail(),
        }
    }

    fn step(&mut self, span: Span, x: Tensor<2>, other: Option<Tensor<2>>) -> Tensor<2> {
        span.put(&mut self.seen_1, concat_elu(x.clone()));
        let mut y = span.look(&self.conv_1, &self.seen_1);
        if let (Some(shortcut), Some(other)) = (&self.shortcut, other) {
            y = y + shortcut.of(concat_elu(other));
        }
        span.put(&mut self.seen_2, concat_elu(y));
        let mut y = span.look(&self.conv_2, &self.seen_2);
        if let Some(class) = &self.class {
            y = y + span.spread(class.clone());
        }
        x + gate(y)
    }
}

impl LevelWalk {
    fn new(level: &Level, number: usize, start: &Start) -> Self {
        let pairs = |pairs: &[[GatedResnet; 2]]| -> Vec<[ResnetWalk; 2]> {
            pairs.iter().map(|pair| pair.each_ref().map(|resnet| ResnetWalk::new(resnet, start))).collect()
        };
        let features = level.down[0][0].conv_1.weight.dims()[0];
        let trails = || [0, 1].map(|_| Trail::new(start.batch, features, 2, &start.device));
        Self {
            width: start.width.div_ceil(1 << number),
            down: pairs(&level.down),
            shrink: level.shrink.iter().map(CausalConv2d::taps).collect(),
            grow: level.grow.iter().map(ShiftedDeconv2d::taps).collect(),
            up: pairs(&level.up),
            u_down: Vec::new(),
            u_up: Vec::new(),
            bottom: trails(),
            top: trails(),
        }
    }

    /// Stream u of a row, from u `[W B, F]`, at this size and, in every second row, at the smaller ones.
    fn row(levels: &mut [Self], row: usize, mut u: Tensor<2>) {
        let Some((this, smaller)) = levels.split_first_mut() else { return };
        let (width, span) = (this.width, Span::Row(row, this.width));
        let mut skips = vec![u.clone()];
        for [of_u, _] in &mut this.down {
            u = of_u.step(span, u, None);
            skips.push(u.clone());
        }
        this.u_down = skips.iter().map(|skip| skip.clone().chunk(width, 0)).collect();
        this.bottom[0].set_row(row, u.clone());
        if let Some(grow) = this.grow.first() {
            if row.is_multiple_of(2) {
                let small = this.shrink[0].along(&this.bottom[0], row / 2, smaller[0].width);
                Self::row(smaller, row / 2, small);
            }
            let at = |column: usize| grow[row % 2][column % 2].at(&smaller[0].top[0], [row / 2, column / 2]);
            u = Tensor::cat((0..width).map(at).collect(), 0);
        } else {
            skips.pop();
        }
        this.u_up.clear();
        for ([of_u, _], skip) in this.up.iter_mut().zip(skips.into_iter().rev()) {
            u = of_u.step(span, u, Some(skip));
            this.u_up.push(u.clone().chunk(width, 0));
        }
        this.top[0].set_row(row, u);
    }

    /// Stream v at a pixel, from v `[B, F]`, at this size and, at every second pixel of every second row,
    /// at the smaller ones.
    fn pixel(levels: &mut [Self], at: [usize; 2], mut v: Tensor<2>) -> Tensor<2> {
        let Some((this, smaller)) = levels.split_first_mut() else { return v };
        let ([row, column], span) = (at, Span::Pixel(at));
        let half = at.map(|at| at / 2);
        let mut skips = vec![v.clone()];
        for ([_, of_v], u) in this.down.iter_mut().zip(&this.u_down[1..]) {
            v = of_v.step(span, v, Some(u[column].clone()));
            skips.push(v.clone());
        }
        this.bottom[1].set(at, v.clone());
        if let Some(grow) = this.grow.get(1) {
            if row.is_multiple_of(2) && column.is_multiple_of(2) {
                let small = this.shrink[1].at(&this.bottom[1], half);
                Self::pixel(smaller, half, small);
            }
            v = grow[row % 2][column % 2].at(&smaller[0].top[1], half);
        } else {
            skips.pop();
        }
        let shortcuts = this.u_up.iter().zip(skips.into_iter().rev());
        for ([_, of_v], (u, skip)) in this.up.iter_mut().zip(shortcuts) {
            v = of_v.step(span, v, Some(Tensor::cat(vec![u[column].clone(), skip], 1)));
        }
        this.top[1].set(at, v.clone());
        v
    }
}

impl Walk for PlusPlusWalk {
    fn predict(&mut self, _: Tensor<2>) -> Tensor<2> {
        let at @ [row, _] = self.place.at;
        if self.row_is_new {
            let u = self.u_in.along(&self.input, row, self.levels[0].width);
            LevelWalk::row(&mut self.levels, row, u);
            self.row_is_new = false;
        }
        let [above, left] = &self.v_in;
        let v = above.at(&self.input, at) + left.at(&self.input, at);
        let v = LevelWalk::pixel(&mut self.levels, at, v);
        self.out.of(activation::elu(v, 1.0))
    }

    fn advance(&mut self, pixel: Tensor<2>) {
        self.input.set(self.place.at, with_ones(pixel));
        self.row_is_new = self.place.advance();
    }
}
