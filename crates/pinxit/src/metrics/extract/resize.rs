//! The two ways in which published scores bring pictures to the size of the Inception network.

use serde::{Deserialize, Serialize};

use crate::data::planes::Planes;

/// How pictures are resized before features are taken. Scores of different ways don't compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// TensorFlow 1's bilinear resize, which reads single pixels however much it shrinks: the one
    /// of the original FID and of torch-fidelity.
    #[serde(rename = "bilinear-tf1")]
    BilinearTf1,
    /// Pillow's bicubic resize of each channel in floating point, antialiased: clean-fid (Parmar et
    /// al. 2022, "On aliased resizing and surprising subtleties in GAN evaluation").
    #[serde(rename = "clean-bicubic")]
    CleanBicubic,
}

impl Resize {
    /// As written in records and after `--resize`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BilinearTf1 => "bilinear-tf1",
            Self::CleanBicubic => "clean-bicubic",
        }
    }

    /// The planes at `height` x `width`, one after the other, 0 to 255 and not rounded.
    pub(super) fn apply(self, picture: &Planes<u8>, height: usize, width: usize) -> Vec<f32> {
        let from = (picture.height, picture.width);
        let resize = |plane: &Vec<u8>| {
            let plane: Vec<f32> = plane.iter().map(|&level| level.into()).collect();
            match self {
                Self::BilinearTf1 => bilinear_tf1(&plane, from, (height, width)),
                Self::CleanBicubic => {
                    let mut plane = bicubic(&plane, from, (height, width));
                    plane.iter_mut().for_each(|level| *level = level.clamp(0.0, 255.0));
                    plane
                }
            }
        };
        picture.planes.iter().flat_map(resize).collect()
    }
}

/// `resize_bilinear` of TensorFlow 1 without aligned corners: pixel i reads at `i * in / out`, without
/// half a pixel's offset. Bit for bit torch-fidelity's, whose grid is in single precision.
fn bilinear_tf1(plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let grid = |from: usize, to: usize| -> Vec<(usize, usize, f32)> {
        let scale = (from as f64 / to as f64) as f32;
        let at = |i: usize| {
            let position = i as f32 * scale;
            let low = position as usize;
            (low, (low + 1).min(from - 1), position - low as f32)
        };
        (0..to).map(at).collect()
    };
    let (rows, columns) = (grid(from.0, to.0), grid(from.1, to.1));
    let mut out = Vec::with_capacity(to.0 * to.1);
    for (top, bottom, dy) in rows {
        let (top, bottom) = (&plane[top * from.1..], &plane[bottom * from.1..]);
        for &(left, right, dx) in &columns {
            let above = top[left] + (top[right] - top[left]) * dx;
            let below = bottom[left] + (bottom[right] - bottom[left]) * dx;
            out.push(above + (below - above) * dy);
        }
    }
    out
}

/// Pillow's `resize(size, BICUBIC)` of a picture in mode F: along the rows, then along the columns,
/// summed in double precision and kept in single.
pub(super) fn bicubic(plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let mut rows = plane.to_vec();
    if from.1 != to.1 {
        let taps = taps(from.1, to.1);
        let resample = |row: &[f32]| -> Vec<f32> { taps.iter().map(|taps| taps.sum(row, 1)).collect() };
        rows = plane.chunks_exact(from.1).flat_map(resample).collect();
    }
    if from.0 == to.0 {
        return rows;
    }
    let taps = taps(from.0, to.0);
    taps.iter().flat_map(|taps| (0..to.1).map(|x| taps.sum(&rows[x..], to.1)).collect::<Vec<_>>()).collect()
}

/// The values of the input that make one of the output, and how much of each.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

impl Taps {
    /// The weighted sum of the values that lie `step` apart.
    fn sum(&self, values: &[f32], step: usize) -> f32 {
        let values = values.iter().skip(self.first * step).step_by(step);
        values.zip(&self.weights).fold(0.0, |sum, (&value, weight)| sum + f64::from(value) * weight) as f32
    }
}

fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0); // the filter widens when it shrinks the picture
    let (support, shrink) = (2.0 * stretch, 1.0 / stretch);
    let one = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights = (0..end - first).map(|i| cubic(((i + first) as f64 - centre + 0.5) * shrink));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|weight| weight / sum).collect() }
    };
    (0..to).map(one).collect()
}

/// The cubic convolution kernel (Keys 1981) with a = -1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
