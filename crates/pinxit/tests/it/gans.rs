//! A whole step of every adversarial row against PyTorch (`oracle/gans.py`), from the same pictures, weights and
//! latent vectors: losses, gradients, weights, batch statistics and power iterations.

use burn::tensor::Device;
use pinxit::checkpoint::{Array, Snapshot};
use pinxit::data::{Batch, DataFacts, ImageShape};
use pinxit::families;
use pinxit::model::{Learner, Losses, Step};
use pinxit::recipe::Recipe;

use crate::games;
use crate::golden::{Golden, distance};

const CASES: [&str; 11] = [
    "gan",
    "cgan",
    "dcgan",
    "cdcgan",
    "acgan",
    "wgan",
    "wgan_gp",
    "sngan",
    "sngan_resnet",
    "unet_gan",
    "r3gan",
];

struct Case {
    golden: Golden,
    recipe: Recipe,
    learner: Box<dyn Learner>,
}

impl Case {
    /// A learner of the case with the weights of its golden file.
    fn new(name: &str) -> Self {
        let golden = Golden::read(&format!("gan_{name}"));
        let mut recipe = games::recipe(&golden);
        recipe.model.insert("augment".into(), toml::Value::Array(vec![]));
        recipe.train.batch = Some(golden.array("labels").values.len());
        let learner = games::learner(&mut recipe, &facts(), &games::before(&golden));
        Self { golden, recipe, learner }
    }

    fn step(&mut self, accumulate: usize) -> Losses {
        let seed = self.golden.note("seed").as_u64().unwrap();
        self.learner.step(&batch(&self.golden), &Step { number: 0, seed, rate: 1.0, accumulate }).unwrap()
    }

    fn number(&self, key: &str) -> f64 {
        self.recipe.model[key].as_float().or(self.recipe.model[key].as_integer().map(|i| i as f64)).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        games::saved(&*self.learner)
    }
}

/// What `oracle/gans.py` supposes of the pictures.
fn facts() -> DataFacts {
    DataFacts {
        shape: ImageShape { channels: 2, height: 8, width: 8 },
        classes: ["a", "b", "c"].map(String::from).into(),
        count: 100,
        inputs: None,
    }
}

fn batch(golden: &Golden) -> Batch {
    let labels: Vec<u32> = golden.array("labels").values.iter().map(|&label| label as u32).collect();
    let ids = (0..labels.len() as u32).collect();
    Batch { images: golden.tensor("images", &Device::flex()), ids, labels, offset: 0, inputs: None }
}

fn assert_close(found: &Array, expected: &Array, limit: f32, what: &str) {
    assert_eq!(found.shape, expected.shape, "{what}");
    let distance = distance(&found.values, &expected.values);
    assert!(distance <= limit, "{what}: {distance:e}");
}

/// Oracle: PyTorch's losses.
#[test]
fn losses_of_a_step_are_those_of_pytorch() {
    for name in CASES {
        let mut case = Case::new(name);
        let losses = case.step(1);
        for key in ["d_loss", "g_loss", "d_penalty"] {
            let Some(expected) = case.golden.find(key) else { continue };
            let found = losses.0.iter().find(|(known, _)| *known == key).unwrap().1;
            assert!(
                (found / f64::from(expected.values[0]) - 1.0).abs() <= 1e-4,
                "{name} {key}: {found} {expected:?}"
            );
        }
    }
}

/// Oracle: PyTorch's gradients, read out of the optimizer's first moments: m = (1 - beta1) g.
#[test]
fn gradients_of_a_step_are_those_of_pytorch() {
    for name in CASES {
        let mut case = Case::new(name);
        case.step(1);
        let rmsprop = case.recipe.model["optimizer"].as_str() == Some("rmsprop");
        let share = if rmsprop { 1.0 } else { 1.0 - case.number("beta1") } as f32;
        let snapshot = case.snapshot();
        for player in ["g", "d"] {
            let expected = case.golden.under(&format!("{player}_grad"));
            // Relative to the largest gradient of the network: some are 0 but for rounding.
            let join = |of: &dyn Fn(&str, &Array) -> Vec<f32>| -> Vec<f32> {
                expected.iter().flat_map(|(name, array)| of(name, array)).collect()
            };
            let found = join(&|name, _| {
                snapshot.tensors[&format!("adam/{player}/m/{name}")]
                    .values
                    .iter()
                    .map(|m| m / share)
                    .collect()
            });
            let distance = distance(&found, &join(&|_, array| array.values.clone()));
            assert!(distance <= 1e-4, "{name} {player}: {distance:e}");
        }
    }
}

/// Oracle: PyTorch's weights after the step, its `BatchNorm2d` statistics and `spectral_norm` vectors.
#[test]
fn weights_statistics_and_power_iterations_after_a_step_are_those_of_pytorch() {
    for name in CASES {
        let mut case = Case::new(name);
        case.step(1);
        let snapshot = case.snapshot();
        for player in ["g", "d"] {
            let gradients = case.golden.under(&format!("{player}_grad"));
            let largest = gradients.values().flat_map(|g| &g.values).fold(0.0f32, |m, g| m.max(g.abs()));
            for (tensor, expected) in case.golden.under(&format!("{player}_after")) {
                let found = &snapshot.tensors[&format!("train/{player}/{tensor}")];
                assert_eq!(found.shape, expected.shape, "{name} {player} {tensor}");
                // Adam's first step has the length of the rate however small the gradient, so that of one which
                // is 0 but for rounding (a bias before a normalisation) it takes the sign of the rounding.
                let counts = |i: usize| {
                    gradients.get(&tensor).is_none_or(|gradient| gradient.values[i].abs() > 1e-5 * largest)
                };
                let of = |array: &Array| -> Vec<f32> {
                    array.values.iter().enumerate().filter(|(i, _)| counts(*i)).map(|(_, v)| *v).collect()
                };
                let distance = distance(&of(found), &of(&expected));
                assert!(distance <= 1e-4, "{name} {player} {tensor}: {distance:e}");
            }
        }
    }
}

/// A GAN that is shown a picture in place of the class keeps the last one of each class, also across a restart.
#[test]
fn pictures_that_stand_for_classes_are_remembered() {
    let golden = Golden::read("gan_cgan");
    let mut recipe = Recipe { family: "cgan".into(), ..Recipe::default() };
    for (key, value) in [("model.condition", "picture"), ("model.g_layers", "[6]"), ("model.d_layers", "[6]")]
    {
        recipe.set(key, value).unwrap();
    }
    recipe.train.batch = Some(6);
    let family = families::find("cgan").unwrap();
    (family.resolve)(&mut recipe, &facts(), None).unwrap();
    let fresh = || (family.learner)(&recipe, &facts(), &Device::flex()).unwrap();
    let mut learner = fresh();
    let batch = batch(&golden);
    learner.step(&batch, &Step { number: 0, seed: 0, rate: 1.0, accumulate: 1 }).unwrap();
    let mut snapshot = Snapshot::default();
    learner.save(&mut snapshot).unwrap();
    let (pictures, images) = (&snapshot.tensors["exemplars"], golden.array("images"));
    let size = 2 * 8 * 8;
    for (class, picture) in pictures.values.chunks(size).enumerate() {
        match batch.labels.iter().rposition(|&label| label as usize == class) {
            Some(last) => assert_eq!(picture, &images.values[last * size..(last + 1) * size]),
            None => assert!(picture.iter().all(|&value| value == 0.0)),
        }
    }
    let mut other = fresh();
    other.load(&snapshot).unwrap();
    let mut again = Snapshot::default();
    other.save(&mut again).unwrap();
    assert_eq!(again, snapshot);
}

/// Oracle: the step on the whole batch, for networks that look at each picture by itself.
#[test]
fn a_batch_worked_through_in_parts_gives_the_same_gradients() {
    let [whole, parts] = [1, 3].map(|accumulate| {
        let mut case = Case::new("r3gan");
        case.step(accumulate);
        case.snapshot()
    });
    for (tensor, expected) in whole.tensors.iter().filter(|(tensor, _)| tensor.starts_with("adam/d/m")) {
        assert_close(&parts.tensors[tensor], expected, 1e-4, tensor);
    }
}

#[test]
fn a_width_beside_the_layers_of_one_network_holds_for_the_other() {
    for layers in ["model.g_layers", "model.d_layers"] {
        let mut recipe = Recipe { family: "dcgan".into(), ..Recipe::default() };
        recipe.set("model.width", "24").unwrap();
        recipe.set(layers, "[8, 8]").unwrap();
        let resolve = families::find("dcgan").unwrap().resolve;
        resolve(&mut recipe, &facts(), None).unwrap();
        assert_eq!(recipe.model["width"].as_integer(), Some(24), "{layers}");
        let settled = recipe.clone();
        resolve(&mut recipe, &facts(), None).unwrap();
        assert_eq!(recipe, settled);
    }
}
