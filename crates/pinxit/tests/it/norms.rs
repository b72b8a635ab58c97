//! Normalisations, activations, gates and losses against PyTorch (`oracle/norms.py`): their conventions.

use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use pinxit_kernels::{self as ops, Activation, Reduction};

use crate::golden::{Golden, distance, values};

const EPS: f64 = 1e-3;

/// One case of the golden file.
struct Case {
    golden: Golden,
    name: &'static str,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self { golden: Golden::read("norms"), name }
    }

    /// The input `i`, which requires a gradient.
    fn input<const D: usize>(&self, i: usize) -> Tensor<D> {
        let device = Device::flex().autodiff();
        self.golden.tensor(&format!("{}/input/{i}", self.name), &device).require_grad()
    }

    fn assert_near(&self, what: &str, found: &[f32]) {
        let error = distance(found, &self.golden.array(&format!("{}/{what}", self.name)).values);
        assert!(error < 5e-6, "{what} of {} is off by {error}", self.name);
    }

    /// The gradients of the output, whose values are those of the case, times its weights.
    fn backward<const D: usize>(&self, output: Tensor<D>) -> Gradients {
        let count = output.shape().num_elements();
        let output = output.reshape([count]);
        self.assert_near("output", &values(output.clone().inner()));
        let weight = self.golden.tensor(&format!("{}/weight", self.name), &output.device());
        (output * weight).sum().backward()
    }

    fn assert_gradient<const D: usize>(&self, i: usize, x: &Tensor<D>, gradients: &Gradients) {
        self.assert_near(&format!("gradient/{i}"), &values(x.grad(gradients).unwrap()));
    }
}

/// An operation on one input.
fn one<const D: usize, const E: usize>(name: &'static str, op: impl Fn(Tensor<D>) -> Tensor<E>) {
    let case = Case::new(name);
    let x = case.input::<D>(0);
    let gradients = case.backward(op(x.clone()));
    case.assert_gradient(0, &x, &gradients);
}

/// An operation on two inputs of one rank.
fn two<const D: usize, const E: usize>(name: &'static str, op: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<E>) {
    let case = Case::new(name);
    let (x, y) = (case.input::<D>(0), case.input::<D>(1));
    let gradients = case.backward(op(x.clone(), y.clone()));
    case.assert_gradient(0, &x, &gradients);
    case.assert_gradient(1, &y, &gradients);
}

/// An operation on an input and a line.
fn normalisation<const D: usize, const G: usize>(
    name: &'static str,
    op: impl Fn(Tensor<D>, Tensor<G>, Tensor<G>) -> Tensor<D>,
) {
    let case = Case::new(name);
    let (x, gamma, beta) = (case.input::<D>(0), case.input::<G>(1), case.input::<G>(2));
    let gradients = case.backward(op(x.clone(), gamma.clone(), beta.clone()));
    case.assert_gradient(0, &x, &gradients);
    case.assert_gradient(1, &gamma, &gradients);
    case.assert_gradient(2, &beta, &gradients);
}

#[test]
fn norms_of_one_image_are_those_of_pytorch() {
    let silu = Activation::Silu;
    normalisation("group_norm", |x: Tensor<4>, g: Tensor<1>, b| ops::group_norm(x, g, b, 3, EPS, silu));
    normalisation("adaptive_group_norm", |x: Tensor<4>, g: Tensor<2>, b| {
        ops::group_norm(x, g, b, 3, EPS, Activation::None)
    });
    normalisation("instance_norm", |x, g, b| {
        ops::instance_norm(x, Some((g, b)), EPS, Activation::LeakyRelu(0.2))
    });
    normalisation("layer_norm", |x, g, b| ops::layer_norm(x, g, b, EPS, Activation::Gelu));
}

#[test]
fn a_shift_before_a_norm_gets_its_gradient() {
    let case = Case::new("shifted_group_norm");
    let (x, shift) = (case.input::<4>(0), case.input::<2>(1));
    let (gamma, beta) = (case.input::<1>(2), case.input::<1>(3));
    let (a, b) = (gamma.clone(), beta.clone());
    let y = ops::shifted_group_norm(x.clone(), shift.clone(), a, b, 3, EPS, Activation::Silu);
    let gradients = case.backward(y);
    case.assert_gradient(0, &x, &gradients);
    case.assert_gradient(1, &shift, &gradients);
    case.assert_gradient(2, &gamma, &gradients);
    case.assert_gradient(3, &beta, &gradients);
}

#[test]
fn norms_of_a_batch_are_those_of_pytorch() {
    normalisation("batch_norm_4", |x: Tensor<4>, g, b| ops::batch_norm(x, g, b, EPS, Activation::None).y);
    normalisation("batch_norm_2", |x: Tensor<2>, g, b| ops::batch_norm(x, g, b, EPS, Activation::Relu).y);
    // What PyTorch keeps of a batch for later.
    let case = Case::new("batch_norm_4");
    let (x, g, b) = (case.input::<4>(0), case.input::<1>(1), case.input::<1>(2));
    let found = ops::batch_norm(x, g, b, EPS, Activation::None);
    case.assert_near("mean", &values(found.mean));
    case.assert_near("variance", &values(found.variance));
}

#[test]
fn activations_and_gates_are_those_of_pytorch() {
    for (name, activation) in [
        ("relu", Activation::Relu),
        ("leaky_relu", Activation::LeakyRelu(0.2)),
        ("silu", Activation::Silu),
        ("gelu", Activation::Gelu),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
    ] {
        one(name, |x: Tensor<1>| ops::activate(x, activation));
    }
    one("pixelcnn_gate", |x: Tensor<4>| ops::gated(x, [Activation::Tanh, Activation::Sigmoid]));
    one("geglu", |x: Tensor<2>| ops::gated(x, [Activation::None, Activation::Gelu]));
}

#[test]
fn losses_are_those_of_pytorch() {
    two("mse_mean", |x: Tensor<4>, y| ops::mse_loss(x, y, Reduction::Mean));
    two("l1_sum", |x: Tensor<4>, y| ops::l1_loss(x, y, Reduction::Sum));
    one("bce_real", |x: Tensor<1>| ops::bce_with_logits(x, 1.0, Reduction::Mean));
    two("bce_each", |x: Tensor<1>, y| ops::bce_with_logits_each(x, y, Reduction::Mean));
    two("gaussian_kl", |x: Tensor<2>, y| ops::gaussian_kl(x, y, Reduction::Sum));
    one("cross_entropy_4", |x: Tensor<4>| ops::cross_entropy(x, classes(24, 7), Reduction::Mean));
    one("cross_entropy_2", |x: Tensor<2>| ops::cross_entropy(x, classes(5, 11), Reduction::Sum));
}

/// The classes of `count` pixels, as the script makes them.
fn classes(count: i64, kinds: i64) -> Tensor<1, Int> {
    let classes: Vec<i64> = (0..count).map(|i| i * i * 5 % kinds).collect();
    Tensor::from_data(TensorData::new(classes, [count as usize]), &Device::flex())
}

#[test]
fn draws_are_those_of_pytorch() {
    let case = Case::new("reparameterise");
    let (mean, variance, noise) = (case.input::<2>(0), case.input::<2>(1), case.input::<2>(2));
    let z = ops::reparameterise(mean.clone(), variance.clone(), noise.clone());
    let gradients = case.backward(z);
    case.assert_gradient(0, &mean, &gradients);
    case.assert_gradient(1, &variance, &gradients);
    case.assert_gradient(2, &noise, &gradients);
}
