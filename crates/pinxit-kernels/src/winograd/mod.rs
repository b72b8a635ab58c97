//! Convolution with fewer multiplications: Winograd's algorithm F(4 x 4, r x r).
//!
//! A tile of 4 x 4 outputs of a kernel of r x r taps is the product of n^2 = (4 + r - 1)^2 numbers, transformed
//! before and after, in place of 16 r^2 products. Summed over channels, each of the n^2 points becomes a
//! product of matrices (Lavin and Gray 2015, arXiv:1509.09308):
//!
//! | convolution | algorithm | multiplications saved |
//! |---|---|---|
//! | 3 x 3, stride 1 | F(4 x 4, 3 x 3) | 4 times |
//! | 4 x 4, stride 2: 2 x 2 over four phases | F(4 x 4, 2 x 2) | 2.56 times |
//!
//! Both gradients are of the same form: the one of the input is a convolution with the reversed kernel, and
//! the one of the weights is the adjoint.

// Loops over indices say what the formulas say, and iterators over vectors may not be inlined at their level.
#![allow(clippy::needless_range_loop)]

mod lanes;
mod pass;
mod product;
mod scratch;
#[cfg(test)]
mod tests;
mod tiles;
mod transform;
mod weight_grad;
mod weights;

use crate::geometry::Geometry;
use crate::simd::{self, Level};
use pass::Pass;
use std::sync::atomic::{AtomicBool, Ordering};
use transform::{F4x2, F4x3};

static EXACT: AtomicBool = AtomicBool::new(false);

/// Whether convolutions multiply every tap, without Winograd's algorithm, from now on in this process.
pub fn set_exact(exact: bool) {
    EXACT.store(exact, Ordering::Relaxed);
}

/// What [`set_exact`] has set; false at first.
pub fn exact() -> bool {
    EXACT.load(Ordering::Relaxed)
}

/// An algorithm for a convolution.
#[derive(Clone, Copy)]
enum Algorithm {
    F4x3,
    F4x2,
}

/// The algorithm for `g`, if there is one and it is faster than the direct way. Decided by the sizes of one
/// picture alone.
fn choose(g: &Geometry) -> Option<Algorithm> {
    (!exact() && g.alive.is_none() && g.in_channels >= 16 && g.out_channels >= 16)
        .then(|| fitting(g))
        .flatten()
}

fn fitting(g: &Geometry) -> Option<Algorithm> {
    match (g.kernel, g.stride, g.padding) {
        ([3, 3], 1, 0..=2) => Some(Algorithm::F4x3),
        ([4, 4], 2, 0..=3) => Some(Algorithm::F4x2),
        _ => None,
    }
}

/// The output of the convolution, where the algorithm serves.
pub(crate) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Option<Vec<f32>> {
    choose(g).map(|algorithm| run(algorithm, simd::level(), &Pass::forward(g), x, weight, bias))
}

/// The gradient of the input, where the algorithm serves.
///
/// `bias` is one of the input channels, which a transposed convolution adds.
pub(crate) fn backward_x(g: &Geometry, weight: &[f32], dy: &[f32], bias: Option<&[f32]>) -> Option<Vec<f32>> {
    choose(g).map(|algorithm| run(algorithm, simd::level(), &Pass::backward_x(g), dy, weight, bias))
}

/// The gradient of the weights, where the algorithm serves.
pub(crate) fn backward_weight(g: &Geometry, x: &[f32], dy: &[f32]) -> Option<Vec<f32>> {
    choose(g).map(|algorithm| weight_grad(algorithm, simd::level(), g, x, dy))
}

fn run(
    algorithm: Algorithm,
    level: Level,
    pass: &Pass,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    match algorithm {
        Algorithm::F4x3 => pass.run::<F4x3>(level, x, weight, bias),
        Algorithm::F4x2 => pass.run::<F4x2>(level, x, weight, bias),
    }
}

fn weight_grad(algorithm: Algorithm, level: Level, g: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    match algorithm {
        Algorithm::F4x3 => weight_grad::run::<F4x3>(level, g, x, dy),
        Algorithm::F4x2 => weight_grad::run::<F4x2>(level, g, x, dy),
    }
}

/// Memory that parallel tasks write, each its own places.
#[derive(Clone, Copy)]
struct Places(*mut f32);

// SAFETY: the places are written only in unsafe blocks, which tell why no two tasks have the same.
unsafe impl Send for Places {}
// SAFETY: as above.
unsafe impl Sync for Places {}

impl Places {
    /// The places from `offset` on.
    fn at(self, offset: usize) -> Self {
        Self(self.0.wrapping_add(offset))
    }
}
