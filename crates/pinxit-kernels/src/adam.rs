//! The optimizer's passes over the parameters: Adam and the average of the weights.

use crate::simd::vectorised;
use crate::{glue, threads};
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

/// One step of AdamW: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", arXiv:1711.05101,
/// algorithm 2, with the bias correction and the place of `eps` of PyTorch's `AdamW`.
///
/// Gives the new parameter and the new means `m` and `v` of the gradients and of their squares (zeros at
/// first). All have the shape of `param`. One pass over memory, in place for the tensors that have no other
/// owner. No gradient flows through it.
///
/// # Panics
/// If the shapes differ.
pub fn adam<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: AdamStep,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let dims = param.dims();
    assert!(grad.dims() == dims && m.dims() == dims && v.dims() == dims, "adam: shapes differ");
    if ![&param, &grad, &m, &v].into_iter().all(glue::supported) {
        return composite(param, grad, m, v, step);
    }
    let [mut param, grad, mut m, mut v] = [param, grad, m, v].map(glue::into_array);
    Factors::new(step).update(param.data_mut(), grad.data(), m.data_mut(), v.data_mut());
    (glue::into_tensor(param), glue::into_tensor(m), glue::into_tensor(v))
}

/// The same as a composition of Burn's operations.
fn composite<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: AdamStep,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let grad = grad * step.grad_scale;
    let m = m * step.beta1 + grad.clone() * (1.0 - step.beta1);
    let v = v * step.beta2 + grad.square() * (1.0 - step.beta2);
    let update = m.clone() / (v.clone().sqrt() * step.root_correction() + step.eps);
    (param * step.decay() - update * step.rate(), m, v)
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
}

impl Factors {
    fn new(step: AdamStep) -> Self {
        Self {
            decay: step.decay() as f32,
            rate: step.rate() as f32,
            root: step.root_correction() as f32,
            eps: step.eps as f32,
            grad: step.grad_scale as f32,
            keep: [step.beta1 as f32, step.beta2 as f32],
            mix: [(1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32],
        }
    }

    fn update(&self, param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]) {
        threads::for_each_chunk([param, m, v], |range, [param, m, v]| {
            update_chunk(self, param, &grad[range], m, v);
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
mod tests {
    use super::*;
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
            let step = AdamStep {
                lr: 0.02,
                beta1: 0.9,
                beta2: 0.95,
                eps: 1e-8,
                weight_decay: 0.1,
                step: index,
                grad_scale: 0.7,
            };
            let grad = numbers(len, 10 + index);
            let [p, m, v] = &mut got;
            Factors::new(step).update(p, &grad, m, v);
            want.iter_mut().zip(&grad).for_each(|(x, &g)| *x = twin(&step, x[0], f64::from(g), x[1], x[2]));
        }
        for (n, got) in got.iter().enumerate() {
            let want: Vec<f64> = want.iter().map(|x| x[n]).collect();
            assert_close(got, &want, 2e-6);
        }
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
