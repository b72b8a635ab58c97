//! The U-Net generator of Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
//! section 6.1.1.

use burn::module::Module;
use burn::tensor::Tensor;

use super::EPS;
use crate::nn::{Activation, Conv2d, ConvTranspose2d, Dropout, Init, InstanceNorm2d, Mode, Tally, ops};
use crate::translation::knobs::Settings;

/// Slope of the encoder's LeakyReLU below 0.
const SLOPE: f32 = 0.2;
/// Times that channels grow from the first layer's at most.
const WIDEST: usize = 8;
/// Layers of the decoder, from the innermost, that drop out.
const DROPPING: usize = 3;

/// Each layer halves the picture, down to a pixel where its sides allow that; each of the way back doubles it
/// and sees the layer of its size on the way down.
///
/// x `[B, C, H, W]` -> `[B, c, H / 2, W / 2]` -> `[B, 2c, H / 4, W / 4]` -> ... -> `[B, 8c, 1, 1]` -> ... ->
/// `[B, C', H, W]` -> tanh.
///
/// The paper normalises by a batch of one picture, "instance normalization": so this is what it is here, with
/// scale and shift.
#[derive(Module, Debug)]
pub struct UnetGenerator {
    downs: Vec<Conv2d>,
    /// None of the first and the last.
    down_norms: Vec<Option<InstanceNorm2d>>,
    /// From the innermost to the picture.
    ups: Vec<ConvTranspose2d>,
    /// None of the last.
    up_norms: Vec<InstanceNorm2d>,
    dropouts: Vec<Option<Dropout>>,
}

/// Channels after each layer down.
fn widths(settings: &Settings) -> Vec<usize> {
    (0..settings.depth).map(|level| settings.width * (1 << level).min(WIDEST)).collect()
}

/// Channels into and out of each layer up: all but the innermost see two layers.
fn ups(widths: &[usize], output: usize) -> Vec<[usize; 2]> {
    let outputs = widths.iter().rev().skip(1).copied().chain([output]);
    let inputs = widths.iter().rev().enumerate().map(|(i, &width)| if i == 0 { width } else { 2 * width });
    inputs.zip(outputs).map(<[usize; 2]>::from).collect()
}

impl UnetGenerator {
    /// A fresh network from `input` to `output` channels.
    pub fn new(settings: &Settings, [input, output]: [usize; 2], init: &mut Init) -> Self {
        let widths = widths(settings);
        let last = widths.len() - 1;
        let mut downs = Vec::new();
        let mut down_norms = Vec::new();
        for (level, &width) in widths.iter().enumerate() {
            let before = if level == 0 { input } else { widths[level - 1] };
            let normed = level != 0 && level != last;
            let down = Conv2d::new(before, width, 4, init).with_stride(2).with_padding(1);
            downs.push(if normed { down.without_bias() } else { down });
            down_norms.push(normed.then(|| InstanceNorm2d::affine(width, EPS, init)));
        }
        let ends = ups(&widths, output);
        let mut network =
            Self { downs, down_norms, ups: Vec::new(), up_norms: Vec::new(), dropouts: Vec::new() };
        for (i, &[before, after]) in ends.iter().enumerate() {
            let up = ConvTranspose2d::new(before, after, 4, init).with_stride(2).with_padding(1);
            if i == last {
                network.ups.push(up);
                break;
            }
            network.ups.push(up.without_bias());
            network.up_norms.push(InstanceNorm2d::affine(after, EPS, init));
            let drops = i < DROPPING && after == settings.width * WIDEST && settings.dropout > 0.0;
            network.dropouts.push(drops.then(|| Dropout::new(settings.dropout, init)));
        }
        network
    }

    /// `[B, input, H, W]` -> `[B, output, H, W]`; the sides must divide by 2 to the number of layers.
    pub fn paint(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        // What each layer down made, before the activation: both its readers apply their own.
        let mut made: Vec<Tensor<4>> = Vec::with_capacity(self.downs.len());
        for (down, norm) in self.downs.iter().zip(&self.down_norms) {
            let input = match made.last() {
                None => x.clone(),
                Some(before) => ops::activate(before.clone(), Activation::LeakyRelu(SLOPE)),
            };
            let x = down.forward(input);
            made.push(match norm {
                Some(norm) => norm.forward(x, Activation::None),
                None => x,
            });
        }
        let mut x = made.pop().unwrap_or(x);
        for (i, up) in self.ups.iter().enumerate() {
            x = up.forward(ops::activate(x, Activation::Relu));
            let (Some(norm), Some(skip)) = (self.up_norms.get(i), made.pop()) else { break };
            x = norm.forward(x, Activation::None);
            if let Some(Some(dropout)) = self.dropouts.get(i) {
                x = dropout.forward(x, mode);
            }
            x = Tensor::cat(vec![skip, x], 1);
        }
        x.tanh()
    }

    /// What it costs for one picture of these sides.
    pub(super) fn cost(
        settings: &Settings,
        [input, output]: [usize; 2],
        [height, width]: [usize; 2],
    ) -> Tally {
        let widths = widths(settings);
        let mut tally = Tally::default();
        let sides = |halvings: usize| [(height >> halvings).max(1), (width >> halvings).max(1)];
        for (level, &channels) in widths.iter().enumerate() {
            let before = if level == 0 { input } else { widths[level - 1] };
            tally.conv2d(before, channels, 4, 2, sides(level + 1));
            tally.group_norm(channels, sides(level + 1));
        }
        for (i, [before, after]) in ups(&widths, output).into_iter().enumerate() {
            // Each pixel that goes in becomes 4x4 of those that come out.
            let level = widths.len() - i;
            tally.conv2d(before, after, 4, 1, sides(level));
            tally.group_norm(after, sides(level - 1));
        }
        tally
    }
}
