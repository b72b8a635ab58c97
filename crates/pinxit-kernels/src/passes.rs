//! The passes of a convolution over slices, which the benchmarks time one by one.

use crate::conv2d;
use crate::geometry::Geometry;

/// A convolution of `x [B, C_in, H, W]` with `weight [C_out, C_in, K_h, K_w]`.
#[derive(Clone, Copy, Debug)]
pub struct Convolution(Geometry<'static>);

impl Convolution {
    /// # Panics
    /// As [`crate::conv2d`].
    pub fn new(x: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) -> Self {
        Self(Geometry::new(x, weight, stride, padding))
    }

    /// `[B, C_out, H', W']`.
    pub fn output_dims(&self) -> [usize; 4] {
        self.0.output_dims()
    }

    /// The output.
    pub fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        conv2d::forward(&self.0, x, weight, None)
    }

    /// The gradient of `x`.
    pub fn backward_x(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        conv2d::backward_x(&self.0, weight, dy, None)
    }

    /// The gradient of `weight`.
    pub fn backward_weight(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        conv2d::backward_weight(&self.0, x, dy)
    }
}
