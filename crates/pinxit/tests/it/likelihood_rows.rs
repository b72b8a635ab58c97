//! What the shipped recipes of the likelihood families reach on digits. Oracles: two baselines (independent
//! pixels; a mixture of Gaussians with full covariances) and the real digits, by nearest neighbours on pixels.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use pinxit::data::split::{self, Split};
use pinxit::data::{self, Batch, DataFacts, Dataset, ImageShape};
use pinxit::families::find;
use pinxit::likelihood::bits_per_dim;
use pinxit::likelihood::levels::Levels;
use pinxit::metrics::baselines::{self, GaussianMixture, IndependentPixels};
use pinxit::metrics::classes::Labelled;
use pinxit::metrics::likelihood::nats_without_class;
use pinxit::model::Step;
use pinxit::recipe::{self, Recipe};
use pinxit::run::Run;
use pinxit::sample::Trained;
use pinxit::train::{Outcome, TrainWatch, train};
use pinxit::watch::{Unwatched, Watch};

struct Silent;
impl Watch for Silent {}
impl TrainWatch for Silent {}

fn trained(folder: &Path, name: &str) -> Trained {
    let run = Run::create(&folder.join(name), &recipe::load(name).unwrap()).unwrap();
    assert_eq!(train(&run, &Device::flex(), &mut Silent).unwrap(), Outcome::Finished);
    Trained::open(&run, None, &Device::flex()).unwrap()
}

/// Oracle: what stands still.
#[test]
fn codes_that_are_learned_first_stay_while_their_order_is_learned() {
    let shape = ImageShape { channels: 1, height: 8, width: 8 };
    let facts = DataFacts { shape, classes: vec![], count: 8, inputs: None };
    let mut recipe = Recipe { family: "vqvae".into(), ..Recipe::default() };
    for (key, value) in [("codes_first", "0.5"), ("width", "8"), ("codes", "8"), ("prior_width", "8")] {
        recipe.set(&format!("model.{key}"), value).unwrap();
    }
    recipe.train.steps = Some(6);
    let family = find("vqvae").unwrap();
    (family.resolve)(&mut recipe, &facts, None).unwrap();
    let mut learner = (family.learner)(&recipe, &facts, &Device::flex()).unwrap();
    let digits = data::builtin::open("digits", &recipe.data).unwrap();
    let batch = Batch::read(&*digits, 0..8, &Device::flex());
    let (mut before, mut priors) = (None, 0);
    for number in 0..6 {
        let losses = learner.step(&batch, &Step { number, seed: 1, rate: 1.0, accumulate: 1 }).unwrap();
        let prior = losses.0.iter().any(|(name, _)| *name == "prior");
        assert_eq!(prior, number >= 3);
        let codes = learner.model().latents().unwrap().encode(&batch).unwrap().values;
        let nats = learner.model().likelihood().unwrap().nats(&batch, 0, &mut Unwatched).unwrap();
        if number >= 3 {
            let (codes_before, nats_before) = before.unwrap();
            assert_eq!(codes, codes_before);
            assert!(nats != nats_before);
            priors += 1;
        }
        before = Some((codes, nats));
    }
    assert_eq!(priors, 3);
}

/// Prints bits per dimension of the held-out digits and how many painted digits are recognised.
#[test]
#[ignore = "trains six models for one to three minutes each; run by `just slow`"]
fn autoregressive_rows_are_below_the_vae_and_all_below_the_baselines() {
    let folder = tempfile::tempdir().unwrap();
    let (levels, holdout) = (Levels::new(17).unwrap(), 0.2);
    let data = recipe::load("digits-vae").unwrap().data;
    let all: Arc<dyn Dataset> = data::open(&data, folder.path(), &mut Unwatched).unwrap().dataset.into();
    let part = |part| split::view(all.clone(), part, holdout).unwrap();
    let (real, unseen) = (part(Split::Train), part(Split::Heldout));
    let mean = |nats: &[f64]| bits_per_dim(nats.iter().sum::<f64>() / nats.len() as f64, 64);

    let pictures = baselines::read(&unseen).unwrap();
    let independent = IndependentPixels::fit(&real, levels).unwrap();
    let independent = mean(&pictures.iter().map(|picture| independent.nats(picture)).collect::<Vec<_>>());
    let rows = baselines::dequantised(&baselines::read(&real).unwrap(), levels, 0);
    let gaussians = GaussianMixture::chosen(&rows, 0).unwrap();
    let constant = 64.0 * levels.nats_of_density();
    let density = baselines::dequantised(&pictures, levels, 1);
    let gaussians = mean(&density.iter().map(|row| constant - gaussians.ln_density(row)).collect::<Vec<_>>());
    println!("independent pixels {independent:.3}, Gaussians {gaussians:.3}");

    let batch = Batch::read(&unseen, 0..unseen.len(), &Device::flex());
    let judge = |name: &str| {
        let trained = trained(folder.path(), name);
        let bits = mean(&nats_without_class(&trained, &batch, 0, &mut Unwatched).unwrap());
        let painted = Labelled::paint(&trained, 500, 0, &mut Unwatched).unwrap();
        let recognised = painted.recognised_by(&Labelled::read(&real)).unwrap();
        println!(
            "{name:30} {bits:.3} bits/dim, {:.1} % recognised, {} steps",
            100.0 * recognised,
            trained.step
        );
        (bits, recognised)
    };
    let (vae, recognised) = judge("digits-vae");
    assert!(vae < independent.min(gaussians), "{vae}");
    assert!(recognised >= 0.95, "{recognised}");
    for name in [
        "digits-pixelcnn",
        "digits-pixelcnn-masked",
        "digits-pixelcnn-plus-plus",
        "digits-pixelrnn",
        "digits-pixelrnn-row",
    ] {
        let (bits, recognised) = judge(name);
        assert!(bits < vae, "{name}: {bits}");
        assert!(name != "digits-pixelcnn" || recognised >= 0.95, "{recognised}");
    }
}
