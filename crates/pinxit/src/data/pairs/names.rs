//! Two folders whose pictures belong together by their names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Inputs, View, input_recipe};
use crate::data::{Dataset, Opened, ScanReport, open_one};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::watch::Watch;

/// Names that a message shows.
const SHOWN: usize = 5;

/// Opens two folders (or built-in sets) and leaves out pairs of which one picture can't be used.
///
/// # Errors
/// [`Error::Data`] if a picture has no partner, by name, or two have one name.
pub(super) fn open(recipe: &DataRecipe, cache_dir: &Path, watch: &mut dyn Watch) -> Result<Opened> {
    let Opened { dataset: targets, mut report } = open_one(recipe, cache_dir, watch)?;
    let input_recipe = input_recipe(recipe, targets.shape());
    let Opened { dataset: inputs, report: input_report } = open_one(&input_recipe, cache_dir, watch)?;
    let (targets, inputs): (Arc<dyn Dataset>, Arc<dyn Dataset>) = (targets.into(), inputs.into());
    let sides = [Side::new(&*targets, &report)?, Side::new(&*inputs, &input_report)?];
    let [out, into] = &sides;
    refuse_unpaired([(out, into, &recipe.source), (into, out, &input_recipe.source)])?;
    let pairs: Vec<(u32, u32)> =
        out.usable.iter().filter_map(|(name, &i)| Some((i, *into.usable.get(name)?))).collect();
    if pairs.is_empty() {
        return Err(Error::data(&recipe.source, "no picture of any pair can be used"));
    }
    let (of_targets, of_inputs) = pairs.into_iter().unzip();
    report.rejects.extend(input_report.rejects);
    let targets = View::of(targets, of_targets);
    let inputs = Inputs { dataset: Arc::new(View::of(inputs, of_inputs)), paired: true };
    report.usable = targets.len();
    Ok(Opened { dataset: Box::new(targets.with_inputs(inputs)), report })
}

/// The names of one folder's pictures, without extension.
struct Side {
    /// With their places in the data set.
    usable: BTreeMap<String, u32>,
    /// Of those that can't be used.
    rejected: Vec<String>,
}

impl Side {
    fn new(dataset: &dyn Dataset, report: &ScanReport) -> Result<Self> {
        let mut usable = BTreeMap::new();
        for index in 0..dataset.len() {
            let full = dataset.name(index);
            let below = Path::new(&full).strip_prefix(&report.source).unwrap_or(Path::new(&full));
            let name = stem(below);
            if usable.insert(name.clone(), index as u32).is_some() {
                return Err(Error::data(
                    &report.source,
                    format!("two pictures are called {name} but for their ending; remove or rename one"),
                ));
            }
        }
        let rejected = report.rejects.iter().map(|reject| stem(Path::new(&reject.path))).collect();
        Ok(Self { usable, rejected })
    }

    fn has(&self, name: &String) -> bool {
        self.usable.contains_key(name) || self.rejected.contains(name)
    }
}

fn stem(path: &Path) -> String {
    // Only what names a format is no part of the name: "2.5 mm" keeps its end.
    let is_format =
        path.extension().and_then(|e| e.to_str()).is_some_and(crate::data::decode::is_picture_extension);
    let path = if is_format { path.with_extension("") } else { path.to_path_buf() };
    path.to_string_lossy().replace('\\', "/")
}

/// Refuses pictures whose name the other side doesn't have.
fn refuse_unpaired(sides: [(&Side, &Side, &String); 2]) -> Result<()> {
    let mut faults = Vec::new();
    let mut first = None;
    for (side, other, source) in sides {
        let missing: Vec<&String> = side.usable.keys().filter(|name| !other.has(name)).collect();
        let Some(example) = missing.first() else { continue };
        first.get_or_insert((source, *example));
        let names: Vec<&str> = missing.iter().take(SHOWN).map(|name| name.as_str()).collect();
        let more = missing.len().saturating_sub(SHOWN);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        faults.push(format!(
            "{} of {} in {source}: {}{more}",
            missing.len(),
            side.usable.len(),
            names.join(", ")
        ));
    }
    let Some((source, _)) = first else { return Ok(()) };
    Err(Error::data(
        source,
        format!(
            "data.pair = \"names\" needs pictures of equal names on both sides, and these have no partner: {}; \
             rename or remove them, or set data.pair = \"unpaired\"",
            faults.join("; ")
        ),
    ))
}
