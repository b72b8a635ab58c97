//! Augmentation that D sees of real and fake pictures alike and that gradients pass through: DiffAugment
//! (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", section 3.2).

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::data::ImageShape;
use crate::rng::Rng;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// Brightness, saturation and contrast.
    Colour,
    /// A shift, with grey coming in at the edges.
    Translation,
    /// A rectangle of grey.
    Cutout,
}

/// Which changes, and how strong ones.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffAugment {
    /// In the order of the paper, whatever the order here.
    pub transforms: Vec<Transform>,
    /// From 0, which changes nothing, to 1, which is the paper's.
    pub strength: f64,
}

/// What happens to one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Added to every value.
    pub brightness: f64,
    /// Factor on the distance of each pixel's channels from their mean.
    pub saturation: f64,
    /// Factor on the distance of each value from the mean of the picture.
    pub contrast: f64,
    /// Pixels down and to the right.
    pub shift: [i64; 2],
    /// Rows and columns that turn grey, each from first to before last.
    pub hole: [[usize; 2]; 2],
}

impl Change {
    /// What leaves a picture as it is.
    pub const NONE: Self =
        Self { brightness: 0.0, saturation: 1.0, contrast: 1.0, shift: [0; 2], hole: [[0; 2]; 2] };
}

impl DiffAugment {
    /// Whether it changes nothing.
    pub fn is_off(&self) -> bool {
        self.transforms.is_empty() || self.strength == 0.0
    }

    /// A random change of a picture of `shape`.
    pub fn draw(&self, shape: ImageShape, rng: &mut Rng) -> Change {
        let mut change = Change::NONE;
        let sides = [shape.height, shape.width];
        if self.has(Transform::Colour) {
            change.brightness = self.strength * rng.range(-0.5, 0.5);
            change.saturation = 1.0 + self.strength * rng.range(-1.0, 1.0);
            change.contrast = 1.0 + self.strength * rng.range(-0.5, 0.5);
        }
        if self.has(Transform::Translation) {
            change.shift = sides.map(|side| {
                let reach = (side as f64 * self.strength / 8.0).round() as u32;
                i64::from(rng.below(2 * reach + 1)) - i64::from(reach)
            });
        }
        if self.has(Transform::Cutout) {
            change.hole = sides.map(|side| {
                let length = (side as f64 * self.strength / 2.0).round() as usize;
                // Its middle is anywhere, so that at the edges a part of it is outside.
                let middle = rng.below(side as u32 + 1 - length as u32 % 2) as usize;
                let first = middle.saturating_sub(length / 2);
                [first, (middle + length - length / 2).min(side)]
            });
        }
        change
    }

    fn has(&self, transform: Transform) -> bool {
        self.transforms.contains(&transform)
    }
}

/// The pictures `[B, C, H, W]`, each with its change; differentiable.
pub fn apply(images: Tensor<4>, changes: &[Change]) -> Tensor<4> {
    let [_, _, height, width] = images.dims();
    let device = images.device();
    let factor = |value: fn(&Change) -> f64| {
        let values: Vec<f32> = changes.iter().map(|change| value(change) as f32).collect();
        constant(values, [changes.len(), 1, 1, 1], &device)
    };
    let mut x = images;
    if changes.iter().any(|c| (c.brightness, c.saturation, c.contrast) != (0.0, 1.0, 1.0)) {
        x = x + factor(|change| change.brightness);
        let grey = x.clone().mean_dim(1); // [B, 1, H, W]
        x = (x - grey.clone()) * factor(|change| change.saturation) + grey;
        let mean = x.clone().mean_dim(1).mean_dim(2).mean_dim(3); // [B, 1, 1, 1]
        x = (x - mean.clone()) * factor(|change| change.contrast) + mean;
    }
    if changes.iter().any(|change| change.shift != [0; 2]) {
        // A shift is a product with a matrix of ones and zeros, exact and with a gradient.
        let rows = changes.iter().flat_map(|change| shifted(height, change.shift[0], false)).collect();
        let columns = changes.iter().flat_map(|change| shifted(width, change.shift[1], true)).collect();
        x = constant(rows, [changes.len(), 1, height, height], &device).matmul(x);
        x = x.matmul(constant(columns, [changes.len(), 1, width, width], &device));
    }
    if changes.iter().any(|change| change.hole != [[0; 2]; 2]) {
        let mask = changes.iter().flat_map(|change| kept([height, width], change.hole)).collect();
        x = x * constant(mask, [changes.len(), 1, height, width], &device);
    }
    x
}

/// The matrix `[side, side]` that moves rows down by `by`; transposed for columns to the right.
fn shifted(side: usize, by: i64, transposed: bool) -> Vec<f32> {
    let by = if transposed { -by } else { by };
    let from = |to: usize| to as i64 - by;
    (0..side * side).map(|i| f32::from(u8::from(from(i / side) == (i % side) as i64))).collect()
}

/// 1 outside of the hole and 0 inside, `[H, W]`.
fn kept([height, width]: [usize; 2], [rows, columns]: [[usize; 2]; 2]) -> Vec<f32> {
    let inside = |place: usize, [first, end]: [usize; 2]| first <= place && place < end;
    let is_hole = |i: usize| inside(i / width, rows) && inside(i % width, columns);
    (0..height * width).map(|i| f32::from(u8::from(!is_hole(i)))).collect()
}

/// A tensor that takes no gradient, for arithmetic with those on `device`.
fn constant(values: Vec<f32>, dims: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, dims), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    const ALL: [Transform; 3] = [Transform::Colour, Transform::Translation, Transform::Cutout];

    /// Oracle: the ranges of section 3.2 and of the paper's published code.
    #[test]
    fn changes_reach_as_far_as_the_paper_says() {
        let shape = ImageShape { channels: 3, height: 32, width: 16 };
        let augment = DiffAugment { transforms: ALL.to_vec(), strength: 1.0 };
        let draws: Vec<Change> =
            (0..4000).map(|i| augment.draw(shape, &mut Rng::new(1, Purpose::Augment, 0, i))).collect();
        let range = |value: &dyn Fn(&Change) -> f64| {
            let values = draws.iter().map(value);
            (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max))
        };
        let near = |(low, high): (f64, f64), a: f64, b: f64| {
            low >= a && high <= b && low - a < 0.01 * (b - a) && b - high < 0.01 * (b - a)
        };
        assert!(near(range(&|c| c.brightness), -0.5, 0.5));
        assert!(near(range(&|c| c.saturation), 0.0, 2.0));
        assert!(near(range(&|c| c.contrast), 0.5, 1.5));
        assert_eq!(range(&|c| c.shift[0] as f64), (-4.0, 4.0));
        assert_eq!(range(&|c| c.shift[1] as f64), (-2.0, 2.0));
        let length = |[first, end]: [usize; 2]| (end - first) as f64;
        assert_eq!(range(&|c| length(c.hole[0])), (8.0, 16.0));
        assert_eq!(range(&|c| length(c.hole[1])), (4.0, 8.0));
    }

    #[test]
    fn no_strength_is_no_change() {
        let shape = ImageShape { channels: 1, height: 9, width: 7 };
        let augment = DiffAugment { transforms: ALL.to_vec(), strength: 0.0 };
        let drawn = augment.draw(shape, &mut Rng::new(1, Purpose::Augment, 0, 0));
        let whole = [drawn.brightness, drawn.saturation, drawn.contrast];
        assert_eq!((whole, drawn.shift), ([0.0, 1.0, 1.0], [0; 2]));
        assert!(drawn.hole.iter().all(|[first, end]| first == end));
    }
}
