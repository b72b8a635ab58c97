//! First weights.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use crate::rng::{Purpose, Rng};

/// How the weights of convolutions, linear layers and learned scales begin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Weights {
    /// PyTorch's defaults: weights and biases uniform, `kaiming_uniform(a = sqrt 5)`; scales 1.
    #[default]
    Uniform,
    /// Weights normal with this standard deviation, scales normal around 1 with the same, biases
    /// uniform; 0.02 in Radford et al. 2015, section 4, and pix2pix.
    Normal(f64),
    /// Weights normal with variance `2 / fan_in` (He et al. 2015, eq. 10), biases 0, scales 1.
    Kaiming,
    /// Weights and biases 0, scales 1: a layer that starts as the constant 0.
    Zeros,
}

/// Hands out the first weights of a network, parameter by parameter.
///
/// Parameter number i of a network depends on the seed and i only. The distributions are
/// PyTorch's defaults unless [`with`](Self::with) says otherwise, so that learning rates from the
/// literature carry over. Weights on a device with autodiff require gradients.
#[derive(Debug)]
pub struct Init {
    seed: u64,
    device: Device,
    weights: Weights,
    parameters: u32,
    dropouts: u32,
}

impl Init {
    /// Weights of `seed` on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { seed, device: device.clone(), weights: Weights::default(), parameters: 0, dropouts: 0 }
    }

    /// What `make` makes, with weights that begin as `weights` says.
    pub fn with<T>(&mut self, weights: Weights, make: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.weights, weights);
        let made = make(self);
        self.weights = before;
        made
    }

    /// The weight of a convolution or a linear layer; an output sums `fan_in` products.
    pub fn weight<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        match self.weights {
            Weights::Uniform => self.uniform(shape, fan_in),
            Weights::Normal(std) => self.gaussian(shape, 0.0, std),
            Weights::Kaiming => self.gaussian(shape, 0.0, (2.0 / fan_in as f64).sqrt()),
            Weights::Zeros => self.zeros(shape),
        }
    }

    /// The bias of a convolution or a linear layer.
    pub fn bias<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        match self.weights {
            Weights::Uniform | Weights::Normal(_) => self.uniform(shape, fan_in),
            Weights::Kaiming | Weights::Zeros => self.zeros(shape),
        }
    }

    /// The learned scale of a normalisation over pictures or pixels.
    pub fn scale<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        match self.weights {
            Weights::Normal(std) => self.gaussian(shape, 1.0, std),
            Weights::Uniform | Weights::Kaiming | Weights::Zeros => self.ones(shape),
        }
    }

    /// Uniform in `[-1/sqrt(fan_in), 1/sqrt(fan_in))`: PyTorch's `kaiming_uniform(a = sqrt 5)` of
    /// convolution and linear weights (He et al. 2015, eq. 15 with leak a), and its rule for their biases.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f64).sqrt();
        self.parameter(shape, |rng| rng.range(-bound, bound) as f32)
    }

    /// Standard normal, PyTorch's rule for embeddings.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.gaussian(shape, 0.0, 1.0)
    }

    fn gaussian<const D: usize>(&mut self, shape: [usize; D], mean: f64, std: f64) -> Param<Tensor<D>> {
        self.parameter(shape, |rng| (mean + std * f64::from(rng.normal())) as f32)
    }

    /// Zeros.
    pub fn zeros<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.parameter(shape, |_| 0.0)
    }

    /// Ones.
    pub fn ones<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.parameter(shape, |_| 1.0)
    }

    /// A parameter that begins as this value everywhere.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.parameter(shape, |_| value)
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
