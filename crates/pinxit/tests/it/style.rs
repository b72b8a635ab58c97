//! Style transfer: the loss network, and a run whose files are gone.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use pinxit::checkpoint::{Array, Snapshot};
use pinxit::data::{self, Dataset, ImageShape};
use pinxit::image_io::{self, Overwrite, Picture};
use pinxit::metrics::extract::{Layers, Learning};
use pinxit::recipe::{DataRecipe, Recipe};
use pinxit::run::Run;
use pinxit::sample::Trained;
use pinxit::train::{Outcome, StepReport, TrainWatch, train};
use pinxit::translate::tiles::Image;
use pinxit::translate::{TranslateOptions, TranslatePlan};
use pinxit::translation::perceptual;
use pinxit::watch::{Unwatched, Watch};

use crate::golden::{Golden, distance, values};

const STEPS: u32 = 4;

struct StopAfter(u32);

impl Watch for StopAfter {
    fn stopped(&self) -> bool {
        self.0 == 0
    }
}

impl TrainWatch for StopAfter {
    fn step(&mut self, _: &StepReport<'_>) {
        self.0 -= 1;
    }
}

fn digits() -> Box<dyn Dataset> {
    let recipe = DataRecipe { source: "builtin:digits".into(), ..DataRecipe::default() };
    data::open(&recipe, Path::new("unused"), &mut Unwatched).unwrap().dataset
}

fn write(weights: BTreeMap<String, Array>, path: &Path) {
    Snapshot { tensors: weights, ..Snapshot::default() }.write(path).unwrap();
}

fn open(features: &Path) -> pinxit::Result<Layers> {
    let learning = Learning::default();
    Layers::open(&features.to_string_lossy(), &*digits(), learning, &Device::flex(), &mut Unwatched)
}

/// Oracle: PyTorch's layers and `einsum` (`oracle/translation.py`).
#[test]
fn gram_matrices_of_vgg_are_those_of_pytorch() {
    let golden = Golden::read("translation_style");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg.safetensors");
    write(golden.under("phi"), &path);
    let layers = open(&path).unwrap();
    let picture: Tensor<4> = golden.tensor("picture", &Device::flex());
    for (i, features) in layers.of(Tensor::from_inner(picture), layers.count()).into_iter().enumerate() {
        let found = values(perceptual::gram(features).inner());
        let off = distance(&found, &golden.array(&format!("gram/{i}")).values);
        assert!(off <= 1e-4, "layer {i}: {off:e}");
    }
    assert_eq!(layers.count(), 4);
}

#[test]
fn weights_that_are_no_vgg_are_refused_by_name() {
    let golden = Golden::read("translation_style");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let whole = golden.under("phi");
    let mut cases: Vec<(BTreeMap<String, Array>, &str)> = vec![(BTreeMap::new(), "features.0.weight")];
    let mut add = |name: &str, change: &dyn Fn(&mut BTreeMap<String, Array>)| {
        let mut broken = whole.clone();
        change(&mut broken);
        cases.push((broken, Box::leak(name.to_string().into_boxed_str())));
    };
    add("features.2.bias", &|weights| _ = weights.remove("features.2.bias"));
    add("features.5", &|weights| _ = weights.remove("features.2.weight"));
    add("features.0.weight is", &|weights| {
        let weight = weights.get_mut("features.0.weight").unwrap();
        weight.shape = vec![weight.values.len()];
    });
    for (weights, expected) in cases {
        write(weights, &path);
        let message = open(&path).err().unwrap().to_string();
        let said =
            message.contains(expected) && message.contains("VGG") && message.contains("weights.safetensors");
        assert!(said, "{expected}: {message}");
    }
    fs::write(&path, "nothing").unwrap();
    assert!(open(&path).is_err());
    assert!(open(&folder.path().join("none.pth")).err().unwrap().to_string().contains("none.pth"));
}

/// A style picture of 10x14 pixels in `folder`.
fn picture(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("style.png");
    let shape = ImageShape { channels: 3, height: 10, width: 14 };
    let pixels = (0..shape.len()).map(|i| (i * 37 % 256) as u8).collect();
    image_io::save_png(&path, &Picture { shape, pixels }, &[], Overwrite::Refuse).unwrap();
    path
}

fn recipe(style: &str) -> Recipe {
    let mut recipe = Recipe { family: "style".into(), ..Recipe::default() };
    recipe.data.source = "builtin:digits".into();
    for (knob, value) in [("width", "4"), ("blocks", "1"), ("feature_steps", "2"), ("style_size", "16")] {
        recipe.set(&format!("model.{knob}"), value).unwrap();
    }
    recipe.model.insert("style".into(), style.into());
    (recipe.train.steps, recipe.train.batch) = (Some(STEPS), Some(3));
    recipe
}

/// Of both kinds of loss network; the style picture is in the run, so its file may go, and the weights of a VGG must
/// be those of before.
#[test]
fn a_run_goes_on_without_the_file_of_its_style_picture_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let vgg = folder.path().join("vgg.safetensors");
    write(Golden::read("translation_style").under("phi"), &vgg);
    for features in ["own", &vgg.to_string_lossy()] {
        let style = picture(folder.path());
        let mut recipe = recipe(&style.to_string_lossy());
        recipe.model.insert("features".into(), features.into());
        let name = |end: &str| folder.path().join(format!("{}-{end}", features.len()));
        let whole = Run::create(&name("whole"), &recipe).unwrap();
        assert_eq!(train(&whole, &Device::flex(), &mut StopAfter(99)).unwrap(), Outcome::Finished);
        let run = Run::create(&name("stopped"), &recipe).unwrap();
        train(&run, &Device::flex(), &mut StopAfter(2)).unwrap();
        fs::remove_file(&style).unwrap();
        if features != "own" {
            let kept = fs::read(&vgg).unwrap();
            let mut other = Golden::read("translation_style").under("phi");
            other.get_mut("features.0.bias").unwrap().values[0] += 1.0;
            write(other, &vgg);
            let refused = train(&run, &Device::flex(), &mut StopAfter(99)).unwrap_err().to_string();
            assert!(refused.contains("vgg.safetensors") && refused.contains("began"), "{refused}");
            fs::write(&vgg, kept).unwrap();
        }
        assert_eq!(train(&run, &Device::flex(), &mut StopAfter(99)).unwrap(), Outcome::Finished);
        let [a, b] = [&whole, &run].map(|run| fs::read(run.checkpoint_path(STEPS)).unwrap());
        assert!(a == b, "{features}");
        // The trained model needs none of the files, and takes pictures of any size.
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        let plan = TranslatePlan::new(&trained, &TranslateOptions::default()).unwrap();
        let image = Image { channels: 1, height: 33, width: 18, values: vec![0.25; 33 * 18] };
        let made = plan.image(&trained, &image, 0, &mut Unwatched).unwrap();
        assert_eq!((made.height, made.width, made.values.len()), (33, 18, 33 * 18));
    }
}

#[test]
fn a_style_that_can_not_be_had_is_one_error_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.png");
    fs::write(&text, "no picture").unwrap();
    let narrow = folder.path().join("narrow.png");
    let shape = ImageShape { channels: 1, height: 2, width: 90 };
    image_io::save_png(&narrow, &Picture::blank(shape), &[], Overwrite::Refuse).unwrap();
    for (i, (style, expected)) in [
        (folder.path().join("gone.png").to_string_lossy().into_owned(), "gone.png"),
        (text.to_string_lossy().into_owned(), "text.png"),
        (narrow.to_string_lossy().into_owned(), "style_size"),
        ("builtin:digits".into(), "#NUMBER"),
        ("builtin:digits#1797".into(), "1796"),
        ("builtin:nothing#1".into(), "builtin:sprites"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = Run::create(&folder.path().join(i.to_string()), &recipe(&style)).unwrap();
        let message = train(&run, &Device::flex(), &mut StopAfter(99)).unwrap_err().to_string();
        assert!(message.contains(expected), "{style}: {message}");
        assert!(run.checkpoints().unwrap().is_empty());
    }
}

/// Where pictures of a user's own are to be repainted, nothing is guessed.
#[test]
fn a_style_has_to_be_named_for_pictures_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..9 {
        let shape = ImageShape { channels: 3, height: 16, width: 16 };
        let picture = Picture { shape, pixels: vec![20 * i as u8; shape.len()] };
        let path = folder.path().join(format!("{i}.png"));
        image_io::save_png(&path, &picture, &[], Overwrite::Refuse).unwrap();
    }
    let mut recipe = recipe("");
    recipe.model.remove("style");
    recipe.data.source = folder.path().to_string_lossy().into_owned();
    let runs = tempfile::tempdir().unwrap();
    let run = Run::create(&runs.path().join("run"), &recipe).unwrap();
    let message = train(&run, &Device::flex(), &mut StopAfter(99)).unwrap_err().to_string();
    assert!(message.contains("model.style"), "{message}");
}
