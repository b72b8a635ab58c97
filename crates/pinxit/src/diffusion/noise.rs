//! Unit noise, keyed so that no picture's noise depends on another's.

use burn::tensor::{Device, Tensor};

use crate::data::ImageShape;
use crate::rng::{self, Purpose, Rng};

/// Unit noise for numbered steps.
pub trait NoiseSource {
    /// The noise `[B, C, H, W]` of step `number`.
    fn step(&self, number: u32) -> Tensor<4>;
}

/// Noise of every picture's own seed: picture i is the same in every batch.
pub struct SeededNoise<'a> {
    /// One seed a picture.
    pub seeds: &'a [u64],
    /// Shape of each picture.
    pub shape: ImageShape,
    /// Where to make the noise.
    pub device: &'a Device,
}

impl SeededNoise<'_> {
    /// The noise `[B, C, H, W]` that sampling starts from, of unit variance.
    pub fn start(&self) -> Tensor<4> {
        self.draw(Purpose::SampleStart, 0)
    }

    fn draw(&self, purpose: Purpose, step: u32) -> Tensor<4> {
        let streams = self.seeds.iter().map(|&seed| Rng::new(seed, purpose, step, 0));
        normals(streams, self.shape, self.device)
    }
}

impl NoiseSource for SeededNoise<'_> {
    fn step(&self, number: u32) -> Tensor<4> {
        self.draw(Purpose::SampleStep, number)
    }
}

/// Standard normals `[B, C, H, W]`, one stream for each picture.
pub(super) fn normals(
    streams: impl ExactSizeIterator<Item = Rng>,
    shape: ImageShape,
    device: &Device,
) -> Tensor<4> {
    let dims = [streams.len(), shape.channels, shape.height, shape.width];
    rng::tensor(streams, dims, device, Rng::fill_normal)
}

/// Shape of each picture of `images`.
pub(super) fn shape_of(images: &Tensor<4>) -> ImageShape {
    let [_, channels, height, width] = images.dims();
    ImageShape { channels, height, width }
}
