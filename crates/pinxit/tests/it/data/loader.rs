//! Batches, augmentation and the split.

use std::sync::Arc;

use burn::tensor::Device;
use pinxit::data::augment::{brightness, contrast, flip, flip_vertical, rotate, shift};
use pinxit::data::{Batch, Dataset, ImageShape, Loader, Split, split};
use pinxit::recipe::DataRecipe;

use super::error_of;

/// Grey pictures of one value each: picture i shows i, so that a batch tells what it holds.
struct Numbers {
    count: usize,
    shape: ImageShape,
    classes: Vec<String>,
    labels: Vec<u32>,
}

impl Numbers {
    fn new(count: usize, height: usize, width: usize) -> Self {
        let shape = ImageShape { channels: 1, height, width };
        Self { count, shape, classes: Vec::new(), labels: vec![0; count] }
    }

    fn labelled(labels: &[u32]) -> Self {
        let classes = (0..=*labels.iter().max().unwrap()).map(|c| format!("class {c}")).collect();
        Self { classes, labels: labels.to_vec(), ..Self::new(labels.len(), 2, 2) }
    }
}

impl Dataset for Numbers {
    fn shape(&self) -> ImageShape {
        self.shape
    }
    fn len(&self) -> usize {
        self.count
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }
    fn read(&self, index: usize, out: &mut [f32]) {
        for (place, value) in out.iter_mut().enumerate() {
            *value = index as f32 / 1000.0 - (place as f32) / 100_000.0;
        }
    }
    fn name(&self, index: usize) -> String {
        index.to_string()
    }
    fn content_hash(&self, index: usize) -> u64 {
        index as u64
    }
}

fn loader(count: usize, recipe: &DataRecipe, batch: usize) -> Loader {
    Loader::new(Arc::new(Numbers::new(count, 4, 4)), recipe, batch, 7, &Device::flex()).unwrap()
}

fn pixels(batch: &Batch) -> Vec<f32> {
    batch.images.clone().into_data().try_into_vec::<f32>().unwrap()
}

#[test]
fn every_epoch_shows_every_picture_once_in_a_new_order() {
    let loader = loader(10, &DataRecipe::default(), 4);
    let row: Vec<u32> = (0..5).flat_map(|step| loader.batch(step).ids).collect();
    let (first, second) = row.split_at(10);
    assert_ne!(first, second);
    for epoch in [first, second] {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<u32>>());
    }
}

#[test]
fn a_batch_is_a_function_of_its_step_alone() {
    let recipe = DataRecipe {
        flip: true,
        rotate: true,
        shift: 2,
        brightness: 0.1,
        contrast: 0.2,
        ..DataRecipe::default()
    };
    let one = loader(10, &recipe, 4);
    let forward: Vec<_> = (0..30).map(|step| one.batch(step)).collect();
    let other = loader(10, &recipe, 4);
    for step in (0..30).rev() {
        let again = other.batch(step);
        assert_eq!(again.ids, forward[step as usize].ids);
        assert_eq!(pixels(&again), pixels(&forward[step as usize]), "step {step}");
    }
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(single.install(|| pixels(&one.batch(3))), pixels(&forward[3]));
}

#[test]
fn a_batch_may_be_larger_than_the_set() {
    let batch = loader(3, &DataRecipe::default(), 8).batch(0);
    assert_eq!(batch.images.dims(), [8, 1, 4, 4]);
    assert!((0..3).all(|id| batch.ids.iter().filter(|&&i| i == id).count() >= 2), "{:?}", batch.ids);
    assert!(batch.labels.is_empty() && batch.offset == 0);
}

#[test]
fn pictures_and_labels_are_those_of_the_ids() {
    let dataset = Arc::new(Numbers::labelled(&[0, 1, 2, 0, 1, 2]));
    let loader = Loader::new(dataset, &DataRecipe::default(), 6, 1, &Device::flex()).unwrap();
    let batch = loader.batch(0);
    let firsts: Vec<f32> = pixels(&batch).iter().step_by(4).copied().collect();
    for (place, &id) in batch.ids.iter().enumerate() {
        assert_eq!(batch.labels[place], id % 3);
        assert_eq!(firsts[place], id as f32 / 1000.0);
    }
}

#[test]
fn what_cant_be_loaded_is_refused_by_name() {
    let error = |recipe: DataRecipe, height, width, batch| {
        let dataset = Arc::new(Numbers::new(5, height, width));
        error_of(Loader::new(dataset, &recipe, batch, 0, &Device::flex()))
    };
    let plain = DataRecipe::default;
    assert!(error(plain(), 4, 4, 0).contains("train.batch"));
    assert!(error(DataRecipe { rotate: true, ..plain() }, 4, 6, 1).contains("data.rotate"));
    assert!(error(DataRecipe { shift: 4, ..plain() }, 4, 6, 1).contains("data.shift"));
    assert!(error(DataRecipe { brightness: 1.5, ..plain() }, 4, 4, 1).contains("data.brightness"));
    assert!(error(DataRecipe { contrast: f64::NAN, ..plain() }, 4, 4, 1).contains("data.contrast"));
    let empty = Loader::new(Arc::new(Numbers::new(0, 4, 4)), &plain(), 1, 0, &Device::flex());
    assert!(error_of(empty).contains("no picture"));
}

#[test]
fn flips_are_shown_half_of_the_time() {
    let loader = loader(64, &DataRecipe { flip: true, ..DataRecipe::default() }, 64);
    let mirrored = |batch: &Batch| pixels(batch).chunks(16).filter(|p| p[0] < p[3]).count();
    let counts: Vec<usize> = (0..10).map(|step| mirrored(&loader.batch(step))).collect();
    let sum: usize = counts.iter().sum();
    assert!((250..390).contains(&sum), "{counts:?}");
}

/// Analytic cases on a 2 x 3 picture, and 2 x 2 for turning.
#[test]
fn augmentations_do_what_they_say() {
    let wide = ImageShape { channels: 1, height: 2, width: 3 };
    let of = |change: &dyn Fn(&mut [f32])| {
        let mut values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
        change(&mut values);
        values.map(|v| (v * 10.0).round() as i32)
    };
    assert_eq!(of(&|p| flip(p, wide)), [3, 2, 1, 6, 5, 4]);
    assert_eq!(of(&|p| flip_vertical(p, wide)), [4, 5, 6, 1, 2, 3]);
    assert_eq!(of(&|p| shift(p, wide, 1, 0)), [1, 2, 3, 1, 2, 3]);
    assert_eq!(of(&|p| shift(p, wide, 0, -2)), [3, 3, 3, 6, 6, 6]);
    assert_eq!(of(&|p| brightness(p, 0.1)), [3, 4, 5, 6, 7, 8]);
    assert_eq!(of(&|p| brightness(p, 0.9)), [10; 6]);
    assert_eq!(of(&|p| contrast(p, 0.0)), [4; 6]);
    let square = ImageShape { channels: 1, height: 2, width: 2 };
    for (quarters, wanted) in [
        (0, [1.0, 2.0, 3.0, 4.0]),
        (1, [2.0, 4.0, 1.0, 3.0]),
        (2, [4.0, 3.0, 2.0, 1.0]),
        (3, [3.0, 1.0, 4.0, 2.0]),
    ] {
        let mut values = [1.0, 2.0, 3.0, 4.0];
        rotate(&mut values, square, quarters);
        assert_eq!(values, wanted, "{quarters} quarters");
    }
}

#[test]
fn alpha_keeps_out_of_brightness() {
    use pinxit::data::augment::Augment;
    use pinxit::rng::{Purpose, Rng};
    let shape = ImageShape { channels: 2, height: 1, width: 2 };
    let recipe = DataRecipe { brightness: 0.4, contrast: 0.4, ..DataRecipe::default() };
    let mut values = [0.3, -0.2, 0.7, 0.1];
    Augment::new(&recipe, shape).unwrap().apply(&mut values, shape, &mut Rng::new(1, Purpose::Augment, 0, 0));
    assert_ne!(values[..2], [0.3, -0.2]);
    assert_eq!(values[2..], [0.7, 0.1]);
}

#[test]
fn the_split_is_stable_disjoint_and_of_the_size_asked_for() {
    let ids = |count: usize, part| {
        let view = split::view(Arc::new(Numbers::new(count, 2, 2)), part, 0.2).unwrap();
        (0..view.len()).map(|i| view.source_index(i)).collect::<Vec<_>>()
    };
    let (train, heldout) = (ids(1000, Split::Train), ids(1000, Split::Heldout));
    assert!((160..240).contains(&heldout.len()), "{}", heldout.len());
    let mut all = [train, heldout.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, ids(1000, Split::All));
    let more = ids(2000, Split::Heldout);
    assert_eq!(more[..heldout.len()], heldout, "adding pictures moves none of the others");
}

#[test]
fn every_class_keeps_a_training_picture() {
    // Many classes of one picture each: a share of them would lose it.
    let dataset = Arc::new(Numbers::labelled(&(0..200).collect::<Vec<u32>>()));
    let train = split::view(dataset, Split::Train, 0.5).unwrap();
    assert_eq!(train.len(), 200);
    let dataset = Arc::new(Numbers::labelled(&[0, 1].repeat(300)));
    assert!((300..500).contains(&split::view(dataset, Split::Heldout, 0.7).unwrap().len()));
}

#[test]
fn a_split_without_training_pictures_names_the_knob() {
    // Some of these single pictures must fall into the held-out 90 %.
    let lonely = (0..20).filter_map(|seed| {
        let mut one = Numbers::new(1, 2, 2);
        one.labels = vec![0];
        split::view(Arc::new(Shifted(one, seed)), Split::Train, 0.9).err()
    });
    let errors: Vec<String> = lonely.map(|error| error.to_string()).collect();
    assert!(errors.len() > 10 && errors.iter().all(|error| error.contains("data.holdout")), "{errors:?}");
    for share in [-0.1, 0.95, f64::NAN] {
        let view = split::view(Arc::new(Numbers::new(5, 2, 2)), Split::All, share);
        assert!(error_of(view).contains("data.holdout"));
    }
}

/// A set with other hashes.
struct Shifted(Numbers, u64);

impl Dataset for Shifted {
    fn shape(&self) -> ImageShape {
        self.0.shape()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn classes(&self) -> &[String] {
        self.0.classes()
    }
    fn label(&self, index: usize) -> u32 {
        self.0.label(index)
    }
    fn read(&self, index: usize, out: &mut [f32]) {
        self.0.read(index, out);
    }
    fn name(&self, index: usize) -> String {
        self.0.name(index)
    }
    fn content_hash(&self, index: usize) -> u64 {
        self.0.content_hash(index) + self.1
    }
}
