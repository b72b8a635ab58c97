//! The layers, operations and losses of `nn` against PyTorch's (`oracle/layers.py`).

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Tensor};
use pinxit::checkpoint::{Array, Snapshot};
use pinxit::nn::ops::Windows;
use pinxit::nn::{
    Activation, Adam, AdamConfig, BatchNorm, Conv2d, ConvTranspose2d, Ema, Init, InstanceNorm2d, LayerNorm,
    Linear, MaskType, MaskedConv2d, Mode, SpectralConv2d, SpectralLinear, Weights, ops, params,
};

use crate::golden::{Golden, distance, values};

const TOLERANCE: f32 = 2e-6;
const TRAIN: Mode = Mode::Train { seed: 0, step: 0, offset: 0 };

/// One layer's part of the golden file.
struct Case<'a> {
    name: &'a str,
    golden: Golden,
}

impl<'a> Case<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, golden: Golden::read("layers") }
    }

    fn tensor<const D: usize>(&self, what: &str, device: &Device) -> Tensor<D> {
        self.golden.tensor(&format!("{}/{what}", self.name), device)
    }

    fn under(&self, what: &str) -> BTreeMap<String, Array> {
        self.golden.under(&format!("{}/{what}", self.name))
    }

    #[track_caller]
    fn close<const D: usize>(&self, what: &str, found: Tensor<D>) {
        let expected = self.golden.array(&format!("{}/{what}", self.name));
        assert_eq!(found.dims()[..], expected.shape, "{}: {what}", self.name);
        let distance = distance(&values(found), &expected.values);
        assert!(distance <= TOLERANCE, "{}: {what} is off by {distance}", self.name);
    }

    /// Forward and gradient of an operation without parameters.
    #[track_caller]
    fn operation<const D: usize, const E: usize>(&self, f: impl Fn(Tensor<D>) -> Tensor<E>) {
        let device = Device::flex().autodiff();
        let x = self.tensor::<D>("x", &device).require_grad();
        let output = f(x.clone());
        let gradients = (output.clone() * self.tensor("fixed", &device)).sum().backward();
        self.close("output", output.inner());
        self.close("gradient/x", x.grad(&gradients).unwrap());
    }

    /// Forward, gradients, a second pass, a pass outside of training, and what the buffers hold then.
    #[track_caller]
    fn layer<M: Module, const D: usize, const E: usize>(
        &self,
        make: impl Fn(&mut Init) -> M,
        forward: impl Fn(&M, Tensor<D>, &Mode) -> Tensor<E>,
    ) {
        let device = Device::flex().autodiff();
        let layer = params::import(make(&mut Init::new(0, &device)), &self.under("weights")).unwrap();
        let x = self.tensor::<D>("x", &device).require_grad();
        let output = forward(&layer, x.clone(), &TRAIN);
        let gradients = (output.clone() * self.tensor("fixed", &device)).sum().backward();
        self.close("output", output.inner());
        self.close("gradient/x", x.grad(&gradients).unwrap());
        let mut check = CheckGradients { path: vec![], gradients: &gradients, case: self, checked: 0 };
        layer.visit(&mut check);
        assert_eq!(check.checked + 1, self.under("gradient").len(), "{}: gradients", self.name);

        self.close("second", forward(&layer, x.clone() * 0.5 + 1.0, &TRAIN).inner());
        self.close("evaluated", forward(&layer, x.clone(), &Mode::Eval).inner());
        self.close("evaluated", forward(&layer.valid(), x.inner(), &Mode::Eval));
        let found = params::export(&layer).unwrap();
        assert_eq!(found.len(), self.under("after").len(), "{}: names", self.name);
        for (name, expected) in self.under("after") {
            let distance = distance(&found[&name].values, &expected.values);
            assert!(distance <= TOLERANCE, "{}: {name} after is off by {distance}", self.name);
        }
    }
}

struct CheckGradients<'a> {
    path: Vec<String>,
    gradients: &'a Gradients,
    case: &'a Case<'a>,
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
        // A buffer has none.
        let Some(gradient) = param.grad(self.gradients) else { return };
        self.case.close(&format!("gradient/{}", self.path.join(".")), gradient);
        self.checked += 1;
    }
}

/// Oracle: PyTorch's `Conv2d`, `ConvTranspose2d` and `Linear`.
#[test]
fn convolutions_and_linear_layers_are_those_of_pytorch() {
    Case::new("conv").layer(
        |init| Conv2d::new(3, 4, 4, init).with_stride(2).with_padding(1).without_bias(),
        |layer, x, _| layer.forward(x),
    );
    Case::new("conv_transpose").layer(
        |init| ConvTranspose2d::new(4, 3, 4, init).with_stride(2).with_padding(1),
        |layer, x, _| layer.forward(x),
    );
    Case::new("conv_transpose_first")
        .layer(|init| ConvTranspose2d::new(6, 2, 4, init).without_bias(), |layer, x, _| layer.forward(x));
    Case::new("conv_transpose_odd").layer(
        |init| ConvTranspose2d::new(2, 3, 3, init).with_stride(2).with_padding(1).with_output_padding(1),
        |layer, x, _| layer.forward(x),
    );
    Case::new("linear").layer(|init| Linear::new(5, 3, init).without_bias(), |layer, x, _| layer.forward(x));
}

/// Oracle: PyTorch's `BatchNorm1d`, `BatchNorm2d`, `InstanceNorm2d` and `LayerNorm`.
#[test]
fn normalisations_are_those_of_pytorch() {
    Case::new("batch_norm_1d").layer::<_, 2, 2>(
        |init| BatchNorm::new(5, init),
        |layer, x, mode| layer.forward(x, Activation::None, mode),
    );
    Case::new("batch_norm_2d").layer::<_, 4, 4>(
        |init| BatchNorm::new(3, init),
        |layer, x, mode| layer.forward(x, Activation::None, mode),
    );
    Case::new("instance_norm")
        .layer(|_| InstanceNorm2d::new(1e-5), |layer, x, _| layer.forward(x, Activation::None));
    Case::new("instance_norm_affine").layer(
        |init| InstanceNorm2d::affine(3, 1e-5, init),
        |layer, x, _| layer.forward(x, Activation::None),
    );
    Case::new("layer_norm")
        .layer::<_, 3, 3>(|init| LayerNorm::new(6, 1e-5, init), |layer, x, _| layer.forward(x));
}

/// Oracle: masks written out in `oracle/layers.py`, PyTorch's `conv2d`.
#[test]
fn masked_convolutions_see_what_comes_before() {
    let case = |name, mask, [input, output, kernel, colours]: [usize; 4]| {
        Case::new(name).layer(
            |init| MaskedConv2d::new(mask, input, output, kernel, init).with_colours(colours),
            |layer, x, _| layer.forward(x),
        );
    };
    case("masked_a", MaskType::A, [1, 4, 7, 1]);
    case("masked_b", MaskType::B, [3, 4, 3, 1]);
    case("masked_rgb_a", MaskType::A, [3, 6, 5, 3]);
    case("masked_rgb_b", MaskType::B, [6, 12, 3, 3]);
}

/// Oracle: PyTorch's `spectral_norm`.
#[test]
fn spectral_normalisation_is_that_of_pytorch() {
    Case::new("spectral_conv")
        .layer(|init| SpectralConv2d::new(3, 4, 3, init), |layer, x, mode| layer.forward(x, mode));
    Case::new("spectral_linear")
        .layer(|init| SpectralLinear::new(5, 3, init), |layer, x, mode| layer.forward(x, mode));
}

/// Oracle: PyTorch's `ReflectionPad2d`, `PixelShuffle`, `AvgPool2d` and `MaxPool2d`.
#[test]
fn paddings_shuffles_and_pools_are_those_of_pytorch() {
    Case::new("reflection_pad").operation(|x| ops::reflection_pad(x, 2));
    Case::new("pixel_shuffle").operation(|x| ops::pixel_shuffle(x, 2));
    Case::new("avg_pool").operation(|x| ops::avg_pool2d(x, Windows::tiles(2)));
    let windows = |stride| Windows { size: 3, stride, padding: 1 };
    Case::new("padded_avg_pool").operation(|x| ops::avg_pool2d(x, windows(1)));
    Case::new("max_pool").operation(|x| ops::max_pool2d(x, windows(2)));
}

/// Oracle: PyTorch's activations.
#[test]
fn activations_are_those_of_pytorch() {
    for (name, kind) in [
        ("silu", Activation::Silu),
        ("relu", Activation::Relu),
        ("leaky_relu", Activation::LeakyRelu(0.2)),
        ("gelu", Activation::Gelu),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
    ] {
        Case::new(name).operation::<4, 4>(|x| ops::activate(x, kind));
    }
    Case::new("gated").operation(ops::gated);
}

/// Oracle: PyTorch's `mse_loss`, `binary_cross_entropy_with_logits` and `cross_entropy`.
#[test]
fn losses_are_those_of_pytorch() {
    Case::new("mse").operation::<3, 1>(|x| {
        let half = Tensor::full(x.dims(), 0.5, &x.device());
        ops::mse(x, half)
    });
    Case::new("bce_real").operation::<1, 1>(|x| ops::bce_with_logits(x, 1.0));
    Case::new("bce_smooth").operation::<1, 1>(|x| ops::bce_with_logits(x, 0.1));
    Case::new("cross_entropy").operation(|x: Tensor<4>| {
        let classes: Vec<i64> = (0..24).map(|i| i * 7 % 5).collect();
        let targets = Tensor::<1, Int>::from_data(&classes[..], &x.device()).reshape([2, 3, 4]);
        ops::cross_entropy(x, targets)
    });
}

#[derive(Module, Debug)]
struct Pair {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let init = &mut Init::new(seed, &Device::flex().autodiff());
        let conv = |init: &mut Init| Conv2d::new(2, 3, 3, init).without_bias();
        Self { conv: init.with(Weights::Normal(0.02), conv), norm: BatchNorm::new(3, init) }
    }

    /// A step of training on pictures that `number` decides.
    fn step(self, adam: &mut Adam, ema: &mut Ema<Self>, number: usize) -> Self {
        let x: Vec<f32> = (0..96).map(|i| ((i * 37 + number * 11) % 19) as f32 * 0.1 - 0.5).collect();
        let x = Tensor::<1>::from_data(&x[..], &Device::flex().autodiff()).reshape([3, 2, 4, 4]);
        let y = self.norm.forward(self.conv.forward(x), Activation::Tanh, &TRAIN);
        let mut gradients = y.square().mean().backward();
        let (pair, _) = adam.step(self, &mut gradients, 1e-2, 0.0);
        ema.update(&pair, 0.5);
        pair
    }
}

#[test]
fn running_statistics_are_saved_averaged_and_resumed_to_the_bit() {
    let mut pair = Pair::new(1);
    assert_eq!(params::count(&pair), 3 * 2 * 9 + 6, "buffers are not trainable");
    let (mut adam, mut ema) = (Adam::new(AdamConfig::default()), Ema::new(&pair));
    let mut saved = Snapshot::default();
    for number in 0..4 {
        if number == 2 {
            params::save(&pair, "train", &mut saved).unwrap();
            ema.save("model", &mut saved).unwrap();
            adam.save("adam", &mut saved).unwrap();
        }
        pair = pair.step(&mut adam, &mut ema, number);
    }
    assert!(saved.tensors.contains_key("train/norm.running_mean"));
    assert!(!saved.tensors.contains_key("adam/m/norm.running_mean"), "no optimizer works on buffers");

    let fresh = Pair::new(2);
    let (mut again_adam, mut again_ema) = (Adam::new(AdamConfig::default()), Ema::new(&fresh));
    let mut again = params::load(fresh, "train", &saved).unwrap();
    again_adam.load("adam", &saved, &again).unwrap();
    again_ema.load("model", &saved).unwrap();
    for number in 2..4 {
        again = again.step(&mut again_adam, &mut again_ema, number);
    }
    assert_eq!(params::export(&again).unwrap(), params::export(&pair).unwrap());
    let averaged = params::export(ema.model()).unwrap();
    assert_eq!(params::export(again_ema.model()).unwrap(), averaged);
    assert_eq!(averaged["norm.running_var"], params::export(&pair).unwrap()["norm.running_var"]);
    assert_ne!(averaged["conv.weight"], params::export(&pair).unwrap()["conv.weight"]);
}

#[test]
fn a_copy_keeps_its_own_running_statistics_and_a_frozen_one_gets_no_gradients() {
    let pair = Pair::new(3);
    let before = params::export(&pair).unwrap();
    let frozen = params::frozen(&pair);
    let x = Tensor::<4>::ones([2, 2, 4, 4], &Device::flex().autodiff()).require_grad();
    let y = frozen.norm.forward(frozen.conv.forward(x.clone()), Activation::Relu, &TRAIN);
    let gradients = y.sum().backward();
    assert!(x.grad(&gradients).is_some());
    assert!(frozen.conv.weight.grad(&gradients).is_none() && pair.conv.weight.grad(&gradients).is_none());
    assert_eq!(params::export(&pair).unwrap(), before);
    assert_ne!(params::export(&frozen).unwrap()["norm.running_mean"], before["norm.running_mean"]);
}

#[test]
fn first_weights_are_drawn_as_asked() {
    let init = &mut Init::new(7, &Device::flex());
    let spread = |tensor: Tensor<4>| {
        let values = values(tensor);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt())
    };
    let normal = init.with(Weights::Normal(0.02), |init| Conv2d::new(64, 64, 3, init));
    let (mean, std) = spread(normal.weight.val());
    assert!(mean.abs() < 5e-4 && (std / 0.02 - 1.0).abs() < 0.02, "{mean} {std}");
    let scales = init.with(Weights::Normal(0.02), |init| BatchNorm::new(4096, init).weight.val());
    let (mean, std) = spread(scales.reshape([4096, 1, 1, 1]));
    assert!((mean - 1.0).abs() < 2e-3 && (std / 0.02 - 1.0).abs() < 0.05, "{mean} {std}");
    let kaiming = init.with(Weights::Kaiming, |init| Conv2d::new(64, 64, 3, init));
    let (_, std) = spread(kaiming.weight.val());
    assert!((std / (2.0f32 / 576.0).sqrt() - 1.0).abs() < 0.02, "{std}");
    assert!(values(kaiming.bias.unwrap().val()).iter().all(|&b| b == 0.0));
    let uniform = Conv2d::new(64, 64, 3, init).weight.val();
    let (_, std) = spread(uniform);
    assert!((std * 3f32.sqrt() * 24.0 - 1.0).abs() < 0.02, "{std}");
}
