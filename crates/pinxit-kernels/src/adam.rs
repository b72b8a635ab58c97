//! The optimizer's pass over the parameters: Adam and the average of the weights.

use crate::glue::{self, Array};
use crate::simd::vectorised;
use crate::threads::{self, Shared};
use burn::tensor::Tensor;

/// Constants of one step of [`adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of the gradients, often 0.9.
    pub beta1: f64,
    /// Decay of the mean of their squares, often 0.999.
    pub beta2: f64,
    /// Added to the square root of the mean square, often 1e-8.
    pub eps: f64,
    /// Decoupled weight decay: each step multiplies the weights by `1 - lr * weight_decay`.
    pub weight_decay: f64,
    /// Number of this step, from 1.
    pub step: u64,
    /// Factor on the gradient, below 1 when the gradient is clipped.
    pub grad_scale: f64,
}

/// A parameter and what an optimizer keeps beside it, as vectors of one length without autodiff.
#[derive(Clone, Debug)]
pub struct Optimized {
    /// The weights.
    pub param: Tensor<1>,
    /// Their gradient and the means of it; a parameter without stays as it is.
    pub descent: Option<Descent>,
    /// The average of the weights over time.
    pub ema: Option<Tensor<1>>,
}

/// The gradient of a parameter and its running means, which are zeros at first.
#[derive(Clone, Debug)]
pub struct Descent {
    /// The gradient of this step.
    pub grad: Tensor<1>,
    /// Mean of the gradients.
    pub m: Tensor<1>,
    /// Mean of their squares.
    pub v: Tensor<1>,
}

/// One step of AdamW over all parameters, and of the average of the weights: `ema + weight (param - ema)` with
/// the new weights.
///
/// Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", arXiv:1711.05101, algorithm 2, with the
/// bias correction and the place of `eps` of PyTorch's `AdamW`. Everything is read and written once, in place
/// for the tensors that have no other owner, and the parameters share one list of tasks. No gradient flows
/// through it.
///
/// # Panics
/// If the tensors of a parameter differ in length.
pub fn adam(parameters: Vec<Optimized>, step: AdamStep, ema_weight: f64) -> Vec<Optimized> {
    for one in &parameters {
        let len = one.param.dims();
        let same = one.tensors().iter().all(|tensor| tensor.dims() == len);
        assert!(same, "adam: a parameter's tensors differ in length");
    }
    if !parameters.iter().flat_map(Optimized::tensors).all(glue::supported) {
        return parameters.into_iter().map(|one| composite(one, step, ema_weight)).collect();
    }
    let mut arrays: Vec<Arrays> = parameters.into_iter().map(Arrays::from).collect();
    Factors::new(step, ema_weight).update(arrays.iter_mut().map(Arrays::slices).collect());
    arrays.into_iter().map(Optimized::from).collect()
}

impl Optimized {
    fn tensors(&self) -> Vec<&Tensor<1>> {
        let descent = self.descent.iter().flat_map(|descent| [&descent.grad, &descent.m, &descent.v]);
        std::iter::once(&self.param).chain(descent).chain(&self.ema).collect()
    }
}

/// [`Optimized`] as arrays.
struct Arrays {
    param: Array,
    descent: Option<[Array; 3]>,
    ema: Option<Array>,
}

impl From<Optimized> for Arrays {
    fn from(one: Optimized) -> Self {
        let descent = one.descent.map(|Descent { grad, m, v }| [grad, m, v].map(glue::into_array));
        Self { param: glue::into_array(one.param), descent, ema: one.ema.map(glue::into_array) }
    }
}

impl From<Arrays> for Optimized {
    fn from(arrays: Arrays) -> Self {
        let descent = arrays.descent.map(|arrays| {
            let [grad, m, v] = arrays.map(glue::into_tensor);
            Descent { grad, m, v }
        });
        Self { param: glue::into_tensor(arrays.param), descent, ema: arrays.ema.map(glue::into_tensor) }
    }
}

impl Arrays {
    fn slices(&mut self) -> Slices<'_> {
        Slices {
            param: self.param.data_mut(),
            descent: self.descent.as_mut().map(|[grad, m, v]| (grad.data(), m.data_mut(), v.data_mut())),
            ema: self.ema.as_mut().map(Array::data_mut),
        }
    }
}

/// What the pass works on: weights, gradient with its means, average.
struct Slices<'a> {
    param: &'a mut [f32],
    descent: Option<(&'a [f32], &'a mut [f32], &'a mut [f32])>,
    ema: Option<&'a mut [f32]>,
}

/// The same as a composition of Burn's operations.
fn composite(one: Optimized, step: AdamStep, ema_weight: f64) -> Optimized {
    let mut param = one.param;
    let descent = one.descent.map(|Descent { grad, m, v }| {
        let scaled = grad.clone() * step.grad_scale;
        let m = m * step.beta1 + scaled.clone() * (1.0 - step.beta1);
        let v = v * step.beta2 + scaled.square() * (1.0 - step.beta2);
        let update = m.clone() / (v.clone().sqrt() * step.root_correction() + step.eps);
        param = param.clone() * step.decay() - update * step.rate();
        Descent { grad, m, v }
    });
    let ema = one.ema.map(|ema| ema.clone() + (param.clone() - ema) * ema_weight);
    Optimized { param, descent, ema }
}

impl AdamStep {
    fn decay(&self) -> f64 {
        1.0 - self.lr * self.weight_decay
    }

    /// The learning rate over the bias correction of m.
    fn rate(&self) -> f64 {
        self.lr / (1.0 - self.beta1.powf(self.step as f64))
    }

    /// One over the square root of the bias correction of v.
    fn root_correction(&self) -> f64 {
        1.0 / (1.0 - self.beta2.powf(self.step as f64)).sqrt()
    }
}

/// The numbers of a step as the kernel multiplies by them.
struct Factors {
    decay: f32,
    rate: f32,
    root: f32,
    eps: f32,
    grad: f32,
    keep: [f32; 2],
    mix: [f32; 2],
    ema: f32,
}

impl Factors {
    fn new(step: AdamStep, ema_weight: f64) -> Self {
        Self {
            decay: step.decay() as f32,
            rate: step.rate() as f32,
            root: step.root_correction() as f32,
            eps: step.eps as f32,
            grad: step.grad_scale as f32,
            keep: [step.beta1 as f32, step.beta2 as f32],
            mix: [(1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32],
            ema: ema_weight as f32,
        }
    }

    fn update(&self, parameters: Vec<Slices>) {
        let parts = threads::parts(parameters.iter().map(|one| one.param.len()));
        let shared: Vec<_> = parameters
            .into_iter()
            .map(|Slices { param, descent, ema }| {
                let descent = descent.map(|(grad, m, v)| (grad, Shared::new(m), Shared::new(v)));
                (Shared::new(param), descent, ema.map(Shared::new))
            })
            .collect();
        threads::for_each(parts.len(), parts.len() > 2, |task| {
            let (index, range) = &parts[task];
            let (param, descent, ema) = &shared[*index];
            // SAFETY: every task has a parameter or a range of its own.
            let param = unsafe { param.part(range.clone()) };
            if let Some((grad, m, v)) = descent {
                // SAFETY: as above.
                let [m, v] = [m, v].map(|all| unsafe { all.part(range.clone()) });
                update_chunk(self, param, &grad[range.clone()], m, v);
            }
            if let Some(ema) = ema {
                // SAFETY: as above.
                mix_chunk(unsafe { ema.part(range.clone()) }, param, self.ema);
            }
        });
    }
}
vectorised! {
    fn update_chunk(f: &Factors, param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]) {
        for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(m).zip(v) {
            let g = g * f.grad;
            *m = *m * f.keep[0] + g * f.mix[0];
            *v = *v * f.keep[1] + g * g * f.mix[1];
            *p = *p * f.decay - f.rate * *m / (v.sqrt() * f.root + f.eps);
        }
    }

    fn mix_chunk(ema: &mut [f32], param: &[f32], weight: f32) {
        ema.iter_mut().zip(param).for_each(|(e, &p)| *e += weight * (p - *e));
    }
}

/// `ema + weight (param - ema)`: one step of the exponential moving average of the weights.
///
/// In place if `ema` has no other owner. No gradient flows through it.
///
/// # Panics
/// If the shapes differ.
pub fn lerp<const D: usize>(ema: Tensor<D>, param: Tensor<D>, weight: f64) -> Tensor<D> {
    assert_eq!(ema.dims(), param.dims(), "lerp: shapes");
    if !(glue::supported(&ema) && glue::supported(&param)) {
        return ema.clone() + (param - ema) * weight;
    }
    let [mut ema, param] = [ema, param].map(glue::into_array);
    mix(ema.data_mut(), param.data(), weight as f32);
    glue::into_tensor(ema)
}

fn mix(ema: &mut [f32], param: &[f32], weight: f32) {
    threads::for_each_chunk([ema], |range, [ema]| mix_chunk(ema, &param[range], weight));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    use crate::testing::{assert_close, numbers};

    /// The plain twin: PyTorch's `AdamW` line by line in f64.
    fn twin(step: &AdamStep, p: f64, g: f64, m: f64, v: f64) -> [f64; 3] {
        let g = g * step.grad_scale;
        let p = p * (1.0 - step.lr * step.weight_decay);
        let m = step.beta1 * m + (1.0 - step.beta1) * g;
        let v = step.beta2 * v + (1.0 - step.beta2) * g * g;
        let bias1 = 1.0 - step.beta1.powi(step.step as i32);
        let bias2 = 1.0 - step.beta2.powi(step.step as i32);
        [p - step.lr / bias1 * m / (v.sqrt() / bias2.sqrt() + step.eps), m, v]
    }

    #[test]
    fn steps_of_adam_equal_the_definition() {
        let len = 40_003;
        let mut got = [numbers(len, 1), vec![0.0; len], vec![0.0; len]];
        let mut want: Vec<[f64; 3]> = got[0].iter().map(|&p| [f64::from(p), 0.0, 0.0]).collect();
        for index in 1..=5 {
            let step = AdamStep { step: index, ..STEP };
            let grad = numbers(len, 10 + index);
            let [p, m, v] = &mut got;
            let slices = Slices { param: p, descent: Some((&grad, m, v)), ema: None };
            Factors::new(step, 0.0).update(vec![slices]);
            want.iter_mut().zip(&grad).for_each(|(x, &g)| *x = twin(&step, x[0], f64::from(g), x[1], x[2]));
        }
        for (n, got) in got.iter().enumerate() {
            let want: Vec<f64> = want.iter().map(|x| x[n]).collect();
            assert_close(got, &want, 2e-6);
        }
    }

    const STEP: AdamStep = AdamStep {
        lr: 0.02,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.1,
        step: 1,
        grad_scale: 0.7,
    };

    /// Oracle: each parameter alone, its average taken afterwards.
    #[test]
    fn all_parameters_together_are_each_alone() {
        let device = Device::flex();
        let vector =
            |len: usize, seed| Tensor::from_data(TensorData::new(numbers(len, seed), [len]), &device);
        let lens = [5, 40_003, 0, 16 * 1024, 1];
        let all: Vec<Optimized> = lens
            .into_iter()
            .zip(0..)
            .map(|(len, i)| Optimized {
                param: vector(len, 10 * i),
                descent: (i != 1).then(|| Descent {
                    grad: vector(len, 10 * i + 1),
                    m: vector(len, 10 * i + 2),
                    v: vector(len, 10 * i + 3).abs(),
                }),
                ema: (i != 3).then(|| vector(len, 10 * i + 4)),
            })
            .collect();
        let values = |tensor: &Tensor<1>| tensor.to_data().try_into_vec::<f32>().unwrap();
        for (one, together) in all.iter().zip(adam(all.clone(), STEP, 0.1)) {
            let mut alone = adam(vec![Optimized { ema: None, ..one.clone() }], STEP, 0.0).remove(0);
            alone.ema = one.ema.clone().map(|ema| lerp(ema, alone.param.clone(), 0.1));
            let pairs = alone.tensors().into_iter().zip(together.tensors());
            assert_eq!(alone.tensors().len(), together.tensors().len());
            pairs.into_iter().for_each(|(a, b)| assert_eq!(values(a), values(b)));
        }
    }

    #[test]
    fn what_has_no_other_owner_is_written_in_place() {
        let len = 100_000;
        let vector = || Tensor::<1>::ones([len], &Device::flex());
        let address = |tensor: &Tensor<1>| glue::into_array(tensor.clone()).data().as_ptr();
        let one = Optimized {
            param: vector(),
            descent: Some(Descent { grad: vector(), m: vector(), v: vector() }),
            ema: Some(vector()),
        };
        let before: Vec<_> = one.tensors().into_iter().map(address).collect();
        let after = adam(vec![one], STEP, 0.5).remove(0);
        assert_eq!(before, after.tensors().into_iter().map(address).collect::<Vec<_>>());
    }

    #[test]
    fn the_average_moves_by_the_weight() {
        let (mut ema, param) = (numbers(20_001, 1), numbers(20_001, 2));
        let pairs = ema.iter().zip(&param).map(|(&e, &p)| (f64::from(e), f64::from(p)));
        let want: Vec<f64> = pairs.map(|(e, p)| 0.9 * e + 0.1 * p).collect();
        mix(&mut ema, &param, 0.1);
        assert_close(&ema, &want, 1e-6);
    }
}
