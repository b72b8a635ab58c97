//! From flags as typed to a recipe, a run, a device: the only place where defaults of the command
//! line are filled in.

use std::path::{Path, PathBuf};

use pinxit::Error;
use pinxit::device::{self, Device};
use pinxit::families::{self, FAMILIES};
use pinxit::recipe::{self, Recipe};
use pinxit::run::Run;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::options::{Bench, Data, Setting, Train, Working};

/// Where runs are kept when nothing else is said.
pub(crate) const RUNS: &str = "runs";

/// The recipe of a new run: the one that was named, then the flags, then every `--set`.
pub(crate) fn train_recipe(options: &Train) -> Outcome<Recipe> {
    let mut recipe = match &options.new.recipe {
        Some(name) => recipe::load(name)?,
        None => Recipe::default(),
    };
    apply(&mut recipe, &options.settings)?;
    apply(&mut recipe, &options.shape)?;
    apply_each(&mut recipe, &options.new.set)?;
    if recipe.data.source.is_empty() {
        let example = "--data DIR for a folder of pictures, or --data builtin:digits to try it out";
        return Err(Failure::Usage(format!("there is nothing to train on: give {example}")));
    }
    // Settings of the recipe that another --family doesn't know are refused before the run exists.
    Ok(Recipe::from_toml(&recipe.to_toml()?, "as given")?)
}

/// The `[data]` table that `pinxit data` looks at.
pub(crate) fn data_recipe(options: &Data) -> Outcome<Recipe> {
    let mut recipe = Recipe::default();
    recipe.data.source.clone_from(&options.source);
    apply(&mut recipe, &options.shape)?;
    if let Some(other) = options.set.iter().find(|setting| !setting.key.starts_with("data.")) {
        return Err(Failure::Usage(format!("{} has nothing to do with data: set data.KEY=VALUE", other.key)));
    }
    apply_each(&mut recipe, &options.set)?;
    Ok(recipe)
}

/// The recipes that `pinxit bench` measures: the one that was named, or the default of every family,
/// each with the settings as given.
pub(crate) fn bench_recipes(options: &Bench) -> Outcome<Vec<Recipe>> {
    let mut recipes = match (&options.run, &options.recipe) {
        (Some(run), _) => vec![find_run(run)?.recipe()?],
        (None, Some(name)) => vec![recipe::load(name)?],
        (None, None) => {
            let wanted = |name: &str| options.family.as_ref().is_none_or(|only| only == name);
            let families = FAMILIES.iter().map(|family| family.name).filter(|name| wanted(name));
            families.map(|family| Recipe { family: family.into(), ..Recipe::default() }).collect()
        }
    };
    for recipe in &mut recipes {
        if let Some(data) = &options.data {
            recipe.data.source.clone_from(data);
        }
        families::find(&recipe.family)?.material.try_on_digits(&mut recipe.data);
        apply_each(recipe, &options.set)?;
    }
    Ok(recipes)
}

/// The sampling knobs: the flags, then every `--set`.
pub(crate) fn sample_knobs(flags: &impl Serialize, set: &[Setting]) -> Outcome<toml::Table> {
    let mut knobs = pinxit::knobs::table(flags)?;
    for Setting { key, value } in set {
        let name = key.strip_prefix("sample.").ok_or_else(|| {
            Failure::Usage(format!(
                "--set {key}: a trained model takes sample.KEY=VALUE; the rest is settled in its recipe"
            ))
        })?;
        knobs.insert(name.into(), recipe::value(value));
    }
    Ok(knobs)
}

/// Puts the flags that were given into the recipe, each under its serde name. The family comes
/// first, because it decides which other settings there are.
fn apply(recipe: &mut Recipe, flags: &impl Serialize) -> Outcome {
    let mut flags = pinxit::knobs::table(flags)?;
    let family = flags.remove_entry("family");
    for (key, value) in family.into_iter().chain(flags) {
        set(recipe, &key, &value.to_string())?;
    }
    Ok(())
}

fn apply_each(recipe: &mut Recipe, settings: &[Setting]) -> Outcome {
    settings.iter().try_for_each(|Setting { key, value }| set(recipe, key, value))
}

/// Sets one setting. How long to train can be said in steps or in minutes: the last word counts.
fn set(recipe: &mut Recipe, key: &str, value: &str) -> Outcome {
    recipe.set(key, value)?;
    match key {
        "train.steps" => recipe.train.minutes = None,
        "train.minutes" => recipe.train.steps = None,
        _ => {}
    }
    Ok(())
}

/// A run by its folder, or by its name below `runs/`.
pub(crate) fn find_run(name: &Path) -> Outcome<Run> {
    let below = Path::new(RUNS).join(name);
    Ok(Run::open(name).or_else(|error| Run::open(&below).map_err(|_| error))?)
}

/// `runs/STEM`, or the first of `runs/STEM-2`, `runs/STEM-3`, ... that doesn't exist.
pub(crate) fn free_folder(stem: &str) -> PathBuf {
    let numbered = (2u32..).map(|n| format!("{stem}-{n}"));
    let mut folders =
        std::iter::once(stem.to_string()).chain(numbered).map(|name| Path::new(RUNS).join(name));
    folders.find(|folder| !folder.exists()).unwrap_or_else(|| Path::new(RUNS).join(stem))
}

/// A name for a run on these pictures: the last part of their path, in plain letters.
pub(crate) fn run_name(source: &str) -> String {
    let last = source.trim_end_matches(['/', '\\']).rsplit(['/', '\\', ':']).next().unwrap_or_default();
    let plain: String =
        last.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    match plain.trim_matches(['.', '-']) {
        "" => "run".into(),
        name => name.into(),
    }
}

/// Makes sure, before any work, that a sheet can be written to `path`: a new PNG file in a folder
/// that is there.
pub(crate) fn prepare_sheet(flag: &str, path: &Path) -> Outcome {
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
        let message = format!("{flag} {}: sheets are PNG files; end the name in .png", path.display());
        return Err(Failure::Usage(message));
    }
    if path.exists() {
        let message = format!("{} exists and is not overwritten; choose another {flag}", path.display());
        return Err(Failure::Usage(message));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "making the folder"))?;
    }
    Ok(())
}

/// Sets up the threads that the flags ask for, and gives the device.
pub(crate) fn device(working: &Working) -> Outcome<Device> {
    // This thread is one of them: an operation begins on the spot, not after another thread woke up.
    let pool = rayon::ThreadPoolBuilder::new().use_current_thread();
    let pool = pool.num_threads(working.threads.map_or(0, Into::into));
    pool.build_global().map_err(|error| Failure::Usage(format!("setting up the threads: {error}")))?;
    Ok(device::select(working.device.as_deref())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::{Command, Options};

    fn recipe_of(line: &str) -> Outcome<Recipe> {
        let options = Options::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Train(options) = options.command else { unreachable!("{line}") };
        train_recipe(&options)
    }

    #[test]
    fn flags_and_settings_become_a_recipe() {
        let line = "pinxit train --data photos --size 64x48 --channels 4 --steps 7 --batch 3 --seed 5 \
                    --set train.lr=3e-4 --set data.flip=true --set data.fit=letterbox";
        let recipe = recipe_of(line).unwrap();
        assert_eq!(recipe.data.source, "photos");
        assert_eq!(recipe.data.size, Some([64, 48]));
        assert_eq!(recipe.data.channels, Some(4));
        assert_eq!((recipe.train.steps, recipe.train.batch, recipe.train.seed), (Some(7), Some(3), 5));
        assert_eq!(recipe.train.lr, Some(3e-4));
        assert!(recipe.data.flip);
        assert_eq!(recipe.data.fit, pinxit::recipe::Fit::Letterbox);
    }

    #[test]
    fn the_last_word_on_how_long_to_train_counts() {
        let demo = pinxit::recipe::load("demo").unwrap();
        assert!(demo.train.minutes.is_some());
        let recipe = recipe_of("pinxit train --recipe demo --steps 9").unwrap();
        assert_eq!((recipe.train.steps, recipe.train.minutes), (Some(9), None));
        let recipe = recipe_of("pinxit train --data x --steps 9 --set train.minutes=3").unwrap();
        assert_eq!((recipe.train.steps, recipe.train.minutes), (None, Some(3.0)));
    }

    #[test]
    fn a_run_is_named_after_its_pictures() {
        for (source, name) in [
            ("builtin:digits", "digits"),
            ("/home/me/My Photos/", "My-Photos"),
            ("..", "run"),
            ("data/train.idx", "train.idx"),
        ] {
            assert_eq!(run_name(source), name);
        }
    }
}
