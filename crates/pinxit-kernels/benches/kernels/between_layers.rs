//! What stands between the layers: norms of a batch and of rows, activations, gates, losses.

use crate::{Amount, Bench, random};
use burn::tensor::{Int, Tensor, TensorData, activation};
use pinxit_kernels::{
    Activation, Reduction, activate, add, batch_norm, bce_with_logits, concat_channels, cross_entropy, gated,
    layer_norm, mse_loss, scale_shift,
};

/// Every row; a rate counts inputs and outputs, and their gradients, once.
pub(crate) fn all(bench: &Bench) {
    activations(bench);
    norms(bench);
    gates(bench);
    residuals(bench);
    losses(bench);
}

/// Numbers that are moved forward (with a factor for the rest of the inputs), and forward with backward.
fn moved(dims: &[usize], forward: usize) -> impl Fn(usize) -> Amount {
    let elements: usize = dims.iter().product();
    move |passes| Amount::Elements(elements * if passes == 1 { forward } else { forward + 3 })
}

fn activations(bench: &Bench) {
    let dims = [16, 64, 32, 32];
    for (name, kind) in [
        ("relu", Activation::Relu),
        ("leaky_relu", Activation::LeakyRelu(0.2)),
        ("gelu", Activation::Gelu),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
    ] {
        let burn = |x: Tensor<4>| match kind {
            Activation::Relu => activation::relu(x),
            Activation::LeakyRelu(slope) => activation::leaky_relu(x, f64::from(slope)),
            Activation::Gelu => activation::gelu(x),
            Activation::Tanh => activation::tanh(x),
            _ => activation::sigmoid(x),
        };
        bench.both(&format!("{name} {dims:?}"), moved(&dims, 2), dims, |x| activate(x, kind), burn);
    }
}

fn ones<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    Tensor::ones([x.dims()[1]], &x.device())
}

fn norms(bench: &Bench) {
    for dims in [[64, 64, 32, 32], [64, 128, 16, 16], [64, 512, 4, 4]] {
        let relu = Activation::LeakyRelu(0.2);
        let ours = |x: Tensor<4>| batch_norm(x.clone(), ones(&x), ones(&x), 1e-5, relu).y;
        let burn = |x: Tensor<4>| {
            let [b, c, h, w] = x.dims();
            let sets = x.swap_dims(0, 1).reshape([c, b * h * w]);
            let centred = sets.clone() - sets.mean_dim(1);
            let variance = centred.clone().square().mean_dim(1);
            let y = (centred / (variance + 1e-5).sqrt()).reshape([c, b, h, w]).swap_dims(0, 1);
            activation::leaky_relu(y, 0.2)
        };
        bench.both(&format!("batch_norm+leaky_relu {dims:?}"), moved(&dims, 2), dims, ours, burn);
    }
    let dims = [4096, 512];
    let ours = |x: Tensor<2>| layer_norm(x.clone(), ones(&x), ones(&x), 1e-5, Activation::None);
    let burn = |x: Tensor<2>| {
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1);
        centred / (variance + 1e-5).sqrt()
    };
    bench.both(&format!("layer_norm {dims:?}"), moved(&dims, 2), dims, ours, burn);
    let dims = [16, 64, 32, 32];
    let ours = |x: Tensor<4>| scale_shift(x.clone(), ones(&x), ones(&x), Activation::None);
    bench.both(&format!("scale_shift {dims:?}"), moved(&dims, 2), dims, ours, |x| x * 1.0 + 1.0);
}

fn gates(bench: &Bench) {
    let dims = [32, 128, 28, 28];
    let half = |x: &Tensor<4>, n: usize| x.clone().narrow(1, n * 64, 64);
    let ours = |x| gated(x, [Activation::Tanh, Activation::Sigmoid]);
    let burn = |x: Tensor<4>| half(&x, 0).tanh() * activation::sigmoid(half(&x, 1));
    bench.both(&format!("gated {dims:?}"), moved(&dims, 2), dims, ours, burn);
}

fn residuals(bench: &Bench) {
    let dims = [16, 64, 32, 32];
    let ours = |x: Tensor<4>| add(x.clone(), x);
    bench.both(&format!("add {dims:?}"), moved(&dims, 3), dims, ours, |x| x.clone() + x);
    let ours = |x: Tensor<4>| concat_channels(x.clone(), x);
    let burn = |x: Tensor<4>| Tensor::cat(vec![x.clone(), x], 1);
    bench.both(&format!("concat_channels {dims:?}"), moved(&dims, 4), dims, ours, burn);
}

fn losses(bench: &Bench) {
    let dims = [64, 3, 64, 64];
    let target = random(dims, &burn::tensor::Device::flex());
    let on = |x: &Tensor<4>| Tensor::<4>::from_data(target.to_data(), &x.device());
    let ours = |x: Tensor<4>| mse_loss(x.clone(), on(&x), Reduction::Mean);
    let burn = |x: Tensor<4>| (x.clone() - on(&x)).square().mean();
    bench.both(&format!("mse_loss {dims:?}"), moved(&dims, 2), dims, ours, burn);
    let ours = |x: Tensor<4>| bce_with_logits(x, 1.0, Reduction::Mean);
    let burn = |x: Tensor<4>| (activation::softplus(x.clone(), 1.0) - x).mean();
    bench.both(&format!("bce_with_logits {dims:?}"), moved(&dims, 1), dims, ours, burn);
    let dims = [32, 256, 28, 28];
    let count = 32 * 28 * 28;
    let classes = TensorData::new((0..count as i64).map(|i| i * i % 256).collect::<Vec<_>>(), [count]);
    let classes = Tensor::<1, Int>::from_data(classes, &burn::tensor::Device::flex());
    let ours = |x: Tensor<4>| cross_entropy(x, classes.clone(), Reduction::Mean);
    let burn = |x: Tensor<4>| {
        let x = activation::log_softmax(x.reshape([32, 256, 784]), 1);
        let classes = Tensor::<1, Int>::from_data(classes.to_data(), &x.device());
        x.gather(1, classes.reshape([32, 1, 784])).mean().neg()
    };
    bench.both(&format!("cross_entropy {dims:?}"), moved(&dims, 1), dims, ours, burn);
}
