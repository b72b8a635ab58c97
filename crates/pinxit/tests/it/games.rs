//! A step of two networks held to a golden file: what the tests of families of two networks begin and end with.

use burn::tensor::Device;
use pinxit::checkpoint::Snapshot;
use pinxit::data::DataFacts;
use pinxit::families;
use pinxit::model::Learner;
use pinxit::recipe::Recipe;

use crate::golden::Golden;

/// The recipe of the golden file, without clipping.
pub(crate) fn recipe(golden: &Golden) -> Recipe {
    let mut recipe = Recipe {
        family: golden.note("family").as_str().unwrap().into(),
        model: toml::Table::try_from(golden.note("settings")).unwrap(),
        ..Recipe::default()
    };
    recipe.train.lr = golden.note("lr").as_f64();
    recipe.train.clip = 0.0;
    recipe
}

/// The state of a learner that has the golden file's weights and has taken no step.
pub(crate) fn before(golden: &Golden) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for player in ["g", "d"] {
        snapshot.add_part(&format!("train/{player}/"), golden.under(player));
        snapshot.notes.insert(format!("adam/{player}/steps"), "0".into());
    }
    snapshot.add_part("model/", golden.under("g"));
    snapshot
}

/// A new learner of `recipe`, which is resolved.
pub(crate) fn fresh(recipe: &mut Recipe, facts: &DataFacts) -> Box<dyn Learner> {
    let family = families::find(&recipe.family).unwrap();
    (family.resolve)(recipe, facts, None).unwrap();
    (family.learner)(recipe, facts, &Device::flex()).unwrap()
}

/// The learner of `recipe`, which is resolved, in the state `before`.
pub(crate) fn learner(recipe: &mut Recipe, facts: &DataFacts, before: &Snapshot) -> Box<dyn Learner> {
    let mut learner = fresh(recipe, facts);
    learner.load(before).unwrap();
    learner
}

/// The state of a learner.
pub(crate) fn saved(learner: &dyn Learner) -> Snapshot {
    let mut snapshot = Snapshot::default();
    learner.save(&mut snapshot).unwrap();
    snapshot
}
