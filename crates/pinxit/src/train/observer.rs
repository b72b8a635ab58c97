//! Looks at samples of fixed seeds beside real pictures.

use rayon::prelude::*;

use super::alarms::Look;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::metrics::knn::{self, Classifier, Rows};
use crate::model::{Model, Request};
use crate::watch::Unwatched;

/// Samples of a look; with classes, each in turn.
const SAMPLES: usize = 100;
/// Training pictures that are searched for the nearest one.
const TRAINING: usize = 10_000;
/// Held-out pictures that set what is near, and fewer than which none is set.
const HELD_OUT: std::ops::RangeInclusive<usize> = 20..=200;
/// Share of the held-out pictures that sets what is near.
const NEAR: f64 = 0.05;
/// Kinds where the pictures have no classes.
const KINDS: usize = 10;

/// Real pictures and what was measured on them.
pub(super) struct Observer {
    /// Training pictures, one row each.
    training: Vec<f32>,
    labels: Vec<u32>,
    width: usize,
    shape: [usize; 3],
    /// Number of classes of the pictures.
    classes: usize,
    /// Distance to a training picture that counts as near.
    near: Option<f64>,
    sharpness: f64,
}

impl Observer {
    /// An observer who knows `training` and what `held_out` is like beside it.
    ///
    /// # Errors
    /// If the pictures can't be compared.
    pub(super) fn new(training: &dyn Dataset, held_out: &dyn Dataset) -> Result<Self> {
        let shape = training.shape();
        let count = training.len().min(TRAINING);
        let rows = read(training, count);
        let held_out = read(held_out, held_out.len().min(*HELD_OUT.end()));
        let mut observer = Self {
            labels: (0..count).map(|i| training.label(i)).collect(),
            training: rows,
            width: shape.len(),
            shape: [shape.channels, shape.height, shape.width],
            classes: training.classes().len(),
            near: None,
            sharpness: 0.0,
        };
        observer.sharpness = observer.sharpness_of(&observer.training[..count.min(500) * shape.len()]);
        let mut distances = observer.distances(&held_out)?;
        distances.sort_by(f64::total_cmp);
        if distances.len() >= *HELD_OUT.start() {
            observer.near = distances.get((distances.len() as f64 * NEAR) as usize).copied();
        }
        Ok(observer)
    }

    /// A look at what `model` paints; `None` if it makes no pictures from seeds.
    ///
    /// # Errors
    /// Those of the model.
    pub(super) fn look(&self, model: &dyn Model, options: &toml::Table) -> Result<Option<Look>> {
        let Some(generator) = model.generate() else { return Ok(None) };
        let known = model.classes().len();
        let classes: Vec<u32> =
            if known == 0 { vec![] } else { (0..SAMPLES).map(|i| (i % known) as u32).collect() };
        let request = Request {
            seeds: (0..SAMPLES as u64).collect(),
            classes: classes.clone(),
            options: options.clone(),
        };
        // A stop request is served by the loop, after the look: it is short.
        let images = generator.generate(&request, &mut Unwatched)?.clamp(-1.0, 1.0);
        let samples = images
            .into_data()
            .convert::<f32>()
            .try_into_vec::<f32>()
            .map_err(|e| Error::Unsupported(format!("the samples can't be read: {e:?}")))?;
        let near = self.near.map(|near| -> Result<f64> {
            let distances = self.distances(&samples)?;
            Ok(distances.iter().filter(|&&distance| distance < near).count() as f64 / distances.len() as f64)
        });
        let real = &self.training[..SAMPLES.min(self.labels.len()) * self.width];
        let of_real = if known == 0 { &[][..] } else { &self.labels[..SAMPLES.min(self.labels.len())] };
        Ok(Some(Look {
            diversity: self.spread(&samples, &classes) / self.spread(real, of_real).max(1e-9),
            sharpness: self.sharpness_of(&samples) / self.sharpness.max(1e-9),
            copies: near.transpose()?,
            kinds: self.kinds(&samples)?,
            kinds_are_asked_for: known > 0,
        }))
    }

    /// Distance of each row to the nearest training picture.
    fn distances(&self, rows: &[f32]) -> Result<Vec<f64>> {
        let found = knn::nearest(Rows::new(rows, self.width)?, Rows::new(&self.training, self.width)?)?;
        Ok(found.into_iter().map(|neighbour| neighbour.distance).collect())
    }

    /// Mean distance between two rows, of one class where there are classes.
    fn spread(&self, rows: &[f32], classes: &[u32]) -> f64 {
        let rows: Vec<&[f32]> = rows.chunks_exact(self.width).collect();
        let pairs = (0..rows.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let alike = pairs.filter(|&(i, j)| classes.is_empty() || classes[i] == classes[j]);
        let distances = alike.map(|(i, j)| {
            rows[i].iter().zip(rows[j]).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        });
        let (count, sum) = distances.fold((0u32, 0.0), |(count, sum), d| (count + 1, sum + d));
        sum / f64::from(count.max(1))
    }

    /// Mean difference between neighbouring pixels.
    fn sharpness_of(&self, rows: &[f32]) -> f64 {
        let [_, height, width] = self.shape;
        let mut sum = 0.0;
        for plane in rows.chunks_exact((height * width).max(1)) {
            for (i, value) in plane.iter().enumerate() {
                let right = if (i + 1) % width == 0 { 0.0 } else { (plane[i + 1] - value).abs() };
                let below = plane.get(i + width).map_or(0.0, |below| (below - value).abs());
                sum += f64::from(right + below);
            }
        }
        sum / rows.len().max(1) as f64
    }

    /// Share of each class among the rows as their nearest training pictures have it; without classes, of each of
    /// a few real pictures as the nearest one.
    fn kinds(&self, rows: &[f32]) -> Result<Vec<f64>> {
        let queries = Rows::new(rows, self.width)?;
        let (kinds, found) = if self.classes > 1 {
            let references = Rows::new(&self.training, self.width)?;
            (self.classes, Classifier::new(references, &self.labels, 1)?.classify(queries)?)
        } else {
            let kinds = KINDS.min(self.labels.len());
            let references = Rows::new(&self.training[..kinds * self.width], self.width)?;
            let found = knn::nearest(queries, references)?;
            (kinds, found.into_iter().map(|neighbour| neighbour.index as u32).collect())
        };
        let mut shares = vec![0.0; kinds];
        for kind in &found {
            if let Some(share) = shares.get_mut(*kind as usize) {
                *share += 1.0 / found.len() as f64;
            }
        }
        Ok(shares)
    }
}

/// The first `count` pictures, one row each.
fn read(dataset: &dyn Dataset, count: usize) -> Vec<f32> {
    let width = dataset.shape().len();
    let mut rows = vec![0.0; count * width];
    rows.par_chunks_mut(width.max(1)).enumerate().for_each(|(index, row)| dataset.read(index, row));
    rows
}
