//! The U-Net against diffusers' `UNet2DModel` (`oracle/unet.py`), and what its config promises.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Gradients, Tensor};
use pinxit::checkpoint::Array;
use pinxit::nn::{Adam, AdamConfig, Dropout, Init, Mode, UNet2d, UNetConfig, params};

use crate::golden::{Golden, distance, values};

const CASES: [&str; 4] = ["plain", "classes", "deep", "flat"];

fn config(golden: &Golden) -> UNetConfig {
    serde_json::from_value(golden.note("config")).unwrap()
}

/// The network of a golden file with the file's weights.
fn network(golden: &Golden, device: &Device) -> UNet2d {
    let fresh = UNet2d::new(&config(golden), &mut Init::new(0, device));
    params::import(fresh, &golden.under("weights")).unwrap()
}

fn forward(golden: &Golden, network: &UNet2d, x: Tensor<4>) -> Tensor<4> {
    let timesteps = golden.tensor("timesteps", &x.device());
    let classes = golden.find("classes").map(|classes| &classes.values[..]).unwrap_or_default();
    let classes: Vec<u32> = classes.iter().map(|&class| class as u32).collect();
    network.forward(x, timesteps, &classes, &Mode::Eval)
}

/// Oracle: the parameters of diffusers' `UNet2DModel`.
#[test]
fn names_and_shapes_of_parameters_are_those_of_diffusers() {
    for case in CASES {
        let golden = Golden::read(&format!("unet_{case}"));
        let network = UNet2d::new(&config(&golden), &mut Init::new(0, &Device::flex()));
        let ours = params::export(&network).unwrap();
        let shapes = |arrays: BTreeMap<String, Array>| {
            arrays.into_iter().map(|(name, array)| (name, array.shape)).collect::<Vec<_>>()
        };
        assert_eq!(shapes(ours), shapes(golden.under("weights")), "{case}");
    }
}

/// Oracle: the output of diffusers' `UNet2DModel`.
#[test]
fn forward_is_that_of_diffusers() {
    for case in CASES {
        let golden = Golden::read(&format!("unet_{case}"));
        let device = Device::flex();
        let output = forward(&golden, &network(&golden, &device), golden.tensor("x", &device));
        let expected = golden.array("output");
        assert_eq!(output.dims()[..], expected.shape, "{case}");
        let distance = distance(&values(output), &expected.values);
        assert!(distance <= 1e-4, "{case}: {distance}");
    }
}

/// Compares the gradient of every parameter with a golden file.
struct CheckGradients<'a> {
    path: Vec<String>,
    gradients: &'a Gradients,
    golden: &'a Golden,
    checked: usize,
}

impl ModuleVisitor for CheckGradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        let found = values(param.grad(self.gradients).unwrap());
        let distance = match self.golden.find(&format!("gradient/{name}")) {
            // Softmax ignores what is added to all scores, so this gradient is 0 but for rounding:
            // measure it against the gradient of the queries' bias.
            Some(zero) if name.ends_with("to_k.bias") => {
                let scale = &self.golden.array(&format!("gradient/{name}").replace("to_k", "to_q")).values;
                let difference: Vec<f32> = found.iter().zip(&zero.values).map(|(a, b)| a - b).collect();
                let shifted: Vec<f32> = scale.iter().zip(difference).map(|(s, d)| s + d).collect();
                distance(&shifted, scale)
            }
            Some(expected) => distance(&found, &expected.values),
            None => {
                let sums = [
                    found.iter().map(|&g| f64::from(g.abs())).sum::<f64>(),
                    found.iter().enumerate().map(|(i, &g)| f64::from(g) * (i as f64).cos()).sum(),
                ];
                let expected = &self.golden.array(&format!("gradient_sums/{name}")).values;
                distance(&sums.map(|s| s as f32), expected)
            }
        };
        assert!(distance <= 1e-4, "{name}: {distance}");
        self.checked += 1;
    }
}

/// Oracle: the gradients of `sum(output * fixed)` of diffusers' `UNet2DModel`.
#[test]
fn gradients_are_those_of_diffusers() {
    for case in CASES {
        let golden = Golden::read(&format!("unet_{case}"));
        let device = Device::flex().autodiff();
        let network = network(&golden, &device);
        let x = golden.tensor::<4>("x", &device).require_grad();
        let fixed = golden.tensor::<4>("fixed", &device);
        let gradients = (forward(&golden, &network, x.clone()) * fixed).sum().backward();

        let distance = distance(&values(x.grad(&gradients).unwrap()), &golden.array("gradient/x").values);
        assert!(distance <= 1e-4, "{case}: input: {distance}");
        let mut check = CheckGradients { path: vec![], gradients: &gradients, golden: &golden, checked: 0 };
        network.visit(&mut check);
        assert_eq!(check.checked, golden.under("weights").len(), "{case}");
    }
}

/// Oracle: the network itself.
#[test]
fn cost_counts_the_parameters_of_the_network() {
    for case in CASES {
        let config = config(&Golden::read(&format!("unet_{case}")));
        let network = UNet2d::new(&config, &mut Init::new(0, &Device::flex()));
        assert_eq!(config.cost([16, 16]).parameters, params::count(&network) as u64, "{case}");
    }
}

/// Oracle: PyTorch's `FlopCounterMode` on diffusers' `UNet2DModel`.
#[test]
fn cost_counts_multiply_adds_as_pytorch_does() {
    for case in CASES {
        let golden = Golden::read(&format!("unet_{case}"));
        let [.., height, width] = golden.array("x").shape[..] else { unreachable!() };
        let cost = config(&golden).cost([height, width]);
        assert_eq!(cost.forward_macs, golden.note("macs").as_u64().unwrap(), "{case}");
    }
}

/// Oracle: counted by hand for one level of 2 channels: the inputs of all layers, at 4 x 4 pixels.
#[test]
fn cost_counts_what_the_backward_pass_needs() {
    let config = UNetConfig {
        layers_per_block: 1,
        add_attention: false,
        norm_num_groups: 2,
        ..UNetConfig::symmetric(1, &[2], &[false])
    };
    let time = 2 + 8;
    let same = 4 * 2 * 16 + 8; // 2 -> 2 channels: two norms, two convolutions, and the time
    let up = (3 * 4 + 2 * 2) * 16 + 8; // 4 -> 2 channels, with a shortcut
    let ends = (1 + 2 + 2) * 16;
    assert_eq!(config.cost([4, 4]).activation_bytes, 4 * (time + 3 * same + 2 * up + ends));
}

fn small() -> UNetConfig {
    UNetConfig { norm_num_groups: 4, ..UNetConfig::symmetric(3, &[8, 16], &[false, true]) }
}

#[test]
fn validate_says_what_to_change() {
    let refusal = |change: fn(&mut UNetConfig), size| {
        let mut config = small();
        change(&mut config);
        config.validate(size).unwrap_err().to_string()
    };
    assert!(small().validate([16, 32]).is_ok());
    for (change, part) in [
        ((|c| c.norm_num_groups = 3) as fn(&mut UNetConfig), "norm_num_groups = 3"),
        (|c| c.norm_num_groups = 0, "norm_num_groups is 0"),
        (|c| c.attention_head_dim = Some(3), "attention_head_dim = 3"),
        (|c| c.attention_head_dim = Some(32), "attention_head_dim = 32"),
        (|c| c.block_out_channels = vec![], "block_out_channels is empty"),
        (|c| c.block_out_channels = vec![8], "2 entries"),
        (|c| c.block_out_channels = vec![8, 0], "0 channels"),
        (|c| c.freq_shift = 4, "above 8"),
        (|c| c.dropout = 1.0, "dropout is 1"),
        (|c| c.dropout = f64::NAN, "dropout is NaN"),
        (|c| c.norm_eps = 0.0, "norm_eps is 0"),
        (|c| c.num_class_embeds = Some(0), "num_class_embeds is 0"),
        (|c| c.in_channels = 0, "in_channels is 0"),
    ] {
        let message = refusal(change, [16, 16]);
        assert!(message.contains(part), "{message}");
    }
    assert!(refusal(|_| (), [15, 16]).contains("divisible by 2"));
    assert!(refusal(|_| (), [0, 16]).contains("divisible by 2"));
}

#[test]
fn a_fresh_network_with_zeroed_end_predicts_zero() {
    let device = Device::flex();
    let network = UNet2d::new(&small(), &mut Init::new(0, &device));
    let x = Tensor::random([2, 3, 8, 8], Distribution::Default, &device);
    let y = network.forward(x, Tensor::ones([2], &device), &[], &Mode::Eval);
    assert!(values(y).iter().all(|&y| y == 0.0));
}

/// A network with dropout and a batch of four different pictures.
fn with_dropout() -> (UNet2d, Tensor<4>, Tensor<1>) {
    let device = Device::flex();
    let config = UNetConfig { dropout: 0.5, zero_init_out: false, ..small() };
    let x = Tensor::<1>::from_floats([0.1, -0.7, 0.4, 0.9], &device).reshape([4, 1, 1, 1]);
    let x = x.expand([4, 3, 8, 8]);
    (UNet2d::new(&config, &mut Init::new(0, &device)), x, Tensor::from_floats([1., 2., 3., 4.], &device))
}

#[test]
fn dropout_depends_on_the_place_in_the_batch_and_not_on_its_size() {
    let (network, x, t) = with_dropout();
    let train = |offset| Mode::Train { seed: 3, step: 7, offset };
    let whole = values(network.forward(x.clone(), t.clone(), &[], &train(0)));
    let part = |from: usize| {
        let (x, t) = (x.clone().narrow(0, from, 2), t.clone().narrow(0, from, 2));
        values(network.forward(x, t, &[], &train(from as u32)))
    };
    assert_eq!(whole, [part(0), part(2)].concat());
    let other = Mode::Train { seed: 3, step: 8, offset: 0 };
    assert_ne!(whole, values(network.forward(x, t, &[], &other)));
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let device = Device::flex();
    let dropout = Dropout::new(0.25, &mut Init::new(0, &device));
    let mode = Mode::Train { seed: 1, step: 0, offset: 0 };
    let y = values(dropout.forward(Tensor::ones([4, 8, 32, 32], &device), &mode));
    let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / y.len() as f64;
    assert!((dropped - 0.25).abs() < 0.01, "{dropped}"); // 4 standard deviations
    assert!(y.iter().all(|&y| y == 0.0 || y == 4.0 / 3.0));
}

#[test]
fn dropout_differs_between_pictures_layers_steps_and_seeds() {
    let device = Device::flex();
    let init = &mut Init::new(0, &device);
    let (first, second) = (Dropout::new(0.5, init), Dropout::new(0.5, init));
    let mask = |layer: &Dropout, seed, step, offset| {
        values(layer.forward(Tensor::ones([1, 1, 8, 8], &device), &Mode::Train { seed, step, offset }))
    };
    let masks = [
        mask(&first, 0, 0, 0),
        mask(&first, 0, 0, 1),
        mask(&second, 0, 0, 0),
        mask(&first, 0, 1, 0),
        mask(&first, 1, 0, 0),
    ];
    for (i, a) in masks.iter().enumerate() {
        assert!(masks[..i].iter().all(|b| a != b), "{i}");
    }
}

/// Oracle: the same step without checkpointing, to the bit; dropout must draw the same numbers again.
#[test]
fn checkpointed_blocks_learn_the_same() {
    let device = Device::flex().autodiff();
    let stepped = |checkpoint_blocks| {
        let classes = Some(3);
        let config = UNetConfig {
            dropout: 0.5,
            zero_init_out: false,
            num_class_embeds: classes,
            checkpoint_blocks,
            ..small()
        };
        let mut network = UNet2d::new(&config, &mut Init::new(4, &device));
        let mut adam = Adam::new(AdamConfig { eps: 1.0, ..AdamConfig::default() });
        let x = Tensor::<1>::from_floats([0.1, -0.7, 0.4, 0.9], &device).reshape([4, 1, 1, 1]);
        let t = Tensor::from_floats([1., 2., 3., 4.], &device);
        let norms: Vec<u64> = (0..3)
            .map(|step| {
                let mode = Mode::Train { seed: 3, step, offset: 0 };
                let y = network.forward(x.clone().expand([4, 3, 8, 8]), t.clone(), &[0, 1, 2, 1], &mode);
                let mut gradients = (y - 1.0).square().sum().backward();
                adam.update(&mut network, &mut gradients, 0.1, 0.0, None).to_bits()
            })
            .collect();
        (norms, params::export(&network).unwrap())
    };
    assert!(stepped(true) == stepped(false));
}

#[test]
fn eval_is_not_random() {
    let (network, x, t) = with_dropout();
    let run = || values(network.forward(x.clone(), t.clone(), &[], &Mode::Eval));
    assert_eq!(run(), run());
}

#[test]
fn import_lists_what_does_not_fit() {
    let device = Device::flex();
    let network = UNet2d::new(&small(), &mut Init::new(0, &device));
    let mut arrays = params::export(&network).unwrap();
    arrays.remove("conv_in.bias").unwrap();
    arrays.get_mut("conv_out.bias").unwrap().shape = vec![1, 3];
    arrays.insert("conv_middle.bias".into(), arrays["conv_out.bias"].clone());
    let message = params::import(network, &arrays).unwrap_err().to_string();
    for part in [
        "missing: conv_in.bias;",
        "not in the network: conv_middle.bias;",
        "of another shape: conv_out.bias is [1, 3], the network has [3]",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn import_keeps_the_network_trainable_or_not() {
    struct Trainable(Vec<bool>);
    impl ModuleVisitor for Trainable {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.is_require_grad());
        }
    }
    let arrays = params::export(&UNet2d::new(&small(), &mut Init::new(1, &Device::flex()))).unwrap();
    for (device, expected) in [(Device::flex(), false), (Device::flex().autodiff(), true)] {
        let network = UNet2d::new(&small(), &mut Init::new(0, &device));
        let network = params::import(network, &arrays).unwrap();
        let mut trainable = Trainable(vec![]);
        network.visit(&mut trainable);
        assert!(!trainable.0.is_empty() && trainable.0.iter().all(|&t| t == expected));
        assert_eq!(params::export(&network).unwrap(), arrays);
    }
}

/// Oracle: PyTorch's bound for a 3 x 3 convolution, 1 / sqrt(fan_in), and the moments of a
/// uniform distribution.
#[test]
fn first_weights_have_the_distribution_of_pytorch() {
    let network = UNet2d::new(&small(), &mut Init::new(5, &Device::flex()));
    let arrays = params::export(&network).unwrap();
    let weight = &arrays["mid_block.resnets.0.conv1.weight"].values;
    let bound = 1.0 / (16.0f32 * 9.0).sqrt();
    assert!(weight.iter().all(|w| w.abs() <= bound));
    let square = weight.iter().map(|w| w * w).sum::<f32>() / weight.len() as f32;
    assert!((square / (bound * bound / 3.0) - 1.0).abs() < 0.05, "{square}");
    assert!(arrays["conv_norm_out.weight"].values.iter().all(|&w| w == 1.0));
    assert_ne!(
        arrays["mid_block.resnets.0.conv1.weight"].values,
        arrays["mid_block.resnets.1.conv1.weight"].values
    );
    let other = params::export(&UNet2d::new(&small(), &mut Init::new(6, &Device::flex()))).unwrap();
    assert_ne!(other["conv_in.weight"], arrays["conv_in.weight"]);
}
