//! Pictures as they lie on the disk, at whatever size they have, for measures that resize in their own way.

use std::path::Path;

use super::planes::Planes;
use super::source::Source;
use super::{ImageShape, file_source, folder_source, not_found};
use crate::error::{Error, Result};
use crate::image_io::Picture;
use crate::recipe::DataRecipe;

/// The pictures of a folder or a file of pictures, decoded one by one when they are asked for.
pub struct Originals {
    source: Box<dyn Source>,
    path: String,
}

impl Originals {
    /// Finds the pictures at `path`, in the order of their names.
    ///
    /// # Errors
    /// [`Error::Data`] if there is nothing, or no picture.
    pub fn open(path: &str) -> Result<Self> {
        let recipe = DataRecipe { source: path.into(), ..DataRecipe::default() };
        let place = Path::new(path);
        if !place.exists() {
            return Err(not_found(place));
        }
        let source =
            if place.is_dir() { folder_source(place, &recipe)? } else { file_source(place, &recipe)? };
        if source.len() == 0 {
            return Err(Error::data(place, "there are no pictures in it"));
        }
        Ok(Self { source, path: path.into() })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where picture `index` lies.
    pub fn name(&self, index: usize) -> String {
        Path::new(&self.path).join(self.source.name(index)).display().to_string()
    }

    /// Picture `index` in RGB, transparency laid over white, and the number that its content has in
    /// every data set.
    ///
    /// # Errors
    /// [`Error::Data`] with the reason why it can't be used.
    pub fn picture(&self, index: usize) -> Result<(Picture, u64)> {
        let loaded = self.source.load(index).map_err(|reason| Error::data(self.name(index), reason))?;
        let planes = Planes::<u8>::from_image(&loaded.decoded.image).ok_or_else(|| {
            Error::data(
                self.name(index),
                "floating-point pictures have no fixed range; save it with 8 or 16 bits",
            )
        })?;
        let Planes { width, height, planes } = planes.into_channels(3, 255);
        let pixels = (0..width * height).flat_map(|at| planes.iter().map(move |plane| plane[at])).collect();
        Ok((Picture { shape: ImageShape { channels: 3, height, width }, pixels }, loaded.hash))
    }
}
