//! Times of the operations beside Burn's own: `cargo bench -p pinxit-kernels [-- PART_OF_A_NAME]`.
//!
//! The two take turns, round after round, and the medians are compared: on a shared machine only ratios mean
//! something. GFLOP/s count a multiply-add as two operations, GB/s every element of the inputs and outputs
//! once.
#![allow(missing_docs)]

use burn::tensor::{Device, Tensor, activation, module, ops::ConvOptions};
use pinxit_kernels::{
    Activation, AdamStep, activate, adam, attention, conv2d, group_norm, lerp, linear, sum_of_squares,
    threads, upsample_nearest2,
};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 9;

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    println!("{} threads; medians of {ROUNDS} rounds in turn", threads::count());
    println!("{:44} {:>9} {:>9} {:>7} {:>9}", "", "ours ms", "burn ms", "ratio", "ours");
    let bench = Bench { only };
    convolutions(&bench);
    normalisations(&bench);
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
    fn both<const D: usize>(
        &self,
        name: &str,
        amount: impl Fn(usize) -> Amount,
        dims: [usize; D],
        ours: impl Fn(Tensor<D>) -> Tensor<4>,
        burn: impl Fn(Tensor<D>) -> Tensor<4>,
    ) {
        let x = random(dims, &Device::flex());
        self.compare(&format!("{name} fwd"), amount(1), || ours(x.clone()), || burn(x.clone()));
        let x = random(dims, &Device::flex().autodiff()).require_grad();
        let (ours, burn) = (|| ours(x.clone()).sum().backward(), || burn(x.clone()).sum().backward());
        self.compare(&format!("{name} fwd+bwd"), amount(3), ours, burn);
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
        ([32, 3, 32, 32], [32, 3, 3, 3], 1, 1),
        ([32, 64, 16, 16], [128, 64, 1, 1], 1, 0),
    ];
    for (x_dims, w_dims, stride, padding) in shapes {
        let [b, c, h, w] = x_dims;
        let [o, _, kh, kw] = w_dims;
        let pixels = ((h + 2 * padding - kh) / stride + 1) * ((w + 2 * padding - kw) / stride + 1);
        let amount = || Amount::Flop(2 * b * pixels * o * c * kh * kw);
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        let burn = |x, w| module::conv2d(x, w, None, options.clone());
        let ours = |x, w| conv2d(x, w, None, stride, padding);
        let name = format!("conv{kh}x{kw}/{stride} {x_dims:?}->{o}");
        let (plain, tracked) = (Device::flex(), Device::flex().autodiff());
        let (x, weight) = (random(x_dims, &plain), random(w_dims, &plain));
        let both = (|| ours(x.clone(), weight.clone()), || burn(x.clone(), weight.clone()));
        bench.compare(&format!("{name} fwd"), amount(), both.0, both.1);
        // The gradient of one input; the forward pass and Burn's sum are in both columns.
        let lift = |x: &Tensor<4>| Tensor::from_data(x.to_data(), &tracked);
        let (x, weight) = (lift(&x), lift(&weight));
        let (xg, wg) = (x.clone().require_grad(), weight.clone().require_grad());
        let grad = |y: Tensor<4>| y.sum().backward();
        let both = (|| grad(ours(xg.clone(), weight.clone())), || grad(burn(xg.clone(), weight.clone())));
        bench.compare(&format!("{name} fwd+bwd-x"), twice(amount()), both.0, both.1);
        let both = (|| grad(ours(x.clone(), wg.clone())), || grad(burn(x.clone(), wg.clone())));
        bench.compare(&format!("{name} fwd+bwd-w"), twice(amount()), both.0, both.1);
    }
}

fn twice(amount: Amount) -> Amount {
    match amount {
        Amount::Flop(count) => Amount::Flop(2 * count),
        Amount::Elements(count) => Amount::Elements(2 * count),
    }
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

    for [batch, inputs, outputs] in [[64, 128, 512], [64, 784, 1024], [256, 1024, 1024]] {
        let device = Device::flex().autodiff();
        let weight = random([outputs, inputs], &device).require_grad();
        let transposed = Tensor::<2>::from_data(weight.clone().transpose().to_data(), &device).require_grad();
        let amount = Amount::Flop(6 * batch * inputs * outputs);
        let x = random([batch, inputs], &device).require_grad();
        let ours = || linear(x.clone(), weight.clone(), None).sum().backward();
        let burn = || module::linear(x.clone(), transposed.clone(), None).sum().backward();
        let name = format!("linear {batch}x{inputs}->{outputs} fwd+bwd");
        bench.compare(&name, amount, ours, burn);
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
        state.replace(adam(p, x.clone(), m, v, step).into());
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
    bench.compare("sum_of_squares 10M", Amount::Elements(count), || sum_of_squares(x.clone()), sum);
}
