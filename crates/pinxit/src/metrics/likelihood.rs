//! How probable real pictures are under a model.

use burn::tensor::Device;

use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::likelihood;
use crate::model::Likelihood;
use crate::sample::Trained;
use crate::watch::Watch;

/// Mean bits per dimension of pictures and the standard error of that mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BitsPerDim {
    /// Mean over pictures; an upper bound where the model has only a bound.
    pub mean: f64,
    /// Standard error of the mean over pictures.
    pub error: f64,
    /// Number of pictures.
    pub count: usize,
}

/// Bits per dimension of the first `count` pictures of `dataset` (all, if it has fewer).
///
/// # Errors
/// [`Error::Unsupported`] if the family knows no likelihood; [`Error::Config`] if there is no picture;
/// [`Error::Interrupted`] when the watcher stops it.
pub fn bits_per_dim(
    trained: &Trained,
    dataset: &dyn Dataset,
    count: usize,
    watch: &mut dyn Watch,
) -> Result<BitsPerDim> {
    let model = ability(trained)?;
    let count = count.min(dataset.len());
    if count == 0 {
        return Err(Error::config("there is no picture whose likelihood could be told"));
    }
    let shape = dataset.shape();
    let batch = Batch::read(dataset, 0..count, &Device::flex());
    let nats = model.nats(&batch, trained.recipe.train.seed, watch)?;
    let bits: Vec<f64> = nats.iter().map(|&nats| likelihood::bits_per_dim(nats, shape.len())).collect();
    let (mean, error) = mean_and_error(&bits);
    Ok(BitsPerDim { mean, error, count })
}

/// The mean of some values and the standard error of that mean.
pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// Negative log-likelihood (or its bound) of each picture of a batch without regard to its label, in nats:
/// of a model with classes `-ln mean_c p(x | c)`.
///
/// # Errors
/// As [`bits_per_dim`].
pub fn nats_without_class(
    trained: &Trained,
    batch: &Batch,
    seed: u64,
    watch: &mut dyn Watch,
) -> Result<Vec<f64>> {
    let model = ability(trained)?;
    let classes = trained.model.classes().len();
    if classes == 0 {
        return model.nats(batch, seed, watch);
    }
    let mut each = Vec::with_capacity(classes);
    for class in 0..classes as u32 {
        let asked = Batch { labels: vec![class; batch.len()], ..batch.clone() };
        each.push(model.nats(&asked, seed, watch)?);
    }
    let mean = |picture: usize| {
        let least = each.iter().map(|nats| nats[picture]).fold(f64::INFINITY, f64::min);
        let sum: f64 = each.iter().map(|nats| (least - nats[picture]).exp()).sum();
        least - (sum / classes as f64).ln()
    };
    Ok((0..batch.len()).map(mean).collect())
}

/// The model's way to tell likelihoods.
fn ability(trained: &Trained) -> Result<&dyn Likelihood> {
    let name = trained.family.name;
    trained
        .model
        .likelihood()
        .ok_or_else(|| Error::Unsupported(format!("{name} does not say how probable a picture is")))
}
