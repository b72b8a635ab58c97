//! Convolutional networks of Radford et al. 2015, "Unsupervised Representation Learning with Deep
//! Convolutional Generative Adversarial Networks", figure 1 and section 3.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parts::{DConv, GNorm, Head, normalise, with_class, with_planes};
use super::{Pair, Plan};
use crate::adversarial::knobs::Norm;
use crate::adversarial::{Condition, Discriminator, Dual, Generator, Verdict};
use crate::nn::{Activation, BatchNorm, ConvTranspose2d, Init, Linear, Mode, Tally, Weights};

/// Slope of D's LeakyReLU below 0.
const SLOPE: f64 = 0.2;
/// Standard deviation of first weights (section 4).
const WEIGHTS: Weights = Weights::Normal(0.02);

/// The pair. Channels double with each halving of the picture; "dense 128x4x4 and two transposed
/// convolutions" is the same G with `g_layers = [128, 64]`.
pub struct Dcgan;

/// z `[B, latent]` -> `[B, c_1, H / 2^n, W / 2^n]` -> `[B, c_2, H / 2^(n - 1), ...]` -> ... ->
/// `[B, C, H, W]` -> tanh, with ReLU between.
#[derive(Module, Debug)]
pub struct DcganGenerator {
    /// A transposed convolution of a single pixel is a linear map.
    project: Linear,
    /// Each doubles the picture; the last one paints.
    ups: Vec<ConvTranspose2d>,
    /// Of what the layer before made.
    norms: Vec<GNorm>,
    latent: usize,
    inputs: usize,
    start: [usize; 3],
}

/// x `[B, C, H, W]` -> `[B, c_1, H / 2, W / 2]` -> ... -> `[B, c_n, H / 2^n, W / 2^n]` -> `[B, 1]`, with
/// LeakyReLU between.
#[derive(Module, Debug)]
pub struct DcganDiscriminator {
    downs: Vec<DConv>,
    /// None after the first.
    norms: Vec<Option<BatchNorm>>,
    head: Head,
    planes: usize,
}

impl Pair for Dcgan {
    type G = DcganGenerator;
    type D = DcganDiscriminator;

    fn build(plan: &Plan, init: &mut Init) -> (Self::G, Self::D) {
        init.with(WEIGHTS, |init| (generator(plan, init), discriminator(plan, init)))
    }

    fn cost(plan: &Plan) -> [Tally; 2] {
        let (mut g, mut d) = (Tally::default(), Tally::default());
        let [height, width] = plan.sides(plan.g_layers.len());
        g.linear(plan.g_input(), plan.g_layers[0] * height * width, 1);
        let ends = [&plan.g_layers[..], &[plan.shape.channels]].concat();
        for (i, size) in ends.windows(2).enumerate() {
            g.conv2d(size[0], size[1], 4, 1, plan.sides(plan.g_layers.len() - i));
        }
        let ends = [&[plan.shape.channels + plan.d_planes()], &plan.d_layers[..]].concat();
        for (i, size) in ends.windows(2).enumerate() {
            d.conv2d(size[0], size[1], 4, 2, plan.sides(i + 1));
        }
        let [height, width] = plan.sides(plan.d_layers.len());
        d.linear(ends[ends.len() - 1] * height * width, 1, 1);
        [g, d]
    }
}

fn generator(plan: &Plan, init: &mut Init) -> DcganGenerator {
    let [height, width] = plan.sides(plan.g_layers.len());
    let start = [plan.g_layers[0], height, width];
    let ends = [&plan.g_layers[..], &[plan.shape.channels]].concat();
    let last = plan.g_layers.len() - 1;
    let up = |(i, size): (usize, &[usize])| {
        let up = ConvTranspose2d::new(size[0], size[1], 4, init).with_stride(2).with_padding(1);
        if plan.g_batch_norm && i != last { up.without_bias() } else { up }
    };
    let ups = ends.windows(2).enumerate().map(up).collect();
    let project = Linear::new(plan.g_input(), start.iter().product(), init);
    DcganGenerator {
        project: if plan.g_batch_norm { project.without_bias() } else { project },
        ups,
        norms: plan.g_layers.iter().map(|&channels| GNorm::new(plan, channels, init)).collect(),
        latent: plan.latent,
        inputs: plan.g_input(),
        start,
    }
}

fn discriminator(plan: &Plan, init: &mut Init) -> DcganDiscriminator {
    let ends = [&[plan.shape.channels + plan.d_planes()], &plan.d_layers[..]].concat();
    let has_norm = |i: usize| plan.d_norm == Norm::Batch && i > 0;
    let down = |(i, size): (usize, &[usize])| {
        let down = DConv::halving(size[0], size[1], plan.d_norm, init);
        if has_norm(i) { down.without_bias() } else { down }
    };
    let downs = ends.windows(2).enumerate().map(down).collect();
    let [height, width] = plan.sides(plan.d_layers.len());
    let norm = |(i, &channels)| has_norm(i).then(|| BatchNorm::new(channels, init));
    DcganDiscriminator {
        downs,
        norms: plan.d_layers.iter().enumerate().map(norm).collect(),
        head: Head::new(plan, ends[ends.len() - 1] * height * width, init),
        planes: plan.d_planes(),
    }
}

impl Generator for DcganGenerator {
    fn latent(&self) -> usize {
        self.latent
    }

    fn paint(&self, z: Tensor<2>, condition: &Condition<'_>, mode: &Mode) -> Tensor<4> {
        let [channels, height, width] = self.start;
        let z = with_class(z, condition, self.inputs);
        let mut x = self.project.forward(z).reshape([-1, channels as i32, height as i32, width as i32]);
        for (up, norm) in self.ups.iter().zip(&self.norms) {
            x = up.forward(norm.forward(x, condition, Activation::Relu, mode));
        }
        x.tanh()
    }
}

impl Discriminator for DcganDiscriminator {
    fn judge(&self, x: Dual<4>, condition: &Condition<'_>, mode: &Mode) -> Verdict {
        let mut x = with_planes(x, condition, self.planes);
        for (down, norm) in self.downs.iter().zip(&self.norms) {
            x = normalise(norm.as_ref(), down.forward(x, mode), mode).leaky_relu(SLOPE);
        }
        self.head.judge(x.linear(|x| x.flatten(1, 3)), condition, mode)
    }
}
