//! The gradient of a convolution with respect to its input, one phase at a time.
//!
//! Input pixels whose padded place is r modulo the stride see only the taps r, r + s, r + 2s, ..., so each of
//! the s x s phases of the gradient is a convolution of the output's gradient with stride 1 by those taps reversed.
//! With s = 1 this is the convolution with the flipped kernel.

use crate::axis::Axis;
use crate::gemm::{Operand, Product, Target};
use crate::geometry::Geometry;
use crate::store::End;

/// The gradient of the output, set into planes of the size `size` at the place `reach`.
#[derive(Clone, Copy)]
pub(crate) struct Padded<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) size: [usize; 2],
    pub(crate) reach: [usize; 2],
}

/// The pixels of the input whose padded place is one number modulo the stride, and the taps that see them.
pub(crate) struct Phase {
    in_weight: Vec<usize>,
    in_dy: Vec<usize>,
    /// Places q with 0 <= stride q + phase - padding < size of the input.
    first: [usize; 2],
    count: [usize; 2],
    /// Where the first pixel lies.
    corner: [usize; 2],
}

impl Phase {
    /// None if there is no such pixel.
    pub(crate) fn new(g: &Geometry, phase: [usize; 2], dy: Padded) -> Option<Self> {
        let (s, [_, kw], [h, w]) = (g.stride, g.kernel, dy.size);
        let first: [usize; 2] = std::array::from_fn(|d| g.padding.saturating_sub(phase[d]).div_ceil(s));
        let end: [usize; 2] =
            std::array::from_fn(|d| (g.input[d] + g.padding).saturating_sub(phase[d]).div_ceil(s));
        let count: [usize; 2] = std::array::from_fn(|d| end[d].saturating_sub(first[d]));
        if count.contains(&0) {
            return None;
        }
        let taps = g.phase_taps(phase);
        let pairs = || (0..g.out_channels).flat_map(|o| taps.iter().map(move |tap| (o, tap)));
        let place =
            |(o, [i, j]): (usize, &[usize; 2])| (o * h + dy.reach[0] - i / s) * w + dy.reach[1] - j / s;
        Some(Self {
            in_weight: pairs().map(|(o, [i, j])| o * g.filter() + i * kw + j).collect(),
            in_dy: pairs().map(place).collect(),
            first,
            count,
            corner: std::array::from_fn(|d| first[d] * s + phase[d] - g.padding),
        })
    }

    pub(crate) fn product<'a>(
        &'a self,
        g: &Geometry,
        weight: &'a [f32],
        dy: Padded<'a>,
        bias: Option<&'a [f32]>,
    ) -> Product<'a> {
        let (s, [h, w], [_, width]) = (g.stride, dy.size, g.input);
        let pixels = [g.images, self.count[0], self.count[1]];
        let patches = Axis::Grid {
            start: self.first[0] * w + self.first[1],
            sizes: pixels,
            steps: [g.out_channels * h * w, w, 1],
        };
        let cols = Axis::Grid {
            start: self.corner[0] * width + self.corner[1],
            sizes: pixels,
            steps: [g.in_channels * g.input_area(), s * width, s],
        };
        let rows = Axis::line(g.in_channels, g.input_area());
        Product {
            a: Operand::new(
                weight,
                Axis::line(g.in_channels, g.kernel[0] * g.kernel[1]),
                Axis::List(&self.in_weight),
            ),
            b: Operand::new(dy.data, patches, Axis::List(&self.in_dy)),
            to: Target { rows, cols },
            end: End::bias(bias),
        }
    }
}
