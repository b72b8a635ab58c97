//! From a picture to the small one that a camera or a web page would have left of it.

use std::io::Cursor;

use burn::tensor::{Tensor, TensorData};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat};

use crate::error::{Error, Result};
use crate::image_io::{self, Picture};
use crate::rng::Rng;

/// What is done to a picture before a model sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Degradation {
    /// Times that both sides shrink.
    pub(super) scale: usize,
    /// Largest standard deviation of a blur before, in pixels of the small picture.
    pub(super) blur: f64,
    /// Largest standard deviation of noise after, as a share of the range.
    pub(super) noise: f64,
    /// Lowest quality of a JPEG file after, 1 to 100; 100 for none.
    pub(super) jpeg: u8,
}

impl Degradation {
    /// Whether it shrinks and nothing else.
    fn is_plain(&self) -> bool {
        self.blur == 0.0 && self.noise == 0.0 && self.jpeg == 100
    }

    /// Pictures `[B, C, H, W]` -> `[B, C, H / scale, W / scale]`; stream i draws how much is done to picture i.
    ///
    /// # Errors
    /// If the pictures can't be read from their device, or not be written as JPEG.
    pub(super) fn apply(&self, images: Tensor<4>, streams: impl Iterator<Item = Rng>) -> Result<Tensor<4>> {
        let ([count, channels, height, width], device) = (images.dims(), images.device());
        let sides = [height / self.scale, width / self.scale];
        if self.is_plain() {
            return image_io::bicubic(images, sides);
        }
        let mut small = Vec::with_capacity(count);
        for (index, mut stream) in (0..count).zip(streams) {
            let image = images.clone().narrow(0, index, 1);
            // A blur in the small picture's pixels is the loss of that much of it: shrink further, and grow again.
            let blur = 1.0 + self.blur * stream.uniform();
            let blurred = sides.map(|side| ((side as f64 / blur).round() as usize).max(1));
            let image = image_io::bicubic(image_io::bicubic(image, blurred)?, sides)?;
            let deviation = self.noise * stream.uniform();
            let quality = 100 - (f64::from(100 - self.jpeg) * stream.uniform()) as u8;
            let mut noise = vec![0.0; channels * sides[0] * sides[1]];
            stream.fill_normal(&mut noise);
            let noise =
                Tensor::<4>::from_data(TensorData::new(noise, [1, channels, sides[0], sides[1]]), &device);
            let image = image + noise * (2.0 * deviation);
            small.push(if quality < 100 { through_jpeg(image, quality)? } else { image });
        }
        Ok(Tensor::cat(small, 0))
    }
}

/// What a JPEG file of this quality keeps of a grey or colour picture; others are as they were.
fn through_jpeg(image: Tensor<4>, quality: u8) -> Result<Tensor<4>> {
    let (dims, device) = (image.dims(), image.device());
    let colour = match dims[1] {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return Ok(image),
    };
    let Some(picture) = image_io::pictures(image.clone())?.pop() else { return Ok(image) };
    let failed =
        |error: image::ImageError| Error::Unsupported(format!("a picture can't go through JPEG: {error}"));
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, quality.max(1));
    encoder.write_image(&picture.pixels, dims[3] as u32, dims[2] as u32, colour).map_err(failed)?;
    let read = image::load(Cursor::new(file), ImageFormat::Jpeg).map_err(failed)?;
    let pixels = match (dims[1], read) {
        (1, read) => DynamicImage::into_luma8(read).into_raw(),
        (_, read) => DynamicImage::into_rgb8(read).into_raw(),
    };
    let values: Vec<f32> = Picture { shape: picture.shape, pixels }.to_planar().collect();
    Ok(Tensor::from_data(TensorData::new(values, dims), &device))
}
