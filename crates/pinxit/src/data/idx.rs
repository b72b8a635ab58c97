//! IDX files of 8-bit grey pictures: MNIST and its relatives (LeCun, Cortes and Burges 1998).

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use image::{ColorType, DynamicImage, GrayImage};
use sha2::Sha256;

use super::decode::{Decoded, Header};
use super::source::{Loaded, Source, content_hash, identify_file, read_record};
use crate::error::{Error, Result};

/// Two zeros, type 8 (unsigned byte), 3 dimensions: number, rows, columns.
const IMAGES: [u8; 4] = [0, 0, 8, 3];
/// Two zeros, type 8 (unsigned byte), 1 dimension.
const LABELS: [u8; 4] = [0, 0, 8, 1];
const IMAGES_HEADER: u64 = 16;
const LABELS_HEADER: usize = 8;

/// The pictures of an IDX file and the labels of the file beside it.
pub(super) struct Idx {
    images: PathBuf,
    name: String,
    /// Path, length and time of each file that the content depends on.
    files: Vec<(PathBuf, Metadata)>,
    count: usize,
    height: u32,
    width: u32,
    labels: Option<Vec<u8>>,
    classes: Vec<String>,
    /// EMNIST stores its pictures column by column.
    transposed: bool,
}

/// Whether `head` begins an IDX file of any kind.
pub(super) fn is_idx(head: &[u8]) -> bool {
    head.starts_with(&IMAGES) || head.starts_with(&LABELS)
}

/// The IDX file of training pictures in `folder`, by its usual names.
pub(super) fn find_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let is_training_set = |path: &PathBuf| {
        let name = file_name(path);
        name.contains("train-images") && name.contains("idx3") && !name.ends_with(".gz")
    };
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(is_training_set).min()
}

impl Idx {
    /// Opens the pictures at `path`; their labels lie beside them under the same name with
    /// `labels` for `images` and `idx1` for `idx3`.
    ///
    /// # Errors
    /// [`Error::Data`] if head and length don't fit together, [`Error::Io`] if a file can't be read.
    pub(super) fn open(path: &Path, labels: bool) -> Result<Self> {
        let path = fs::canonicalize(path).map_err(Error::io(path, "opening the IDX file"))?;
        let metadata = fs::metadata(&path).map_err(Error::io(&path, "opening the IDX file"))?;
        let [count, height, width] = dimensions(&path, metadata.len())?;
        let name = file_name(&path);
        let mut idx = Self {
            transposed: name.starts_with("emnist"),
            files: vec![(path.clone(), metadata)],
            images: path,
            name,
            count: count as usize,
            height,
            width,
            labels: None,
            classes: Vec::new(),
        };
        if labels {
            idx.find_labels()?;
        }
        Ok(idx)
    }

    fn find_labels(&mut self) -> Result<()> {
        let path = self.images.with_file_name(self.name.replace("images", "labels").replace("idx3", "idx1"));
        if path == self.images || !path.exists() {
            return Ok(());
        }
        let metadata = fs::metadata(&path).map_err(Error::io(&path, "opening the labels"))?;
        let bytes = fs::read(&path).map_err(Error::io(&path, "reading the labels"))?;
        let labels = bytes.get(LABELS_HEADER..).filter(|_| bytes.starts_with(&LABELS));
        let labels = labels.ok_or_else(|| Error::data(&path, "no IDX file of 8-bit labels"))?;
        if labels.len() != self.count {
            let message = format!("{} labels for {} pictures in {}", labels.len(), self.count, self.name);
            return Err(Error::data(&path, message));
        }
        let classes = labels.iter().max().map_or(0, |&label| u32::from(label) + 1);
        self.classes = (0..classes).map(|class| class.to_string()).collect();
        self.labels = Some(labels.to_vec());
        self.files.push((path, metadata));
        Ok(())
    }

    fn header(&self) -> Header {
        let (width, height) =
            if self.transposed { (self.height, self.width) } else { (self.width, self.height) };
        Header { format: "IDX", width, height, color: ColorType::L8 }
    }
}

/// Number, height and width of the pictures, checked against the length of the file.
fn dimensions(path: &Path, length: u64) -> Result<[u32; 3]> {
    let mut head = Vec::with_capacity(IMAGES_HEADER as usize);
    File::open(path)
        .and_then(|file| file.take(IMAGES_HEADER).read_to_end(&mut head))
        .map_err(Error::io(path, "reading the IDX file"))?;
    if head.starts_with(&LABELS) {
        return Err(Error::data(
            path,
            "these are labels; name the file of the pictures, such as train-images-idx3-ubyte",
        ));
    }
    if head.len() < IMAGES_HEADER as usize || !head.starts_with(&IMAGES) {
        return Err(Error::data(
            path,
            "no IDX file of 8-bit pictures (its head must be 00 00 08 03 and three sizes)",
        ));
    }
    let size = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let [count, height, width] = [size(4), size(8), size(12)];
    let expected = u128::from(count) * u128::from(height) * u128::from(width) + u128::from(IMAGES_HEADER);
    if expected != u128::from(length) || height == 0 || width == 0 || count == 0 {
        return Err(Error::data(
            path,
            format!(
                "damaged: {count} pictures of {height}x{width} take {expected} bytes, the file has {length}"
            ),
        ));
    }
    Ok([count, height, width])
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

impl Source for Idx {
    fn len(&self) -> usize {
        self.count
    }

    fn name(&self, index: usize) -> String {
        format!("#{index}")
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn header(&self, _: usize) -> Result<Header, String> {
        Ok(self.header())
    }

    fn load(&self, index: usize) -> Result<Loaded, String> {
        let area = self.height as usize * self.width as usize;
        let bytes = read_record(&self.images, IMAGES_HEADER + (index * area) as u64, area)?;
        let hash = content_hash(&bytes);
        let stored = GrayImage::from_raw(self.width, self.height, bytes).ok_or("it is cut off")?;
        let image = if self.transposed { transpose(&stored) } else { stored };
        let decoded = Decoded::from_image(DynamicImage::ImageLuma8(image), "IDX");
        let label = self.labels.as_ref().map(|labels| u32::from(labels[index]));
        Ok(Loaded { decoded, hash, label })
    }

    fn identify(&self, hasher: &mut Sha256) {
        for (path, metadata) in &self.files {
            identify_file(hasher, path, metadata);
        }
    }
}

fn transpose(image: &GrayImage) -> GrayImage {
    GrayImage::from_fn(image.height(), image.width(), |x, y| *image.get_pixel(y, x))
}
