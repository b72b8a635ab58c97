//! Changes to a training picture that keep what it shows: planar `[C, H, W]` values in `[-1, 1]`.

use super::ImageShape;
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::rng::Rng;

/// Which changes a recipe asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    flip: bool,
    flip_vertical: bool,
    rotate: bool,
    shift: usize,
    brightness: f64,
    contrast: f64,
}

impl Augment {
    /// The changes of `recipe` for pictures of `shape`.
    ///
    /// # Errors
    /// [`Error::Config`] for a value out of its range, and for `rotate` of pictures that are not square.
    pub fn new(recipe: &DataRecipe, shape: ImageShape) -> Result<Self> {
        let ImageShape { height, width, .. } = shape;
        if recipe.rotate && height != width {
            return Err(Error::config(format!(
                "data.rotate needs square pictures, these are {height}x{width}: set data.size or turn it off"
            )));
        }
        if recipe.shift >= height.min(width) && recipe.shift > 0 {
            return Err(Error::config(format!(
                "data.shift = {}: must be less than the short side of the pictures, {}",
                recipe.shift,
                height.min(width)
            )));
        }
        for (name, value) in [("brightness", recipe.brightness), ("contrast", recipe.contrast)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(format!("data.{name} = {value}: must be 0 to 1")));
            }
        }
        Ok(Self {
            flip: recipe.flip,
            flip_vertical: recipe.flip_vertical,
            rotate: recipe.rotate,
            shift: recipe.shift,
            brightness: recipe.brightness,
            contrast: recipe.contrast,
        })
    }

    /// The changes of place alone: for the picture that another one is made from, whose colours are its own.
    pub fn of_place(&self) -> Self {
        Self { brightness: 0.0, contrast: 0.0, ..*self }
    }

    /// Changes one picture. The order of the draws is fixed.
    pub fn apply(&self, pixels: &mut [f32], shape: ImageShape, rng: &mut Rng) {
        if self.flip && rng.chance(0.5) {
            flip(pixels, shape);
        }
        if self.flip_vertical && rng.chance(0.5) {
            flip_vertical(pixels, shape);
        }
        if self.rotate {
            rotate(pixels, shape, rng.below(4));
        }
        if self.shift > 0 {
            let mut offset = || i64::from(rng.below(2 * self.shift as u32 + 1)) - self.shift as i64;
            let (down, right) = (offset(), offset());
            shift(pixels, shape, down, right);
        }
        let colour = colour_values(shape);
        if self.brightness > 0.0 {
            brightness(&mut pixels[..colour], rng.range(-self.brightness, self.brightness) as f32);
        }
        if self.contrast > 0.0 {
            contrast(&mut pixels[..colour], rng.range(1.0 - self.contrast, 1.0 + self.contrast) as f32);
        }
    }
}

/// Number of values before the alpha plane, if there is one.
fn colour_values(shape: ImageShape) -> usize {
    (shape.channels - usize::from(shape.has_alpha())) * shape.height * shape.width
}

/// Mirrors left and right.
pub fn flip(pixels: &mut [f32], shape: ImageShape) {
    pixels.chunks_exact_mut(shape.width).for_each(<[f32]>::reverse);
}

/// Turns upside down.
pub fn flip_vertical(pixels: &mut [f32], shape: ImageShape) {
    for plane in pixels.chunks_exact_mut(shape.height * shape.width) {
        for y in 0..shape.height / 2 {
            let (upper, lower) = plane.split_at_mut((shape.height - 1 - y) * shape.width);
            upper[y * shape.width..][..shape.width].swap_with_slice(&mut lower[..shape.width]);
        }
    }
}

/// Turns a square picture counter-clockwise by `quarters` of a full turn.
pub fn rotate(pixels: &mut [f32], shape: ImageShape, quarters: u32) {
    let side = shape.width;
    for _ in 0..quarters % 4 {
        for plane in pixels.chunks_exact_mut(side * side) {
            for y in 0..side {
                for x in y + 1..side {
                    plane.swap(y * side + x, x * side + y);
                }
            }
        }
        flip_vertical(pixels, shape); // transposed and upside down: a quarter turn
    }
}

/// Moves the picture `down` and `right` by whole pixels and repeats the edge.
pub fn shift(pixels: &mut [f32], shape: ImageShape, down: i64, right: i64) {
    let from = |at: usize, by: i64, size: usize| (at as i64 - by).clamp(0, size as i64 - 1) as usize;
    for plane in pixels.chunks_exact_mut(shape.height * shape.width) {
        let before = plane.to_vec();
        for (y, row) in plane.chunks_exact_mut(shape.width).enumerate() {
            let source = &before[from(y, down, shape.height) * shape.width..][..shape.width];
            for (x, value) in row.iter_mut().enumerate() {
                *value = source[from(x, right, shape.width)];
            }
        }
    }
}

/// Adds `change` of the whole range, within the range.
pub fn brightness(pixels: &mut [f32], change: f32) {
    pixels.iter_mut().for_each(|value| *value = (*value + 2.0 * change).clamp(-1.0, 1.0));
}

/// Stretches the distance of every value from the mean of all by `factor`, within the range.
pub fn contrast(pixels: &mut [f32], factor: f32) {
    let mean = pixels.iter().sum::<f32>() / pixels.len() as f32;
    pixels.iter_mut().for_each(|value| *value = ((*value - mean) * factor + mean).clamp(-1.0, 1.0));
}
