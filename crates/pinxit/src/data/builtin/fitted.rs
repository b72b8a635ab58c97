//! A built-in set at the shape that the recipe asks for.

use super::Pictures;
use crate::data::planes::Planes;
use crate::data::{Dataset, ImageShape, resize, source};
use crate::recipe::{DataRecipe, Fit};

/// [`Pictures`] as a [`Dataset`]: scaled, converted and drawn when read, nothing kept.
pub(super) struct Fitted {
    pictures: Box<dyn Pictures>,
    native: ImageShape,
    shape: ImageShape,
    fit: Fit,
    background: u8,
    classes: Vec<String>,
}

impl Fitted {
    /// `pictures`, brought to the recipe's size and channels.
    pub(super) fn new(pictures: Box<dyn Pictures>, recipe: &DataRecipe) -> Self {
        let native = pictures.shape();
        let [height, width] = recipe.size.unwrap_or([native.height, native.width]);
        let channels = recipe.channels.unwrap_or(native.channels);
        let classes = if recipe.labels { pictures.classes() } else { Vec::new() };
        let shape = ImageShape { channels, height, width };
        Self { pictures, native, shape, fit: recipe.fit, background: recipe.background, classes }
    }

    /// A native picture in the wanted channels and size, planar.
    fn bring_to_shape(&self, pixels: &[u8]) -> Vec<u8> {
        let ImageShape { channels, height, width } = self.shape;
        let planes =
            pixels.chunks_exact(self.native.height * self.native.width).map(<[u8]>::to_vec).collect();
        let picture = Planes { width: self.native.width, height: self.native.height, planes };
        let picture = picture.into_channels(channels, self.background);
        resize::fit(picture, height, width, self.fit, self.background).to_bytes()
    }
}

impl Dataset for Fitted {
    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        if self.classes.is_empty() { 0 } else { self.pictures.label(index) }
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        let pixels = self.pictures.pixels(index);
        let pixels = if self.shape == self.native { pixels } else { self.bring_to_shape(&pixels) };
        for (value, byte) in out.iter_mut().zip(pixels) {
            *value = f32::from(byte) / 127.5 - 1.0;
        }
    }

    fn name(&self, index: usize) -> String {
        self.pictures.name(index)
    }

    fn content_hash(&self, index: usize) -> u64 {
        source::content_hash(&self.pictures.pixels(index))
    }

    fn group(&self, index: usize) -> u64 {
        self.pictures.group(index).unwrap_or_else(|| self.content_hash(index))
    }
}
