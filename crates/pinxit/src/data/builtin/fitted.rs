//! A built-in set at the shape that the recipe asks for.

use sha2::{Digest, Sha256};

use super::Pictures;
use crate::data::{Dataset, ImageShape};
use crate::error::{Error, Result};
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
    /// `pictures` of the shape `native`, brought to the recipe's size and channels.
    pub(super) fn new(pictures: Box<dyn Pictures>, native: ImageShape, recipe: &DataRecipe) -> Result<Self> {
        let [height, width] = recipe.size.unwrap_or([native.height, native.width]);
        let channels = recipe.channels.unwrap_or(native.channels);
        if !(1..=4096).contains(&height) || !(1..=4096).contains(&width) {
            return Err(Error::config(format!(
                "data.size: {height}x{width} can't be made; height and width go from 1 to 4096"
            )));
        }
        if !(1..=4).contains(&channels) {
            return Err(Error::config(format!(
                "data.channels: {channels} is not one of 1 (grey), 2 (grey + alpha), 3 (RGB), 4 (RGBA)"
            )));
        }
        let classes = if recipe.labels { pictures.classes() } else { Vec::new() };
        let shape = ImageShape { channels, height, width };
        Ok(Self { pictures, native, shape, fit: recipe.fit, background: recipe.background, classes })
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
        let digest = Sha256::digest(self.pictures.pixels(index));
        digest.iter().take(8).fold(0, |hash, &byte| (hash << 8) | u64::from(byte))
    }
}

// Interim, until the folder's resize can be shared.
impl Fitted {
    fn bring_to_shape(&self, pixels: &[u8]) -> Vec<u8> {
        use fast_image_resize::images::{TypedImage, TypedImageRef};
        use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer, pixels::U8};
        let (height, width) = (self.shape.height, self.shape.width);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
            .fit_into_destination(None)
            .use_alpha(false);
        let mut planes: Vec<Vec<u8>> = pixels
            .chunks_exact(self.native.height * self.native.width)
            .map(|plane| {
                let plane: Vec<U8> = plane.iter().map(|&v| U8::new(v)).collect();
                let mut to = TypedImage::<U8>::new(width as u32, height as u32);
                if let Ok(from) =
                    TypedImageRef::new(self.native.width as u32, self.native.height as u32, &plane)
                {
                    let _ = Resizer::new().resize_typed(&from, &mut to, &options);
                }
                to.pixels().iter().map(|p| p.0).collect()
            })
            .collect();
        match (planes.as_slice(), self.shape.channels >= 3) {
            ([r, g, b], false) => {
                let grey = |i| {
                    (u32::from(r[i]) * 19_595 + u32::from(g[i]) * 38_470 + u32::from(b[i]) * 7_471 + 0x8000)
                        >> 16
                };
                planes = vec![(0..r.len()).map(|i| grey(i) as u8).collect()];
            }
            ([grey], true) => planes = vec![grey.clone(), grey.clone(), grey.clone()],
            _ => {}
        }
        if self.shape.channels % 2 == 0 {
            planes.push(vec![255; height * width]);
        }
        planes.concat()
    }
}
