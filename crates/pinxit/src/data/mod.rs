//! Pictures in: folders, files and built-in sets become [`Batch`]es.

pub mod builtin;
pub(crate) mod planes;
pub(crate) mod resize;

use burn::tensor::Tensor;

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

    /// Whether a picture of this shape holds nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
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
    /// decides the split and the identity in reports.
    fn content_hash(&self, index: usize) -> u64;
}

/// What a learner sees in one step.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[B, C, H, W]` in `[-1, 1]`.
    pub images: Tensor<4>,
    /// `[B]` indices of classes; empty if the data has none.
    pub labels: Vec<u32>,
    /// `[B]` indices into the data set.
    pub ids: Vec<u32>,
    /// Place of the first picture in the whole batch of the step; not 0 only in a part of a
    /// divided batch. Random numbers of picture i are keyed by `offset + i`.
    pub offset: usize,
}

impl Batch {
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
                Batch {
                    images: self.images.clone().narrow(0, start, end - start),
                    labels: self.labels.get(start..end).map_or_else(Vec::new, <[u32]>::to_vec),
                    ids: self.ids[start..end].to_vec(),
                    offset: self.offset + start,
                }
            })
            .collect()
    }
}
