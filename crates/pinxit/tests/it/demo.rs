//! What the demo reaches. Oracle: the real digits, by nearest neighbours on pixels.

use std::sync::Arc;

use burn::tensor::Device;
use pinxit::data::split::{self, Split};
use pinxit::data::{self, Dataset};
use pinxit::metrics::classes::Labelled;
use pinxit::recipe;
use pinxit::run::Run;
use pinxit::sample::Trained;
use pinxit::train::{Outcome, TrainWatch, train};
use pinxit::watch::{Unwatched, Watch};

struct Silent;
impl Watch for Silent {}
impl TrainWatch for Silent {}

/// Prints accuracies of 3-nearest-neighbour classifiers: painted digits (100 a class) judged by the
/// real training digits, and real held-out digits judged by 1,797 painted ones.
#[test]
#[ignore = "trains the demo for two minutes; run by `just slow`"]
fn digits_of_the_demo_are_right_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe::load("demo").unwrap();
    let run = Run::create(&folder.path().join("demo"), &recipe).unwrap();
    assert_eq!(train(&run, &Device::flex(), &mut Silent).unwrap(), Outcome::Finished);

    let trained = Trained::open(&run, None, &Device::flex()).unwrap();
    let all = data::open(&recipe.data, folder.path(), &mut Unwatched).unwrap().dataset;
    let all: Arc<dyn Dataset> = all.into();
    let read = |part| Labelled::read(&split::view(all.clone(), part, recipe.data.holdout).unwrap());
    let (real, held_out) = (read(Split::Train), read(Split::Heldout));
    let painted = Labelled::paint(&trained, 1_000, 0, &mut Unwatched).unwrap();
    let teacher = Labelled::paint(&trained, 1_797, 1_000_000, &mut Unwatched).unwrap();

    let recognised = painted.recognised_by(&real).unwrap();
    let taught = held_out.recognised_by(&teacher).unwrap();
    let ceiling = held_out.recognised_by(&real).unwrap();
    println!(
        "{} steps: recognised {recognised:.4}, taught {taught:.4}, real digits {ceiling:.4}",
        trained.step
    );
    assert!(recognised >= 0.97, "{recognised}");
    assert!(taught >= 0.94, "{taught}");
}
