//! Pictures in: folders, files and built-in sets become [`Batch`]es.
//!
//! [`open`] decodes a source once into a file that is mapped into memory (`prepare`, `cache`);
//! [`split::view`] divides it into training and held-out pictures; [`loader::Loader`] makes the
//! batch of any step.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

pub mod builtin;

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::watch::Watch;

pub mod augment;
mod cache;
mod cifar;
pub mod contact;
mod crop;
pub(crate) mod decode;
mod find;
mod folder;
mod idx;
mod jpeg;
pub mod loader;
mod originals;
pub mod pairs;
pub(crate) mod planes;
mod prepare;
pub mod report;
pub(crate) mod resize;
mod source;
pub mod split;
mod survey;

pub use cache::default_cache_dir;
pub use find::find_pictures;
pub use loader::Loader;
pub use originals::Originals;
pub use pairs::Inputs;
pub use report::ScanReport;
pub use split::{Split, View};

use source::Source;

/// What [`open`] gives.
pub struct Opened {
    /// Every usable picture.
    pub dataset: Box<dyn Dataset>,
    /// What was found and what could not be used.
    pub report: ScanReport,
}

/// Opens the pictures that `recipe.source` names and brings them to one shape.
///
/// With `recipe.pair` the set has [`inputs`](Dataset::inputs), with `recipe.crop` its pictures are read
/// in parts.
///
/// The decoded pictures are kept in `cache_dir` (see [`default_cache_dir`]) and found there the
/// next time, as long as neither the files nor the settings change.
///
/// # Errors
/// [`Error::Config`] for settings that can't be, [`Error::Data`] if there is no usable picture,
/// [`Error::Io`] if a folder can't be read or the cache can't be written, [`Error::Interrupted`]
/// when the watcher stops it. A picture that can't be used is no error: the report names it.
pub fn open(recipe: &DataRecipe, cache_dir: &Path, watch: &mut dyn Watch) -> Result<Opened> {
    let opened = match recipe.pair {
        Some(pair) => pairs::open(pair, recipe, cache_dir, watch)?,
        None => open_one(recipe, cache_dir, watch)?,
    };
    match recipe.crop {
        Some(sides) => Ok(Opened { dataset: crop::crop(opened.dataset.into(), sides)?, ..opened }),
        None => Ok(opened),
    }
}

/// Opens the pictures of `recipe.source` by themselves.
fn open_one(recipe: &DataRecipe, cache_dir: &Path, watch: &mut dyn Watch) -> Result<Opened> {
    if let Some(name) = recipe.source.strip_prefix("builtin:") {
        let dataset = builtin::open(name, recipe)?;
        let report = ScanReport::of(&*dataset, &recipe.source);
        return Ok(Opened { dataset, report });
    }
    let path = Path::new(&recipe.source);
    if recipe.source.is_empty() {
        return Err(Error::config(format!("data.source is empty: name {SOURCES}")));
    }
    if !path.exists() {
        return Err(not_found(path));
    }
    prepare::prepare(&*source(path, recipe)?, recipe, cache_dir, watch)
}

/// The pictures at a path, not yet brought to one shape.
fn source(path: &Path, recipe: &DataRecipe) -> Result<Box<dyn Source>> {
    if path.is_dir() { folder_source(path, recipe) } else { file_source(path, recipe) }
}

fn not_found(path: &Path) -> Error {
    Error::data(path, format!("not found; name {SOURCES}"))
}

/// What can be opened, for messages.
const SOURCES: &str = "a folder of pictures, an IDX or CIFAR binary file, or builtin:NAME";

/// The pictures in a folder; if there are none, the CIFAR or IDX training set that lies there.
fn folder_source(path: &Path, recipe: &DataRecipe) -> Result<Box<dyn Source>> {
    let pictures = folder::Folder::open(path, recipe.labels)?;
    if pictures.len() > 0 {
        return Ok(Box::new(pictures));
    }
    let cifar = cifar::find_in(path);
    if !cifar.is_empty() {
        return Ok(Box::new(cifar::Cifar::open(&cifar, recipe.labels)?));
    }
    match idx::find_in(path) {
        Some(path) => Ok(Box::new(idx::Idx::open(&path, recipe.labels)?)),
        None => Ok(Box::new(pictures)),
    }
}

/// The pictures in a file, told by its first bytes and its length.
fn file_source(path: &Path, recipe: &DataRecipe) -> Result<Box<dyn Source>> {
    let reading = "reading the file";
    let file = File::open(path).map_err(Error::io(path, reading))?;
    let length = file.metadata().map_err(Error::io(path, reading))?.len();
    let mut head = Vec::with_capacity(16);
    file.take(16).read_to_end(&mut head).map_err(Error::io(path, reading))?;
    if idx::is_idx(&head) {
        return Ok(Box::new(idx::Idx::open(path, recipe.labels)?));
    }
    if decode::sniff(&head).is_some() {
        return Err(Error::data(path, "this is one picture; name the folder it lies in"));
    }
    if head.starts_with(&GZIP) {
        return Err(Error::data(path, "this is compressed; unpack it with gunzip and name the result"));
    }
    if cifar::fits(length) {
        return Ok(Box::new(cifar::Cifar::open(&[path.into()], recipe.labels)?));
    }
    Err(Error::data(path, format!("neither a folder nor a file of pictures; name {SOURCES}")))
}

/// How a gzip file begins (RFC 1952).
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Height, width and number of channels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ImageShape {
    /// 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageShape {
    /// Number of values of one picture.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether the last channel is alpha.
    pub fn has_alpha(self) -> bool {
        has_alpha(self.channels)
    }

    /// Whether a picture of this shape holds nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Whether the last of `channels` is alpha: grey + alpha and RGBA have an even number.
fn has_alpha(channels: usize) -> bool {
    channels.is_multiple_of(2)
}

/// What a family must know of the pictures.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DataFacts {
    /// Shape of the pictures after decoding.
    pub shape: ImageShape,
    /// Names of the classes; empty if there are none.
    pub classes: Vec<String>,
    /// Number of training pictures.
    pub count: usize,
    /// What goes into a model of pictures to pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<InputFacts>,
}

/// What a family of pictures to pictures must know of what goes in: pictures of the same sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputFacts {
    /// Their channels.
    pub channels: usize,
    /// Whether each belongs to the picture that it is to become.
    pub paired: bool,
}

impl DataFacts {
    /// The facts of training pictures.
    pub fn of(dataset: &dyn Dataset) -> Self {
        let inputs = dataset.inputs();
        let facts =
            |inputs: Inputs| InputFacts { channels: inputs.dataset.shape().channels, paired: inputs.paired };
        Self {
            shape: dataset.shape(),
            classes: dataset.classes().to_vec(),
            count: dataset.len(),
            inputs: inputs.map(facts),
        }
    }
}

/// Pictures that were decoded, cropped and scaled to one shape.
pub trait Dataset: Send + Sync {
    /// Shape of every picture.
    fn shape(&self) -> ImageShape;

    /// Number of pictures.
    fn len(&self) -> usize;

    /// Whether there is no picture.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes; empty if the pictures have no labels.
    fn classes(&self) -> &[String];

    /// Class of picture `index`, an index into `classes`; 0 if there are none.
    fn label(&self, index: usize) -> u32;

    /// Writes picture `index` into `out`, planar `[C, H, W]` in `[-1, 1]`.
    fn read(&self, index: usize, out: &mut [f32]);

    /// Where picture `index` came from, as shown to a user: a path, or `digits #17`.
    fn name(&self, index: usize) -> String;

    /// A number that identifies the content of picture `index`, stable when pictures are added:
    /// the identity in reports.
    fn content_hash(&self, index: usize) -> u64;

    /// The group of picture `index`: pictures of one group are trained on or held out together. Each is
    /// one by itself, with its copies, unless a set knows better, as of parts of one photograph.
    fn group(&self, index: usize) -> u64 {
        self.content_hash(index)
    }

    /// The pictures that go into a model which is to make these; none for models that need none.
    fn inputs(&self) -> Option<Inputs> {
        None
    }

    /// Rows and columns by which the part that is read of a picture can move.
    fn room(&self) -> [usize; 2] {
        [0, 0]
    }

    /// As [`read`](Self::read), the part that begins at `offset`, rows and columns within the
    /// [`room`](Self::room).
    fn read_at(&self, index: usize, offset: [usize; 2], out: &mut [f32]) {
        let _ = offset;
        self.read(index, out);
    }

    /// As [`read`](Self::read), the rows and columns `sides` from `offset` on, which the picture must have.
    fn read_part(&self, index: usize, [top, left]: [usize; 2], [height, width]: [usize; 2], out: &mut [f32]) {
        let whole = self.shape();
        let mut pixels = vec![0.0; whole.len()];
        self.read(index, &mut pixels);
        let rows = (0..whole.channels * height).map(|row| (row / height, row % height));
        for ((channel, y), out) in rows.zip(out.chunks_exact_mut(width)) {
            let start = (channel * whole.height + top + y) * whole.width + left;
            out.copy_from_slice(&pixels[start..start + width]);
        }
    }
}

/// A number for the pictures of a set and their labels in their order: a run goes on only with the
/// pictures that it began with.
pub fn fingerprint(dataset: &dyn Dataset) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a over 64-bit words
    let mut add = |dataset: &dyn Dataset| {
        for index in 0..dataset.len() {
            for word in [dataset.content_hash(index), u64::from(dataset.label(index))] {
                hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    };
    add(dataset);
    if let Some(inputs) = dataset.inputs() {
        add(&*inputs.dataset);
    }
    format!("{} pictures {hash:016x}", dataset.len())
}

/// What a learner sees in one step.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[B, C, H, W]` in `[-1, 1]`.
    pub images: Tensor<4>,
    /// What goes into a model of pictures to pictures, `[B, C', H, W]` in `[-1, 1]`.
    pub inputs: Option<Tensor<4>>,
    /// `[B]` indices of classes; empty if the data has none.
    pub labels: Vec<u32>,
    /// `[B]` indices into the data set.
    pub ids: Vec<u32>,
    /// Place of the first picture in the whole batch of the step; not 0 only in a part of a
    /// divided batch. Random numbers of picture i are keyed by `offset + i`.
    pub offset: usize,
}

impl Batch {
    /// The pictures of `dataset` from `indices.start` to before `indices.end`, which it must have.
    pub fn read(dataset: &dyn Dataset, indices: Range<usize>, device: &Device) -> Self {
        let label = |index| dataset.label(index);
        let inputs = dataset.inputs().map(|inputs| {
            // Pictures that belong to none in particular go round where there are fewer of them.
            let count = inputs.dataset.len().max(1);
            read_images(&*inputs.dataset, indices.clone().map(|index| index % count), device)
        });
        Self {
            images: read_images(dataset, indices.clone(), device),
            inputs,
            labels: if dataset.classes().is_empty() {
                Vec::new()
            } else {
                indices.clone().map(label).collect()
            },
            ids: indices.map(|index| index as u32).collect(),
            offset: 0,
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The batch in `parts` nearly equal parts, in order (fewer if there are fewer pictures).
    pub fn split(&self, parts: usize) -> Vec<Batch> {
        let size = self.len().div_ceil(parts.max(1)).max(1);
        (0..self.len())
            .step_by(size)
            .map(|start| {
                let end = (start + size).min(self.len());
                let part = |images: &Tensor<4>| images.clone().narrow(0, start, end - start);
                Batch {
                    images: part(&self.images),
                    inputs: self.inputs.as_ref().map(part),
                    labels: self.labels.get(start..end).map_or_else(Vec::new, <[u32]>::to_vec),
                    ids: self.ids[start..end].to_vec(),
                    offset: self.offset + start,
                }
            })
            .collect()
    }
}

/// The pictures at `indices`, `[B, C, H, W]`.
fn read_images(
    dataset: &dyn Dataset,
    indices: impl ExactSizeIterator<Item = usize>,
    device: &Device,
) -> Tensor<4> {
    let ImageShape { channels, height, width } = dataset.shape();
    let (size, count) = (dataset.shape().len(), indices.len());
    let mut values = vec![0.0; count * size];
    for (index, picture) in indices.zip(values.chunks_exact_mut(size.max(1))) {
        dataset.read(index, picture);
    }
    Tensor::from_data(TensorData::new(values, [count, channels, height, width]), device)
}
