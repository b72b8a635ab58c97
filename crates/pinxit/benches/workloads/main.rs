//! Training steps of five networks, as `benches/torch_workloads.py` takes them with PyTorch.
//!
//! `cargo bench --workspace --bench workloads -- NAME [--threads N] [--batch N] [--steps N] [--warm N]` with
//! NAME of `A` to `E`, or `C-inference`, takes steps and answers with one line of JSON: milliseconds of
//! each step, losses, peak memory. `--check` gives losses and the sums of absolute gradients of the first
//! step instead, `--serve` reads numbers of steps from its input until that ends and answers each with a
//! line. `ops [NAME...]` times single operations, `peaks` what the machine can do at most; `just
//! bench-torch` runs all of it beside PyTorch.
//!
//! A process runs one workload, so that its peak memory is the workload's own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod a;
mod b;
mod c;
mod d;
mod e;
mod gan;
mod hash;
mod ops;
mod options;

use std::io::BufRead;
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use pinxit::machine;
use pinxit::nn::{Adam, AdamConfig, Ema};
use serde_json::{Value, json};

use options::Options;

/// One of the networks with its data.
trait Workload {
    /// One step; gives its losses. Where `sums` asks for it, the sum of the absolute gradients of each
    /// network is added to it.
    fn step(&mut self, sums: Option<&mut Vec<f64>>) -> Vec<f64>;
}

fn main() {
    let options = Options::read(std::env::args().skip(1));
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global().unwrap();
    match options.name.as_str() {
        "ops" => ops::run(&options),
        "peaks" => println!("{}", peaks()),
        name => {
            let mut workload = find(name, options.batch);
            if options.check {
                println!("{}", check(&mut *workload, options.steps));
            } else if options.serve {
                serve(&mut *workload);
            } else {
                println!("{}", measure(&mut *workload, &options));
            }
        }
    }
}

fn find(name: &str, batch: Option<usize>) -> Box<dyn Workload> {
    match name {
        "A" => Box::new(a::workload(batch.unwrap_or(128))),
        "B" => Box::new(b::workload(batch.unwrap_or(64))),
        "C" => Box::new(c::Diffusion::new(batch.unwrap_or(16))),
        "C-inference" => Box::new(c::Inference::new(batch.unwrap_or(16))),
        "D" => Box::new(d::Autoregression::new(batch.unwrap_or(32))),
        "E" => Box::new(e::Autoencoder::new(batch.unwrap_or(64))),
        other => panic!("there is no workload {other}: A, B, C, C-inference, D, E, ops or peaks"),
    }
}

/// `steps` steps: their times in milliseconds, the losses of the last, the peak of the memory so far.
fn steps(workload: &mut dyn Workload, steps: usize) -> Value {
    let mut times = Vec::new();
    let mut losses = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        losses = workload.step(None);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let peak = machine::peak_memory().map(|bytes| bytes as f64 / (1 << 20) as f64);
    json!({ "ms": times, "losses": losses, "peak_mib": peak })
}

fn measure(workload: &mut dyn Workload, options: &Options) -> Value {
    let first = steps(workload, 1);
    steps(workload, options.warm);
    let mut answer = steps(workload, options.steps);
    answer["name"] = json!(options.name);
    answer["threads"] = json!(options.threads);
    answer["first_ms"] = first["ms"][0].clone();
    answer
}

fn serve(workload: &mut dyn Workload) {
    println!("{}", json!({ "ready": true }));
    for line in std::io::stdin().lock().lines() {
        println!("{}", steps(workload, line.unwrap().trim().parse().expect("a number of steps")));
    }
}

fn check(workload: &mut dyn Workload, steps: usize) -> Value {
    let mut sums = Vec::new();
    let mut losses = vec![workload.step(Some(&mut sums))];
    losses.extend((1..steps).map(|_| workload.step(None)));
    json!({ "losses": losses, "gradients": sums })
}

fn peaks() -> Value {
    json!({
        "multiply_adds_per_second": pinxit_kernels::peak::multiply_adds_per_second(),
        "bytes_per_second": pinxit_kernels::peak::bytes_per_second(),
    })
}

/// A network and the optimizer of the comparison, Adam at 1e-4.
struct Trained<M> {
    network: M,
    adam: Adam,
}

impl<M: Module> Trained<M> {
    fn new(network: M) -> Self {
        Self { network, adam: Adam::new(AdamConfig::default()) }
    }

    fn step(&mut self, mut gradients: Gradients, sums: Option<&mut Vec<f64>>) {
        if let Some(sums) = sums {
            sums.push(absolute_sum(&self.network, &gradients));
        }
        (self.network, _) = self.adam.step(self.network.clone(), &mut gradients, 1e-4, 0.0);
    }

    /// The network without autodiff.
    fn evaluated(&self) -> M {
        Ema::new(&self.network).model().clone()
    }
}

/// The sum of the absolute values of all gradients.
fn absolute_sum<M: Module>(module: &M, gradients: &Gradients) -> f64 {
    struct Sum<'a>(&'a Gradients, f64);
    impl ModuleVisitor for Sum<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = param.grad(self.0) else { return };
            let values: Vec<f32> = gradient.into_data().try_into_vec().unwrap();
            self.1 += values.iter().map(|&g| f64::from(g.abs())).sum::<f64>();
        }
    }
    let mut sum = Sum(gradients, 0.0);
    module.visit(&mut sum);
    sum.1
}

/// The loss as a number.
fn number(loss: &Tensor<1>) -> f64 {
    f64::from(loss.clone().into_scalar::<f32>())
}

fn device() -> Device {
    Device::flex().autodiff()
}
