//! The networks of Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
//! Network", figure 4.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::nn::{Activation, BatchNorm, Conv2d, Init, Linear, Mode, PRelu, Tally, ops};

/// Slope of D's LeakyReLU below 0.
const SLOPE: f32 = 0.2;
/// Units of D's last layer but one.
const UNITS: usize = 1024;
/// Halvings of D at most; the paper's 96x96 has four.
const HALVINGS: usize = 4;
/// Times that D's channels grow at most.
const WIDEST: usize = 8;

/// SRResNet: x `[B, C, h, w]` -> `[B, c, h, w]` -> blocks -> `[B, c, r h, r w]` -> `[B, C, r h, r w]`.
///
/// The last layer has no activation, so that what is right already costs nothing. With an anchor the layers make only what
/// is to be added to x, whose pixels are repeated (Du et al. 2021, "Anchor-based Plain Net for Mobile Image
/// Super-Resolution").
#[derive(Module, Debug)]
pub(super) struct SrResnet {
    enter: Conv2d,
    enter_activation: PRelu,
    blocks: Vec<Block>,
    bridge: Conv2d,
    bridge_norm: BatchNorm,
    /// Each enlarges by its factor.
    ups: Vec<Conv2d>,
    up_activations: Vec<PRelu>,
    leave: Conv2d,
    factors: Vec<usize>,
    /// Times that the pixels of x are repeated under what the layers add; 0 for no such anchor.
    anchor: usize,
}

#[derive(Module, Debug)]
struct Block {
    conv_1: Conv2d,
    norm_1: BatchNorm,
    activation: PRelu,
    conv_2: Conv2d,
    norm_2: BatchNorm,
}

/// The factors of single enlargements that make `scale`: twice 2 for 4 (section 2.2 of the paper).
fn factors(scale: usize) -> Vec<usize> {
    if scale == 4 { vec![2, 2] } else { vec![scale] }
}

impl Block {
    fn new(width: usize, init: &mut Init) -> Self {
        let mut conv = || Conv2d::new(width, width, 3, init).without_bias();
        let (conv_1, conv_2) = (conv(), conv());
        let (norm_1, norm_2) = (BatchNorm::new(width, init), BatchNorm::new(width, init));
        Self { conv_1, norm_1, activation: PRelu::new(init), conv_2, norm_2 }
    }

    fn forward(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        let h = self.norm_1.forward(self.conv_1.forward(x.clone()), Activation::None, mode);
        let h = self.conv_2.forward(self.activation.forward(h));
        x + self.norm_2.forward(h, Activation::None, mode)
    }
}

/// Every pixel `scale` times in both directions: `[B, C, h, w]` -> `[B, C, scale h, scale w]`.
fn repeated(x: Tensor<4>, scale: usize) -> Tensor<4> {
    let ([batch, channels, height, width], times) = (x.dims(), scale * scale);
    let copies: Tensor<5> = x.unsqueeze_dim::<5>(2).repeat_dim(2, times); // [B, C, times, h, w]
    ops::pixel_shuffle(copies.reshape([batch, channels * times, height, width]), scale)
}

impl SrResnet {
    pub(super) fn new(
        channels: usize,
        [width, blocks, scale]: [usize; 3],
        anchored: bool,
        init: &mut Init,
    ) -> Self {
        let factors = factors(scale);
        let ups = factors.iter().map(|factor| Conv2d::new(width, width * factor * factor, 3, init)).collect();
        Self {
            enter: Conv2d::new(channels, width, 9, init),
            enter_activation: PRelu::new(init),
            blocks: (0..blocks).map(|_| Block::new(width, init)).collect(),
            bridge: Conv2d::new(width, width, 3, init).without_bias(),
            bridge_norm: BatchNorm::new(width, init),
            ups,
            up_activations: factors.iter().map(|_| PRelu::new(init)).collect(),
            leave: Conv2d::new(width, channels, 9, init),
            factors,
            anchor: if anchored { scale } else { 0 },
        }
    }

    /// `[B, C, h, w]` -> `[B, C, scale h, scale w]`.
    pub(super) fn paint(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        let first = self.enter_activation.forward(self.enter.forward(x.clone()));
        let mut h = first.clone();
        for block in &self.blocks {
            h = block.forward(h, mode);
        }
        let mut h = first + self.bridge_norm.forward(self.bridge.forward(h), Activation::None, mode);
        for ((up, activation), &factor) in self.ups.iter().zip(&self.up_activations).zip(&self.factors) {
            h = activation.forward(ops::pixel_shuffle(up.forward(h), factor));
        }
        match self.anchor {
            0 => self.leave.forward(h),
            scale => self.leave.forward(h) + repeated(x, scale),
        }
    }

    /// What it costs to make one picture of these sides.
    pub(super) fn cost(
        channels: usize,
        width: usize,
        blocks: usize,
        scale: usize,
        [height, columns]: [usize; 2],
    ) -> Tally {
        let mut tally = Tally::default();
        let mut sides = [height / scale, columns / scale];
        tally.conv2d(channels, width, 9, 1, sides);
        for _ in 0..2 * blocks + 1 {
            tally.conv2d(width, width, 3, 1, sides);
            tally.memory(2 * width, sides);
        }
        for factor in factors(scale) {
            tally.conv2d(width, width * factor * factor, 3, 1, sides);
            sides = sides.map(|side| side * factor);
            tally.memory(width, sides);
        }
        tally.conv2d(width, channels, 9, 1, sides);
        tally
    }
}

/// x `[B, C, H, W]` -> `[B, c, H, W]` -> `[B, c, H / 2, W / 2]` -> `[B, 2c, ...]` -> ... -> `[B, 1024]` -> `[B]`.
#[derive(Module, Debug)]
pub(super) struct SrDiscriminator {
    convs: Vec<Conv2d>,
    /// None of the first.
    norms: Vec<Option<BatchNorm>>,
    hidden: Linear,
    verdict: Linear,
}

/// Channels and stride of each convolution for pictures of these sides.
fn layers(width: usize, [height, columns]: [usize; 2]) -> Vec<[usize; 2]> {
    let halvings = (height.min(columns).max(1).ilog2() as usize).min(HALVINGS);
    (0..halvings).flat_map(|level| [1, 2].map(|stride| [width * (1 << level).min(WIDEST), stride])).collect()
}

/// Sides after all of them.
fn last_sides(layers: &[[usize; 2]], sides: [usize; 2]) -> [usize; 2] {
    layers.iter().fold(sides, |sides, [_, stride]| sides.map(|side| side.div_ceil(*stride)))
}

impl SrDiscriminator {
    pub(super) fn new(channels: usize, width: usize, sides: [usize; 2], init: &mut Init) -> Self {
        let layers = layers(width, sides);
        let (mut convs, mut norms) = (Vec::new(), Vec::new());
        let mut before = channels;
        for (i, &[after, stride]) in layers.iter().enumerate() {
            let conv = Conv2d::new(before, after, 3, init).with_stride(stride);
            convs.push(if i == 0 { conv } else { conv.without_bias() });
            norms.push((i > 0).then(|| BatchNorm::new(after, init)));
            before = after;
        }
        let [height, columns] = last_sides(&layers, sides);
        let (hidden, verdict) =
            (Linear::new(before * height * columns, UNITS, init), Linear::new(UNITS, 1, init));
        Self { convs, norms, hidden, verdict }
    }

    /// Verdicts without a sigmoid, `[B, C, H, W]` -> `[B]`.
    pub(super) fn judge(&self, x: Tensor<4>, mode: &Mode) -> Tensor<1> {
        let mut x = x;
        let activation = Activation::LeakyRelu(SLOPE);
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            x = conv.forward(x);
            x = match norm {
                Some(norm) => norm.forward(x, activation, mode),
                None => ops::activate(x, activation),
            };
        }
        let hidden = ops::activate(self.hidden.forward(x.flatten::<2>(1, 3)), activation);
        self.verdict.forward(hidden).flatten(0, 1)
    }

    /// What it costs for one picture of these sides.
    pub(super) fn cost(channels: usize, width: usize, sides: [usize; 2]) -> Tally {
        let mut tally = Tally::default();
        let (mut before, mut at) = (channels, sides);
        let layers = layers(width, sides);
        for &[after, stride] in &layers {
            at = at.map(|side| side.div_ceil(stride));
            tally.conv2d(before, after, 3, stride, at);
            tally.memory(after, at);
            before = after;
        }
        tally.linear(before * at[0] * at[1], UNITS, 1);
        tally.linear(UNITS, 1, 1);
        tally
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Analytic case: two channels of two pixels, three times as large.
    #[test]
    fn an_anchor_repeats_each_pixel() {
        let x = TensorData::new(vec![1.0f32, 2.0, 3.0, 4.0], [1, 2, 1, 2]);
        let found = repeated(Tensor::from_data(x, &Device::flex()), 3);
        assert_eq!(found.dims(), [1, 2, 3, 6]);
        let row = |a: f32, b: f32| [[a; 3], [b; 3]].concat().repeat(3);
        assert_eq!(found.into_data().try_into_vec::<f32>().unwrap(), [row(1.0, 2.0), row(3.0, 4.0)].concat());
    }
}
