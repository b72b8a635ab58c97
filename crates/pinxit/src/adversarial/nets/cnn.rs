//! The plain convolutional networks of Miyato et al. 2018, "Spectral Normalization for Generative
//! Adversarial Networks", table 3: D sees each size at stride 1 before it halves it.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parts::{DConv, GNorm, Head, normalise, with_class, with_planes};
use super::{Pair, Plan};
use crate::adversarial::knobs::Norm;
use crate::adversarial::{Condition, Discriminator, Dual, Generator, Verdict};
use crate::nn::{Activation, BatchNorm, Conv2d, ConvTranspose2d, Init, Linear, Mode, Tally};

/// Slope of D's LeakyReLU below 0.
const SLOPE: f64 = 0.1;

/// The pair.
pub struct Cnn;

/// z `[B, latent]` -> `[B, c_1, H / 2^n, W / 2^n]` -> `[B, c_2, H / 2^(n - 1), ...]` -> ... ->
/// `[B, c_(n + 1), H, W]` -> `[B, C, H, W]` -> tanh, with ReLU between.
#[derive(Module, Debug)]
pub struct CnnGenerator {
    project: Linear,
    /// Each doubles the picture.
    ups: Vec<ConvTranspose2d>,
    norms: Vec<GNorm>,
    output: Conv2d,
    latent: usize,
    inputs: usize,
    start: [usize; 3],
}

/// x `[B, C, H, W]` -> `[B, c_1, H, W]` -> `[B, c_1, H / 2, W / 2]` -> `[B, c_2, H / 2, W / 2]` -> ... ->
/// `[B, c_(n + 1), H / 2^n, W / 2^n]` -> `[B, 1]`, with LeakyReLU between.
#[derive(Module, Debug)]
pub struct CnnDiscriminator {
    /// 3x3 with stride 1 and 4x4 with stride 2 in turn.
    convs: Vec<DConv>,
    /// None after the first.
    norms: Vec<Option<BatchNorm>>,
    head: Head,
    planes: usize,
}

impl Pair for Cnn {
    type G = CnnGenerator;
    type D = CnnDiscriminator;

    fn build(plan: &Plan, init: &mut Init) -> (Self::G, Self::D) {
        (generator(plan, init), discriminator(plan, init))
    }

    fn cost(plan: &Plan) -> [Tally; 2] {
        let (mut g, mut d) = (Tally::default(), Tally::default());
        let doublings = plan.g_layers.len() - 1;
        let [height, width] = plan.sides(doublings);
        g.linear(plan.g_input(), plan.g_layers[0] * height * width, 1);
        for (i, size) in plan.g_layers.windows(2).enumerate() {
            g.conv2d(size[0], size[1], 4, 1, plan.sides(doublings - i));
        }
        g.conv2d(plan.g_layers[doublings], plan.shape.channels, 3, 1, plan.sides(0));
        for (i, (input, output, halves)) in stages(plan).into_iter().enumerate() {
            let (kernel, stride) = if halves { (4, 2) } else { (3, 1) };
            d.conv2d(input, output, kernel, stride, plan.sides(i.div_ceil(2)));
        }
        let [height, width] = plan.sides(plan.d_layers.len() - 1);
        d.linear(plan.d_layers[plan.d_layers.len() - 1] * height * width, 1, 1);
        [g, d]
    }
}

/// Channels in and out of each of D's convolutions, and whether it halves the picture.
fn stages(plan: &Plan) -> Vec<(usize, usize, bool)> {
    let mut stages = Vec::new();
    let mut input = plan.shape.channels + plan.d_planes();
    for (i, &output) in plan.d_layers.iter().enumerate() {
        stages.push((input, output, false));
        if i + 1 < plan.d_layers.len() {
            stages.push((output, output, true));
        }
        input = output;
    }
    stages
}

fn generator(plan: &Plan, init: &mut Init) -> CnnGenerator {
    let [height, width] = plan.sides(plan.g_layers.len() - 1);
    let start = [plan.g_layers[0], height, width];
    let last = plan.g_layers[plan.g_layers.len() - 1];
    let up = |size: &[usize]| {
        let up = ConvTranspose2d::new(size[0], size[1], 4, init).with_stride(2).with_padding(1);
        if plan.g_batch_norm { up.without_bias() } else { up }
    };
    CnnGenerator {
        ups: plan.g_layers.windows(2).map(up).collect(),
        project: Linear::new(plan.g_input(), start.iter().product(), init),
        norms: plan.g_layers[1..].iter().map(|&channels| GNorm::new(plan, channels, init)).collect(),
        output: Conv2d::new(last, plan.shape.channels, 3, init),
        latent: plan.latent,
        inputs: plan.g_input(),
        start,
    }
}

fn discriminator(plan: &Plan, init: &mut Init) -> CnnDiscriminator {
    let has_norm = |i: usize| plan.d_norm == Norm::Batch && i > 0;
    let (mut convs, mut norms) = (Vec::new(), Vec::new());
    for (i, (input, output, halves)) in stages(plan).into_iter().enumerate() {
        let conv = match halves {
            true => DConv::halving(input, output, plan.d_norm, init),
            false => DConv::new(input, output, 3, plan.d_norm, init),
        };
        convs.push(if has_norm(i) { conv.without_bias() } else { conv });
        norms.push(has_norm(i).then(|| BatchNorm::new(output, init)));
    }
    let [height, width] = plan.sides(plan.d_layers.len() - 1);
    let features = plan.d_layers[plan.d_layers.len() - 1] * height * width;
    CnnDiscriminator { convs, norms, head: Head::new(plan, features, init), planes: plan.d_planes() }
}

impl Generator for CnnGenerator {
    fn latent(&self) -> usize {
        self.latent
    }

    fn paint(&self, z: Tensor<2>, condition: &Condition<'_>, mode: &Mode) -> Tensor<4> {
        let [channels, height, width] = self.start;
        let z = with_class(z, condition, self.inputs);
        let mut x = self.project.forward(z).reshape([-1, channels as i32, height as i32, width as i32]);
        for (up, norm) in self.ups.iter().zip(&self.norms) {
            x = norm.forward(up.forward(x), condition, Activation::Relu, mode);
        }
        self.output.forward(x).tanh()
    }
}

impl Discriminator for CnnDiscriminator {
    fn judge(&self, x: Dual<4>, condition: &Condition<'_>, mode: &Mode) -> Verdict {
        let mut x = with_planes(x, condition, self.planes);
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            x = normalise(norm.as_ref(), conv.forward(x, mode), mode).leaky_relu(SLOPE);
        }
        self.head.judge(x.linear(|x| x.flatten(1, 3)), condition, mode)
    }
}
