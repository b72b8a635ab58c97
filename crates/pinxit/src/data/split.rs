//! Training and held-out pictures, told apart by the content of each or of the group that it is in.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Dataset, ImageShape, Inputs};
use crate::error::{Error, Result};

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What training sees.
    Train,
    /// What training never sees.
    Heldout,
    /// The part of it by which a run may be steered: when to stop, which checkpoint is best.
    Validation,
    /// The other part: nothing is decided by it, so that its scores are honest.
    Test,
    /// Every picture.
    All,
}

/// The pictures of `split`, in the order of the data set.
///
/// A picture is held out if the hash of its [group](Dataset::group), usually of its content, lies in the
/// lowest `holdout` of all hashes: adding pictures moves none of the others, and copies of a picture stay
/// together; the lower half of these is for tests, the upper for validation. Only where a class would be left
/// without a training picture, the group with its highest hash stays in training. The held-out part of a small
/// set may be empty.
///
/// # Errors
/// [`Error::Config`] if `holdout` is not 0 to 0.9 or leaves no picture for training.
pub fn view(dataset: Arc<dyn Dataset>, split: Split, holdout: f64) -> Result<View> {
    if !(0.0..=0.9).contains(&holdout) {
        return Err(Error::config(format!("data.holdout = {holdout}: must be 0 to 0.9")));
    }
    let kept = kept_for_training(&*dataset, holdout);
    let is_heldout = |index: usize| {
        let hash = dataset.group(index);
        fraction(hash) < holdout && !kept.contains(&hash)
    };
    let (heldout, train): (Vec<u32>, Vec<u32>) =
        (0..dataset.len() as u32).partition(|&index| is_heldout(index as usize));
    if train.is_empty() {
        return Err(Error::config(format!(
            "data.holdout = {holdout} leaves none of {} pictures for training: lower it, 0 trains on all",
            dataset.len()
        )));
    }
    let is_test = |index: &u32| fraction(dataset.group(*index as usize)) < holdout / 2.0;
    let indices = match split {
        Split::Train => train,
        Split::Heldout => heldout,
        Split::Validation => heldout.into_iter().filter(|index| !is_test(index)).collect(),
        Split::Test => heldout.into_iter().filter(is_test).collect(),
        Split::All => (0..dataset.len() as u32).collect(),
    };
    let inputs = match dataset.inputs() {
        Some(Inputs { dataset, paired: true }) => {
            Some(Inputs { dataset: Arc::new(View::of(dataset, indices.clone())), paired: true })
        }
        Some(Inputs { dataset, paired: false }) => {
            Some(Inputs { dataset: Arc::new(view(dataset, split, holdout)?), paired: false })
        }
        None => None,
    };
    Ok(View { dataset, indices, inputs })
}

/// Hashes that are not held out because their class has nothing else.
fn kept_for_training(dataset: &dyn Dataset, holdout: f64) -> HashSet<u64> {
    let mut highest: Vec<Option<u64>> = vec![None; dataset.classes().len()];
    for index in 0..dataset.len() {
        let hash = dataset.group(index);
        if let Some(class) = highest.get_mut(dataset.label(index) as usize)
            && class.is_none_or(|other| mix(other) < mix(hash))
        {
            *class = Some(hash);
        }
    }
    highest.into_iter().flatten().filter(|&hash| fraction(hash) < holdout).collect()
}

/// A hash as a number in `[0, 1)`.
fn fraction(hash: u64) -> f64 {
    (mix(hash) >> 11) as f64 / (1u64 << 53) as f64
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): spreads hashes that are not uniform.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// Some pictures of a data set, as a data set.
#[derive(Clone)]
pub struct View {
    dataset: Arc<dyn Dataset>,
    indices: Vec<u32>,
    inputs: Option<Inputs>,
}

impl View {
    /// The pictures at `indices`, without what goes into a model that makes them.
    pub(super) fn of(dataset: Arc<dyn Dataset>, indices: Vec<u32>) -> Self {
        Self { dataset, indices, inputs: None }
    }

    /// The same with what goes in, a picture each if they are paired.
    pub(super) fn with_inputs(self, inputs: Inputs) -> Self {
        Self { inputs: Some(inputs), ..self }
    }

    /// Where picture `index` of the view lies in the whole data set.
    pub fn source_index(&self, index: usize) -> usize {
        self.indices[index] as usize
    }
}

impl Dataset for View {
    fn shape(&self) -> ImageShape {
        self.dataset.shape()
    }

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.dataset.label(self.source_index(index))
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        self.dataset.read(self.source_index(index), out);
    }

    fn name(&self, index: usize) -> String {
        self.dataset.name(self.source_index(index))
    }

    fn content_hash(&self, index: usize) -> u64 {
        self.dataset.content_hash(self.source_index(index))
    }

    fn group(&self, index: usize) -> u64 {
        self.dataset.group(self.source_index(index))
    }

    fn inputs(&self) -> Option<Inputs> {
        self.inputs.clone()
    }

    fn room(&self) -> [usize; 2] {
        self.dataset.room()
    }

    fn read_at(&self, index: usize, offset: [usize; 2], out: &mut [f32]) {
        self.dataset.read_at(self.source_index(index), offset, out);
    }

    fn read_part(&self, index: usize, offset: [usize; 2], sides: [usize; 2], out: &mut [f32]) {
        self.dataset.read_part(self.source_index(index), offset, sides, out);
    }
}
