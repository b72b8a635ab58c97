//! Exponential moving average of weights.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::ops;
use super::params::{self, Flat, Path};
use crate::checkpoint::Snapshot;
use crate::error::Result;

/// A network whose weights are the moving average of another's (Polyak and Juditsky 1992; for
/// diffusion Ho et al. 2020). It samples better than the raw weights.
#[derive(Debug, Clone)]
pub struct Ema<M> {
    model: M,
}

impl<M: Module> Ema<M> {
    /// Starts at the weights of `module`.
    pub fn new(module: &M) -> Self {
        Self { model: module.valid() }
    }

    /// `average = decay * average + (1 - decay) * weights`; buffers (running statistics) are copied,
    /// being averages already. `module` must be the network that the average was made of.
    pub fn update(&mut self, module: &M, decay: f64) {
        let mut update = Update { path: Path::default(), weights: params::flat(module), weight: 1.0 - decay };
        self.model = self.model.clone().map(&mut update);
    }

    /// The network with averaged weights, without autodiff.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Writes the averaged weights into `to`, each as `prefix/name`.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    pub fn save(&self, prefix: &str, to: &mut Snapshot) -> Result<()> {
        params::save(&self.model, prefix, to)
    }

    /// Takes up what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// Those of [`params::import`].
    pub fn load(&mut self, prefix: &str, from: &Snapshot) -> Result<()> {
        self.model = params::load(self.model.clone(), prefix, from)?;
        Ok(())
    }
}

/// The decay after `updates` updates: `min(decay, (1 + n) / (10 + n))`, so that the first random
/// weights are forgotten at once and early averages follow the training (TensorFlow's
/// `ExponentialMovingAverage`, `num_updates`).
pub fn ramped_decay(decay: f64, updates: u32) -> f64 {
    let n = f64::from(updates);
    decay.min((1.0 + n) / (10.0 + n))
}

struct Update {
    path: Path,
    weights: BTreeMap<String, Flat>,
    weight: f64,
}

impl ModuleMapper for Update {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(new) = self.weights.remove(&self.path.name()) else { return param };
        params::replace(param, |average| {
            let shape = average.dims();
            if new.buffer {
                return new.values.reshape(shape);
            }
            ops::lerp(average.flatten(0, D - 1), new.values, self.weight).reshape(shape)
        })
    }
}
