//! What goes in, made from what is to come out.

use std::sync::Arc;

use crate::data::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::recipe::{DataRecipe, Pair};
use crate::rng::{Purpose, Rng};

/// Pictures made from those of a data set, one from each; a pure function of the picture.
pub(super) struct Made {
    targets: Arc<dyn Dataset>,
    change: Change,
}

/// What is done to a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    /// Dark lines on white where the gradient exceeds this share of the range.
    Edges(f64),
    Gray,
    /// By a Gaussian of this standard deviation in pixels.
    Blur(f64),
    /// A rectangle of this share of each side is grey.
    Mask(f64),
    /// By this factor, and each pixel repeated.
    Downscale(usize),
}

impl Made {
    /// # Errors
    /// [`Error::Config`] for a strength out of range.
    pub(super) fn new(targets: Arc<dyn Dataset>, pair: Pair, recipe: &DataRecipe) -> Result<Self> {
        let strength = |usual: f64, least: f64, most: f64| match recipe.pair_strength.unwrap_or(usual) {
            value if (least..=most).contains(&value) => Ok(value),
            value => Err(Error::config(format!(
                "data.pair_strength is {value}; for this data.pair it must be {least} to {most}"
            ))),
        };
        let change = match pair {
            Pair::Edges => Change::Edges(strength(0.15, 0.0, 1.0)?),
            Pair::Blur => Change::Blur(strength(2.0, 0.1, 100.0)?),
            Pair::Mask => Change::Mask(strength(0.5, 0.0, 1.0)?),
            Pair::Downscale => Change::Downscale(strength(4.0, 2.0, 64.0)? as usize),
            Pair::Gray if recipe.pair_strength.is_some() => {
                return Err(Error::config("data.pair = \"gray\" knows no data.pair_strength; leave it away"));
            }
            _ => Change::Gray,
        };
        Ok(Self { targets, change })
    }
}

impl Dataset for Made {
    fn shape(&self) -> ImageShape {
        let shape = self.targets.shape();
        match self.change {
            Change::Edges(_) | Change::Gray => ImageShape { channels: 1, ..shape },
            _ => shape,
        }
    }

    fn len(&self) -> usize {
        self.targets.len()
    }

    fn classes(&self) -> &[String] {
        self.targets.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.targets.label(index)
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        let shape = self.targets.shape();
        let mut pixels = vec![0.0; shape.len()];
        self.targets.read(index, &mut pixels);
        match self.change {
            Change::Edges(threshold) => edges(&luma(&pixels, shape), shape.width, threshold as f32, out),
            Change::Gray => out.copy_from_slice(&luma(&pixels, shape)),
            Change::Blur(sigma) => {
                for (plane, out) in
                    planes(&pixels, shape).zip(out.chunks_exact_mut(shape.height * shape.width))
                {
                    blur(plane, shape.width, sigma, out);
                }
            }
            Change::Mask(share) => {
                out.copy_from_slice(&pixels);
                let mut rng = Rng::new(self.targets.content_hash(index), Purpose::MadePair, 0, 0);
                hide(out, shape, share, &mut rng);
            }
            Change::Downscale(factor) => {
                for (plane, out) in
                    planes(&pixels, shape).zip(out.chunks_exact_mut(shape.height * shape.width))
                {
                    coarsen(plane, shape.width, factor, out);
                }
            }
        }
    }

    fn name(&self, index: usize) -> String {
        self.targets.name(index)
    }

    fn content_hash(&self, index: usize) -> u64 {
        self.targets.content_hash(index)
    }

    fn group(&self, index: usize) -> u64 {
        self.targets.group(index)
    }
}

fn planes(pixels: &[f32], shape: ImageShape) -> std::slice::ChunksExact<'_, f32> {
    pixels.chunks_exact(shape.height * shape.width)
}

/// Grey by the weights of ITU-R 601, on white where a picture is transparent.
fn luma(pixels: &[f32], shape: ImageShape) -> Vec<f32> {
    let planes: Vec<&[f32]> = planes(pixels, shape).collect();
    let grey = |i: usize| match planes.as_slice() {
        [r, g, b, ..] => 0.299 * r[i] + 0.587 * g[i] + 0.114 * b[i],
        [grey, ..] => grey[i],
        [] => 1.0,
    };
    let opacity = |i: usize| match shape.has_alpha() {
        true => planes.last().map_or(1.0, |alpha| (alpha[i] + 1.0) / 2.0),
        false => 1.0,
    };
    (0..shape.height * shape.width).map(|i| grey(i) * opacity(i) + 1.0 - opacity(i)).collect()
}

/// Lines where the Sobel gradient (Sobel and Feldman 1968), as a share of its largest value, exceeds `threshold`.
fn edges(plane: &[f32], width: usize, threshold: f32, out: &mut [f32]) {
    let height = plane.len() / width.max(1);
    let at = |y: isize, x: isize| {
        let clamp = |i: isize, size: usize| i.clamp(0, size as isize - 1) as usize;
        plane[clamp(y, height) * width + clamp(x, width)]
    };
    for (i, out) in out.iter_mut().enumerate() {
        let (y, x) = ((i / width) as isize, (i % width) as isize);
        let column = |dx| at(y - 1, x + dx) + 2.0 * at(y, x + dx) + at(y + 1, x + dx);
        let row = |dy| at(y + dy, x - 1) + 2.0 * at(y + dy, x) + at(y + dy, x + 1);
        let (across, down) = (column(1) - column(-1), row(1) - row(-1));
        // Each difference is at most 4 times the range of 2.
        let steepness = (across * across + down * down).sqrt() / 8.0;
        *out = if steepness > threshold { -1.0 } else { 1.0 };
    }
}

/// A Gaussian of standard deviation `sigma`, cut off at three of them, edges repeated.
fn blur(plane: &[f32], width: usize, sigma: f64, out: &mut [f32]) {
    let height = plane.len() / width.max(1);
    let radius = (3.0 * sigma).ceil() as isize;
    let weight = |i: isize| libm::exp(-0.5 * (i as f64 / sigma).powi(2));
    let sum: f64 = (-radius..=radius).map(weight).sum();
    let taps: Vec<(isize, f32)> = (-radius..=radius).map(|i| (i, (weight(i) / sum) as f32)).collect();
    let clamp = |i: isize, size: usize| i.clamp(0, size as isize - 1) as usize;
    let along = |at: &dyn Fn(isize) -> f32| taps.iter().map(|&(i, weight)| weight * at(i)).sum::<f32>();
    let rows: Vec<f32> = (0..plane.len())
        .map(|i| {
            let (y, x) = (i / width, (i % width) as isize);
            along(&|dx| plane[y * width + clamp(x + dx, width)])
        })
        .collect();
    for (i, out) in out.iter_mut().enumerate() {
        let (y, x) = ((i / width) as isize, i % width);
        *out = along(&|dy| rows[clamp(y + dy, height) * width + x]);
    }
}

/// A grey rectangle of `share` of each side at a random place; where there is alpha it becomes transparent.
fn hide(pixels: &mut [f32], shape: ImageShape, share: f64, rng: &mut Rng) {
    let side = |size: usize| ((share * size as f64).round() as usize).min(size);
    let (rows, columns) = (side(shape.height), side(shape.width));
    let mut start = |size: usize, hidden: usize| rng.below((size - hidden) as u32 + 1) as usize;
    let (top, left) = (start(shape.height, rows), start(shape.width, columns));
    for (channel, plane) in pixels.chunks_exact_mut(shape.height * shape.width).enumerate() {
        let is_alpha = shape.has_alpha() && channel + 1 == shape.channels;
        for row in plane.chunks_exact_mut(shape.width).skip(top).take(rows) {
            row[left..left + columns].fill(if is_alpha { -1.0 } else { 0.0 });
        }
    }
}

/// Squares of `factor` pixels become their means; smaller ones at the right and the bottom.
fn coarsen(plane: &[f32], width: usize, factor: usize, out: &mut [f32]) {
    let height = plane.len() / width.max(1);
    for top in (0..height).step_by(factor) {
        for left in (0..width).step_by(factor) {
            let places = || {
                let columns = left..(left + factor).min(width);
                (top..(top + factor).min(height))
                    .flat_map(move |y| columns.clone().map(move |x| y * width + x))
            };
            let mean = places().map(|i| plane[i]).sum::<f32>() / places().count() as f32;
            places().for_each(|i| out[i] = mean);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Analytic case: a step from black to white is an edge on both of its sides, and nowhere else.
    #[test]
    fn an_edge_is_where_the_picture_changes() {
        let step: Vec<f32> = (0..40).map(|i| if i % 8 < 4 { -1.0 } else { 1.0 }).collect();
        let mut lines = vec![0.0; 40];
        edges(&step, 8, 0.5, &mut lines);
        let expected: Vec<f32> =
            (0..40).map(|i| if [3, 4].contains(&(i % 8)) { -1.0 } else { 1.0 }).collect();
        assert_eq!(lines, expected);
        edges(&step, 8, 1.0, &mut lines);
        assert!(lines.iter().all(|&value| value == 1.0), "no gradient exceeds the largest");
    }

    /// Analytic case: a blur keeps a constant and the mean of what lies far from the edges.
    #[test]
    fn a_blur_spreads_and_keeps() {
        let mut out = vec![0.0; 400];
        blur(&[0.3; 400], 20, 1.5, &mut out);
        assert!(out.iter().all(|value| (value - 0.3).abs() < 1e-6));
        let mut point = vec![0.0; 400];
        point[10 * 20 + 10] = 1.0;
        blur(&point, 20, 1.5, &mut out);
        assert!((out.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        // The centre of a discrete Gaussian, squared for two directions.
        let centre = 1.0 / (-5..=5).map(|i| (-0.5 * (f64::from(i) / 1.5).powi(2)).exp()).sum::<f64>();
        assert!((f64::from(out[210]) - centre * centre).abs() < 1e-6);
    }

    #[test]
    fn a_mask_hides_its_share_and_nothing_else() {
        let shape = ImageShape { channels: 2, height: 10, width: 6 };
        let mut pixels = vec![0.7; shape.len()];
        hide(&mut pixels, shape, 0.5, &mut Rng::new(3, Purpose::MadePair, 0, 0));
        for (plane, hidden) in pixels.chunks_exact(60).zip([0.0, -1.0]) {
            assert_eq!(plane.iter().filter(|&&value| value == hidden).count(), 5 * 3);
            assert_eq!(plane.iter().filter(|&&value| value == 0.7).count(), 45);
        }
    }

    /// Analytic case: means of squares, and of what is left at the right.
    #[test]
    fn a_coarse_picture_has_means_of_squares() {
        let plane: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let mut out = vec![0.0; 10];
        coarsen(&plane, 5, 2, &mut out);
        assert_eq!(out, [3.0, 3.0, 5.0, 5.0, 6.5, 3.0, 3.0, 5.0, 5.0, 6.5]);
    }
}
