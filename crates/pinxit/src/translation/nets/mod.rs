//! Networks of pictures to pictures, and the one that judges patches.

pub mod patch;
pub mod resnet;
pub mod unet;

use burn::module::Module;
use burn::tensor::Tensor;

use super::knobs::{Net, Settings};
use crate::nn::{Init, Mode, Tally, Weights};

pub use patch::PatchDiscriminator;
pub use resnet::{Growth, ResnetGenerator, ResnetSettings};
pub use unet::UnetGenerator;

/// Standard deviation of first weights (Isola et al. 2017, section 6.2; Zhu et al. 2017, section 7.1).
const WEIGHTS: Weights = Weights::Normal(0.02);
/// Added to variances, PyTorch's default.
const EPS: f64 = 1e-5;

/// A network that turns a picture into one of the same sides.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a learner holds one or two of them")]
pub enum Generator {
    /// Down to one pixel and up again, with skips.
    Unet(UnetGenerator),
    /// Residual blocks at a quarter of the sides.
    Resnet(ResnetGenerator),
}

impl Generator {
    /// A fresh network from `input` to `output` channels.
    pub fn new(settings: &Settings, [input, output]: [usize; 2], init: &mut Init) -> Self {
        init.with(WEIGHTS, |init| match settings.net {
            Net::Unet => Self::Unet(UnetGenerator::new(settings, [input, output], init)),
            Net::Resnet => Self::Resnet(ResnetGenerator::new(resnet(settings), [input, output], init)),
        })
    }

    /// `[B, input, H, W]` in `[-1, 1]` -> `[B, output, H, W]` in `(-1, 1)`.
    pub fn paint(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        match self {
            Self::Unet(unet) => unet.paint(x, mode),
            Self::Resnet(resnet) => resnet.paint(x, mode),
        }
    }

    /// What it costs for one picture of these sides.
    pub fn cost(settings: &Settings, ends: [usize; 2], sides: [usize; 2]) -> Tally {
        match settings.net {
            Net::Unet => UnetGenerator::cost(settings, ends, sides),
            Net::Resnet => ResnetGenerator::cost(resnet(settings), ends, sides),
        }
    }
}

/// The residual generator of Zhu et al. 2017, section 7.2: ends of 7 pixels.
fn resnet(settings: &Settings) -> ResnetSettings {
    let Settings { width, blocks, dropout, .. } = *settings;
    ResnetSettings { width, blocks, dropout, ends: 7, growth: Growth::Transposed }
}
