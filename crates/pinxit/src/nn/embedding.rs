//! Embedding of classes.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

use super::{Init, Weights};

/// A learned vector for each class.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[classes, dim]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Standard normal vectors of `dim` values for each of `classes`.
    pub fn new(classes: usize, dim: usize, init: &mut Init) -> Self {
        Self { weight: init.normal([classes, dim]) }
    }

    /// The same with a standard deviation of `std`.
    pub fn scaled(classes: usize, dim: usize, std: f64, init: &mut Init) -> Self {
        Self { weight: init.with(Weights::Normal(std), |init| init.weight([classes, dim], 1)) }
    }

    /// Class of each picture -> `[B, dim]`. Every class must be known.
    pub fn forward(&self, classes: &[u32]) -> Tensor<2> {
        let weight = self.weight.val();
        let indices: Vec<i64> = classes.iter().map(|&class| class.into()).collect();
        let data = TensorData::new(indices, [classes.len()]);
        let indices = Tensor::<1, Int>::from_data(data, &weight.device());
        weight.select(0, indices)
    }
}
