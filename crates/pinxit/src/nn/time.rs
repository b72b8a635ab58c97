//! Embedding of the noise level ("time").

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use super::{Activation, Init, Linear, ops};

/// Sines and cosines of geometrically spaced frequencies (Vaswani et al. 2017, section 3.5; Ho et
/// al. 2020): `sin(t f_i), cos(t f_i)` with `f_i = 10000^(-i / (dim / 2 - freq_shift))`.
#[derive(Module, Debug)]
pub struct SinusoidalEmbedding {
    dim: usize,
    freq_shift: usize,
    flip_sin_to_cos: bool,
}

impl SinusoidalEmbedding {
    /// `dim` must be even and more than twice `freq_shift`; `flip_sin_to_cos` puts the cosines first.
    pub fn new(dim: usize, freq_shift: usize, flip_sin_to_cos: bool) -> Self {
        Self { dim, freq_shift, flip_sin_to_cos }
    }

    /// `[B]` -> `[B, dim]`.
    pub fn forward(&self, t: Tensor<1>) -> Tensor<2> {
        let half = self.dim / 2;
        // f32 throughout, as diffusers does it.
        let step = -(10_000f64.ln() as f32) / (half - self.freq_shift) as f32;
        let frequencies: Vec<f32> = (0..half).map(|i| libm::expf(step * i as f32)).collect();
        let frequencies = Tensor::<2>::from_data(TensorData::new(frequencies, [1, half]), &t.device());
        let angles = t.unsqueeze_dim::<2>(1) * frequencies; // [B, dim / 2]
        let (sin, cos) = (angles.clone().sin(), angles.cos());
        Tensor::cat(if self.flip_sin_to_cos { vec![cos, sin] } else { vec![sin, cos] }, 1)
    }
}

/// Two linear layers with a SiLU between them.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    /// From `input` features to `dim`.
    pub fn new(input: usize, dim: usize, init: &mut Init) -> Self {
        Self { linear_1: Linear::new(input, dim, init), linear_2: Linear::new(dim, dim, init) }
    }

    /// `[B, input]` -> `[B, dim]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(ops::activate(self.linear_1.forward(x), Activation::Silu))
    }
}
