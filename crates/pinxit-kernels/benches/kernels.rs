//! Times of the operations beside Burn's own: `cargo bench -p pinxit-kernels [-- PART_OF_A_NAME]`.
//!
//! The two take turns, round after round, and the medians are compared: on a shared machine only ratios mean
//! something. GFLOP/s count a multiply-add as two operations, GB/s every element of the inputs and outputs
//! once.
#![allow(missing_docs)]

use burn::tensor::ops::{AvgPoolOptions, ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, activation, module};
use pinxit_kernels::passes::Convolution;
use pinxit_kernels::{
    Activation, AdamStep, Descent, Optimized, Windows, activate, adam, attention, avg_pool2d,
    conv_transpose2d, conv2d, global_norm, group_norm, lerp, linear, masked_conv2d, max_pool2d, set_exact,
    threads, upsample_nearest2,
};
use std::hint::black_box;
use std::time::Instant;

#[path = "kernels/between_layers.rs"]
mod between_layers;

#[global_allocator]
static MEMORY: pinxit_kernels::Recycling = pinxit_kernels::Recycling::new();

const ROUNDS: usize = 9;

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    println!("{} threads; medians of {ROUNDS} rounds in turn", threads::count());
    println!("{:44} {:>9} {:>9} {:>7} {:>9}", "", "ours ms", "burn ms", "ratio", "ours");
    let bench = Bench { only };
    convolutions(&bench);
    convolution_passes(&bench);
    normalisations(&bench);
    between_layers::all(&bench);
    others(&bench);
    optimizers(&bench);
}

struct Bench {
    only: String,
}

/// What a rate counts.
enum Amount {
    Flop(usize),
    Elements(usize),
}

impl Bench {
    fn compare<R, S>(&self, name: &str, amount: Amount, ours: impl Fn() -> R, burn: impl Fn() -> S) {
        if !name.contains(&self.only) {
            return;
        }
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            a.push(time(&ours));
            b.push(time(&burn));
        }
        let (a, b) = (median(a), median(b));
        let (rate, unit) = match amount {
            Amount::Flop(count) => (count as f64 / a / 1e9, "GFLOP/s"),
            Amount::Elements(count) => (4.0 * count as f64 / a / 1e9, "GB/s"),
        };
        println!("{name:44} {:9.3} {:9.3} {:7.2} {rate:9.1} {unit}", a * 1e3, b * 1e3, b / a);
    }

    /// Forward alone, and forward with backward, of an operation on a tensor.
    fn both<const D: usize, const E: usize>(
        &self,
        name: &str,
        amount: impl Fn(usize) -> Amount,
        dims: [usize; D],
        ours: impl Fn(Tensor<D>) -> Tensor<E>,
        burn: impl Fn(Tensor<D>) -> Tensor<E>,
    ) {
        let x = random(dims, &Device::flex());
        self.compare(&format!("{name} fwd"), amount(1), || ours(x.clone()), || burn(x.clone()));
        let x = random(dims, &Device::flex().autodiff()).require_grad();
        let (ours, burn) = (|| ours(x.clone()).sum().backward(), || burn(x.clone()).sum().backward());
        self.compare(&format!("{name} fwd+bwd"), amount(3), ours, burn);
    }

    /// A layer with a weight: forward, and with the gradient of one input, where the forward pass and Burn's sum
    /// are in both columns. `flop` are those of the forward pass.
    fn layer<const D: usize>(
        &self,
        name: &str,
        flop: usize,
        (x, weight): ([usize; D], [usize; D]),
        ours: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<D>,
        burn: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<D>,
    ) {
        let (plain, tracked) = (Device::flex(), Device::flex().autodiff());
        let (x, weight) = (random(x, &plain), random(weight, &plain));
        let both = (|| ours(x.clone(), weight.clone()), || burn(x.clone(), weight.clone()));
        self.compare(&format!("{name} fwd"), Amount::Flop(flop), both.0, both.1);
        let lift = |x: &Tensor<D>| Tensor::from_data(x.to_data(), &tracked);
        let (x, weight) = (lift(&x), lift(&weight));
        let (xg, wg) = (x.clone().require_grad(), weight.clone().require_grad());
        let grad = |y: Tensor<D>| y.sum().backward();
        let both = (|| grad(ours(xg.clone(), weight.clone())), || grad(burn(xg.clone(), weight.clone())));
        self.compare(&format!("{name} fwd+bwd-x"), Amount::Flop(2 * flop), both.0, both.1);
        let both = (|| grad(ours(x.clone(), wg.clone())), || grad(burn(x.clone(), wg.clone())));
        self.compare(&format!("{name} fwd+bwd-w"), Amount::Flop(2 * flop), both.0, both.1);
    }
}

/// Seconds of one call, from as many as take 20 ms.
fn time<R>(f: impl Fn() -> R) -> f64 {
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed().as_millis() < 20 {
        black_box(f());
        calls += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(calls)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn random<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(dims, burn::tensor::Distribution::Uniform(-1.0, 1.0), device)
}

fn convolutions(bench: &Bench) {
    let shapes = [
        ([16, 64, 32, 32], [64, 64, 3, 3], 1, 1),
        ([16, 128, 16, 16], [128, 128, 3, 3], 1, 1),
        ([64, 64, 32, 32], [128, 64, 4, 4], 2, 1),
        ([32, 32, 16, 16], [32, 32, 3, 3], 1, 1),
        ([64, 64, 8, 8], [64, 64, 3, 3], 1, 1),
        ([64, 128, 4, 4], [128, 128, 3, 3], 1, 1),
        ([16, 3, 32, 32], [64, 3, 3, 3], 1, 1),
        ([16, 64, 32, 32], [3, 64, 3, 3], 1, 1),
        ([16, 64, 32, 32], [64, 64, 3, 3], 2, 1),
        ([64, 3, 64, 64], [64, 3, 4, 4], 2, 1),
        ([64, 512, 4, 4], [1, 512, 4, 4], 1, 0),
        ([16, 128, 16, 16], [384, 128, 1, 1], 1, 0),
        ([32, 64, 28, 28], [64, 64, 1, 1], 1, 0),
        ([16, 32, 32, 32], [32, 32, 5, 5], 1, 2),
        ([16, 32, 32, 32], [32, 32, 7, 7], 1, 3),
    ];
    for (x, w, stride, padding) in shapes {
        let pixels = [2, 3].map(|d| (x[d] + 2 * padding - w[d]) / stride + 1);
        let flop = 2 * x[0] * pixels.iter().product::<usize>() * w.iter().product::<usize>();
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        let name = format!("conv{}x{}/{stride} {x:?}->{}", w[2], w[3], w[0]);
        let ours = |x, w| conv2d(x, w, None, stride, padding);
        bench.layer(&name, flop, (x, w), ours, |x, w| module::conv2d(x, w, None, options.clone()));
    }
    for (x, w, alive) in [([32, 64, 28, 28], [128, 64, 3, 3], 5), ([32, 1, 28, 28], [64, 1, 7, 7], 24)] {
        let taps = w[2] * w[3];
        let mask: Vec<bool> = (0..taps).map(|tap| tap < alive).collect();
        let flop = 2 * x[0] * x[2] * x[3] * w[0] * w[1] * alive;
        let options = ConvOptions::new([1; 2], [w[2] / 2; 2], [1; 2], 1);
        let name = format!("masked conv{}x{} {x:?}->{}", w[2], w[3], w[0]);
        let ours = |x, weight| masked_conv2d(x, weight, None, &mask, w[2] / 2);
        bench.layer(&name, flop, (x, w), ours, |x, w| module::conv2d(x, w, None, options.clone()));
    }
    let shapes = [
        ([64, 256, 8, 8], [256, 128, 4, 4], 2, 1),
        ([64, 64, 32, 32], [64, 3, 4, 4], 2, 1),
        ([64, 100, 1, 1], [100, 512, 4, 4], 1, 0),
    ];
    for (x, w, stride, padding) in shapes {
        let flop = 2 * x[0] * x[2] * x[3] * w.iter().product::<usize>();
        let options = ConvTransposeOptions::new([stride; 2], [padding; 2], [0; 2], [1; 2], 1);
        let name = format!("conv_transpose{}x{}/{stride} {x:?}->{}", w[2], w[3], w[1]);
        let ours = |x, w| conv_transpose2d(x, w, None, stride, padding, 0);
        let burn = |x, w| module::conv_transpose2d(x, w, None, options.clone());
        bench.layer(&name, flop, (x, w), ours, burn);
    }
}

/// The passes of a convolution alone, by Winograd's algorithm (the first column) and directly (the second).
/// GFLOP/s are those of the direct way for both.
fn convolution_passes(bench: &Bench) {
    let shapes = [
        ([16, 64, 32, 32], [64, 64, 3, 3], 1),
        ([16, 128, 16, 16], [128, 128, 3, 3], 1),
        ([16, 256, 16, 16], [128, 256, 3, 3], 1),
        ([16, 128, 8, 8], [128, 128, 3, 3], 1),
        ([1, 64, 32, 32], [64, 64, 3, 3], 1),
        ([1, 128, 16, 16], [128, 128, 3, 3], 1),
        ([1, 128, 8, 8], [128, 128, 3, 3], 1),
        ([64, 64, 32, 32], [128, 64, 4, 4], 2),
        // Transposed [64, 256, 8, 8] -> 128: its forward pass is the backward pass here.
        ([64, 128, 16, 16], [256, 128, 4, 4], 2),
        ([64, 256, 8, 8], [512, 256, 4, 4], 2),
        ([64, 32, 32, 32], [64, 32, 4, 4], 2),
    ];
    for (x_dims, w_dims, stride) in shapes {
        let convolution = Convolution::new(x_dims, w_dims, stride, 1);
        let y_dims = convolution.output_dims();
        let [x, weight, dy] = [x_dims, w_dims, y_dims]
            .map(|dims| random(dims, &Device::flex()).into_data().try_to_vec::<f32>());
        let (Ok(x), Ok(weight), Ok(dy)) = (x, weight, dy) else { unreachable!("the numbers are f32") };
        let flop = 2 * y_dims.iter().product::<usize>() * w_dims[1..].iter().product::<usize>();
        let name = format!("passes{0}x{0}/{stride} {x_dims:?}->{1}", w_dims[2], w_dims[0]);
        let in_turn = |pass: &str, run: &dyn Fn() -> Vec<f32>| {
            let way = |exact: bool| {
                move || {
                    set_exact(exact);
                    run()
                }
            };
            bench.compare(&format!("{name} {pass}"), Amount::Flop(flop), way(false), way(true));
        };
        in_turn("fwd", &|| convolution.forward(&x, &weight));
        in_turn("bwd-x", &|| convolution.backward_x(&weight, &dy));
        in_turn("bwd-w", &|| convolution.backward_weight(&x, &dy));
    }
    set_exact(false);
}

fn burn_group_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, groups: usize) -> Tensor<4> {
    let dims @ [b, c, h, w] = x.dims();
    let x = x.reshape([b, groups, c / groups * h * w]);
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normal = (centred / (variance + 1e-5).sqrt()).reshape(dims);
    activation::silu(normal * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1]))
}

fn normalisations(bench: &Bench) {
    for dims in [[16, 64, 32, 32], [64, 64, 8, 8]] {
        let elements: usize = dims.iter().product();
        let amount = |passes| Amount::Elements((if passes == 1 { 2 } else { 5 }) * elements);
        let line = |x: &Tensor<4>| {
            let ones = Tensor::<1>::ones([dims[1]], &x.device());
            (ones.clone(), ones)
        };
        let ours = |x: Tensor<4>| {
            let (gamma, beta) = line(&x);
            group_norm(x, gamma, beta, 32, 1e-5, Activation::Silu)
        };
        let burn = |x: Tensor<4>| {
            let (gamma, beta) = line(&x);
            burn_group_norm(x, gamma, beta, 32)
        };
        bench.both(&format!("group_norm+silu {dims:?}"), amount, dims, ours, burn);
        let ours = |x| activate(x, Activation::Silu);
        bench.both(&format!("silu {dims:?}"), amount, dims, ours, activation::silu);
    }
}

fn others(bench: &Bench) {
    let dims = [16, 4, 256, 32];
    let amount = |passes| {
        Amount::Flop(if passes == 1 { 4 } else { 14 } * dims[0] * dims[1] * dims[2] * dims[2] * dims[3])
    };
    let burn =
        |x: Tensor<4>| activation::softmax(x.clone().matmul(x.clone().transpose()) * 0.18, 3).matmul(x);
    bench.both(
        &format!("attention {dims:?}"),
        amount,
        dims,
        |x| attention(x.clone(), x.clone(), x, 0.18),
        burn,
    );

    let dims = [32, 64, 16, 16];
    let elements: usize = dims.iter().product();
    let burn = |x: Tensor<4>| {
        let [b, c, h, w] = x.dims();
        x.reshape([b * c, h, 1, w, 1]).repeat(&[1, 1, 2, 1, 2]).reshape([b, c, 2 * h, 2 * w])
    };
    let amount = |passes| Amount::Elements(5 * elements * if passes == 1 { 1 } else { 2 });
    bench.both(&format!("upsample {dims:?}"), amount, dims, upsample_nearest2, burn);

    // The first pooling of the Inception network, and one of its last.
    let dims = [4, 64, 147, 147];
    let amount = |_| Amount::Elements(dims.iter().product::<usize>() * 5 / 4);
    let windows = Windows { size: 3, stride: 2, padding: 0 };
    let burn = |x| {
        let options = MaxPoolOptions {
            kernel_size: [3; 2],
            stride: [2; 2],
            padding: [(0, 0); 2],
            dilation: [1; 2],
            ceil_mode: false,
        };
        module::max_pool2d(x, options)
    };
    bench.both(&format!("max pool {dims:?}"), amount, dims, |x| max_pool2d(x, windows), burn);
    let dims = [16, 768, 17, 17];
    let amount = |_| Amount::Elements(2 * dims.iter().product::<usize>());
    let windows = Windows { size: 3, stride: 1, padding: 1 };
    let burn = |x| {
        let options = AvgPoolOptions {
            kernel_size: [3; 2],
            stride: [1; 2],
            padding: [(1, 1); 2],
            count_include_pad: false,
            ceil_mode: false,
        };
        module::avg_pool2d(x, options)
    };
    bench.both(&format!("average pool {dims:?}"), amount, dims, |x| avg_pool2d(x, windows), burn);

    for [batch, inputs, outputs] in [
        [1024, 1024, 1024],
        [1024, 576, 64],
        [128, 512, 784],
        [128, 256, 512],
        [64, 4096, 128],
        [16, 256, 256],
    ] {
        let name = format!("linear {batch}x{inputs}->{outputs}");
        let (ours, burn) = (|x, w| linear(x, w, None), |x: Tensor<2>, w: Tensor<2>| x.matmul(w.transpose()));
        bench.layer(&name, 2 * batch * inputs * outputs, ([batch, inputs], [outputs, inputs]), ours, burn);
    }
}

fn optimizers(bench: &Bench) {
    let count = 10_000_000;
    let device = Device::flex();
    let x: Tensor<1> = random([count], &device);
    let step = AdamStep {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        step: 3,
        grad_scale: 1.0,
    };
    let state = std::cell::RefCell::new([x.clone() * 1.0, x.clone() * 0.1, x.clone().square()]);
    let ours = || {
        let [p, m, v] = state.replace([(); 3].map(|()| Tensor::empty([1], &device)));
        let descent = Some(Descent { grad: x.clone(), m, v });
        let Optimized { param, descent, .. } =
            adam(vec![Optimized { param: p, descent, ema: None }], step, 0.0).remove(0);
        let Some(Descent { m, v, .. }) = descent else { return };
        state.replace([param, m, v]);
    };
    let burn = || {
        let [p, m, v] = state.replace([(); 3].map(|()| Tensor::empty([1], &device)));
        let m = m * 0.9 + x.clone() * 0.1;
        let v = v * 0.999 + x.clone().square() * 0.001;
        let p = p - m.clone() / (v.clone().sqrt() + 1e-8) * 1e-3;
        state.replace([p, m, v]);
    };
    bench.compare("adam 10M", Amount::Elements(7 * count), ours, burn);
    let ema = std::cell::RefCell::new(x.clone() * 1.0);
    let ours = || {
        let old = ema.replace(Tensor::empty([1], &device));
        ema.replace(lerp(old, x.clone(), 0.01));
    };
    let burn = || {
        let old = ema.replace(Tensor::empty([1], &device));
        ema.replace(old * 0.99 + x.clone() * 0.01);
    };
    bench.compare("lerp 10M", Amount::Elements(3 * count), ours, burn);
    let sum = || x.clone().square().sum().into_data();
    bench.compare("global norm 10M", Amount::Elements(count), || global_norm(vec![x.clone()]), sum);
}
