//! Losses, penalties and DiffAugment against PyTorch (`oracle/adversarial.py`).

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use pinxit::adversarial::augment::{self, Change};
use pinxit::adversarial::{Condition, Discriminator, Dual, Loss, Penalty, Verdict};
use pinxit::nn::{Conv2d, Init, Linear, Mode, params};

use crate::golden::{Golden, distance, values};

fn golden() -> Golden {
    Golden::read("adversarial")
}

/// Oracle: PyTorch's losses and their gradients, verdicts of 60 included.
#[test]
fn losses_and_their_gradients_are_those_of_pytorch() {
    let golden = golden();
    let device = Device::flex().autodiff();
    for (name, loss) in [
        ("minimax", Loss::Minimax),
        ("non-saturating", Loss::NonSaturating),
        ("hinge", Loss::Hinge),
        ("least-squares", Loss::LeastSquares),
        ("wasserstein", Loss::Wasserstein),
        ("relativistic", Loss::Relativistic),
    ] {
        let smoothing = if loss.has_target() { 0.1 } else { 0.0 };
        for player in ["d", "g"] {
            let verdicts = |which: &str| golden.tensor::<1>(&format!("loss/{which}"), &device).require_grad();
            let (real, fake) = (verdicts("real"), verdicts("fake"));
            let value = match player {
                "d" => loss.discriminator(real.clone(), fake.clone(), smoothing),
                _ => loss.generator(loss.compares().then(|| real.clone()), fake.clone()),
            };
            let gradients = value.backward();
            let key = format!("loss/{name}/{player}");
            let close = |found: Vec<f32>, key: &str| {
                let distance = distance(&found, &golden.array(key).values);
                assert!(distance <= 1e-5, "{key}: {distance}");
            };
            close(values(value), &key);
            for (which, verdicts) in [("real", real), ("fake", fake)] {
                let found = verdicts.grad(&gradients).map_or(vec![0.0; 6], values);
                close(found, &format!("{key}/{which}"));
            }
        }
    }
}

/// The critic of `oracle/adversarial.py`.
#[derive(Module, Debug)]
struct Critic {
    conv_1: Conv2d,
    conv_2: Conv2d,
    linear: Linear,
    smooth: bool,
}

impl Critic {
    fn new(golden: &Golden, smooth: bool) -> Self {
        let init = &mut Init::new(0, &Device::flex().autodiff());
        let fresh = Self {
            conv_1: Conv2d::new(2, 6, 3, init).with_stride(2),
            conv_2: Conv2d::new(6, 8, 3, init),
            linear: Linear::new(8 * 4 * 4, 1, init),
            smooth,
        };
        params::import(fresh, &golden.under("critic")).unwrap()
    }

    fn activation(&self, x: Dual<4>) -> Dual<4> {
        if self.smooth { x.silu() } else { x.leaky_relu(0.2) }
    }
}

impl Discriminator for Critic {
    fn judge(&self, x: Dual<4>, _: &Condition<'_>, _: &Mode) -> Verdict {
        let x = self.activation(x.conv2d(&self.conv_1));
        let x = self.activation(x.conv2d(&self.conv_2));
        Verdict::of(x.linear(|x| x.flatten(1, 3)).dense(&self.linear))
    }
}

/// Gradients of all parameters by name.
fn gradients_of<M: Module>(module: &M, gradients: &Gradients) -> Vec<(String, Vec<f32>)> {
    struct Collect<'a>(Vec<String>, &'a Gradients, Vec<(String, Vec<f32>)>);
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let zeros = vec![0.0; param.shape().num_elements()];
            self.2.push((self.0.join("."), param.grad(self.1).map_or(zeros, values)));
        }
    }
    let mut collect = Collect(Vec::new(), gradients, Vec::new());
    module.visit(&mut collect);
    collect.2
}

/// Largest error of a penalty's gradient over the weights of each layer, relative to the largest
/// gradient of the network.
fn error(golden: &Golden, prefix: &str, critic: &Critic, gradients: &Gradients) -> f32 {
    let found = gradients_of(critic, gradients);
    let key = |name: &str| format!("{prefix}/{name}");
    let (names, values): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let expected: Vec<_> = names.iter().map(|name| golden.array(&key(name)).values.clone()).collect();
    distance(&values.concat(), &expected.concat())
}

/// Oracle: PyTorch's double backward, for a smooth and for a piecewise linear critic.
#[test]
fn penalties_and_their_gradients_are_those_of_double_backward() {
    let golden = golden();
    let device = Device::flex().autodiff();
    let [real, fake] = ["x_real", "x_fake"].map(|name| golden.tensor(&format!("penalty/{name}"), &device));
    for (activation, smooth) in [("silu", true), ("leaky", false)] {
        let critic = Critic::new(&golden, smooth);
        for (name, penalty, weight) in [
            ("gp", Penalty::Gp, 10.0),
            ("r1", Penalty::R1, 3.0),
            ("r2", Penalty::R2, 3.0),
            ("r1+r2", Penalty::R1R2, 3.0),
        ] {
            let mix = golden.tensor("penalty/mix", &device);
            let value =
                penalty.of(&critic, weight, real.clone(), fake.clone(), mix, &Condition::default()).unwrap();
            let gradients = value.backward();
            let prefix = format!("penalty/{activation}/{name}");
            let of_value = distance(&values(value), &golden.array(&format!("{prefix}/value")).values);
            let of_gradient = error(&golden, &prefix, &critic, &gradients);
            assert!(of_value <= 1e-5 && of_gradient <= 1e-5, "{prefix}: {of_value:e} {of_gradient:e}");
        }
    }
}

/// Oracle: the same changes with slices instead of matrices, and their gradient.
#[test]
fn diff_augment_is_that_of_slices() {
    let golden = golden();
    let device = Device::flex().autodiff();
    let changes: Vec<Change> = golden.note("changes").as_array().unwrap().iter().map(change).collect();
    let x = golden.tensor::<4>("augment/x", &device).require_grad();
    let y = augment::apply(x.clone(), &changes);
    let gradients = (y.clone() * golden.tensor::<4>("augment/weight", &device)).sum().backward();
    assert!(distance(&values(y), &golden.array("augment/y").values) <= 1e-6);
    assert!(distance(&values(x.grad(&gradients).unwrap()), &golden.array("augment/dx").values) <= 1e-6);
}

fn change(json: &serde_json::Value) -> Change {
    let number = |key: &str| json[key].as_f64().unwrap();
    let pair = |json: &serde_json::Value| [0, 1].map(|i| json[i].as_i64().unwrap());
    Change {
        brightness: number("brightness"),
        saturation: number("saturation"),
        contrast: number("contrast"),
        shift: pair(&json["shift"]),
        hole: [0, 1].map(|i| pair(&json["hole"][i]).map(|place| place as usize)),
    }
}
