//! Single operations, forward and backward, named and shaped as in `benches/torch_ops.py`.

use std::hint::black_box;
use std::io::BufRead;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Int, Tensor, TensorData};
use pinxit::nn::ops::{AdamStep, Descent, Optimized};
use pinxit::nn::{Activation, MaskType, ops};
use serde_json::{Value, json};

use crate::hash;
use crate::options::Options;

/// Times the operations whose names begin with one of those asked for, or all; with `--serve`, those that
/// are named on the input.
pub(crate) fn run(options: &Options) {
    let operations = operations();
    if !options.serve {
        let wanted =
            |op: &Op| options.names.is_empty() || options.names.iter().any(|n| op.name.starts_with(n));
        for op in operations.iter().filter(|op| wanted(op)) {
            let mut line = op.describe();
            line["ms"] = json!((op.time)());
            println!("{line}");
        }
        return;
    }
    let described: Vec<Value> = operations.iter().map(Op::describe).collect();
    println!("{}", json!({ "ready": true, "operations": described }));
    for line in std::io::stdin().lock().lines() {
        let name = line.unwrap();
        let op = operations.iter().find(|op| op.name == name.trim()).expect("an operation");
        println!("{}", json!({ "ms": (op.time)() }));
    }
}

/// What an operation has to do at least.
#[derive(Clone, Copy)]
struct Work {
    multiply_adds: usize,
    /// Numbers read or written once each.
    numbers: usize,
}

struct Op {
    name: String,
    work: Work,
    /// Median milliseconds.
    time: Box<dyn Fn() -> f64>,
}

impl Op {
    fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "multiply_adds": self.work.multiply_adds,
            "bytes": 4 * self.work.numbers,
        })
    }
}

/// The median time of `run(prepare())` without `prepare`, over 0.15 s and at least 5 calls.
fn median<T, R>(prepare: impl Fn() -> T, run: impl Fn(T) -> R) -> f64 {
    black_box(run(prepare()));
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || start.elapsed() < Duration::from_millis(150) {
        let input = prepare();
        let start = Instant::now();
        let output = black_box(run(input));
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(output);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn operations() -> Vec<Op> {
    let mut list = List(Vec::new());
    products(&mut list);
    convolutions(&mut list);
    norms(&mut list);
    elements(&mut list);
    losses(&mut list);
    optimizers(&mut list);
    list.0
}

/// Makes the inputs of an operation; some of them want a gradient.
struct Make {
    device: Device,
    first: bool,
    others: bool,
}

impl Make {
    /// Neither, without autodiff at all.
    fn plain() -> Self {
        Self { device: Device::flex(), first: false, others: false }
    }

    fn tracked(first: bool, others: bool) -> Self {
        Self { device: Device::flex().autodiff(), first, others }
    }

    /// The first input.
    fn first<const D: usize>(&self, dims: [usize; D]) -> Tensor<D> {
        self.tensor(dims, 1, self.first)
    }

    /// Another input.
    fn other<const D: usize>(&self, dims: [usize; D]) -> Tensor<D> {
        self.tensor(dims, 2, self.others)
    }

    fn tensor<const D: usize>(&self, dims: [usize; D], seed: u32, grad: bool) -> Tensor<D> {
        let tensor = hash::data(dims, seed, 1.0, 0.0, &self.device);
        if grad { tensor.require_grad() } else { tensor }
    }
}

struct List(Vec<Op>);

impl List {
    fn add(&mut self, name: String, work: Work, time: impl Fn() -> f64 + 'static) {
        self.0.push(Op { name, work, time: Box::new(time) });
    }

    fn forward<F: Fn() -> Tensor<E>, const E: usize>(
        &mut self,
        name: &str,
        work: Work,
        make: impl Fn(&Make) -> F + 'static,
    ) {
        self.add(format!("{name}.fwd"), work, move || {
            let op = make(&Make::plain());
            median(|| (), |()| op())
        });
    }

    /// The backward pass alone, to the first input or to the others or to all, without what it begins with: a
    /// gradient of ones, which PyTorch is given.
    fn backward<F: Fn() -> Tensor<E>, const E: usize>(
        &mut self,
        name: String,
        work: Work,
        [first, others]: [bool; 2],
        make: impl Fn(&Make) -> F + 'static,
    ) {
        self.add(name, work, move || {
            let how = Make::tracked(first, others);
            let op = make(&how);
            let dims = op().dims();
            let leaf = || Tensor::<E>::zeros(dims, &how.device).require_grad();
            let ones = median(leaf, |leaf| leaf.backward());
            (median(&op, |y| y.backward()) - ones).max(0.0)
        });
    }

    /// An operation that is bound by arithmetic: forward, to its input and to its weights.
    fn trio<F: Fn() -> Tensor<E>, const E: usize>(
        &mut self,
        name: &str,
        multiply_adds: usize,
        make: impl Fn(&Make) -> F + Copy + 'static,
    ) {
        let work = Work { multiply_adds, numbers: 0 };
        self.forward(name, work, make);
        self.backward(format!("{name}.bwd_x"), work, [true, false], make);
        self.backward(format!("{name}.bwd_w"), work, [false, true], make);
    }

    /// An operation that is bound by memory. `numbers` are those that it must read or write, forward and
    /// backward.
    fn pair<F: Fn() -> Tensor<E>, const E: usize>(
        &mut self,
        name: &str,
        numbers: [usize; 2],
        make: impl Fn(&Make) -> F + Copy + 'static,
    ) {
        let [forward, backward] = numbers.map(|numbers| Work { multiply_adds: 0, numbers });
        self.forward(name, forward, make);
        self.backward(format!("{name}.bwd"), backward, [true, true], make);
    }
}

fn products(list: &mut List) {
    for (name, [rows, input, output]) in [
        ("linear_1024", [1024, 1024, 1024]),
        ("linear_a1", [128, 784, 512]),
        ("linear_a2", [128, 512, 256]),
        ("linear_a3", [128, 512, 784]),
    ] {
        list.trio(name, rows * input * output, move |make| {
            let (x, weight) = (make.first([rows, input]), make.other([output, input]));
            let bias = make.other([output]);
            move || ops::linear(x.clone(), weight.clone(), Some(bias.clone()))
        });
    }
    // Scores and weighted sums.
    let [batch, heads, tokens, dim] = [16, 4, 256, 32];
    let products = 2 * batch * heads * tokens * tokens * dim;
    let attention = move |make: &Make| {
        let dims = [batch, heads, tokens, dim];
        let (q, k, v) = (make.first(dims), make.other(dims), make.other(dims));
        move || ops::attention(q.clone(), k.clone(), v.clone(), 1.0 / (dim as f64).sqrt())
    };
    list.forward("attention", Work { multiply_adds: products, numbers: 0 }, attention);
    let backward = Work { multiply_adds: 5 * products / 2, numbers: 0 };
    list.backward("attention.bwd".into(), backward, [true, true], attention);
}

fn convolutions(list: &mut List) {
    for (name, x, weight @ [output, input, kernel, _], stride, padding) in [
        ("conv3_32", [16, 64, 32, 32], [64, 64, 3, 3], 1, 1),
        ("conv3_16", [16, 128, 16, 16], [128, 128, 3, 3], 1, 1),
        ("conv4_stride2", [64, 64, 32, 32], [128, 64, 4, 4], 2, 1),
        ("conv1", [16, 128, 16, 16], [384, 128, 1, 1], 1, 0),
    ] {
        let pixels = x[0] * (x[2] / stride) * (x[3] / stride);
        list.trio(name, pixels * output * input * kernel * kernel, move |make| {
            let (x, weight) = (make.first(x), make.other(weight));
            move || ops::conv2d(x.clone(), weight.clone(), None, stride, padding)
        });
    }
    let (x, weight) = ([64, 256, 8, 8], [256, 128, 4, 4]);
    list.trio("convt4_stride2", x[0] * 64 * 256 * 128 * 16, move |make| {
        let (x, weight) = (make.first(x), make.other(weight));
        move || ops::conv_transpose2d(x.clone(), weight.clone(), None, 2, 1, 0)
    });
    for (name, mask, taps, x, weight) in [
        ("masked7_a", MaskType::A, 24, [32, 1, 28, 28], [64, 1, 7, 7]),
        ("masked3_b", MaskType::B, 5, [32, 64, 28, 28], [128, 64, 3, 3]),
    ] {
        let [output, input, kernel, _]: [usize; 4] = weight;
        list.trio(name, 32 * 784 * output * input * taps, move |make| {
            let (x, weight) = (make.first(x), make.other(weight));
            move || ops::masked_conv2d(x.clone(), weight.clone(), None, mask, 1, kernel / 2)
        });
    }
}

fn norms(list: &mut List) {
    let dims = [16, 64, 32, 32];
    let numbers: usize = dims.iter().product();
    for (name, activation) in [("group_norm", Activation::None), ("group_norm_silu", Activation::Silu)] {
        list.pair(name, [2 * numbers, 3 * numbers], move |make| {
            let (x, gamma, beta) = (make.first(dims), make.other([64]), make.other([64]));
            move || ops::group_norm(x.clone(), gamma.clone(), beta.clone(), 32, 1e-5, activation)
        });
    }
    let dims = [64, 64, 32, 32];
    let numbers: usize = dims.iter().product();
    for (name, activation) in [("batch_norm", Activation::None), ("batch_norm_relu", Activation::Relu)] {
        list.pair(name, [2 * numbers, 3 * numbers], move |make| {
            let (x, gamma, beta) = (make.first(dims), make.other([64]), make.other([64]));
            move || ops::batch_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5, activation).y
        });
    }
    let dims = [8, 64, 64, 64];
    let numbers: usize = dims.iter().product();
    list.pair("instance_norm", [2 * numbers, 3 * numbers], move |make| {
        let x = make.first(dims);
        move || ops::instance_norm(x.clone(), None, 1e-5, Activation::None)
    });
    let dims = [16, 256, 128];
    let numbers: usize = dims.iter().product();
    list.pair("layer_norm", [2 * numbers, 3 * numbers], move |make| {
        let (x, gamma, beta) = (make.first(dims), make.other([128]), make.other([128]));
        move || ops::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5)
    });
}

fn elements(list: &mut List) {
    for (name, dims, kind) in [
        ("silu", [16, 64, 32, 32], Activation::Silu),
        ("gelu", [16, 64, 32, 32], Activation::Gelu),
        ("tanh", [16, 64, 32, 32], Activation::Tanh),
        ("sigmoid", [16, 64, 32, 32], Activation::Sigmoid),
        ("relu", [16, 64, 32, 32], Activation::Relu),
        ("leaky_relu", [64, 64, 32, 32], Activation::LeakyRelu(0.2)),
    ] {
        let numbers: usize = dims.iter().product();
        list.pair(name, [2 * numbers, 3 * numbers], move |make| {
            let x = make.first(dims);
            move || ops::activate(x.clone(), kind)
        });
    }
    let dims = [32, 128, 28, 28];
    let numbers: usize = dims.iter().product();
    list.pair("gated", [3 * numbers / 2, 5 * numbers / 2], move |make| {
        let x = make.first(dims);
        move || ops::gated(x.clone())
    });
    let dims = [16, 128, 16, 16];
    let numbers: usize = dims.iter().product();
    list.pair("upsample", [5 * numbers, 5 * numbers], move |make| {
        let x = make.first(dims);
        move || ops::upsample_nearest2(x.clone())
    });
}

fn losses(list: &mut List) {
    let dims = [64, 3, 64, 64];
    let numbers: usize = dims.iter().product();
    list.pair("mse", [2 * numbers, 4 * numbers], move |make| {
        let (x, target) = (make.first(dims), make.other(dims).detach());
        move || ops::mse(x.clone(), target.clone())
    });
    let dims = [32, 256, 28, 28];
    let numbers: usize = dims.iter().product();
    list.pair("cross_entropy", [numbers, 2 * numbers], move |make| {
        let x = make.first(dims);
        let levels = hash::values(32 * 784, 2, 128.0, 128.0).into_iter().map(|x| (x as i64).clamp(0, 255));
        let targets = TensorData::new(levels.collect(), [32, 28, 28]);
        let targets = Tensor::<3, Int>::from_data(targets, &make.device);
        move || ops::cross_entropy(x.clone(), targets.clone())
    });
}

fn optimizers(list: &mut List) {
    const COUNT: usize = 10_000_000;
    let step = AdamStep {
        lr: 1e-4,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        step: 3,
        grad_scale: 1.0,
    };
    list.add("adam_10m".into(), Work { multiply_adds: 0, numbers: 7 * COUNT }, move || {
        let make = |seed| hash::data([COUNT], seed, 1e-2, 0.0, &Device::flex());
        let gradient = make(4);
        let descent = Descent { grad: gradient, m: make(2), v: make(3).square() };
        let one = Optimized { param: make(1), descent: Some(descent), ema: None };
        let state = std::cell::RefCell::new(vec![one]);
        median(|| state.take(), |all| state.replace(ops::adam(all, step, 0.0)))
    });
}
