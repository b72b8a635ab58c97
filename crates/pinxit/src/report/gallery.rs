//! Pictures of a trained model, each beside the real picture that is nearest to it.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::data::split::{self, Split};
use crate::data::{Dataset, ImageShape};
use crate::error::Result;
use crate::image_io::{self, Picture};
use crate::metrics::knn::{self, Rows};
use crate::model::Request;
use crate::sample::{SamplePlan, Trained};
use crate::watch::Watch;

/// Most columns of a gallery; with classes, one column a class.
const COLUMNS: usize = 10;
/// Held-out pictures that are compared with the training pictures, for scale.
const HELD_OUT: usize = 100;

/// Samples with their nearest training pictures.
#[derive(Debug, Clone)]
pub struct Gallery {
    /// The samples, row by row.
    pub samples: Vec<Sample>,
    /// Samples a row; with classes, each column is a class.
    pub columns: usize,
    /// Distances from held-out real pictures to their nearest training pictures, in levels of 0 to
    /// 255, ascending; empty if nothing was held out.
    pub real_distances: Vec<f64>,
    /// Training pictures that were searched.
    pub searched: usize,
}

/// One picture of the model.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The seed that makes it.
    pub seed: u64,
    /// The class that it was asked for.
    pub class: Option<String>,
    /// The picture.
    pub picture: Picture,
    /// The training picture nearest to it.
    pub nearest: RealPicture,
}

/// A training picture as the nearest one to another picture.
#[derive(Debug, Clone)]
pub struct RealPicture {
    /// Where it came from.
    pub name: String,
    /// The picture.
    pub picture: Picture,
    /// Root mean square difference of the pixels, in levels of 0 to 255.
    pub distance: f64,
}

impl Gallery {
    /// Paints `rows` rows of pictures, seeds from 0, and looks up their nearest training pictures in
    /// `all` (the pictures that the model was trained on and those held out).
    ///
    /// # Errors
    /// Those of the model; [`Error::Interrupted`](crate::Error::Interrupted) when the watcher stops it.
    pub fn paint(
        trained: &Trained,
        all: Arc<dyn Dataset>,
        rows: usize,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let names = trained.model.classes();
        let columns = if names.is_empty() { COLUMNS } else { names.len().min(COLUMNS) };
        let count = rows * columns;
        let classes = if names.is_empty() { 0..0 } else { 0..count };
        let request = Request {
            seeds: (0..count as u64).collect(),
            classes: classes.map(|i| (i % columns) as u32).collect(),
            options: trained.recipe.sample.clone(),
        };
        let plan = SamplePlan::of(request);
        let pictures = image_io::pictures(plan.paint_all(trained, watch)?)?;

        let holdout = trained.recipe.data.holdout;
        let train = split::view(all.clone(), Split::Train, holdout)?;
        let held_out = split::view(all, Split::Heldout, holdout)?;
        let shape = train.shape();
        let painted: Vec<f32> = pictures.iter().flat_map(Picture::to_planar).collect();
        let nearest = search(&painted, &train)?.into_iter().map(|found| RealPicture {
            name: train.name(found.index),
            picture: Picture::from_planar(&read(&train, found.index..found.index + 1), shape),
            distance: in_levels(found.distance, shape),
        });
        let samples = pictures.into_iter().zip(nearest).enumerate().map(|(i, (picture, nearest))| Sample {
            seed: plan.request.seeds[i],
            class: plan.request.classes.get(i).map(|&class| names[class as usize].clone()),
            picture,
            nearest,
        });
        let real = search(&read(&held_out, 0..held_out.len().min(HELD_OUT)), &train)?;
        let mut real_distances: Vec<f64> =
            real.iter().map(|found| in_levels(found.distance, shape)).collect();
        real_distances.sort_by(f64::total_cmp);
        Ok(Self { samples: samples.collect(), columns, real_distances, searched: train.len() })
    }

    /// All samples on one sheet.
    pub fn sheet(&self) -> Picture {
        let pictures: Vec<Picture> = self.samples.iter().map(|sample| sample.picture.clone()).collect();
        image_io::grid(&pictures, self.columns, 1)
    }

    /// Number of samples that lie nearer to a training picture than all but the nearest `share`
    /// (0 to 1) of the held-out pictures; `None` if fewer than 20 pictures were held out.
    pub fn samples_nearer_than_real(&self, share: f64) -> Option<usize> {
        let limit = self.real_distances.get((self.real_distances.len() as f64 * share) as usize)?;
        let near = self.samples.iter().filter(|sample| sample.nearest.distance < *limit).count();
        (self.real_distances.len() >= 20).then_some(near)
    }
}

/// Values of the pictures of a data set, `[C, H, W]` in `[-1, 1]`, one after the other.
fn read(dataset: &dyn Dataset, indices: Range<usize>) -> Vec<f32> {
    let length = dataset.shape().len();
    let mut values = vec![0.0; length * indices.len()];
    values.par_chunks_mut(length).zip(indices).for_each(|(out, index)| dataset.read(index, out));
    values
}

/// The nearest picture of the data set for each of `queries` (values of whole pictures).
fn search(queries: &[f32], dataset: &dyn Dataset) -> Result<Vec<knn::Neighbour>> {
    /// Values of the data set that are held in memory at once, 256 MiB of them.
    const BLOCK_VALUES: usize = 1 << 26;
    let length = dataset.shape().len();
    let block = (BLOCK_VALUES / length.max(1)).max(1);
    let mut best: Vec<knn::Neighbour> = Vec::new();
    for start in (0..dataset.len()).step_by(block) {
        let references = read(dataset, start..(start + block).min(dataset.len()));
        let mut found = knn::nearest(Rows::new(queries, length)?, Rows::new(&references, length)?)?;
        found.iter_mut().for_each(|neighbour| neighbour.index += start);
        match best.is_empty() {
            true => best = found,
            false => best
                .iter_mut()
                .zip(found)
                .filter(|(old, new)| new.distance < old.distance)
                .for_each(|(old, new)| *old = new),
        }
    }
    Ok(best)
}

/// A distance between pictures of values in `[-1, 1]` as the root mean square difference of their
/// pixels in levels of 0 to 255.
fn in_levels(distance: f64, shape: ImageShape) -> f64 {
    distance / (shape.len() as f64).sqrt() * 127.5
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data;
    use crate::recipe::DataRecipe;
    use crate::watch::Unwatched;

    /// Oracle: a picture of the set is its own nearest one at distance 0, and when it is changed by
    /// one level everywhere the distance is 1.
    #[test]
    fn finds_the_picture_that_a_sample_was_copied_from() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = DataRecipe { source: "builtin:digits".into(), ..DataRecipe::default() };
        let digits = data::open(&recipe, folder.path(), &mut Unwatched).unwrap().dataset;
        for index in [0, 300, 1796] {
            let values = read(&*digits, index..index + 1);
            let found = search(&values, &*digits).unwrap()[0];
            assert_eq!((found.index, found.distance), (index, 0.0));
            let changed: Vec<f32> =
                values.iter().map(|v| v + 1.0 / 127.5 * if *v > 0.0 { -1.0 } else { 1.0 }).collect();
            let found = search(&changed, &*digits).unwrap()[0];
            assert_eq!(found.index, index);
            assert!((in_levels(found.distance, digits.shape()) - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn planar_values_undo_the_bytes_of_a_picture() {
        let shape = ImageShape { channels: 3, height: 2, width: 2 };
        let values: Vec<f32> = (0..12).map(|i| i as f32 * 20.0 / 127.5 - 1.0).collect();
        let back: Vec<f32> = Picture::from_planar(&values, shape).to_planar().collect();
        assert!(values.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-6), "{back:?}");
    }
}
