//! A trained model, or any pictures, against real ones.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::collect::{Collected, Collector, collect, kept_every};
use super::extract::{Extractor, Features};
use super::frechet::Gaussian;
use super::knn::Rows;
use super::manifold;
use super::pictures::{Fingerprint, Pictures};
use crate::checkpoint::{Array, Snapshot};
use crate::error::{Error, Result};
use crate::image_io;
use crate::sample::{SampleOptions, SamplePlan, Trained};
use crate::watch::Watch;

/// Features of pictures that a model paints.
///
/// # Errors
/// Those of sampling and of the extractor; [`Error::Interrupted`] when the watcher stops it.
pub fn paint(
    trained: &Trained,
    options: &SampleOptions,
    extractor: &dyn Extractor,
    watch: &mut dyn Watch,
) -> Result<Collected> {
    let plan = SamplePlan::new(trained, options)?;
    let mut collector = Collector::new(extractor).keeping(options.count);
    plan.paint(trained, watch, |_, image| {
        image_io::pictures(image.unsqueeze())?.into_iter().try_for_each(|picture| collector.push(picture))
    })?;
    collector.finish()
}

/// Features of real pictures, kept in `folder` under the hash of the pictures and of the extractor,
/// and found there the next time. Sets of more than [`manifold::MOST`] pictures are not kept.
///
/// # Errors
/// Those of [`collect`]; [`Error::Io`] if the folder can't be written.
pub fn reference(
    extractor: &dyn Extractor,
    pictures: &dyn Pictures,
    folder: &Path,
    watch: &mut dyn Watch,
) -> Result<Collected> {
    if !(1..=manifold::MOST).contains(&pictures.len()) {
        return collect(extractor, pictures, watch);
    }
    let fingerprint = fingerprint(pictures, watch)?;
    let identity = serde_json::to_string(extractor.identity()).map_err(|e| Error::config(e.to_string()))?;
    let key = Sha256::digest(format!("{VERSION} {fingerprint} {identity}"));
    let key: String = key.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(format!("{key}.features"));
    if path.exists() {
        match read(&path, extractor, pictures, &fingerprint) {
            Ok(collected) => return Ok(collected),
            Err(error) => watch.notice(&format!("{error}; looking at the pictures again")),
        }
    }
    let collected = collect(extractor, pictures, watch)?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "making the folder of features"))?;
    write(&path, &collected)?;
    Ok(collected)
}

/// Raised whenever the same pictures would give other features.
const VERSION: u32 = 1;

fn fingerprint(pictures: &dyn Pictures, watch: &mut dyn Watch) -> Result<String> {
    let mut fingerprint = Fingerprint::default();
    for index in 0..pictures.len() {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        fingerprint.add(&pictures.picture(index)?);
        watch.progress("reading pictures", index as u64 + 1, pictures.len() as u64);
    }
    Ok(fingerprint.finish())
}

fn write(path: &Path, collected: &Collected) -> Result<()> {
    let mut snapshot = Snapshot::default();
    let Features { rows, logits } = &collected.features;
    for (name, values, width) in [("rows", rows, collected.width), ("logits", logits, collected.classes)] {
        let array = Array { shape: vec![values.len() / width.max(1), width], values: values.clone() };
        snapshot.tensors.insert(name.into(), array);
    }
    snapshot.write(path)
}

fn read(
    path: &Path,
    extractor: &dyn Extractor,
    pictures: &dyn Pictures,
    fingerprint: &str,
) -> Result<Collected> {
    let count = pictures.len();
    let mut snapshot = Snapshot::read(path)?;
    let mut take = |name: &str, width: usize| {
        let array = snapshot.tensors.remove(name).filter(|array| array.values.len() == count * width);
        array
            .map(|array| array.values)
            .ok_or_else(|| Error::checkpoint(path, "these are no features of these pictures"))
    };
    let rows = take("rows", extractor.width())?;
    let logits = take("logits", extractor.classes())?;
    Ok(Collected {
        identity: extractor.identity().clone(),
        count,
        fingerprint: fingerprint.into(),
        gaussian: Gaussian::of(Rows::new(&rows, extractor.width())?).ok(),
        features: Features { rows, logits },
        width: extractor.width(),
        classes: extractor.classes(),
        pictures: (0..count)
            .step_by(kept_every(count))
            .map(|index| pictures.picture(index))
            .collect::<Result<_>>()?,
    })
}
