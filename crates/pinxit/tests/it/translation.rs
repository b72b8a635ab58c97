//! A step of each family of pictures to pictures, held to PyTorch.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor};
use pinxit::checkpoint::{Array, Snapshot};
use pinxit::data::{Batch, DataFacts, ImageShape, InputFacts};
use pinxit::families;
use pinxit::model::{Learner, Losses, Step};
use pinxit::recipe::Recipe;

use crate::golden::{Golden, distance};

const CASES: [&str; 3] = ["pix2pix", "cyclegan", "srgan"];

struct Case {
    golden: Golden,
    learner: Box<dyn Learner>,
}

impl Case {
    /// The learner of `oracle/translation.py`, before its step.
    fn new(name: &str) -> Self {
        let golden = Golden::read(&format!("translation_{name}"));
        let mut recipe = Recipe {
            family: golden.note("family").as_str().unwrap().into(),
            model: toml::Table::try_from(golden.note("settings")).unwrap(),
            ..Recipe::default()
        };
        recipe.train.lr = golden.note("lr").as_f64();
        recipe.train.clip = 0.0;
        let family = families::find(&recipe.family).unwrap();
        let facts = facts(&golden);
        (family.resolve)(&mut recipe, &facts, None).unwrap();
        let mut learner = (family.learner)(&recipe, &facts, &Device::flex()).unwrap();
        learner.load(&before(&golden)).unwrap();
        Self { golden, learner }
    }

    fn step(&mut self, accumulate: usize) -> Losses {
        let images: Tensor<4> = self.golden.tensor("images", &Device::flex());
        let inputs = self.golden.find("inputs").map(|_| self.golden.tensor("inputs", &Device::flex()));
        let ids = (0..images.dims()[0] as u32).collect();
        let batch = Batch { images, inputs, labels: vec![], ids, offset: 0 };
        self.learner.step(&batch, &Step { number: 0, seed: 0, rate: 1.0, accumulate }).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.learner.save(&mut snapshot).unwrap();
        snapshot
    }
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

/// The state of a learner that has the golden file's weights and has taken no step.
fn before(golden: &Golden) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for player in ["g", "d"] {
        snapshot.add_part(&format!("train/{player}/"), golden.under(player));
        snapshot.notes.insert(format!("adam/{player}/steps"), "0".into());
    }
    for pool in ["pool/y", "pool/x"] {
        snapshot.tensors.insert(pool.into(), Array { shape: vec![0, 0], values: vec![] });
    }
    snapshot.add_part("model/", golden.under("g"));
    snapshot
}

/// Decay of Adam's mean of the gradient.
fn beta1(name: &str) -> f32 {
    if name == "srgan" { 0.9 } else { 0.5 }
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

/// Oracle: PyTorch's gradients, read out of the optimizer's first moments: m = (1 - beta1) g; and its weights
/// after the step.
#[test]
fn gradients_and_weights_of_a_step_are_those_of_pytorch() {
    for name in CASES {
        let mut case = Case::new(name);
        case.step(1);
        let snapshot = case.snapshot();
        for player in ["g", "d"] {
            let gradients = case.golden.under(&format!("{player}_grad"));
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
            for (tensor, expected) in case.golden.under(&format!("{player}_after")) {
                let found = &snapshot.tensors[&format!("train/{player}/{tensor}")];
                // Adam's first step has the length of the rate however small the gradient, so that of one which
                // is 0 but for rounding (a bias before a normalisation) takes the sign of the rounding.
                let counts = |i: &usize| gradients[&tensor].values[*i].abs() > 1e-5 * largest;
                let of = |array: &Array| -> Vec<f32> {
                    (0..array.values.len()).filter(counts).map(|i| array.values[i]).collect()
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
