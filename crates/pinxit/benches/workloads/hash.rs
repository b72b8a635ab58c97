//! Numbers that both sides of the comparison make alike: weights and inputs are hashes of their places.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use pinxit::checkpoint::Array;
use pinxit::nn::params;

/// Number i of `seed`, in [-1, 1): MurmurHash3's finalizer of a multiple of i.
pub(crate) fn number(i: usize, seed: u32) -> f32 {
    let start = seed.wrapping_mul(0x9E37_79B9).wrapping_add(0x7F4A_7C15);
    let mut x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(start);
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^= x >> 16;
    (x >> 8) as f32 / 8_388_608.0 - 1.0
}

/// `scale * number + offset` in the shape of `dims`.
pub(crate) fn values(count: usize, seed: u32, scale: f32, offset: f32) -> Vec<f32> {
    (0..count).map(|i| number(i, seed) * scale + offset).collect()
}

/// The same as a tensor.
pub(crate) fn tensor<const D: usize>(dims: [usize; D], seed: u32, scale: f32, offset: f32) -> Tensor<D> {
    data(dims, seed, scale, offset, &Device::flex().autodiff())
}

pub(crate) fn data<const D: usize>(
    dims: [usize; D],
    seed: u32,
    scale: f32,
    offset: f32,
    device: &Device,
) -> Tensor<D> {
    let values = values(dims.iter().product(), seed, scale, offset);
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// The value of a parameter: around 1 for the scales of a norm and around 0 for its shifts, small for
/// other biases, of variance 1 / fan-in for weights.
pub(crate) fn parameter(shape: &[usize], in_norm: bool, is_weight: bool, seed: u32) -> Array {
    let (scale, offset) = match shape {
        _ if in_norm => (0.1, if is_weight { 1.0 } else { 0.0 }),
        [_] => (0.01, 0.0),
        [_, fan_in @ ..] => ((3.0 / fan_in.iter().product::<usize>() as f64).sqrt() as f32, 0.0),
        [] => (0.0, 0.0),
    };
    Array { shape: shape.to_vec(), values: values(shape.iter().product(), seed, scale, offset) }
}

/// The same network with hashed parameters, the first of them with `seed`, the next with the next.
pub(crate) fn fill<M: Module>(module: M, seed: u32) -> M {
    struct Fill {
        path: Vec<(String, String)>,
        seed: u32,
        found: BTreeMap<String, Array>,
    }
    impl ModuleVisitor for Fill {
        fn enter_module(&mut self, name: &str, kind: &str) {
            self.path.push((name.into(), kind.into()));
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let names: Vec<&str> = self.path.iter().map(|(name, _)| name.as_str()).collect();
            let Some((name, kind)) = self.path.last() else { return };
            if !["weight", "bias"].contains(&name.as_str()) {
                return; // a buffer
            }
            let array =
                parameter(&param.shape().to_vec(), kind.contains("Norm"), name == "weight", self.seed);
            self.found.insert(names.join("."), array);
            self.seed += 1;
        }
    }
    let mut fill = Fill { path: Vec::new(), seed, found: BTreeMap::new() };
    module.visit(&mut fill);
    let mut arrays = params::export(&module).unwrap();
    arrays.extend(fill.found);
    params::import(module, &arrays).unwrap()
}
