//! How probable real pictures are under a model.

use burn::tensor::{Device, Tensor, TensorData};

use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::likelihood;
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
    let Some(model) = trained.model.likelihood() else {
        let name = trained.family.name;
        return Err(Error::Unsupported(format!("{name} does not say how probable a picture is")));
    };
    let count = count.min(dataset.len());
    if count == 0 {
        return Err(Error::config("there is no picture whose likelihood could be told"));
    }
    let shape = dataset.shape();
    let mut values = vec![0.0; count * shape.len()];
    for (index, picture) in values.chunks_exact_mut(shape.len()).enumerate() {
        dataset.read(index, picture);
    }
    let data = TensorData::new(values, [count, shape.channels, shape.height, shape.width]);
    let batch = Batch {
        images: Tensor::from_data(data, &Device::flex()),
        labels: (0..count).map(|index| dataset.label(index)).collect(),
        ids: (0..count as u32).collect(),
        offset: 0,
    };
    let nats = model.nats(&batch, trained.recipe.train.seed, watch)?;
    let bits: Vec<f64> = nats.iter().map(|&nats| likelihood::bits_per_dim(nats, shape.len())).collect();
    let n = count as f64;
    let mean = bits.iter().sum::<f64>() / n;
    let variance = bits.iter().map(|bits| (bits - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    Ok(BitsPerDim { mean, error: (variance / n).sqrt(), count })
}
