//! Pictures to be measured: originals on the disk, a data set, or pictures in memory.

use sha2::{Digest, Sha256};

use crate::data::{Dataset, Originals};
use crate::error::Result;
use crate::image_io::Picture;

/// A numbered list of pictures that can be read in any order, from any thread.
pub trait Pictures: Sync {
    /// Number of pictures.
    fn len(&self) -> usize;

    /// Whether there is no picture.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Picture `index`.
    ///
    /// # Errors
    /// If it can't be decoded.
    fn picture(&self, index: usize) -> Result<Picture>;

    /// Where picture `index` came from, as shown to a user.
    fn name(&self, index: usize) -> String;
}

impl Pictures for Originals {
    fn len(&self) -> usize {
        Originals::len(self)
    }

    fn picture(&self, index: usize) -> Result<Picture> {
        Ok(Originals::picture(self, index)?.0)
    }

    fn name(&self, index: usize) -> String {
        Originals::name(self, index)
    }
}

impl<D: Dataset + ?Sized> Pictures for D {
    fn len(&self) -> usize {
        Dataset::len(self)
    }

    fn picture(&self, index: usize) -> Result<Picture> {
        let shape = self.shape();
        let mut values = vec![0.0; shape.len()];
        self.read(index, &mut values);
        Ok(Picture::from_planar(&values, shape))
    }

    fn name(&self, index: usize) -> String {
        Dataset::name(self, index)
    }
}

impl Pictures for Vec<Picture> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn picture(&self, index: usize) -> Result<Picture> {
        Ok(self[index].clone())
    }

    fn name(&self, index: usize) -> String {
        format!("picture {index}")
    }
}

/// Identifies pictures by their pixels and their order.
#[derive(Clone, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Takes up the next picture.
    pub fn add(&mut self, picture: &Picture) {
        let shape = picture.shape;
        for size in [shape.channels, shape.height, shape.width] {
            self.0.update((size as u64).to_le_bytes());
        }
        self.0.update(&picture.pixels);
    }

    /// 32 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
