//! A picture file on its way through a model: what the model doesn't see of it is kept.

use std::path::Path;

use super::tiles::Image;
use crate::data::planes::{Planes, Sample};
use crate::data::resize;
use crate::error::{Error, Result};
use crate::image_io::{self, Overwrite};
use crate::recipe::Fit;

/// Largest value of 16 bits, halved: the middle of `[-1, 1]`.
const HALF: f32 = 32_767.5;

/// What was in a file.
pub(super) struct Original {
    /// What goes into the model.
    pub(super) image: Image,
    /// The alpha plane, where the model sees none.
    alpha: Option<Planes<u16>>,
    /// Bits of a value.
    bits: u32,
}

impl Original {
    /// Reads a picture for a model of `channels`. Colour turns to grey and grey to colour, as the model wants it;
    /// alpha is laid aside unless the model sees it.
    ///
    /// # Errors
    /// [`Error::Io`] if the file can't be read, [`Error::Data`] if it is no usable picture.
    pub(super) fn read(path: &Path, channels: usize, background: u8) -> Result<Self> {
        let (mut planes, bits) = image_io::read_planes(path)?;
        let (width, height) = (planes.width, planes.height);
        let sees_alpha = channels.is_multiple_of(2);
        let alpha = if planes.alpha().is_some() && !sees_alpha { planes.planes.pop() } else { None };
        let planes = planes.into_channels(channels, background);
        let values = planes.planes.iter().flatten().map(|&value| f32::from(value) / HALF - 1.0).collect();
        Ok(Self {
            image: Image { channels, height, width, values },
            alpha: alpha.map(|alpha| Planes { width, height, planes: vec![alpha] }),
            bits,
        })
    }

    /// Which pixels are white in the picture at `path`.
    ///
    /// # Errors
    /// [`Error::Data`] if it is no usable picture, or of another size.
    pub(super) fn mask(&self, path: &Path) -> Result<Vec<bool>> {
        let mask = Self::read(path, 1, 0)?.image;
        let Image { height, width, .. } = self.image;
        if (mask.height, mask.width) != (height, width) {
            return Err(Error::data(
                path,
                format!(
                    "the mask has {}x{} pixels and the picture {height}x{width}: bring it to the same size",
                    mask.height, mask.width
                ),
            ));
        }
        Ok(mask.values.iter().map(|&value| value >= 0.0).collect())
    }

    /// Adds so many pixels on every side, the picture mirrored, and says which they are.
    pub(super) fn extend(&mut self, margin: usize) -> Vec<bool> {
        let (height, width) = (self.image.height, self.image.width);
        self.image = self.image.framed(margin);
        let inside = |at: usize, size: usize| (margin..margin + size).contains(&at);
        let wide = self.image.width;
        let is_new = |i: usize| !(inside(i / wide, height) && inside(i % wide, width));
        let hidden: Vec<bool> = (0..self.image.height * wide).map(is_new).collect();
        if let Some(alpha) = &mut self.alpha {
            let old = |i: usize| alpha.planes[0][(i / wide - margin) * width + i % wide - margin];
            let plane =
                hidden.iter().enumerate().map(|(i, &new)| if new { u16::MAX } else { old(i) }).collect();
            *alpha = Planes { width: wide, height: self.image.height, planes: vec![plane] };
        }
        hidden
    }

    /// Writes what came out, with the alpha that was laid aside and as many bits.
    ///
    /// # Errors
    /// Those of [`save_png`](crate::image_io::save_png).
    pub(super) fn save(
        &self,
        made: &Image,
        path: &Path,
        texts: &[(String, String)],
        overwrite: Overwrite,
    ) -> Result<()> {
        let &Image { channels, height, width, ref values } = made;
        // As a model of 8-bit pictures means it: its levels are 257 apart in 16 bits.
        let level = |value: &f32| match self.bits {
            16 => u16::from_f32((value + 1.0) * HALF),
            _ => u16::from_8(u8::from_f32((value + 1.0) * 127.5)),
        };
        let plane = |plane: &[f32]| plane.iter().map(level).collect();
        let mut planes: Vec<Vec<u16>> = values.chunks_exact((height * width).max(1)).map(plane).collect();
        if let Some(alpha) = &self.alpha
            && !channels.is_multiple_of(2)
        {
            planes.extend(resize::fit(alpha.clone(), height, width, Fit::Crop, 0).planes);
        }
        image_io::save_planes(path, &Planes { width, height, planes }, self.bits, texts, overwrite)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use image::{DynamicImage, ImageBuffer};

    use super::*;

    /// A model that changes nothing gives back the file, to the bit, with its alpha and its 16 bits.
    #[test]
    fn what_the_model_does_not_see_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("in.png"), folder.path().join("out.png"));
        let deep = ImageBuffer::from_fn(9, 5, |x, y| {
            image::Rgba([x * 7001, y * 13_001, 65_535 - x, 60_000 - 9_999 * y].map(|v| v as u16))
        });
        let shallow = ImageBuffer::from_fn(9, 5, |x, y| image::LumaA([(x * 28) as u8, (y * 51) as u8]));
        for (image, channels) in
            [(DynamicImage::ImageRgba16(deep), 3), (DynamicImage::ImageLumaA8(shallow), 1)]
        {
            image.save(&from).unwrap();
            let original = Original::read(&from, channels, 255).unwrap();
            assert_eq!(
                (original.image.channels, original.image.height, original.image.width),
                (channels, 5, 9)
            );
            original.save(&original.image, &to, &[], Overwrite::Allow).unwrap();
            let back = image::open(&to).unwrap();
            assert_eq!(back.color(), image.color());
            assert!(back == image, "{:?}", image.color());
        }
    }

    #[test]
    fn alpha_grows_with_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("in.png"), folder.path().join("out.png"));
        ImageBuffer::from_pixel(4, 3, image::LumaA([90u8, 200])).save(&from).unwrap();
        let original = Original::read(&from, 1, 255).unwrap();
        let made = Image { channels: 1, height: 6, width: 8, values: vec![0.5; 48] };
        original.save(&made, &to, &[], Overwrite::Refuse).unwrap();
        let back = image::open(&to).unwrap().into_luma_alpha8();
        assert_eq!(back.dimensions(), (8, 6));
        assert!(back.pixels().all(|pixel| pixel.0 == [191, 200]));
    }
}
