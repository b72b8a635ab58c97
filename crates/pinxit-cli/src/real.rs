//! Real pictures, and what makes features of them: for the commands that judge.

use std::path::PathBuf;
use std::sync::Arc;

use pinxit::data::{self, Dataset, Originals, Split, View, split};
use pinxit::device::Device;
use pinxit::image_io::Picture;
use pinxit::metrics::extract::{Extractor, InceptionExtractor, Learning, OwnExtractor, Resize};
use pinxit::metrics::pictures::Pictures;
use pinxit::recipe::DataRecipe;
use pinxit::watch::Watch;

use crate::failure::{Failure, Outcome};
use crate::hub;
use crate::options::Extraction;

/// All pictures of a source.
pub(crate) fn open(recipe: &DataRecipe, watch: &mut dyn Watch) -> Outcome<Arc<dyn Dataset>> {
    Ok(data::open(recipe, &data::default_cache_dir(), watch)?.dataset.into())
}

/// A part of a run's pictures, which must not be empty.
pub(crate) fn part(all: &Arc<dyn Dataset>, part: Split, holdout: f64) -> Outcome<View> {
    let view = split::view(all.clone(), part, holdout)?;
    if Dataset::is_empty(&view) {
        let message = format!(
            "the {} is empty: train with a larger data.holdout, or choose another --split or --against",
            describe(part)
        );
        return Err(Failure::Usage(message));
    }
    Ok(view)
}

/// Pictures in memory.
pub(crate) fn read(pictures: &dyn Pictures) -> Outcome<Vec<Picture>> {
    Ok((0..pictures.len()).map(|index| pictures.picture(index)).collect::<Result<_, _>>()?)
}

/// Pictures at their own sizes.
pub(crate) fn originals(source: &str, watch: &mut dyn Watch) -> Outcome<Box<dyn Pictures>> {
    if source.starts_with("builtin:") {
        let recipe = DataRecipe { source: source.into(), ..DataRecipe::default() };
        return Ok(Box::new(part(&open(&recipe, watch)?, Split::All, 0.0)?));
    }
    Ok(Box::new(Originals::open(source)?))
}

/// The Inception network if it is asked for or lies where PyTorch or the hub keeps it, else one's own.
pub(crate) fn extractor(
    options: &Extraction,
    train: &View,
    device: &Device,
    watch: &mut dyn Watch,
) -> Outcome<Box<dyn Extractor>> {
    match inception(options, device, watch)? {
        Some(extractor) => Ok(Box::new(extractor)),
        None => own(options, train, device, watch),
    }
}

/// The Inception network, if it is asked for or found.
pub(crate) fn inception(
    options: &Extraction,
    device: &Device,
    watch: &mut dyn Watch,
) -> Outcome<Option<InceptionExtractor>> {
    let torch = || options.inception.clone().or_else(InceptionExtractor::find);
    let found = match (options.own, &options.download) {
        (true, _) => None,
        (false, None) => torch().or_else(hub::find),
        (false, Some(place)) => Some(torch().map_or_else(|| hub::fetch(place, watch), Ok)?),
    };
    let resize: Resize = options.resize.into();
    Ok(found.map(|path| InceptionExtractor::open(&path, resize, device)).transpose()?)
}

/// The network that learns from `train`, or has done so before.
pub(crate) fn own(
    options: &Extraction,
    train: &View,
    device: &Device,
    watch: &mut dyn Watch,
) -> Outcome<Box<dyn Extractor>> {
    let folder = data::default_cache_dir().join("extractors");
    let learning = Learning::default();
    let learning = Learning { steps: options.learn.unwrap_or(learning.steps), ..learning };
    Ok(Box::new(OwnExtractor::open_or_learn(train, learning, &folder, device, watch)?))
}

/// Where features of real pictures are kept.
pub(crate) fn features_folder() -> PathBuf {
    data::default_cache_dir().join("features")
}

/// The name of a part.
pub(crate) fn describe(split: Split) -> &'static str {
    match split {
        Split::Train => "training pictures",
        Split::Heldout => "held-out pictures",
        Split::Validation => "validation split",
        Split::Test => "test split",
        Split::All => "all pictures",
    }
}
