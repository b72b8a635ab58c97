//! A step of each family of pictures to pictures, held to PyTorch.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use pinxit::checkpoint::{Array, Snapshot};
use pinxit::data::{self, Batch, DataFacts, Dataset, ImageShape, InputFacts};
use pinxit::image_io::{self, Overwrite};
use pinxit::metrics::translation;
use pinxit::model::{Learner, Losses, Step};
use pinxit::recipe::{DataRecipe, Pair, Recipe};
use pinxit::run::Run;
use pinxit::sample::Trained;
use pinxit::train::{TrainWatch, train};
use pinxit::translate::tiles::Image;
use pinxit::translate::{TranslateOptions, TranslatePlan};
use pinxit::watch::{Unwatched, Watch};
use tempfile::TempDir;

use crate::games;
use crate::golden::{Golden, distance};

const CASES: [&str; 5] = ["pix2pix", "cyclegan", "srgan", "srgan_features", "style"];

struct Case {
    golden: Golden,
    learner: Box<dyn Learner>,
    /// Holds the files that the recipe names.
    _folder: TempDir,
}

impl Case {
    /// The learner of `oracle/translation.py`, before its step.
    fn new(name: &str) -> Self {
        let golden = Golden::read(&format!("translation_{name}"));
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = games::recipe(&golden);
        for (knob, path) in named_files(&golden, folder.path()) {
            recipe.model.insert(knob.into(), path.to_string_lossy().into_owned().into());
        }
        let mut learner = games::fresh(&mut recipe, &facts(&golden));
        learner.begin(&*sprites(1), &mut Unwatched).unwrap();
        let (mut begun, mut before) = (games::saved(&*learner), before(&golden));
        begun.tensors.append(&mut before.tensors);
        begun.notes.append(&mut before.notes);
        learner.load(&begun).unwrap();
        Self { golden, learner, _folder: folder }
    }

    fn step(&mut self, accumulate: usize) -> Losses {
        let images: Tensor<4> = self.golden.tensor("images", &Device::flex());
        let inputs = self.golden.find("inputs").map(|_| self.golden.tensor("inputs", &Device::flex()));
        let ids = (0..images.dims()[0] as u32).collect();
        let batch = Batch { images, inputs, labels: vec![], ids, offset: 0 };
        self.learner.step(&batch, &Step { number: 0, seed: 0, rate: 1.0, accumulate }).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        games::saved(&*self.learner)
    }
}

/// The files that a golden file holds, by the knob that names each: weights of a loss network, a style picture.
fn named_files(golden: &Golden, folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut files = Vec::new();
    let phi = golden.under("phi");
    if !phi.is_empty() {
        let path = folder.join("vgg.safetensors");
        Snapshot { tensors: phi, ..Snapshot::default() }.write(&path).unwrap();
        files.push(("features", path));
    }
    if golden.find("picture").is_some() {
        let path = folder.join("style.png");
        let picture = image_io::pictures(golden.tensor("picture", &Device::flex())).unwrap().remove(0);
        image_io::save_png(&path, &picture, &[], Overwrite::Refuse).unwrap();
        files.push(("style", path));
    }
    files
}

fn sprites(count: usize) -> Box<dyn Dataset> {
    let recipe = DataRecipe { source: "builtin:sprites".into(), count, ..DataRecipe::default() };
    data::open(&recipe, Path::new("unused"), &mut Unwatched).unwrap().dataset
}

fn facts(golden: &Golden) -> DataFacts {
    let images = &golden.array("images").shape;
    let inputs = golden.find("inputs").map(|inputs| InputFacts { channels: inputs.shape[1], paired: true });
    DataFacts {
        shape: ImageShape { channels: images[1], height: images[2], width: images[3] },
        classes: vec![],
        count: 100,
        inputs,
    }
}

/// The state of a learner that has the golden file's weights, has taken no step and remembers no picture.
fn before(golden: &Golden) -> Snapshot {
    let mut snapshot = games::before(golden);
    for pool in ["pool/y", "pool/x"] {
        snapshot.tensors.insert(pool.into(), Array { shape: vec![0, 0], values: vec![] });
    }
    snapshot
}

/// Decay of Adam's mean of the gradient.
fn beta1(name: &str) -> f32 {
    if ["pix2pix", "cyclegan"].contains(&name) { 0.5 } else { 0.9 }
}

/// Oracle: PyTorch's losses.
#[test]
fn losses_of_a_step_are_those_of_pytorch() {
    for name in CASES {
        let mut case = Case::new(name);
        let mut compared = 0;
        for (key, found) in case.step(1).0 {
            let Some(expected) = case.golden.find(key) else { continue };
            let expected = f64::from(expected.values[0]);
            assert!((found / expected - 1.0).abs() <= 1e-4, "{name} {key}: {found} {expected}");
            compared += 1;
        }
        assert!(compared >= 3, "{name}");
    }
}

/// Oracle: PyTorch's gradients, read out of the optimizer's first moments: m = (1 - beta1) g; and how its weights
/// change.
#[test]
fn gradients_and_weights_of_a_step_are_those_of_pytorch() {
    for name in CASES {
        let mut case = Case::new(name);
        case.step(1);
        let snapshot = case.snapshot();
        for player in ["g", "d"] {
            let gradients = case.golden.under(&format!("{player}_grad"));
            if gradients.is_empty() {
                continue;
            }
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            for (tensor, gradient) in &gradients {
                let moments = &snapshot.tensors[&format!("adam/{player}/m/{tensor}")];
                assert_eq!(moments.shape, gradient.shape, "{name} {player} {tensor}");
                found.extend(moments.values.iter().map(|m| m / (1.0 - beta1(name))));
                expected.extend(&gradient.values);
            }
            let off = distance(&found, &expected);
            assert!(off <= 1e-4, "{name} {player}: {off:e}");

            let largest = expected.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            let before = case.golden.under(player);
            for (tensor, expected) in case.golden.under(&format!("{player}_after")) {
                let found = &snapshot.tensors[&format!("train/{player}/{tensor}")];
                // Adam's first step has the length of the rate however small the gradient, so that of one which
                // is near 0 (a bias before a normalisation) is a matter of rounding.
                let counts = |i: &usize| gradients[&tensor].values[*i].abs() > 1e-3 * largest;
                let of = |array: &Array| -> Vec<f32> {
                    // The step, beside which the weights are large.
                    let step = |i: usize| array.values[i] - before[&tensor].values[i];
                    (0..array.values.len()).filter(counts).map(step).collect()
                };
                let off = distance(&of(found), &of(&expected));
                assert!(off <= 1e-4, "{name} {player} {tensor}: {off:e}");
            }
        }
    }
}

/// Oracle: the step on the whole batch. Pictures are looked at one by one, so parts change nothing but rounding.
#[test]
fn a_batch_worked_through_in_parts_gives_the_same_gradients() {
    let [whole, parts] = [1, 2].map(|accumulate| {
        let mut case = Case::new("cyclegan");
        case.step(accumulate);
        case.snapshot()
    });
    for player in ["g", "d"] {
        let moments = |snapshot: &Snapshot| -> Vec<f32> {
            snapshot.part(&format!("adam/{player}/m/")).into_values().flat_map(|array| array.values).collect()
        };
        let off = distance(&moments(&parts), &moments(&whole));
        assert!(off <= 1e-4, "{player}: {off:e}");
    }
}

/// A run of one step of `recipe`.
fn short_run(recipe: &Recipe, folder: &Path) -> Trained {
    struct Silent;
    impl Watch for Silent {}
    impl TrainWatch for Silent {}
    let run = Run::create(&folder.join("run"), recipe).unwrap();
    train(&run, &Device::flex(), &mut Silent).unwrap();
    Trained::open(&run, None, &Device::flex()).unwrap()
}

/// What comes out of tiles is what comes out of the whole picture, where a network sees less of it than tiles overlap.
#[test]
fn a_picture_in_tiles_is_the_picture_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = Recipe { family: "srgan".into(), ..Recipe::default() };
    recipe.data.source = "builtin:sprites".into();
    recipe.data.count = 12;
    for (key, value) in [("scale", "2"), ("width", "8"), ("blocks", "1"), ("adversarial", "0.0")] {
        recipe.set(&format!("model.{key}"), value).unwrap();
    }
    (recipe.train.steps, recipe.train.batch) = (Some(1), Some(2));
    let trained = short_run(&recipe, folder.path());
    let (height, width) = (150, 131);
    // Smooth shapes and hard edges.
    let value = |i: usize| {
        let (channel, y, x) = (i / (height * width), i / width % height, i % width);
        let wave = ((y * 7 + x * 3 + 40 * channel) as f32 / 25.0).sin();
        if (x / 20 + y / 30) % 2 == 0 { wave } else { -0.5 * wave }
    };
    let image = Image { channels: 3, height, width, values: (0..3 * height * width).map(value).collect() };
    let [tiled, whole] = [96, 256].map(|tile| {
        let options =
            TranslateOptions { tile: Some(tile), overlap: Some(tile / 2), ..TranslateOptions::default() };
        let plan = TranslatePlan::new(&trained, &options).unwrap();
        plan.image(&trained, &image, 0, &mut Unwatched).unwrap()
    });
    assert_eq!((whole.channels, whole.height, whole.width), (3, 2 * height, 2 * width));
    let furthest = tiled.values.iter().zip(&whole.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let range = whole.values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(range > 0.01 && furthest < 2.0 / 255.0 * range.min(1.0), "{furthest} of {range}");
}

/// The judgement of a run on pictures that it has not seen has the rows that it should, and the baseline that has
/// learned by heart is right where the same picture was seen.
#[test]
fn held_out_pairs_are_judged_beside_their_baselines() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = Recipe { family: "pix2pix".into(), ..Recipe::default() };
    recipe.data.source = "builtin:sprites".into();
    (recipe.data.pair, recipe.data.count, recipe.data.holdout) = (Some(Pair::Downscale), 60, 0.5);
    recipe.set("model.width", "4").unwrap();
    recipe.train.steps = Some(1);
    let trained = short_run(&recipe, folder.path());
    let all: Arc<dyn Dataset> =
        data::open(&recipe.data, folder.path(), &mut Unwatched).unwrap().dataset.into();
    let score = translation::score(&trained, all, &trained.recipe.sample, (10, 4), &mut Unwatched).unwrap();
    let names: Vec<&str> = score.rows.iter().map(|row| row.name).collect();
    assert_eq!(names, ["model", "nearest training pair", "what went in"]);
    assert!(
        (1..=10).contains(&score.count)
            && score.sheet.len() == 3
            && score.sheet[0].len() == 4.min(score.count)
    );
    for row in &score.rows {
        assert!(row.psnr.is_finite() && row.ssim.is_some() && row.distance.is_some(), "{row:?}");
    }
    // Of these the picture that went in, which holds every mean, is the nearest to the truth.
    assert!(score.rows[2].psnr > score.rows[0].psnr && score.rows[2].psnr > score.rows[1].psnr);
}

/// A diffusion run is judged by what it paints into a square that was hidden, and the rest is left as it was.
#[test]
fn held_out_pictures_with_a_hidden_square_are_judged_beside_its_mean() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = Recipe::default();
    (recipe.data.source, recipe.data.holdout) = ("builtin:digits".into(), 0.5);
    recipe.set("model.width", "8").unwrap();
    recipe.set("sample.steps", "2").unwrap();
    (recipe.train.steps, recipe.train.batch) = (Some(1), Some(2));
    let trained = short_run(&recipe, folder.path());
    let all: Arc<dyn Dataset> =
        data::open(&recipe.data, folder.path(), &mut Unwatched).unwrap().dataset.into();
    let score = translation::score(&trained, all, &trained.recipe.sample, (20, 20), &mut Unwatched).unwrap();
    let names: Vec<&str> = score.rows.iter().map(|row| row.name).collect();
    assert_eq!((names.as_slice(), score.count), (["model", "mean of what is not hidden"].as_slice(), 20));
    assert!(score.rows.iter().all(|row| row.psnr.is_finite() && row.distance.is_some()));
    let [filled, painted, truth] = [0, 1, 2].map(|row| &score.sheet[row]);
    for i in 0..20 {
        for (at, known) in truth[i].pixels.iter().enumerate() {
            let hidden = (2..6).contains(&(at / 8)) && (2..6).contains(&(at % 8));
            assert!(hidden || painted[i].pixels[at] == *known && filled[i].pixels[at] == *known);
        }
        assert_ne!(painted[i], truth[i]);
    }
}
