//! The power spectrum of pictures: blur, checkerboards and noise show as too little or too much of a frequency.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::image_io::Picture;

/// Longest side of the square that is looked at, in pixels: the middle of larger pictures.
const SIDE: usize = 128;

/// Mean power of pictures by frequency.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Spectrum {
    /// Mean power of the frequencies whose length rounds to 1, 2, ... cycles a side, up to half the side.
    pub radial: Vec<f64>,
    /// Mean power where one or both directions alternate from pixel to pixel: what upsampling by
    /// transposed convolutions leaves behind (Odena et al. 2016, "Deconvolution and checkerboard artifacts").
    pub checkerboard: f64,
}

/// Generated against real pictures, in decibels: 0 where they agree, -3 at half the power.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// Of each frequency of [`Spectrum::radial`].
    pub radial: Vec<f64>,
    /// Mean over the upper half of the frequencies: below 0 is blur, above 0 noise.
    pub detail: f64,
    /// At the frequencies of checkerboards.
    pub checkerboard: f64,
}

impl Spectrum {
    /// Of the brightness of `pictures`, all of one size (van der Schaaf and van Hateren 1996, "Modelling
    /// the power spectra of natural images").
    ///
    /// # Errors
    /// [`Error::Config`] if there are none, they differ in size, or a side is below 4 pixels.
    pub fn of(pictures: &[Picture]) -> Result<Self> {
        let Some(shape) = pictures.first().map(|picture| picture.shape) else {
            return Err(Error::config("there are no pictures to take a spectrum of"));
        };
        let side = shape.height.min(shape.width).min(SIDE) / 2 * 2;
        if side < 4 || pictures.iter().any(|picture| picture.shape != shape) {
            return Err(Error::config(
                "a spectrum takes pictures of one size, with sides of at least 4 pixels",
            ));
        }
        let waves = Waves::new(side);
        let powers: Vec<Vec<f64>> = pictures.par_iter().map(|picture| waves.power(picture)).collect();
        let n = powers.len() as f64;
        let mean: Vec<f64> =
            (0..side * side).map(|i| powers.iter().map(|power| power[i]).sum::<f64>() / n).collect();
        Ok(Self::from_power(&mean, side))
    }

    fn from_power(power: &[f64], side: usize) -> Self {
        let half = side / 2;
        let (mut sums, mut counts) = (vec![0.0; half], vec![0usize; half]);
        let (mut alternating, mut alternations) = (0.0, 0usize);
        for (i, power) in power.iter().enumerate() {
            let frequency = |k: usize| k.min(side - k);
            let (v, u) = (frequency(i / side), frequency(i % side));
            if v == half || u == half {
                alternating += power;
                alternations += 1;
            }
            let radius = ((v * v + u * u) as f64).sqrt().round() as usize;
            if (1..=half).contains(&radius) {
                sums[radius - 1] += power;
                counts[radius - 1] += 1;
            }
        }
        let radial = sums.iter().zip(&counts).map(|(sum, &count)| sum / count.max(1) as f64).collect();
        Self { radial, checkerboard: alternating / alternations.max(1) as f64 }
    }

    /// This spectrum against that of real pictures of the same size.
    ///
    /// # Errors
    /// [`Error::Config`] if the sizes differ.
    pub fn against(&self, real: &Self) -> Result<Comparison> {
        if self.radial.len() != real.radial.len() {
            return Err(Error::config("spectra of pictures of different sizes can't be compared"));
        }
        // Rounding to whole levels alone makes 1/12 of power.
        let decibels = |a: f64, b: f64| 10.0 * libm::log10((a + 1.0 / 12.0) / (b + 1.0 / 12.0));
        let radial: Vec<f64> = self.radial.iter().zip(&real.radial).map(|(&a, &b)| decibels(a, b)).collect();
        let upper = &radial[radial.len() / 2..];
        let detail = upper.iter().sum::<f64>() / upper.len().max(1) as f64;
        Ok(Comparison { checkerboard: decibels(self.checkerboard, real.checkerboard), detail, radial })
    }
}

/// Cosines and sines of a discrete Fourier transform of one length.
struct Waves {
    side: usize,
    cosines: Vec<f64>,
    sines: Vec<f64>,
    /// Hann window, so that opposite edges don't meet in a step.
    window: Vec<f64>,
}

impl Waves {
    fn new(side: usize) -> Self {
        let angle = |i: usize| std::f64::consts::TAU * i as f64 / side as f64;
        Self {
            side,
            cosines: (0..side).map(|i| libm::cos(angle(i))).collect(),
            sines: (0..side).map(|i| libm::sin(angle(i))).collect(),
            window: (0..side)
                .map(|i| 0.5 - 0.5 * libm::cos(angle(i) + std::f64::consts::PI / side as f64))
                .collect(),
        }
    }

    /// Squared length of each coefficient, over the number of pixels: white noise of variance s^2 has s^2.
    fn power(&self, picture: &Picture) -> Vec<f64> {
        let side = self.side;
        let grey = self.middle(picture);
        let mean = grey.iter().sum::<f64>() / grey.len() as f64;
        let windowed: Vec<(f64, f64)> = (0..side * side)
            .map(|i| ((grey[i] - mean) * self.window[i / side] * self.window[i % side], 0.0))
            .collect();
        let rows = self.transform_rows(&windowed);
        let turned: Vec<(f64, f64)> = (0..side * side).map(|i| rows[i % side * side + i / side]).collect();
        // Mean square of the window, in both directions.
        let gain = (self.window.iter().map(|w| w * w).sum::<f64>() / side as f64).powi(2);
        let scale = 1.0 / ((side * side) as f64 * gain);
        let columns = self.transform_rows(&turned);
        (0..side * side)
            .map(|i| columns[i % side * side + i / side])
            .map(|(re, im)| (re * re + im * im) * scale)
            .collect()
    }

    /// Mean of the colours of the middle square; alpha counts as one of them.
    fn middle(&self, picture: &Picture) -> Vec<f64> {
        let shape = picture.shape;
        let (top, left) = ((shape.height - self.side) / 2, (shape.width - self.side) / 2);
        let level = |i: usize| {
            let at = ((top + i / self.side) * shape.width + left + i % self.side) * shape.channels;
            let pixel = &picture.pixels[at..at + shape.channels];
            pixel.iter().map(|&level| f64::from(level)).sum::<f64>() / shape.channels as f64
        };
        (0..self.side * self.side).map(level).collect()
    }

    fn transform_rows(&self, values: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let side = self.side;
        let coefficient = |row: &[(f64, f64)], k: usize| {
            row.iter().enumerate().fold((0.0, 0.0), |(re, im), (x, (a, b))| {
                let (cosine, sine) = (self.cosines[k * x % side], self.sines[k * x % side]);
                (re + a * cosine + b * sine, im + b * cosine - a * sine)
            })
        };
        values
            .chunks_exact(side)
            .flat_map(|row| (0..side).map(|k| coefficient(row, k)).collect::<Vec<_>>())
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use crate::rng::{Purpose, Rng};

    fn pictures(count: u32, level: impl Fn(usize, usize, &mut Rng) -> f64) -> Vec<Picture> {
        let shape = ImageShape { channels: 1, height: 24, width: 24 };
        let one = |n| {
            let mut rng = Rng::new(2, Purpose::Picture, 0, n);
            let pixels =
                (0..shape.len()).map(|i| level(i / 24, i % 24, &mut rng).round().clamp(0.0, 255.0) as u8);
            Picture { shape, pixels: pixels.collect() }
        };
        (0..count).map(one).collect()
    }

    fn noise(_: usize, _: usize, rng: &mut Rng) -> f64 {
        128.0 + 20.0 * f64::from(rng.normal())
    }

    /// Analytic: white noise has the same power everywhere, its variance.
    #[test]
    fn noise_is_white() {
        let spectrum = Spectrum::of(&pictures(200, noise)).unwrap();
        for power in spectrum.radial.iter().chain([&spectrum.checkerboard]) {
            assert!((power / 400.0 - 1.0).abs() < 0.1, "{spectrum:?}");
        }
    }

    /// Analytic: half the contrast is a quarter of the power, -6 dB; a checkerboard adds at its frequency alone.
    #[test]
    fn faults_show_where_they_are() {
        let real = Spectrum::of(&pictures(100, noise)).unwrap();
        let pale = pictures(100, |y, x, rng| 64.0 + noise(y, x, rng) / 2.0);
        let found = Spectrum::of(&pale).unwrap().against(&real).unwrap();
        assert!((found.detail + 20.0 * 2f64.log10()).abs() < 0.3, "{found:?}");
        let checked = pictures(100, |y, x, rng| noise(y, x, rng) + if (x + y) % 2 == 0 { 8.0 } else { -8.0 });
        let found = Spectrum::of(&checked).unwrap().against(&real).unwrap();
        assert!(found.checkerboard > 3.0 && found.radial[2].abs() < 1.0, "{found:?}");
    }

    #[test]
    fn what_has_no_spectrum_is_refused() {
        assert!(Spectrum::of(&[]).is_err());
        let small = Picture::blank(ImageShape { channels: 1, height: 3, width: 9 });
        assert!(Spectrum::of(&[small]).is_err());
    }
}
