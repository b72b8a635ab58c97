//! How alike two pictures are, pixel by pixel: PSNR, SSIM and MS-SSIM.

use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::image_io::Picture;

/// Side of the window, in pixels.
const WINDOW: usize = 11;
/// Standard deviation of the window, in pixels.
const SIGMA: f64 = 1.5;
/// Range of 8-bit pictures, `L` in the paper.
const RANGE: f64 = 255.0;
const C1: f64 = (0.01 * RANGE) * (0.01 * RANGE);
const C2: f64 = (0.03 * RANGE) * (0.03 * RANGE);
/// Weights of the scales, finest first (Wang et al. 2003, section 3.2).
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// Peak signal to noise ratio in decibels; infinite for equal pictures.
///
/// # Errors
/// [`Error::Config`] if the pictures differ in shape or have no pixels.
pub fn psnr(a: &Picture, b: &Picture) -> Result<f64> {
    check(a, b, 1)?;
    let squares = a.pixels.iter().zip(&b.pixels).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    let mean = squares.sum::<f64>() / a.pixels.len() as f64;
    Ok(10.0 * libm::log10(RANGE * RANGE / mean))
}

/// Structural similarity (Wang et al. 2004, "Image quality assessment", eq. 13), mean over windows
/// that lie in the picture and over channels; 1 for equal pictures.
///
/// # Errors
/// [`Error::Config`] if the pictures differ in shape or a side is below 11 pixels.
pub fn ssim(a: &Picture, b: &Picture) -> Result<f64> {
    check(a, b, WINDOW)?;
    let of_channel = |c| Plane::of(a, c).compare(&Plane::of(b, c)).ssim;
    let channels = a.shape.channels;
    Ok((0..channels).map(of_channel).sum::<f64>() / channels as f64)
}

/// Structural similarity over scales (Wang et al. 2003, "Multi-scale structural similarity", eq. 7),
/// mean over channels.
///
/// The paper's five scales need sides of 176 pixels. Smaller pictures get the [`scales`] that fit,
/// with the weights in the same proportions; such values compare only with others of as many scales.
///
/// # Errors
/// Those of [`ssim`].
pub fn ms_ssim(a: &Picture, b: &Picture) -> Result<f64> {
    check(a, b, WINDOW)?;
    let weights = &WEIGHTS[..scales(a.shape)];
    let total: f64 = weights.iter().sum();
    let of_channel = |c| {
        let (mut a, mut b) = (Plane::of(a, c), Plane::of(b, c));
        let mut product = 1.0;
        for (scale, weight) in weights.iter().enumerate() {
            if scale > 0 {
                (a, b) = (a.halved(), b.halved());
            }
            let Similarity { ssim, contrast } = a.compare(&b);
            let factor = if scale + 1 == weights.len() { ssim } else { contrast };
            product *= libm::pow(factor.max(0.0), weight / total);
        }
        product
    };
    let channels = a.shape.channels;
    Ok((0..channels).map(of_channel).sum::<f64>() / channels as f64)
}

/// Scales of MS-SSIM for pictures of this shape, at most 5; 0 if not even one window fits.
pub fn scales(shape: ImageShape) -> usize {
    let side = shape.height.min(shape.width);
    (0..WEIGHTS.len()).take_while(|&scale| side >> scale >= WINDOW).count()
}

fn check(a: &Picture, b: &Picture, least: usize) -> Result<()> {
    let ImageShape { channels, height, width } = a.shape;
    if a.shape != b.shape {
        let other = b.shape;
        return Err(Error::config(format!(
            "a picture of {height}x{width}x{channels} can't be compared with one of {}x{}x{}: bring both to one size",
            other.height, other.width, other.channels
        )));
    }
    if height.min(width) < least || channels == 0 {
        return Err(Error::config(format!(
            "pictures of {height}x{width} are too small: both sides must be at least {least} pixels"
        )));
    }
    Ok(())
}

/// One channel of a picture.
struct Plane {
    height: usize,
    width: usize,
    values: Vec<f64>,
}

/// Means over the windows of a pair of planes.
struct Similarity {
    /// Luminance, contrast and structure.
    ssim: f64,
    /// Contrast and structure alone, `c s` in the paper.
    contrast: f64,
}

impl Plane {
    fn of(picture: &Picture, channel: usize) -> Self {
        let ImageShape { channels, height, width } = picture.shape;
        let values = picture.pixels.iter().skip(channel).step_by(channels);
        Self { height, width, values: values.map(|&value| value.into()).collect() }
    }

    /// Means of squares of two by two; an odd last row or column is left out.
    fn halved(&self) -> Self {
        let (height, width) = (self.height / 2, self.width / 2);
        let at = |y: usize, x: usize| self.values[y * self.width + x];
        let mean = |i: usize| {
            let (y, x) = (2 * (i / width), 2 * (i % width));
            (at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1)) / 4.0
        };
        Self { height, width, values: (0..height * width).map(mean).collect() }
    }

    fn compare(&self, other: &Self) -> Similarity {
        let weights = window();
        let filtered = |value: &dyn Fn(f64, f64) -> f64| {
            let products: Vec<f64> =
                self.values.iter().zip(&other.values).map(|(&a, &b)| value(a, b)).collect();
            blur(&products, self.width, &weights)
        };
        let (mean_a, mean_b) = (filtered(&|a, _| a), filtered(&|_, b| b));
        let (aa, bb, ab) = (filtered(&|a, _| a * a), filtered(&|_, b| b * b), filtered(&|a, b| a * b));
        let (mut ssim, mut contrast) = (0.0, 0.0);
        for i in 0..mean_a.len() {
            let (a, b) = (mean_a[i], mean_b[i]);
            let (variances, covariance) = (aa[i] - a * a + bb[i] - b * b, ab[i] - a * b);
            let cs = (2.0 * covariance + C2) / (variances + C2);
            contrast += cs;
            ssim += cs * (2.0 * a * b + C1) / (a * a + b * b + C1);
        }
        let n = mean_a.len() as f64;
        Similarity { ssim: ssim / n, contrast: contrast / n }
    }
}

/// Weights of the Gaussian window along one side.
fn window() -> [f64; WINDOW] {
    let half = (WINDOW / 2) as f64;
    let weights = std::array::from_fn(|i| libm::exp(-(i as f64 - half).powi(2) / (2.0 * SIGMA * SIGMA)));
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// The weighted means over all windows inside the plane, row after row.
fn blur(values: &[f64], width: usize, weights: &[f64; WINDOW]) -> Vec<f64> {
    let dot = |window: &[f64]| window.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>();
    let inner = width + 1 - WINDOW;
    let rows: Vec<f64> = values.chunks_exact(width).flat_map(|row| row.windows(WINDOW).map(dot)).collect();
    let mut blurred = vec![0.0; (rows.len() / inner + 1 - WINDOW) * inner];
    for (y, out) in blurred.chunks_exact_mut(inner).enumerate() {
        for (row, weight) in rows[y * inner..].chunks_exact(inner).zip(weights) {
            out.iter_mut().zip(row).for_each(|(out, value)| *out += weight * value);
        }
    }
    blurred
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn flat(level: u8, side: usize) -> Picture {
        let shape = ImageShape { channels: 1, height: side, width: side };
        Picture { shape, pixels: vec![level; side * side] }
    }

    /// Analytic: two flat pictures differ by a known number of levels and in luminance alone.
    #[test]
    fn of_flat_pictures_they_are_known() {
        let (a, b) = (flat(100, 30), flat(110, 30));
        assert!((psnr(&a, &b).unwrap() - 20.0 * 25.5f64.log10()).abs() < 1e-12);
        assert_eq!(psnr(&a, &a).unwrap(), f64::INFINITY);
        let luminance = (2.0 * 11_000.0 + C1) / (10_000.0 + 12_100.0 + C1);
        assert!((ssim(&a, &b).unwrap() - luminance).abs() < 1e-9);
        assert!((ms_ssim(&a, &a).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn pictures_that_do_not_match_are_refused() {
        assert!(psnr(&flat(1, 3), &flat(1, 4)).is_err());
        assert!(ssim(&flat(1, 10), &flat(1, 10)).is_err());
        assert_eq!([10, 11, 22, 175, 176, 999].map(|side| scales(flat(0, side).shape)), [0, 1, 2, 4, 5, 5]);
    }
}
