//! What goes in and what comes out of a model of pictures to pictures.
//!
//! Such a model learns from a [`Dataset`] whose pictures are what comes out, and which has [`Inputs`].
//! They are in another folder, in the other half of each picture, or made from the pictures.

mod halves;
mod made;
mod names;

use std::path::Path;
use std::sync::Arc;

use super::split::View;
use super::{Dataset, ImageShape, Opened, open_one, prepare};
use crate::error::{Error, Result};
use crate::recipe::{DataRecipe, Pair};
use crate::watch::Watch;

use halves::Half;
use made::Made;

/// The pictures that go in: of the same sides as those that come out.
#[derive(Clone)]
pub struct Inputs {
    /// The pictures.
    pub dataset: Arc<dyn Dataset>,
    /// Whether picture i belongs to picture i of those that come out; if not, there may be more of them
    /// or fewer.
    pub paired: bool,
}

/// Opens both sides of the pictures of `recipe`.
///
/// # Errors
/// As [`open`](super::open); [`Error::Config`] for settings that don't fit `pair`; [`Error::Data`] for
/// pictures without a partner, by name.
pub(super) fn open(
    pair: Pair,
    recipe: &DataRecipe,
    cache_dir: &Path,
    watch: &mut dyn Watch,
) -> Result<Opened> {
    check(pair, recipe)?;
    let opened = match pair {
        Pair::Names => names::open(recipe, cache_dir, watch)?,
        Pair::Unpaired => unpaired(recipe, cache_dir, watch)?,
        Pair::SideBySide => side_by_side(recipe, cache_dir, watch)?,
        Pair::Edges | Pair::Gray | Pair::Blur | Pair::Mask | Pair::Downscale => {
            let Opened { dataset, report } = open_one(recipe, cache_dir, watch)?;
            let targets: Arc<dyn Dataset> = dataset.into();
            let dataset = Arc::new(Made::new(targets.clone(), pair, recipe)?);
            Opened { dataset: both(targets, Inputs { dataset, paired: true }), report }
        }
    };
    Ok(if recipe.swap { swapped(opened) } else { opened })
}

/// Refuses settings that have no meaning together.
fn check(pair: Pair, recipe: &DataRecipe) -> Result<()> {
    let from_a_folder = matches!(pair, Pair::Names | Pair::Unpaired);
    let made = !from_a_folder && pair != Pair::SideBySide;
    let refuse = |message: &str| Err(Error::config(message));
    match recipe {
        DataRecipe { inputs: None, .. } if from_a_folder => refuse(
            "data.pair = \"names\" or \"unpaired\" needs data.inputs, the folder of the pictures that go in; \
             without one set data.pair to \"side-by-side\", \"edges\", \"gray\", \"blur\", \"mask\" or \"downscale\"",
        ),
        DataRecipe { inputs: Some(_), .. } if !from_a_folder => refuse(
            "data.inputs names pictures that go in, and data.pair takes them from the pictures themselves: leave \
             data.inputs away, or set data.pair to \"names\" or \"unpaired\"",
        ),
        DataRecipe { pair_strength: Some(_), .. } if !made => {
            refuse("data.pair_strength is for pairs that are made from one folder; leave it away")
        }
        DataRecipe { input_channels: Some(_), .. } if made => refuse(
            "data.input_channels is for pictures that are read; what is made has the channels it needs",
        ),
        _ => Ok(()),
    }
}

/// The settings by which the pictures that go in are read, when those that come out have `shape`.
fn input_recipe(recipe: &DataRecipe, ImageShape { height, width, .. }: ImageShape) -> DataRecipe {
    DataRecipe {
        source: recipe.inputs.clone().unwrap_or_else(|| recipe.source.clone()),
        size: Some([height, width]),
        channels: recipe.input_channels,
        ..recipe.clone()
    }
}

fn unpaired(recipe: &DataRecipe, cache_dir: &Path, watch: &mut dyn Watch) -> Result<Opened> {
    let Opened { dataset, report } = open_one(recipe, cache_dir, watch)?;
    // Sets that are drawn have no picture in common with one of any other seed.
    let inputs = DataRecipe { seed: !recipe.seed, ..input_recipe(recipe, dataset.shape()) };
    let inputs = open_one(&inputs, cache_dir, watch)?.dataset.into();
    Ok(Opened { dataset: both(dataset.into(), Inputs { dataset: inputs, paired: false }), report })
}

fn side_by_side(recipe: &DataRecipe, cache_dir: &Path, watch: &mut dyn Watch) -> Result<Opened> {
    if recipe.source.starts_with("builtin:") {
        return Err(Error::config(
            "data.pair = \"side-by-side\" is for files that hold two pictures; built-in sets have names: set \
             data.inputs to another of them",
        ));
    }
    let path = Path::new(&recipe.source);
    if !path.exists() {
        return Err(Error::data(path, "not found; name a folder of pictures that hold two each"));
    }
    let right = Half::new(super::source(path, recipe)?, halves::Side::Right);
    let Opened { dataset, report } = prepare::prepare(&right, recipe, cache_dir, watch)?;
    let left = Half::new(super::source(path, recipe)?, halves::Side::Left);
    let inputs = prepare::prepare(&left, &input_recipe(recipe, dataset.shape()), cache_dir, watch)?;
    let inputs = Inputs { dataset: inputs.dataset.into(), paired: true };
    Ok(Opened { dataset: both(dataset.into(), inputs), report })
}

/// The pictures with what goes in.
fn both(pictures: Arc<dyn Dataset>, inputs: Inputs) -> Box<dyn Dataset> {
    let all = (0..pictures.len() as u32).collect();
    Box::new(View::of(pictures, all).with_inputs(inputs))
}

/// What came out goes in, and what went in comes out.
fn swapped(Opened { dataset, mut report }: Opened) -> Opened {
    let targets: Arc<dyn Dataset> = dataset.into();
    let Some(Inputs { dataset: inputs, paired }) = targets.inputs() else {
        return Opened {
            dataset: Box::new(View::of(targets.clone(), (0..targets.len() as u32).collect())),
            report,
        };
    };
    report.shape = inputs.shape();
    Opened { dataset: both(inputs, Inputs { dataset: targets, paired }), report }
}
