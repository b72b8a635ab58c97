//! Every recipe that ships is whole: it reads, resolves, comes back from TOML and can take a step.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use pinxit::data::{self, DataFacts, Loader};
use pinxit::families;
use pinxit::model::Step;
use pinxit::recipe::{self, BUILTIN_RECIPES, Pair, Recipe};
use pinxit::watch::Unwatched;

#[test]
fn every_file_of_the_folder_ships() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut shipped: Vec<&str> = BUILTIN_RECIPES.iter().map(|recipe| recipe.name).collect();
    shipped.sort_unstable();
    assert_eq!(files, shipped);
}

#[test]
fn every_recipe_resolves_and_takes_a_step() {
    let cache = tempfile::tempdir().unwrap();
    for shipped in BUILTIN_RECIPES {
        let mut recipe = recipe::load(shipped.name).unwrap();
        assert!(!recipe.about.is_empty(), "{}", shipped.name);
        recipe.data.count = 20;
        if !recipe.data.source.starts_with("builtin:") {
            // Pictures that have to be fetched: others in their place, small ones so that a step is quick.
            let stand_in = if recipe.data.channels == Some(1) { "builtin:glyphs" } else { "builtin:sprites" };
            assert!(recipe.data.size.is_some(), "{}", shipped.name);
            recipe.data.size = Some([16, 16]);
            recipe.data.crop = recipe.data.crop.map(|_| [16, 16]);
            recipe.data.source = stand_in.into();
            recipe.data.inputs = recipe.data.inputs.map(|_| stand_in.into());
            if recipe.data.pair == Some(Pair::SideBySide) {
                (recipe.data.pair, recipe.data.input_channels) = (Some(Pair::Blur), None);
            }
        }
        // Files that have to be fetched too, and what takes time before the first step.
        if recipe.model.contains_key("features") {
            recipe.model.insert("features".into(), "own".into());
        }
        let family = families::find(&recipe.family).unwrap();
        if family.model_knobs.iter().any(|knob| knob.name == "feature_steps") {
            recipe.model.insert("feature_steps".into(), 1.into());
        }
        if recipe.model.get("style").is_some_and(|style| !style.to_string().contains("builtin:")) {
            recipe.model.insert("style".into(), "builtin:sprites-night#0".into());
        }
        let dataset = data::open(&recipe.data, cache.path(), &mut Unwatched).unwrap().dataset;
        let facts = DataFacts::of(&*dataset);
        (family.resolve)(&mut recipe, &facts, None).unwrap();
        let text = recipe.to_toml().unwrap();
        assert_eq!(Recipe::from_toml(&text, shipped.name).unwrap(), recipe);

        let device = Device::flex();
        let loader = Loader::new(dataset.into(), &recipe.data, 2, 0, &device).unwrap();
        let mut learner = (family.learner)(&recipe, &facts, &device).unwrap();
        learner.begin(loader.dataset(), &mut Unwatched).unwrap();
        let step = Step { number: 0, seed: 0, rate: 1.0, accumulate: 1 };
        assert!(learner.step(&loader.batch(0), &step).unwrap().are_finite(), "{}", shipped.name);
    }
}

#[test]
fn what_is_no_recipe_says_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    for (text, expected) in [
        ("[train]\nstepps = 3", "stepps"),
        ("[train]\nsteps = -3", "steps"),
        ("family = 3", "family"),
        ("[model]\nbrush = 1", "brush"),
        ("[data]\nfit = \"stretch\"", "stretch"),
        ("not toml", "mine.toml"),
    ] {
        fs::write(&path, text).unwrap();
        let message = recipe::load(&path.to_string_lossy()).unwrap_err().to_string();
        assert!(message.contains("mine.toml") && message.contains(expected), "{text}: {message}");
    }
}
