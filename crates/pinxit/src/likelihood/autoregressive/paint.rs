//! Painting pixel by pixel.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use super::Walk;
use crate::error::{Error, Result};
use crate::likelihood::pixel::PixelDistribution;
use crate::likelihood::values;
use crate::rng::{Purpose, Rng};
use crate::watch::Watch;

/// Puts pixels on the canvas, from what a network says of them.
pub trait Brush {
    /// The values of a pixel that are drawn at a time, in order; the network sees what was drawn before.
    fn strokes(&self) -> Vec<Range<usize>>;

    /// Draws the values of one of [`strokes`](Self::strokes) into `pixel` `[C]`.
    fn stroke(
        &self,
        parameters: &[f32],
        values: Range<usize>,
        temperature: f64,
        rng: &mut Rng,
        pixel: &mut [f32],
    );
}

impl Brush for PixelDistribution {
    fn strokes(&self) -> Vec<Range<usize>> {
        self.draws()
    }

    fn stroke(
        &self,
        parameters: &[f32],
        values: Range<usize>,
        temperature: f64,
        rng: &mut Rng,
        pixel: &mut [f32],
    ) {
        self.draw(parameters, values, temperature, rng, pixel);
    }
}

/// What to paint.
pub struct Painting<'a> {
    /// Values of a pixel, rows, columns.
    pub shape: [usize; 3],
    /// One seed a picture.
    pub seeds: &'a [u64],
    /// Pictures `[B, C, H, W]` whose first rows are kept, and how many rows.
    pub given: Option<(Tensor<4>, usize)>,
    /// 1 for the model's own distribution, below that for the probable.
    pub temperature: f64,
    /// Where to compute.
    pub device: &'a Device,
}

impl Painting<'_> {
    /// Paints with `brush` along `walk`: `[B, C, H, W]`. Every value of a picture has random numbers of
    /// its own, so that a completed picture goes on as its seed would.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the watcher stops it; if the device can't be read.
    pub fn paint(
        &self,
        mut walk: Box<dyn Walk + '_>,
        brush: &dyn Brush,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>> {
        let [channels, height, width] = self.shape;
        let batch = self.seeds.len();
        let (given, rows) = match &self.given {
            Some((images, rows)) => (values(images.clone().permute([2, 3, 0, 1]))?, *rows), // [H, W, B, C]
            None => (Vec::new(), 0),
        };
        let tensor = |pixel: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(pixel.to_vec(), [batch, channels]), self.device)
        };
        let size = batch * channels;
        let mut canvas = vec![0.0f32; height * width * size]; // [H, W, B, C]
        for (number, pixels) in canvas.chunks_mut(size.max(1)).enumerate() {
            if number % width == 0 {
                if watch.stopped() {
                    return Err(Error::Interrupted);
                }
                watch.progress("painting rows", (number / width) as u64, height as u64);
            }
            if number / width < rows {
                pixels.copy_from_slice(&given[number * size..(number + 1) * size]);
                walk.predict(tensor(pixels));
            } else {
                for range in brush.strokes() {
                    let parameters = values(walk.predict(tensor(pixels)))?;
                    let each = parameters.chunks((parameters.len() / batch).max(1));
                    for ((pixel, parameters), &seed) in pixels.chunks_mut(channels).zip(each).zip(self.seeds)
                    {
                        let first = range.start as u32;
                        let mut rng = Rng::new(seed, Purpose::SampleStep, number as u32, first);
                        brush.stroke(parameters, range.clone(), self.temperature, &mut rng, pixel);
                    }
                }
            }
            walk.advance(tensor(pixels));
        }
        watch.progress("painting rows", height as u64, height as u64);
        let canvas =
            Tensor::<4>::from_data(TensorData::new(canvas, [height, width, batch, channels]), self.device);
        Ok(canvas.permute([2, 3, 0, 1]))
    }
}
