//! Residual networks of Gulrajani et al. 2017, appendix F, in the form of Miyato et al. 2018, table 4.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parts::{DConv, GNorm, Head, normalise, with_class, with_planes};
use super::{Pair, Plan};
use crate::adversarial::knobs::Norm;
use crate::adversarial::{Condition, Discriminator, Dual, Generator, Verdict};
use crate::nn::{Activation, BatchNorm, Conv2d, Init, Linear, Mode, Tally, Weights, ops};

/// First weights: He et al. 2015, as the published code of Gulrajani et al. has them.
const WEIGHTS: Weights = Weights::Kaiming;
/// Pixels of the longer side down to which D halves a picture.
const SMALL: usize = 8;

/// The pair.
pub struct Resnet;

/// z `[B, latent]` -> `[B, c_1, H / 2^n, W / 2^n]` -> n blocks that double, to `[B, c_(n + 1), H, W]` ->
/// `[B, C, H, W]` -> tanh.
#[derive(Module, Debug)]
pub struct ResnetGenerator {
    project: Linear,
    blocks: Vec<GBlock>,
    norm: GNorm,
    output: Conv2d,
    latent: usize,
    inputs: usize,
    start: [usize; 3],
}

/// x `[B, C, H, W]` -> blocks that halve to at most 8 pixels, then some that don't -> sum over the pixels
/// `[B, c_n]` -> `[B, 1]`.
#[derive(Module, Debug)]
pub struct ResnetDiscriminator {
    blocks: Vec<DBlock>,
    head: Head,
    planes: usize,
}

/// `x -> up(x) + conv(relu(norm(conv(up(relu(norm(x)))))))`: `[B, in, H, W]` -> `[B, out, 2 H, 2 W]`.
#[derive(Module, Debug)]
pub struct GBlock {
    norm_1: GNorm,
    conv_1: Conv2d,
    norm_2: GNorm,
    conv_2: Conv2d,
    skip: Conv2d,
}

/// `x -> down(x) + down(conv(relu(conv(relu(x)))))`: `[B, in, H, W]` -> `[B, out, H / 2, W / 2]`, or of the same
/// size.
#[derive(Module, Debug)]
pub struct DBlock {
    norm_1: Option<BatchNorm>,
    conv_1: DConv,
    norm_2: Option<BatchNorm>,
    conv_2: DConv,
    /// Where channels or size change.
    skip: Option<DConv>,
    halves: bool,
    /// Whether it is the first, which sees the picture as it is.
    first: bool,
}

/// Where a block of D is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) halves: bool,
    pub(super) first: bool,
}

impl Pair for Resnet {
    type G = ResnetGenerator;
    type D = ResnetDiscriminator;

    fn build(plan: &Plan, init: &mut Init) -> (Self::G, Self::D) {
        init.with(WEIGHTS, |init| (generator(plan, init), discriminator(plan, init)))
    }

    fn cost(plan: &Plan) -> [Tally; 2] {
        let mut d = Tally::default();
        let mut input = plan.shape.channels + plan.d_planes();
        let mut halved = 0;
        for (&output, place) in plan.d_layers.iter().zip(places(plan)) {
            DBlock::count(&mut d, input, output, place, plan.sides(halved));
            (input, halved) = (output, halved + usize::from(place.halves));
        }
        d.linear(input, 1, 1);
        [generator_cost(plan), d]
    }
}

/// Where D's blocks are.
fn places(plan: &Plan) -> Vec<Place> {
    let [height, width] = plan.sides(0);
    let longer = height.max(width);
    let possible = (height | width).trailing_zeros() as usize;
    let halvings = (0..possible).take_while(|&k| k == 0 || longer >> k > SMALL).count();
    (0..plan.d_layers.len()).map(|i| Place { halves: i < halvings, first: i == 0 }).collect()
}

pub(super) fn generator_cost(plan: &Plan) -> Tally {
    let mut g = Tally::default();
    let doublings = plan.g_layers.len() - 1;
    let [height, width] = plan.sides(doublings);
    g.linear(plan.g_input(), plan.g_layers[0] * height * width, 1);
    for (i, size) in plan.g_layers.windows(2).enumerate() {
        let sides = plan.sides(doublings - i - 1);
        g.conv2d(size[0], size[1], 3, 1, sides);
        g.conv2d(size[1], size[1], 3, 1, sides);
        g.conv2d(size[0], size[1], 1, 1, plan.sides(doublings - i));
    }
    g.conv2d(plan.g_layers[doublings], plan.shape.channels, 3, 1, plan.sides(0));
    g
}

pub(super) fn generator(plan: &Plan, init: &mut Init) -> ResnetGenerator {
    let [height, width] = plan.sides(plan.g_layers.len() - 1);
    let start = [plan.g_layers[0], height, width];
    let last = plan.g_layers[plan.g_layers.len() - 1];
    ResnetGenerator {
        project: Linear::new(plan.g_input(), start.iter().product(), init),
        blocks: plan.g_layers.windows(2).map(|size| GBlock::new(plan, size[0], size[1], init)).collect(),
        norm: GNorm::new(plan, last, init),
        output: Conv2d::new(last, plan.shape.channels, 3, init),
        latent: plan.latent,
        inputs: plan.g_input(),
        start,
    }
}

fn discriminator(plan: &Plan, init: &mut Init) -> ResnetDiscriminator {
    let mut input = plan.shape.channels + plan.d_planes();
    let mut blocks = Vec::new();
    for (&output, place) in plan.d_layers.iter().zip(places(plan)) {
        blocks.push(DBlock::new(input, output, place, plan.d_norm, init));
        input = output;
    }
    ResnetDiscriminator { blocks, head: Head::new(plan, input, init), planes: plan.d_planes() }
}

impl GBlock {
    fn new(plan: &Plan, input: usize, output: usize, init: &mut Init) -> Self {
        Self {
            norm_1: GNorm::new(plan, input, init),
            conv_1: Conv2d::new(input, output, 3, init),
            norm_2: GNorm::new(plan, output, init),
            conv_2: Conv2d::new(output, output, 3, init),
            skip: Conv2d::new(input, output, 1, init),
        }
    }

    fn forward(&self, x: Tensor<4>, condition: &Condition<'_>, mode: &Mode) -> Tensor<4> {
        let h = self.norm_1.forward(x.clone(), condition, Activation::Relu, mode);
        let h = self.conv_1.forward(ops::upsample_nearest2(h));
        let h = self.norm_2.forward(h, condition, Activation::Relu, mode);
        // A convolution of single pixels and a doubling can change places.
        self.conv_2.forward(h) + ops::upsample_nearest2(self.skip.forward(x))
    }
}

impl DBlock {
    pub(super) fn new(input: usize, output: usize, place: Place, norm: Norm, init: &mut Init) -> Self {
        let Place { halves, first } = place;
        let batch_norm = norm == Norm::Batch;
        Self {
            norm_1: (batch_norm && !first).then(|| BatchNorm::new(input, init)),
            conv_1: DConv::new(input, output, 3, norm, init),
            norm_2: batch_norm.then(|| BatchNorm::new(output, init)),
            conv_2: DConv::new(output, output, 3, norm, init),
            skip: (halves || input != output).then(|| DConv::new(input, output, 1, norm, init)),
            halves,
            first,
        }
    }

    /// Adds what it costs for a picture of `sides`.
    pub(super) fn count(tally: &mut Tally, input: usize, output: usize, place: Place, sides: [usize; 2]) {
        tally.conv2d(input, output, 3, 1, sides);
        tally.conv2d(output, output, 3, 1, sides);
        if place.halves || input != output {
            tally.conv2d(input, output, 1, 1, sides.map(|side| side >> usize::from(place.halves)));
        }
    }

    pub(super) fn forward(&self, x: Dual<4>, mode: &Mode) -> Dual<4> {
        let down = |x: Dual<4>| {
            if self.halves { x.linear(|x| ops::avg_pool2d(x, ops::Windows::tiles(2))) } else { x }
        };
        let h = normalise(self.norm_1.as_ref(), x.clone(), mode);
        let h = if self.first { h } else { h.leaky_relu(0.0) };
        let h = normalise(self.norm_2.as_ref(), self.conv_1.forward(h, mode), mode);
        let h = down(self.conv_2.forward(h.leaky_relu(0.0), mode));
        // A convolution of single pixels and a mean can change places.
        let skip = down(x);
        let skip = match &self.skip {
            Some(conv) => conv.forward(skip, mode),
            None => skip,
        };
        h.zip(skip, |h, skip| h + skip)
    }
}

impl Generator for ResnetGenerator {
    fn latent(&self) -> usize {
        self.latent
    }

    fn paint(&self, z: Tensor<2>, condition: &Condition<'_>, mode: &Mode) -> Tensor<4> {
        let [channels, height, width] = self.start;
        let z = with_class(z, condition, self.inputs);
        let mut x = self.project.forward(z).reshape([-1, channels as i32, height as i32, width as i32]);
        for block in &self.blocks {
            x = block.forward(x, condition, mode);
        }
        self.output.forward(self.norm.forward(x, condition, Activation::Relu, mode)).tanh()
    }
}

impl Discriminator for ResnetDiscriminator {
    fn judge(&self, x: Dual<4>, condition: &Condition<'_>, mode: &Mode) -> Verdict {
        let mut x = with_planes(x, condition, self.planes);
        for block in &self.blocks {
            x = block.forward(x, mode);
        }
        self.head.judge(pooled(x), condition, mode)
    }
}

/// The sum over the pixels of what is above 0: `[B, C, H, W]` -> `[B, C]`.
pub(super) fn pooled(x: Dual<4>) -> Dual<2> {
    x.leaky_relu(0.0).linear(|x| x.sum_dim(3).sum_dim(2).flatten::<3>(2, 3).flatten(1, 2))
}
