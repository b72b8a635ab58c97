//! First weights.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use crate::rng::{Purpose, Rng};

/// Hands out the first weights of a network, parameter by parameter.
///
/// Parameter number i of a network depends on the seed and i only. The distributions are
/// PyTorch's defaults, so that learning rates from the literature carry over. Weights on a device
/// with autodiff require gradients.
#[derive(Debug)]
pub struct Init {
    seed: u64,
    device: Device,
    parameters: u32,
    dropouts: u32,
}

impl Init {
    /// Weights of `seed` on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { seed, device: device.clone(), parameters: 0, dropouts: 0 }
    }

    /// Uniform in `[-1/sqrt(fan_in), 1/sqrt(fan_in))`: PyTorch's `kaiming_uniform(a = sqrt 5)` of
    /// convolution and linear weights (He et al. 2015, eq. 15 with leak a), and its rule for their biases.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f64).sqrt();
        self.parameter(shape, |rng| rng.range(-bound, bound) as f32)
    }

    /// Standard normal, PyTorch's rule for embeddings.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.parameter(shape, Rng::normal)
    }

    /// Zeros.
    pub fn zeros<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.parameter(shape, |_| 0.0)
    }

    /// Ones.
    pub fn ones<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.parameter(shape, |_| 1.0)
    }

    /// The number of the next dropout layer, from 0.
    pub fn dropout(&mut self) -> u32 {
        self.dropouts += 1;
        self.dropouts - 1
    }

    fn parameter<const D: usize>(
        &mut self,
        shape: [usize; D],
        mut value: impl FnMut(&mut Rng) -> f32,
    ) -> Param<Tensor<D>> {
        let mut rng = Rng::new(self.seed, Purpose::Init, 0, self.parameters);
        self.parameters += 1;
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| value(&mut rng)).collect();
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}
