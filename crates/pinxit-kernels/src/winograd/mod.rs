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
//!
//! Lanes are channels everywhere: pictures are transposed into strips of 16 channels ([`tiles`]), whose tiles
//! are transformed in registers, multiplied point by point and transformed back ([`pass`], [`weight_grad`]).
//! Tiles are independent and channels are summed in their order, so that a picture's bits depend neither on
//! its batch nor on the threads.
//!
//! The transforms cost accuracy. Largest error against f64, relative to the largest number of the result, for
//! inputs and weights in [-1, 1) (`cargo test --release errors -- --ignored --nocapture`):
//!
//! | shape | forward | direct | backward x | direct | backward w | direct |
//! |---|---|---|---|---|---|---|
//! | 3 x 3 [2, 64, 32, 32] -> 64 | 2.0e-6 | 5.6e-7 | 1.7e-6 | 5.3e-7 | 2.0e-6 | 4.3e-7 |
//! | 3 x 3 [2, 128, 16, 16] -> 128 | 2.4e-6 | 5.1e-7 | 1.8e-6 | 5.9e-7 | 9.5e-7 | 4.8e-7 |
//! | 3 x 3 [2, 256, 8, 8] -> 256 | 3.8e-6 | 4.9e-7 | 2.8e-6 | 4.3e-7 | 8.2e-7 | 4.2e-7 |
//! | 4 x 4 by 2 [2, 64, 32, 32] -> 128 | 1.4e-6 | 4.8e-7 | 1.4e-6 | 5.6e-7 | 4.4e-7 | 4.9e-7 |
//! | 4 x 4 by 2 [2, 128, 16, 16] -> 256 | 2.2e-6 | 5.2e-7 | 1.5e-6 | 4.9e-7 | 3.2e-7 | 4.1e-7 |
//!
//! [`set_exact`] keeps to the direct way.

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
use std::cell::Cell;
use transform::{F4x2, F4x3};

thread_local! {
    static EXACT: Cell<bool> = const { Cell::new(false) };
}

/// Whether convolutions called from this thread multiply every tap, without Winograd's algorithm, from now on.
pub fn set_exact(exact: bool) {
    EXACT.set(exact);
}

/// What [`set_exact`] has set on this thread; false at first.
pub fn exact() -> bool {
    EXACT.get()
}

/// An algorithm for a convolution.
#[derive(Clone, Copy)]
enum Algorithm {
    F4x3,
    F4x2,
}

/// Fewest channels that a pass sums over and makes: with fewer, most of a vector or a panel would be padding.
const CHANNELS: [usize; 2] = [12, 8];
/// Least saving of multiplications, tiles that reach beyond the picture included.
const SAVING: f64 = 1.1;

/// The algorithm for `g`, if there is one.
fn fitting(g: &Geometry) -> Option<Algorithm> {
    match (g.kernel, g.stride, g.padding) {
        ([3, 3], 1, 0..=2) => Some(Algorithm::F4x3),
        ([4, 4], 2, 0..=3) => Some(Algorithm::F4x2),
        _ => None,
    }
}

/// The algorithm for `g` if it pays for pictures of `size` outputs of a kernel of stride 1. Decided by the
/// sizes of one picture alone.
fn choose(g: &Geometry, size: [usize; 2]) -> Option<Algorithm> {
    let algorithm = fitting(g).filter(|_| !exact())?;
    let saving = match algorithm {
        Algorithm::F4x3 => 4.0,
        Algorithm::F4x2 => 2.56,
    };
    // The direct way skips the taps that a mask removes.
    let alive =
        g.alive.map_or(1.0, |alive| alive.iter().filter(|&&alive| alive).count() as f64 / alive.len() as f64);
    let used = size.map(|size| size as f64 / size.next_multiple_of(transform::OUTPUTS) as f64);
    (saving * alive * used[0] * used[1] >= SAVING).then_some(algorithm)
}

/// The output of the convolution, where the algorithm pays and may mix the pixels of a tile: behind a mask an output
/// must not see what comes later at all, which would hold here but for rounding.
pub(crate) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Option<Vec<f32>> {
    let algorithm =
        choose(g, g.output).filter(|_| g.alive.is_none() && enough(g.in_channels, g.out_channels))?;
    Some(run(algorithm, simd::level(), &Pass::forward(g), x, weight, bias))
}

/// The gradient of the input, where the algorithm pays.
///
/// `bias` is one of the input channels, which a transposed convolution adds.
pub(crate) fn backward_x(g: &Geometry, weight: &[f32], dy: &[f32], bias: Option<&[f32]>) -> Option<Vec<f32>> {
    let algorithm = choose(g, g.input.map(|size| size.div_ceil(g.stride)))
        .filter(|_| enough(g.out_channels, g.in_channels))?;
    Some(run(algorithm, simd::level(), &Pass::backward_x(g), dy, weight, bias))
}

/// The gradient of the weights, where the algorithm pays.
pub(crate) fn backward_weight(g: &Geometry, x: &[f32], dy: &[f32]) -> Option<Vec<f32>> {
    choose(g, g.output).map(|algorithm| weight_grad(algorithm, simd::level(), g, x, dy))
}

/// Whether a pass that makes pixels sums over and makes enough channels.
fn enough(inputs: usize, outputs: usize) -> bool {
    inputs >= CHANNELS[0] && outputs >= CHANNELS[1]
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
