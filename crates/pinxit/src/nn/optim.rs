//! AdamW with clipping by the global norm.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

use super::Ema;
use super::ops::{self, AdamStep, Descent, Optimized};
use super::params::{self, Flat};
use crate::checkpoint::{Array, Snapshot};
use crate::error::{Error, Result};

/// What stays the same from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConfig {
    /// Decay of the mean of the gradient, 0 to 1.
    pub beta1: f64,
    /// Decay of the mean of the squared gradient, 0 to 1.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay, per unit of learning rate.
    pub weight_decay: f64,
    /// Whether the means are corrected for having begun at 0. Without it and with a `beta1` of 0 this
    /// is RMSProp (Tieleman and Hinton 2012) as PyTorch has it.
    pub bias_correction: bool,
}

impl Default for AdamConfig {
    /// PyTorch's `Adam`: 0.9, 0.999, 1e-8, no decay, corrected.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, bias_correction: true }
    }
}

/// The AdamW optimizer (Kingma and Ba 2014; Loshchilov and Hutter 2017) of one network.
///
/// Moments are kept by the name of the parameter, in f32 and without autodiff.
#[derive(Debug, Clone)]
pub struct Adam {
    config: AdamConfig,
    steps: u32,
    moments: BTreeMap<String, Moments>,
}

/// Running means of a parameter's gradient and squared gradient.
#[derive(Debug, Clone)]
struct Moments {
    m: Flat,
    v: Flat,
}

impl Adam {
    /// An optimizer that has seen nothing.
    pub fn new(config: AdamConfig) -> Self {
        Self { config, steps: 0, moments: BTreeMap::new() }
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// One step. Returns the new module and the global norm of the gradient before clipping.
    ///
    /// As [`update`](Self::update), for a module that has no average.
    pub fn step<M: Module>(
        &mut self,
        mut module: M,
        gradients: &mut Gradients,
        lr: f64,
        clip: f64,
    ) -> (M, f64) {
        let norm = self.update(&mut module, gradients, lr, clip, None);
        (module, norm)
    }

    /// One step of `module`, and of its moving average if it has one, which goes on with the decay beside it
    /// as by [`Ema::update`]. Returns the global norm of the gradient before clipping.
    ///
    /// Takes the gradients of `module` out of `gradients`. They are scaled down to a global norm of
    /// `clip` if they are longer, as `torch.nn.utils.clip_grad_norm_` does; a `clip` of 0 never
    /// clips. A parameter without a gradient stays as it is. Weights that nothing else holds change in place,
    /// all of them in one pass.
    pub fn update<M: Module>(
        &mut self,
        module: &mut M,
        gradients: &mut Gradients,
        lr: f64,
        clip: f64,
        average: Option<(&mut Ema<M>, f64)>,
    ) -> f64 {
        let descents = self.descents(module, gradients);
        let norm = ops::global_norm(descents.values().map(|descent| descent.grad.clone()).collect());
        self.steps += 1;
        let step = AdamStep {
            lr,
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            eps: self.config.eps,
            weight_decay: self.config.weight_decay,
            // beta^step of a step that far is 0, so that nothing is corrected.
            step: if self.config.bias_correction { u64::from(self.steps) } else { u64::MAX },
            grad_scale: if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 },
        };
        let decay = average.as_ref().map_or(1.0, |(_, decay)| *decay);
        let average = average.map(|(ema, _)| {
            ema.copy_buffers(module);
            ema.model_mut()
        });
        self.descend(module, average, descents, step, 1.0 - decay);
        norm
    }

    /// The gradients of `module` beside their moments, which are zeros at first, by name.
    fn descents<M: Module>(&mut self, module: &M, gradients: &mut Gradients) -> BTreeMap<String, Descent> {
        let zeros = |grad: &Tensor<1>| Tensor::zeros(grad.dims(), &grad.device());
        let beside = |(name, Flat { values: grad, .. }): (String, Flat)| {
            let (m, v) = match self.moments.remove(&name) {
                Some(Moments { m, v }) => (m.values, v.values),
                None => (zeros(&grad), zeros(&grad)),
            };
            (name, Descent { grad, m, v })
        };
        params::gradients(module, gradients).into_iter().map(beside).collect()
    }

    /// Moves the weights, the averages in `average` and the moments.
    fn descend<M: Module>(
        &mut self,
        module: &mut M,
        average: Option<&mut M>,
        mut descents: BTreeMap<String, Descent>,
        step: AdamStep,
        weight: f64,
    ) {
        // The tensors leave their modules, so that they have one owner and change in place.
        let weights = params::take(module);
        let mut averages = average.map(|model| (params::take(model), model));
        let (names, all): (Vec<_>, Vec<_>) = weights
            .into_iter()
            .map(|(name, Flat { shape, values, .. })| {
                let ema = averages.as_mut().and_then(|(averages, _)| averages.remove(&name));
                let descent = descents.remove(&name);
                ((name, shape), Optimized { param: values, descent, ema: ema.map(|flat| flat.values) })
            })
            .unzip();
        let (mut weights, mut averaged) = (BTreeMap::new(), BTreeMap::new());
        for ((name, shape), Optimized { param, descent, ema }) in
            names.into_iter().zip(ops::adam(all, step, weight))
        {
            let flat = |values| Flat { shape: shape.clone(), buffer: false, values };
            if let Some(Descent { m, v, .. }) = descent {
                self.moments.insert(name.clone(), Moments { m: flat(m), v: flat(v) });
            } else if !self.moments.contains_key(&name) {
                let zeros = flat(param.zeros_like());
                self.moments.insert(name.clone(), Moments { m: zeros.clone(), v: zeros });
            }
            ema.into_iter().for_each(|ema| _ = averaged.insert(name.clone(), flat(ema)));
            weights.insert(name, flat(param));
        }
        params::put(module, weights);
        if let Some((_, model)) = averages {
            params::put(model, averaged);
        }
    }

    /// Writes the moments into `to` as `prefix/m/name` and `prefix/v/name`, and the number of
    /// steps as the note `prefix/steps`.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    pub fn save(&self, prefix: &str, to: &mut Snapshot) -> Result<()> {
        to.notes.insert(format!("{prefix}/steps"), self.steps.to_string());
        for (name, moments) in &self.moments {
            for (kind, flat) in [("m", &moments.m), ("v", &moments.v)] {
                let full = format!("{prefix}/{kind}/{name}");
                let array = params::array(&full, flat.clone())?;
                to.tensors.insert(full, array);
            }
        }
        Ok(())
    }

    /// Takes up what [`save`](Self::save) wrote for the optimizer of `module`.
    ///
    /// # Errors
    /// [`Error::Config`] if the number of steps is missing or a moment is missing, unknown or of
    /// another shape than its parameter.
    pub fn load<M: Module>(&mut self, prefix: &str, from: &Snapshot, module: &M) -> Result<()> {
        let key = format!("{prefix}/steps");
        let steps = from.notes.get(&key).and_then(|steps| steps.parse().ok()).ok_or_else(|| {
            Error::config(format!("the optimizer's number of steps ({key}) is missing or not a number"))
        })?;
        let read = |kind| moments(&format!("{prefix}/{kind}"), from, module, steps == 0);
        let (m, v) = (read("m")?, read("v")?);
        self.moments = m.into_iter().zip(v).map(|((name, m), (_, v))| (name, Moments { m, v })).collect();
        self.steps = steps;
        Ok(())
    }
}

/// Adds the gradients of `part` to those of `total`, for a batch that is worked through in parts.
pub fn add_gradients<M: Module>(module: &M, total: &mut Gradients, part: Gradients) {
    struct Add<'a> {
        total: &'a mut Gradients,
        part: Gradients,
    }
    impl ModuleVisitor for Add<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(part) = param.grad_remove(&mut self.part) else { return };
            let sum = match param.grad_remove(self.total) {
                Some(total) => total + part,
                None => part,
            };
            param.grad_replace(self.total, sum);
        }
    }
    module.visit(&mut Add { total, part });
}

/// The moments under `prefix`, on the device of the parameter; `none` if no step was taken.
fn moments<M: Module>(
    prefix: &str,
    from: &Snapshot,
    module: &M,
    none: bool,
) -> Result<BTreeMap<String, Flat>> {
    let mut parameters = if none { BTreeMap::new() } else { params::flat(module) };
    parameters.retain(|_, flat| !flat.buffer);
    let shapes = parameters.iter().map(|(name, flat)| (name.clone(), flat.shape.clone())).collect();
    let arrays = params::under(prefix, from);
    params::check(&shapes, &arrays)?;
    let flat = |array: Array, like: &Flat| {
        let data = TensorData::new(array.values, [like.shape.iter().product::<usize>()]);
        Flat { shape: array.shape, buffer: false, values: Tensor::from_data(data, &like.values.device()) }
    };
    Ok(arrays.into_iter().zip(parameters.values()).map(|((name, a), like)| (name, flat(a, like))).collect())
}
