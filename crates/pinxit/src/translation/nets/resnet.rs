//! The residual generator of Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent
//! Adversarial Networks", section 7.2, after Johnson et al. 2016.

use burn::module::Module;
use burn::tensor::Tensor;

use super::EPS;
use crate::nn::{Activation, Conv2d, ConvTranspose2d, Dropout, Init, InstanceNorm2d, Mode, Tally, ops};

/// What a [`ResnetGenerator`] is built by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResnetSettings {
    /// Channels of the first layer.
    pub width: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Probability with which a block drops values.
    pub dropout: f64,
    /// Kernel of the first and the last convolution, odd.
    pub ends: usize,
    /// How pictures grow again.
    pub growth: Growth,
}

/// How the way out doubles the sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Transposed convolutions, as the papers have it.
    Transposed,
    /// Every pixel four times and a convolution, which leaves no checkerboard: Odena et al. 2016, "Deconvolution and
    /// Checkerboard Artifacts".
    Nearest,
}

/// Halvings on the way in, and doublings on the way out.
const HALVINGS: usize = 2;

/// x `[B, C, H, W]` -> `[B, c, H, W]` -> `[B, 2c, H / 2, W / 2]` -> `[B, 4c, H / 4, W / 4]` -> blocks ->
/// `[B, 2c, H / 2, W / 2]` -> `[B, c, H, W]` -> `[B, C', H, W]` -> tanh, with ReLU between.
///
/// Borders are mirrored, not zero.
#[derive(Module, Debug)]
pub struct ResnetGenerator {
    enter: Conv2d,
    downs: Vec<Conv2d>,
    blocks: Vec<Block>,
    /// The way out by one growth, or by the other.
    ups: Vec<ConvTranspose2d>,
    upsamplers: Vec<Conv2d>,
    leave: Conv2d,
    norm: InstanceNorm2d,
    /// Pixels that are mirrored at the ends.
    border: usize,
}

/// x + conv(relu(conv(x))), normalised after each convolution: He et al. 2016 without the last ReLU.
#[derive(Module, Debug)]
struct Block {
    conv_1: Conv2d,
    conv_2: Conv2d,
    dropout: Option<Dropout>,
}

impl Block {
    fn new(channels: usize, dropout: f64, init: &mut Init) -> Self {
        let mut conv = || Conv2d::new(channels, channels, 3, init).with_padding(0);
        let (conv_1, conv_2) = (conv(), conv());
        Self { conv_1, conv_2, dropout: (dropout > 0.0).then(|| Dropout::new(dropout, init)) }
    }

    fn forward(&self, x: Tensor<4>, norm: &InstanceNorm2d, mode: &Mode) -> Tensor<4> {
        let h = self.conv_1.forward(ops::reflection_pad(x.clone(), 1));
        let mut h = norm.forward(h, Activation::Relu);
        if let Some(dropout) = &self.dropout {
            h = dropout.forward(h, mode);
        }
        x + norm.forward(self.conv_2.forward(ops::reflection_pad(h, 1)), Activation::None)
    }
}

impl ResnetGenerator {
    /// A fresh network from `input` to `output` channels.
    pub fn new(settings: ResnetSettings, [input, output]: [usize; 2], init: &mut Init) -> Self {
        let width = |level: usize| settings.width << level;
        let enter = Conv2d::new(input, width(0), settings.ends, init).with_padding(0);
        let downs =
            (0..HALVINGS).map(|i| Conv2d::new(width(i), width(i + 1), 3, init).with_stride(2)).collect();
        let blocks =
            (0..settings.blocks).map(|_| Block::new(width(HALVINGS), settings.dropout, init)).collect();
        let mut up = |i: usize| {
            let up = ConvTranspose2d::new(width(i + 1), width(i), 3, init);
            up.with_stride(2).with_padding(1).with_output_padding(1)
        };
        let levels = (0..HALVINGS).rev();
        let (ups, upsamplers) = match settings.growth {
            Growth::Transposed => (levels.map(&mut up).collect(), Vec::new()),
            Growth::Nearest => {
                (Vec::new(), levels.map(|i| Conv2d::new(width(i + 1), width(i), 3, init)).collect())
            }
        };
        let leave = Conv2d::new(width(0), output, settings.ends, init).with_padding(0);
        let (norm, border) = (InstanceNorm2d::new(EPS), settings.ends / 2);
        Self { enter, downs, blocks, ups, upsamplers, leave, norm, border }
    }

    /// `[B, input, H, W]` -> `[B, output, H, W]`; the sides must divide by 4 and be at least 8.
    pub fn paint(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        let normed = |x| self.norm.forward(x, Activation::Relu);
        let mut x = normed(self.enter.forward(ops::reflection_pad(x, self.border)));
        for down in &self.downs {
            x = normed(down.forward(x));
        }
        for block in &self.blocks {
            x = block.forward(x, &self.norm, mode);
        }
        for up in &self.ups {
            x = normed(up.forward(x));
        }
        for upsampler in &self.upsamplers {
            x = normed(upsampler.forward(ops::upsample_nearest2(x)));
        }
        self.leave.forward(ops::reflection_pad(x, self.border)).tanh()
    }

    /// What it costs for one picture of these sides.
    pub fn cost(settings: ResnetSettings, [input, output]: [usize; 2], [height, width]: [usize; 2]) -> Tally {
        let mut tally = Tally::default();
        let channels = |level: usize| settings.width << level;
        let sides = |level: usize| [height >> level, width >> level];
        tally.conv2d(input, channels(0), settings.ends, 1, sides(0));
        for i in 0..HALVINGS {
            tally.conv2d(channels(i), channels(i + 1), 3, 2, sides(i + 1));
            tally.conv2d(channels(i + 1), channels(i), 3, 1, sides(i + 1));
            tally.memory(2 * channels(i), sides(i));
        }
        for _ in 0..2 * settings.blocks {
            tally.conv2d(channels(HALVINGS), channels(HALVINGS), 3, 1, sides(HALVINGS));
            tally.memory(channels(HALVINGS), sides(HALVINGS));
        }
        tally.conv2d(channels(0), output, settings.ends, 1, sides(0));
        tally
    }
}
