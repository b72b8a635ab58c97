//! Adam against PyTorch's `AdamW` (`oracle/adam.py`), the moving average, and both across a restart.

#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Gradients, Tensor};
use pinxit::checkpoint::Snapshot;
use pinxit::nn::{Adam, AdamConfig, Ema, Init, TimestepEmbedding, add_gradients, params, ramped_decay};

use crate::golden::{Golden, distance};

/// Two linear layers with a SiLU between them, 3 -> 4 -> 4: the network of `oracle/adam.py`.
fn network(golden: &Golden) -> TimestepEmbedding {
    let fresh = TimestepEmbedding::new(3, 4, &mut Init::new(0, &Device::flex().autodiff()));
    params::import(fresh, &golden.under("weights/0")).unwrap()
}

fn backward(network: &TimestepEmbedding, x: Tensor<2>, target: Tensor<2>, batch: usize) -> Gradients {
    let error = network.forward(x) - target;
    (error.square().sum() / batch as f64).backward()
}

fn gradients(network: &TimestepEmbedding, golden: &Golden, step: usize) -> Gradients {
    let device = Device::flex().autodiff();
    let x = golden.tensor(&format!("x/{step}"), &device);
    backward(network, x, golden.tensor(&format!("target/{step}"), &device), 6)
}

/// The optimizer, the learning rates and the clipping of the golden file.
fn settings(golden: &Golden) -> (Adam, Vec<f64>, f64) {
    let settings = golden.note("settings");
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let config = AdamConfig {
        beta1: number(&settings["betas"][0]),
        beta2: number(&settings["betas"][1]),
        eps: number(&settings["eps"]),
        weight_decay: number(&settings["weight_decay"]),
        bias_correction: true,
    };
    let lrs = settings["lrs"].as_array().unwrap().iter().map(number).collect();
    (Adam::new(config), lrs, number(&settings["clip"]))
}

/// Oracle: PyTorch's `AdamW` and `clip_grad_norm_`.
#[test]
fn adam_steps_as_pytorch_does() {
    let golden = Golden::read("adam");
    let (mut adam, lrs, clip) = settings(&golden);
    let mut network = network(&golden);
    for (step, &lr) in lrs.iter().enumerate() {
        let mut gradients = gradients(&network, &golden, step);
        let norm;
        (network, norm) = adam.step(network, &mut gradients, lr, clip);
        let norm_distance = distance(&[norm as f32], &golden.array("norms").values[step..=step]);
        assert!(norm_distance <= 1e-5, "step {step}: norm {norm_distance}");
        let ours = params::export(&network).unwrap();
        for (name, expected) in golden.under(&format!("weights/{}", step + 1)) {
            let distance = distance(&ours[&name].values, &expected.values);
            assert!(distance <= 1e-5, "step {step}: {name} {distance}");
        }
    }
}

/// Oracle: the whole batch at once.
#[test]
fn gradients_of_parts_add_up() {
    let golden = Golden::read("adam");
    let (adam, lrs, clip) = settings(&golden);
    let network = network(&golden);
    let device = Device::flex().autodiff();
    let part = |from: usize| {
        let rows = |name| golden.tensor::<2>(name, &device).narrow(0, from, 3);
        backward(&network, rows("x/0"), rows("target/0"), 6)
    };
    let mut total = part(0);
    add_gradients(&network, &mut total, part(3));
    let mut whole = gradients(&network, &golden, 0);
    let (parts, norm) = adam.clone().step(network.clone(), &mut total, lrs[0], clip);
    let (whole, expected) = adam.clone().step(network, &mut whole, lrs[0], clip);
    assert!((norm / expected - 1.0).abs() < 1e-6, "{norm} {expected}");
    let (parts, whole) = (params::export(&parts).unwrap(), params::export(&whole).unwrap());
    for (name, expected) in whole {
        assert!(distance(&parts[&name].values, &expected.values) < 1e-6, "{name}");
    }
}

/// Oracle: the same step without checkpointing. Burn panics where tensors of both kinds meet.
#[test]
fn a_step_keeps_gradient_checkpointing() {
    let golden = Golden::read("adam");
    let stepped = |device: &Device| {
        let fresh = TimestepEmbedding::new(3, 4, &mut Init::new(0, device));
        let mut network = params::import(fresh, &golden.under("weights/0")).unwrap();
        let (mut adam, lrs, clip) = settings(&golden);
        for (step, &lr) in lrs.iter().enumerate().take(2) {
            let [x, target] = ["x", "target"].map(|name| golden.tensor(&format!("{name}/{step}"), device));
            let mut gradients = backward(&network, x, target, 6);
            (network, _) = adam.step(network, &mut gradients, lr, clip);
        }
        params::export(&network).unwrap()
    };
    let device = Device::flex().autodiff();
    assert_eq!(stepped(&device.clone().gradient_checkpointing()), stepped(&device));
}

#[test]
fn a_clip_of_zero_never_clips() {
    let golden = Golden::read("adam");
    let network = network(&golden);
    let stepped = |clip| {
        // A large eps makes the step depend on the length of the gradient.
        let mut adam = Adam::new(AdamConfig { eps: 1.0, ..AdamConfig::default() });
        let (network, _) = adam.step(network.clone(), &mut gradients(&network, &golden, 0), 0.1, clip);
        params::export(&network).unwrap()
    };
    assert_eq!(stepped(0.0), stepped(1e6));
    assert_ne!(stepped(0.0), stepped(0.5));
}

/// A network in training.
struct Training {
    network: TimestepEmbedding,
    adam: Adam,
    ema: Ema<TimestepEmbedding>,
}

impl Training {
    fn new(golden: &Golden) -> Self {
        let network = network(golden);
        let ema = Ema::new(&network);
        Self { network, adam: settings(golden).0, ema }
    }

    fn step(&mut self, golden: &Golden, step: usize) {
        let mut gradients = gradients(&self.network, golden, step);
        (self.network, _) = self.adam.step(self.network.clone(), &mut gradients, 0.01, 1.0);
        self.ema.update(&self.network, ramped_decay(0.9, step as u32));
    }

    fn save(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        params::save(&self.network, "train", &mut snapshot).unwrap();
        self.adam.save("adam", &mut snapshot).unwrap();
        self.ema.save("model", &mut snapshot).unwrap();
        snapshot
    }

    fn load(&mut self, snapshot: &Snapshot) {
        self.network = params::load(self.network.clone(), "train", snapshot).unwrap();
        self.adam.load("adam", snapshot, &self.network).unwrap();
        self.ema.load("model", snapshot).unwrap();
    }
}

/// Oracle: the run that was not interrupted, to the bit.
#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let golden = Golden::read("adam");
    for interruption in 0..5 {
        let (mut whole, mut first, mut second) =
            (Training::new(&golden), Training::new(&golden), Training::new(&golden));
        second.step(&golden, 4); // something for `load` to undo
        for step in 0..5 {
            whole.step(&golden, step);
            if step < interruption { &mut first } else { &mut second }.step(&golden, step);
            if step + 1 == interruption {
                second.load(&first.save());
            }
        }
        if interruption == 0 {
            assert_ne!(whole.save(), second.save(), "the test sees a difference");
        } else {
            assert_eq!(whole.save(), second.save(), "interrupted after {interruption}");
            assert_eq!(second.adam.steps(), 5);
        }
    }
}

#[test]
fn a_fresh_optimizer_can_be_saved_and_loaded() {
    let golden = Golden::read("adam");
    let fresh = Training::new(&golden);
    let mut other = Training::new(&golden);
    other.step(&golden, 0);
    other.load(&fresh.save());
    assert_eq!(other.save(), fresh.save());
    assert_eq!(other.adam.steps(), 0);
}

#[test]
fn load_refuses_what_does_not_fit() {
    let golden = Golden::read("adam");
    let mut training = Training::new(&golden);
    training.step(&golden, 0);
    let refusal = |change: fn(&mut Snapshot)| {
        let mut snapshot = training.save();
        change(&mut snapshot);
        training.adam.clone().load("adam", &snapshot, &training.network).unwrap_err().to_string()
    };
    for (change, part) in [
        ((|s| drop(s.notes.remove("adam/steps"))) as fn(&mut Snapshot), "adam/steps"),
        (|s| drop(s.notes.insert("adam/steps".into(), "many".into())), "adam/steps"),
        (|s| drop(s.tensors.remove("adam/m/linear_1.bias")), "missing: linear_1.bias"),
        (|s| drop(s.tensors.remove("adam/v/linear_2.weight")), "missing: linear_2.weight"),
        (
            |s| s.tensors.get_mut("adam/v/linear_1.weight").unwrap().shape = vec![3, 4],
            "linear_1.weight is [3, 4], the network has [4, 3]",
        ),
    ] {
        let message = refusal(change);
        assert!(message.contains(part), "{message}");
    }
}

/// Oracle: the definition, in f64.
#[test]
fn the_average_moves_by_its_share() {
    let golden = Golden::read("adam");
    let mut training = Training::new(&golden);
    let before = params::export(training.ema.model()).unwrap();
    training.adam = Adam::new(AdamConfig::default());
    let mut gradients = gradients(&training.network, &golden, 0);
    let (network, _) = training.adam.step(training.network, &mut gradients, 0.1, 0.0);
    training.ema.update(&network, 0.75);
    let (after, weights) = (params::export(training.ema.model()).unwrap(), params::export(&network).unwrap());
    for (name, before) in before {
        let expected: Vec<f32> = before
            .values
            .iter()
            .zip(&weights[&name].values)
            .map(|(&a, &w)| (0.75 * f64::from(a) + 0.25 * f64::from(w)) as f32)
            .collect();
        assert!(distance(&after[&name].values, &expected) < 1e-6, "{name}");
    }
}

#[test]
fn the_decay_rises_to_its_setting() {
    assert_eq!(ramped_decay(0.999, 0), 0.1);
    assert_eq!(ramped_decay(0.999, 90), 0.91);
    assert_eq!(ramped_decay(0.999, u32::MAX), 0.999);
    assert_eq!(ramped_decay(0.0, 90), 0.0);
}
