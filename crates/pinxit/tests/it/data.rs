//! From files to batches.

mod binary_sets;
mod cache;
mod folder;
mod formats;
mod hostile;
mod loader;
mod pairs;
mod pictures;

use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use pinxit::Result;
use pinxit::data::{self, Dataset, Opened};
use pinxit::recipe::DataRecipe;
use pinxit::watch::Unwatched;
use tempfile::TempDir;

/// A folder of test pictures with a cache beside it; both go away with it.
struct Scene {
    folder: TempDir,
    cache: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), cache: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Saves in the format of the extension.
    fn save(&self, name: &str, image: &DynamicImage) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image.save(&path).unwrap();
        path
    }

    fn recipe(&self) -> DataRecipe {
        DataRecipe { source: self.folder.path().to_str().unwrap().into(), ..DataRecipe::default() }
    }

    fn open_with(&self, recipe: &DataRecipe) -> Result<Opened> {
        data::open(recipe, self.cache.path(), &mut Unwatched)
    }

    fn open(&self) -> Opened {
        self.open_with(&self.recipe()).unwrap()
    }
}

/// An 8-bit colour picture that `seed` makes differ from others.
fn colourful(width: u32, height: u32, seed: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        let level = |v: u32| (v % 256) as u8;
        image::Rgb([level(x * 9 + seed * 31), level(y * 7 + seed * 57), level((x + y) * 4 + seed * 101)])
    }))
}

fn values(dataset: &dyn Dataset, index: usize) -> Vec<f32> {
    let mut out = vec![0.0; dataset.shape().len()];
    dataset.read(index, &mut out);
    out
}

/// The values of a picture as bytes.
fn bytes(dataset: &dyn Dataset, index: usize) -> Vec<u8> {
    values(dataset, index).iter().map(|v| ((v + 1.0) * 127.5).round() as u8).collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../oracle/golden").join(name)
}

fn error_of<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}
