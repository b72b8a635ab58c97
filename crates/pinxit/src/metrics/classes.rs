//! Whether pictures painted for a class show that class, and all of it.
//!
//! Two k-nearest-neighbour classifiers on pixels answer it: one that learned from real pictures
//! recognises painted ones (are they right?), one that learned from painted pictures recognises
//! real ones (is everything there?). The second is the classification accuracy score of Ravuri and
//! Vinyals 2019, with a classifier that has nothing to tune.

use super::knn::{Classifier, Rows};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Request;
use crate::sample::{SamplePlan, Trained};
use crate::watch::Watch;

/// Neighbours that vote.
pub const K: usize = 3;

/// Pictures with their classes: `values` holds one row of `width` values a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Row after row.
    pub values: Vec<f32>,
    /// Values of one row.
    pub width: usize,
    /// Class of each row.
    pub labels: Vec<u32>,
}

impl Labelled {
    /// Every picture of a data set.
    pub fn read(dataset: &dyn Dataset) -> Self {
        let width = dataset.shape().len();
        let mut values = vec![0.0; width * dataset.len()];
        for (index, row) in values.chunks_exact_mut(width.max(1)).enumerate() {
            dataset.read(index, row);
        }
        Self { values, width, labels: (0..dataset.len()).map(|index| dataset.label(index)).collect() }
    }

    /// `count` painted pictures, the classes in turn, seeds from `seed` on, clamped to `[-1, 1]`.
    ///
    /// # Errors
    /// If the model knows no classes; what painting returns.
    pub fn paint(trained: &Trained, count: usize, seed: u64, watch: &mut dyn Watch) -> Result<Self> {
        let classes = trained.model.classes().len() as u32;
        if classes == 0 {
            return Err(Error::Unsupported("the model knows no classes, so none can be recognised".into()));
        }
        let labels: Vec<u32> = (0..count as u32).map(|i| i % classes).collect();
        let seeds = (0..count as u64).map(|i| seed.wrapping_add(i)).collect();
        let request = Request { seeds, classes: labels.clone(), options: trained.recipe.sample.clone() };
        let (values, width) = paint(trained, request, watch)?;
        Ok(Self { values, width, labels })
    }

    /// `count` pictures painted by a model that was told no class, seeds from 0 on, each with the class that a
    /// classifier that learned from `teacher` names.
    ///
    /// # Errors
    /// What painting returns; [`Error::Config`] if the pictures differ in size.
    pub fn paint_and_name(
        trained: &Trained,
        count: usize,
        teacher: &Self,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let request = Request {
            seeds: (0..count as u64).collect(),
            classes: vec![],
            options: trained.recipe.sample.clone(),
        };
        let (values, width) = paint(trained, request, watch)?;
        let classifier = Classifier::new(Rows::new(&teacher.values, teacher.width)?, &teacher.labels, K)?;
        let labels = classifier.classify(Rows::new(&values, width)?)?;
        Ok(Self { values, width, labels })
    }

    /// Share of each of `classes` classes among these pictures, 0 to 1.
    pub fn shares(&self, classes: usize) -> Vec<f64> {
        let count = |class: usize| self.labels.iter().filter(|&&label| label as usize == class).count();
        (0..classes).map(|class| count(class) as f64 / self.labels.len().max(1) as f64).collect()
    }

    /// Share of these pictures whose class a classifier that learned from `teacher` names, 0 to 1.
    ///
    /// # Errors
    /// [`Error::Config`] if either is empty or their pictures differ in size.
    pub fn recognised_by(&self, teacher: &Self) -> Result<f64> {
        let classifier = Classifier::new(Rows::new(&teacher.values, teacher.width)?, &teacher.labels, K)?;
        classifier.accuracy(Rows::new(&self.values, self.width)?, &self.labels)
    }
}

/// The pictures of `request`, row after row and clamped to `[-1, 1]`, and the width of a row.
fn paint(trained: &Trained, request: Request, watch: &mut dyn Watch) -> Result<(Vec<f32>, usize)> {
    let width = trained.model.shape().len();
    let mut values = vec![0.0; request.seeds.len() * width];
    SamplePlan::of(request).paint(trained, watch, |index, image| {
        let image = image.clamp(-1.0, 1.0).into_data().convert::<f32>().try_into_vec::<f32>();
        let image = image.map_err(|e| Error::Unsupported(format!("a picture can't be read: {e:?}")))?;
        values[index * width..(index + 1) * width].copy_from_slice(&image);
        Ok(())
    })?;
    Ok((values, width))
}
