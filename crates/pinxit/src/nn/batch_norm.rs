//! Batch normalisation.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Activation, Buffer, Init, Mode, ops};

/// Normalises each channel over the batch and all pixels, then scales and shifts it (Ioffe and
/// Szegedy 2015, algorithm 1). PyTorch's `BatchNorm1d` and `BatchNorm2d`.
///
/// In training the statistics are those of the batch, so a picture's output depends on the other
/// pictures; outside of it they are the running ones and it does not.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale `[C]`, gamma in the paper.
    pub weight: Param<Tensor<1>>,
    /// Shift `[C]`, beta in the paper.
    pub bias: Param<Tensor<1>>,
    /// Running mean `[C]`.
    pub running_mean: Buffer<1>,
    /// Running variance `[C]`, without bias: divided by one less than the number of values.
    pub running_var: Buffer<1>,
    eps: f64,
    momentum: f64,
}

impl BatchNorm {
    /// Of `channels`; PyTorch's epsilon 1e-5 and momentum 0.1.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        let (weight, bias) = (init.scale([channels]), init.zeros([channels]));
        let device = weight.val().device();
        Self {
            weight,
            bias,
            running_mean: Buffer::new(Tensor::zeros([channels], &device)),
            running_var: Buffer::new(Tensor::ones([channels], &device)),
            eps: 1e-5,
            momentum: 0.1,
        }
    }

    /// With another number that is added to the variance.
    #[must_use]
    pub fn with_eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// With another share, 0 to 1, that a batch has in the running statistics.
    #[must_use]
    pub fn with_momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// `[B, C, ...]` -> `[B, C, ...]`. In training a channel needs at least two values.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, activation: Activation, mode: &Mode) -> Tensor<D> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if *mode == Mode::Eval {
            let statistics = [self.running_mean.value(), self.running_var.value()];
            return ops::batch_norm_inference(x, weight, bias, statistics, self.eps, activation);
        }
        let count = x.dims().iter().product::<usize>() / x.dims()[1].max(1);
        let (y, [mean, variance]) = ops::batch_norm(x, weight, bias, self.eps, activation);
        let unbiased = variance * (count as f64 / (count as f64 - 1.0).max(1.0));
        self.running_mean.set(ops::lerp(self.running_mean.value(), mean, self.momentum));
        self.running_var.set(ops::lerp(self.running_var.value(), unbiased, self.momentum));
        y
    }
}
