//! A discriminator of patches: Isola et al. 2017, section 6.1.2, "PatchGAN".

use burn::module::Module;
use burn::tensor::Tensor;

use super::{EPS, WEIGHTS};
use crate::nn::{Activation, Conv2d, Init, InstanceNorm2d, Tally};
use crate::translation::knobs::Settings;

/// Slope of the LeakyReLU below 0.
const SLOPE: f32 = 0.2;
/// Times that channels grow from the first layer's at most.
const WIDEST: usize = 8;
/// Side of a layer's kernel; that of the discriminator of single pixels is 1.
const KERNEL: usize = 4;

/// Sides of the patches that can be judged: 1, and those of 1 to 5 halvings.
pub const PATCHES: [usize; 6] = [1, 16, 34, 70, 142, 286];

/// Each verdict is on a patch: convolutions halve the picture, and two more with stride 1 follow.
///
/// x `[B, C, H, W]` -> `[B, c, H / 2, W / 2]` -> `[B, 2c, H / 4, W / 4]` -> ... -> `[B, 1, h, w]`, with
/// LeakyReLU between.
#[derive(Module, Debug)]
pub struct PatchDiscriminator {
    convs: Vec<Conv2d>,
    /// None of the first and the last.
    norms: Vec<Option<InstanceNorm2d>>,
}

/// A convolution of the discriminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Channels that come out; the first layer sees those of the picture.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Pixels from one place of the kernel to the next.
    pub stride: usize,
}

/// The layers of the discriminator of patches of side `patch`, one of [`PATCHES`].
pub fn layers(patch: usize, width: usize) -> Vec<Layer> {
    let Some(halvings) = PATCHES.iter().position(|&known| known == patch).filter(|&n| n > 0) else {
        // "1x1 PixelGAN: C64-C128 (note, in this special case, all convolutions are 1x1 spatial filters)".
        let channels = [width, 2 * width, 1];
        return channels.map(|channels| Layer { channels, kernel: 1, stride: 1 }).to_vec();
    };
    let channels = |level: usize| width * (1 << level).min(WIDEST);
    let halving = (0..halvings).map(|level| Layer { channels: channels(level), kernel: KERNEL, stride: 2 });
    let last = [channels(halvings), 1].map(|channels| Layer { channels, kernel: KERNEL, stride: 1 });
    halving.chain(last).collect()
}

/// The side of the patch that one verdict depends on.
pub fn receptive_field(layers: &[Layer]) -> usize {
    layers.iter().rev().fold(1, |field, layer| (field - 1) * layer.stride + layer.kernel)
}

/// Rows or columns of what `layer` makes of `side`; 0 if that is smaller than its kernel.
fn after(side: usize, layer: &Layer) -> usize {
    let padded = side + 2 * (layer.kernel / 4);
    if padded < layer.kernel { 0 } else { (padded - layer.kernel) / layer.stride + 1 }
}

/// Whether a picture of these sides gets a verdict at all.
pub fn fits(patch: usize, sides: [usize; 2]) -> bool {
    sides.iter().all(|&side| layers(patch, 1).iter().fold(side, after) > 0)
}

impl PatchDiscriminator {
    /// A fresh network for pictures of `input` channels.
    pub fn new(settings: &Settings, input: usize, init: &mut Init) -> Self {
        init.with(WEIGHTS, |init| {
            let layers = layers(settings.patch, settings.d_width);
            let last = layers.len() - 1;
            let (mut convs, mut norms) = (Vec::new(), Vec::new());
            let mut before = input;
            for (i, Layer { channels, kernel, stride }) in layers.into_iter().enumerate() {
                let conv = Conv2d::new(before, channels, kernel, init);
                let conv = conv.with_stride(stride).with_padding(kernel / 4);
                let normed = i != 0 && i != last;
                let affine = normed && settings.affine;
                convs.push(if affine { conv.without_bias() } else { conv });
                norms.push(match (normed, settings.affine) {
                    (true, true) => Some(InstanceNorm2d::affine(channels, EPS, init)),
                    (true, false) => Some(InstanceNorm2d::new(EPS)),
                    (false, _) => None,
                });
                before = channels;
            }
            Self { convs, norms }
        })
    }

    /// Verdicts without a sigmoid, high for what it takes for real, one a patch: `[B, C, H, W]` -> `[N]`.
    pub fn judge(&self, x: Tensor<4>) -> Tensor<1> {
        let mut x = x;
        let last = self.convs.len().saturating_sub(1);
        for (i, (conv, norm)) in self.convs.iter().zip(&self.norms).enumerate() {
            let activation = Activation::LeakyRelu(SLOPE);
            x = conv.forward(x);
            x = match norm {
                Some(norm) => norm.forward(x, activation),
                None if i == last => x,
                None => crate::nn::ops::activate(x, activation),
            };
        }
        x.flatten(0, 3)
    }

    /// What it costs for one picture of these sides.
    pub fn cost(settings: &Settings, input: usize, [mut height, mut width]: [usize; 2]) -> Tally {
        let mut tally = Tally::default();
        let mut before = input;
        for layer in layers(settings.patch, settings.d_width) {
            (height, width) = (after(height, &layer), after(width, &layer));
            tally.conv2d(before, layer.channels, layer.kernel, layer.stride, [height, width]);
            tally.memory(layer.channels, [height, width]);
            before = layer.channels;
        }
        tally
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Oracle: Isola et al. 2017, section 6.1.2: the layers of the 1x1, 16x16, 70x70 and 286x286 discriminators.
    #[test]
    fn layers_and_receptive_fields_are_those_of_the_paper() {
        let channels = |patch| layers(patch, 64).iter().map(|layer| layer.channels).collect::<Vec<_>>();
        assert_eq!(channels(1), [64, 128, 1]);
        assert_eq!(channels(16), [64, 128, 1]);
        assert_eq!(channels(70), [64, 128, 256, 512, 1]);
        assert_eq!(channels(286), [64, 128, 256, 512, 512, 512, 1]);
        for patch in PATCHES {
            assert_eq!(receptive_field(&layers(patch, 64)), patch);
        }
    }

    /// The discriminator without biases and normalisation: where it sees nothing, it says 0.
    fn bare(patch: usize) -> PatchDiscriminator {
        let mut init = Init::new(3, &Device::flex());
        let mut before = 1;
        let conv = |layer: Layer| {
            let conv = Conv2d::new(before, layer.channels, layer.kernel, &mut init).without_bias();
            before = layer.channels;
            conv.with_stride(layer.stride).with_padding(layer.kernel / 4)
        };
        let convs: Vec<Conv2d> = layers(patch, 2).into_iter().map(conv).collect();
        PatchDiscriminator { norms: vec![None; convs.len()], convs }
    }

    /// Analytic case: a point moves the verdicts on the patches that hold it and no others, and a patch is as large
    /// as it is called: 70x70 is 70x70.
    #[test]
    fn a_verdict_is_on_a_patch_of_its_size() {
        // Winograd's short cut leaves roundings where a direct convolution leaves 0.
        crate::nn::ops::set_exact(true);
        for (patch, side) in [(1, 9), (16, 40), (34, 80), (70, 160), (286, 600)] {
            let d = bare(patch);
            // The points of one row that move the verdict in the middle.
            let moves = |x: usize| {
                let mut picture = vec![0.0f32; side * side];
                picture[side / 2 * side + x] = 1.0;
                let picture = TensorData::new(picture, [1, 1, side, side]);
                let verdicts = d.judge(Tensor::from_data(picture, &Device::flex()));
                let verdicts = verdicts.into_data().try_into_vec::<f32>().unwrap();
                let across = verdicts.len().isqrt();
                verdicts[across / 2 * across + across / 2] != 0.0
            };
            // Its ends by halving, from a point that does.
            assert!(moves(side / 2), "{patch}");
            let end = |mut inside: usize, mut outside: usize| {
                while inside.abs_diff(outside) > 1 {
                    let between = inside.midpoint(outside);
                    *(if moves(between) { &mut inside } else { &mut outside }) = between;
                }
                inside
            };
            if patch == 1 {
                assert!(!moves(side / 2 - 1) && !moves(side / 2 + 1));
                continue;
            }
            let (first, last) = (end(side / 2, 0), end(side / 2, side - 1));
            assert_eq!(last - first + 1, patch);
        }
    }
}
