//! Weight normalisation: the direction of a weight and its length are learned apart.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

use super::params;

/// Standard deviation of the first directions; their length has no effect.
pub(crate) const STD: f64 = 0.05;

/// `g v / |v|` for each output (Salimans and Kingma 2016, "Weight Normalization", eq. 2): v with the outputs in
/// dimension `output`, g `[out]` -> the shape of v.
pub fn weight_norm(v: Tensor<4>, g: Tensor<1>, output: usize) -> Tensor<4> {
    let others = (0..4).filter(|&dim| dim != output);
    let length = others.fold(v.clone().square(), |squares, dim| squares.sum_dim(dim)).sqrt();
    let dims = length.dims();
    v * (g.reshape(dims) / length)
}

/// A pass through a fresh network that finds its first gains and biases from data: every output of a layer has
/// mean 0 and the layer's standard deviation over pictures and pixels (section 3, eq. 6).
#[derive(Debug, Default)]
pub struct FirstPass {
    found: RefCell<BTreeMap<ParamId, Tensor<1>>>,
}

impl FirstPass {
    /// The output y `[B, out, H, W]` of a layer whose gains are 1 and whose biases are 0, as it is with those that
    /// are kept for it here.
    pub fn settle(
        &self,
        y: Tensor<4>,
        gain: &Param<Tensor<1>>,
        bias: &Param<Tensor<1>>,
        std: f64,
    ) -> Tensor<4> {
        let outputs = y.dims()[1];
        let over = |y: Tensor<4>| y.mean_dim(0).mean_dim(2).mean_dim(3); // [1, out, 1, 1]
        let mean = over(y.clone());
        let variance = over((y.clone() - mean.clone()).square());
        let g = variance.add_scalar(1e-10).sqrt().recip().mul_scalar(std);
        let b = (mean * g.clone()).neg();
        let mut found = self.found.borrow_mut();
        found.insert(gain.id, g.clone().reshape([outputs]));
        found.insert(bias.id, b.clone().reshape([outputs]));
        y * g + b
    }

    /// `module`, through which the pass went, with what was found.
    pub fn applied<M: Module>(self, module: M) -> M {
        module.map(&mut Apply(self.found.into_inner()))
    }
}

struct Apply(BTreeMap<ParamId, Tensor<1>>);

impl ModuleMapper for Apply {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0.remove(&param.id) {
            Some(found) => params::replace(param, |value| found.reshape(value.dims())),
            None => param,
        }
    }
}
