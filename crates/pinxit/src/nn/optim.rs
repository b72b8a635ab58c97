//! AdamW with clipping by the global norm.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

use super::ops::{self, AdamStep};
use super::params::{self, Flat, Path};
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
}

impl Default for AdamConfig {
    /// PyTorch's `Adam`: 0.9, 0.999, 1e-8, no decay.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
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
    /// Takes the gradients of `module` out of `gradients`. They are scaled down to a global norm of
    /// `clip` if they are longer, as `torch.nn.utils.clip_grad_norm_` does; a `clip` of 0 never
    /// clips. A parameter without a gradient stays as it is.
    pub fn step<M: Module>(&mut self, module: M, gradients: &mut Gradients, lr: f64, clip: f64) -> (M, f64) {
        let norm = global_norm(&module, gradients);
        self.steps += 1;
        let step = AdamStep {
            lr,
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            eps: self.config.eps,
            weight_decay: self.config.weight_decay,
            step: u64::from(self.steps),
            grad_scale: if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 },
        };
        let mut update = Update { path: Path::default(), moments: &mut self.moments, gradients, step };
        (module.map(&mut update), norm)
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

/// The Euclidean norm of all gradients of `module` together.
fn global_norm<M: Module>(module: &M, gradients: &Gradients) -> f64 {
    struct Norm<'a> {
        gradients: &'a Gradients,
        squares: f64,
    }
    impl ModuleVisitor for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = param.grad(self.gradients) {
                self.squares += ops::sum_of_squares(grad);
            }
        }
    }
    let mut norm = Norm { gradients, squares: 0.0 };
    module.visit(&mut norm);
    norm.squares.sqrt()
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

struct Update<'a> {
    path: Path,
    moments: &'a mut BTreeMap<String, Moments>,
    gradients: &'a mut Gradients,
    step: AdamStep,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.in_buffer() {
            return param;
        }
        let name = self.path.name();
        let gradient = param.grad_remove(self.gradients);
        let shape = param.dims();
        let old = self.moments.remove(&name).unwrap_or_else(|| {
            let values = Tensor::zeros([shape.iter().product::<usize>()], &param.device().inner());
            let zeros = Flat { shape: shape.to_vec(), buffer: false, values };
            Moments { m: zeros.clone(), v: zeros }
        });
        let Some(gradient) = gradient else {
            self.moments.insert(name, old);
            return param;
        };
        params::replace(param, |value| {
            let (value, gradient) = (value.flatten(0, D - 1), gradient.flatten(0, D - 1));
            let (value, m, v) = ops::adam(value, gradient, old.m.values, old.v.values, self.step);
            let flat = |values| Flat { shape: shape.to_vec(), buffer: false, values };
            self.moments.insert(name, Moments { m: flat(m), v: flat(v) });
            value.reshape(shape)
        })
    }
}
