//! Residual networks without normalisation: Huang et al. 2024, "The GAN is dead; long live the GAN! A
//! Modern Baseline GAN" (R3GAN), section 3 and figure 4, in small.
//!
//! As there: bottlenecks of 1x1, 3x3 and 1x1 with LeakyReLU, first weights scaled down so that no normalisation is
//! needed (Zhang et al. 2019, Fixup), a learned basis at D's smallest size, no tanh. Not as there: one group of
//! channels in the 3x3 convolution, whose input is not widened, and nearest instead of bilinear doubling. Nor two things
//! that with tens of channels instead of hundreds leave G with a few kinds of picture (docs/gans.md): there z scales the
//! channels of a learned basis, here each pixel of the smallest size is a linear function of it; and there the last
//! convolution of a block begins at 0, with which D begins as a linear function of the picture.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parts::{DConv, Head, with_class, with_planes};
use super::{Pair, Plan};
use crate::adversarial::knobs::Norm;
use crate::adversarial::{Condition, Discriminator, Dual, Generator, Verdict};
use crate::nn::{Init, Linear, Mode, Tally, Weights, ops};

/// Residual blocks of each size.
const BLOCKS: usize = 2;
/// Slope of the LeakyReLU below 0.
const SLOPE: f64 = 0.2;
/// First deviation of what the last convolution of a block makes of inputs of deviation 1.
const LAST: f64 = 0.5;

/// The pair.
pub struct Modern;

/// z `[B, latent]` -> `[B, c_1, H / 2^n, W / 2^n]` -> blocks, doubling, blocks, ... -> `[B, c_(n + 1), H, W]`
/// -> `[B, C, H, W]`.
#[derive(Module, Debug)]
pub struct ModernGenerator {
    project: Linear,
    stages: Vec<Stage>,
    output: DConv,
    latent: usize,
    inputs: usize,
    /// `[c_1, H / 2^n, W / 2^n]`.
    start: [usize; 3],
}

/// x `[B, C, H, W]` -> `[B, c_1, H, W]` -> blocks, halving, blocks, ... -> `[B, c_(n + 1), H / 2^n, W / 2^n]`
/// -> the products with a basis `[B, c_(n + 1)]` -> `[B, 1]`.
#[derive(Module, Debug)]
pub struct ModernDiscriminator {
    input: DConv,
    stages: Vec<Stage>,
    /// `[c_(n + 1), H / 2^n, W / 2^n]`.
    basis: Param<Tensor<3>>,
    head: Head,
    planes: usize,
}

/// The blocks of one size.
#[derive(Module, Debug)]
pub struct Stage {
    /// From the channels of the stage before, where they differ.
    enter: Option<DConv>,
    blocks: Vec<Block>,
}

/// `x -> x + conv(act(conv(act(conv(x)))))`.
#[derive(Module, Debug)]
pub struct Block {
    conv_1: DConv,
    conv_2: DConv,
    conv_3: DConv,
}

impl Pair for Modern {
    type G = ModernGenerator;
    type D = ModernDiscriminator;

    fn build(plan: &Plan, init: &mut Init) -> (Self::G, Self::D) {
        (generator(plan, init), discriminator(plan, init))
    }

    fn cost(plan: &Plan) -> [Tally; 2] {
        let (mut g, mut d) = (Tally::default(), Tally::default());
        let doublings = plan.g_layers.len() - 1;
        let [height, width] = plan.sides(doublings);
        g.linear(plan.g_input(), plan.g_layers[0] * height * width, 1);
        for (i, &channels) in plan.g_layers.iter().enumerate() {
            count(&mut g, plan.g_layers[i.saturating_sub(1)], channels, plan.sides(doublings - i));
        }
        g.conv2d(plan.g_layers[doublings], plan.shape.channels, 1, 1, plan.sides(0));
        d.conv2d(plan.shape.channels + plan.d_planes(), plan.d_layers[0], 1, 1, plan.sides(0));
        for (i, &channels) in plan.d_layers.iter().enumerate() {
            count(&mut d, plan.d_layers[i.saturating_sub(1)], channels, plan.sides(i));
        }
        [g, d]
    }
}

/// Adds what a stage costs.
fn count(tally: &mut Tally, input: usize, channels: usize, sides: [usize; 2]) {
    if input != channels {
        tally.conv2d(input, channels, 1, 1, sides);
    }
    for kernel in [1, 3, 1].repeat(BLOCKS) {
        tally.conv2d(channels, channels, kernel, 1, sides);
    }
}

fn generator(plan: &Plan, init: &mut Init) -> ModernGenerator {
    let doublings = plan.g_layers.len() - 1;
    let [height, width] = plan.sides(doublings);
    let start = [plan.g_layers[0], height, width];
    ModernGenerator {
        project: Linear::new(plan.g_input(), start.iter().product(), init),
        stages: stages(&plan.g_layers, init),
        output: linear_conv(plan.g_layers[doublings], plan.shape.channels, init),
        latent: plan.latent,
        inputs: plan.g_input(),
        start,
    }
}

fn discriminator(plan: &Plan, init: &mut Init) -> ModernDiscriminator {
    let halvings = plan.d_layers.len() - 1;
    let (last, [height, width]) = (plan.d_layers[halvings], plan.sides(halvings));
    ModernDiscriminator {
        input: linear_conv(plan.shape.channels + plan.d_planes(), plan.d_layers[0], init),
        stages: stages(&plan.d_layers, init),
        basis: init.uniform([last, height, width], height * width),
        head: Head::new(plan, last, init),
        planes: plan.d_planes(),
    }
}

fn stages(layers: &[usize], init: &mut Init) -> Vec<Stage> {
    let blocks = BLOCKS * layers.len();
    let stage = |(i, &channels): (usize, &usize)| {
        let before = layers[i.saturating_sub(1)];
        Stage {
            enter: (before != channels).then(|| linear_conv(before, channels, init)),
            blocks: (0..BLOCKS).map(|_| Block::new(channels, blocks, init)).collect(),
        }
    };
    layers.iter().enumerate().map(stage).collect()
}

/// A convolution of single pixels that keeps the variance.
fn linear_conv(input: usize, output: usize, init: &mut Init) -> DConv {
    init.with(Weights::Normal((input as f64).sqrt().recip()), |init| {
        DConv::new(input, output, 1, Norm::None, init)
    })
}

impl Block {
    /// One of `blocks` of the network.
    fn new(channels: usize, blocks: usize, init: &mut Init) -> Self {
        // Zhang et al. 2019, section 3: with m layers a block, all but the last scaled by L^(-1 / (2 m - 2)).
        let gain = (2.0 / (1.0 + SLOPE * SLOPE)).sqrt() * (blocks as f64).powf(-0.25);
        let mut conv = |kernel: usize, gain: f64| {
            let std = gain / ((channels * kernel * kernel) as f64).sqrt();
            init.with(Weights::Normal(std), |init| DConv::new(channels, channels, kernel, Norm::None, init))
        };
        let (conv_1, conv_2) = (conv(1, gain), conv(3, gain));
        Self { conv_1, conv_2, conv_3: conv(1, LAST).without_bias() }
    }

    fn forward(&self, x: Dual<4>, mode: &Mode) -> Dual<4> {
        let h = self.conv_1.forward(x.clone(), mode).leaky_relu(SLOPE);
        let h = self.conv_2.forward(h, mode).leaky_relu(SLOPE);
        self.conv_3.forward(h, mode).zip(x, |h, x| h + x)
    }
}

impl Stage {
    fn forward(&self, x: Dual<4>, mode: &Mode) -> Dual<4> {
        let x = match &self.enter {
            Some(enter) => enter.forward(x, mode),
            None => x,
        };
        self.blocks.iter().fold(x, |x, block| block.forward(x, mode))
    }
}

impl Generator for ModernGenerator {
    fn latent(&self) -> usize {
        self.latent
    }

    fn paint(&self, z: Tensor<2>, condition: &Condition<'_>, mode: &Mode) -> Tensor<4> {
        let x = self.project.forward(with_class(z, condition, self.inputs));
        let ([pictures, _], [channels, height, width]) = (x.dims(), self.start);
        let mut x = Dual::from(x.reshape([pictures, channels, height, width]));
        for (i, stage) in self.stages.iter().enumerate() {
            if i > 0 {
                x = x.linear(ops::upsample_nearest2);
            }
            x = stage.forward(x, mode);
        }
        self.output.forward(x, mode).value
    }
}

impl Discriminator for ModernDiscriminator {
    fn judge(&self, x: Dual<4>, condition: &Condition<'_>, mode: &Mode) -> Verdict {
        let mut x = self.input.forward(with_planes(x, condition, self.planes), mode);
        for (i, stage) in self.stages.iter().enumerate() {
            if i > 0 {
                x = x.linear(|x| ops::avg_pool2d(x, ops::Windows::tiles(2)));
            }
            x = stage.forward(x, mode);
        }
        let basis = self.basis.val().unsqueeze::<4>();
        let features =
            x.linear(|x| (x * basis.clone()).sum_dim(3).sum_dim(2).flatten::<3>(2, 3).flatten(1, 2));
        self.head.judge(features, condition, mode)
    }
}
