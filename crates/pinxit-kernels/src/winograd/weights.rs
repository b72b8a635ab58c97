//! The kernel at the points of the transform, and the gradient of the kernel from the one there.

use super::lanes::{Lanes, at_level};
use super::tiles::{BLOCK, Layout};
use super::transform::{self, MAX_POINTS, Square};
use std::ops::Range;

/// Most taps of a kernel: 4 x 4.
const MAX_KERNEL: usize = 16;
/// The index of a tap that a mask removes: it reads as zero.
pub(super) const DEAD: usize = MAX_KERNEL;
/// Inputs by which the kernels are asked for before they are read.
const AHEAD: usize = 4;

/// The taps of the kernels of a block, tap by tap, and a place for those that a mask removes.
type Taps = [[f32; BLOCK]; MAX_KERNEL + 1];

/// How a pass sees the weights `[C_out, C_in, K, K]`.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// Channels that the pass makes, and the distance of their kernels.
    pub(super) outputs: (usize, usize),
    /// Channels that the pass sums over, and the distance of their kernels.
    pub(super) inputs: (usize, usize),
    /// Taps of a kernel.
    pub(super) kernel: usize,
    /// For each phase the taps of its kernel, row by row, or [`DEAD`].
    pub(super) phases: Vec<Vec<usize>>,
}

at_level! {
    /// Transforms the kernels of the outputs from `output` on, a panel of them, for some `inputs`. The kernel of
    /// phase f and input c at point p goes to `p * point + f * phase + c * tile`, outputs side by side.
    ///
    /// # Safety
    /// The processor has the level, and nobody else touches the places of `layout` behind `to`, all of which
    /// exist.
    pub(super) unsafe fn transform_kernels<T, L>(
        level,
        weights: &Weights,
        data: &[f32],
        output: usize,
        inputs: Range<usize>,
        to: *mut f32,
        layout: Layout,
    ) {
        let ((outputs, step), kernel) = (weights.outputs, weights.kernel);
        let fitting = |phase: &Vec<usize>| phase.len() == T::TAPS * T::TAPS && phase.iter().all(|&tap| tap <= DEAD);
        assert!(weights.phases.iter().all(fitting));
        let mut taps: Taps = [[0.0; BLOCK]; MAX_KERNEL + 1];
        for (block, input) in [0, BLOCK].into_iter().flat_map(|block| inputs.clone().map(move |input| (block, input))) {
            let first = output + block;
            let lanes = if input < weights.inputs.0 { outputs.saturating_sub(first).min(BLOCK) } else { 0 };
            if lanes > 0 {
                let data = &data[first * step + input * weights.inputs.1..];
                for lane in 0..lanes {
                    L::prefetch(data.as_ptr().wrapping_add(lane * step + AHEAD * weights.inputs.1));
                }
                read::<L>(data, step, lanes, kernel, &mut taps);
            } else {
                taps = [[0.0; BLOCK]; MAX_KERNEL + 1];
            }
            for (index, phase) in weights.phases.iter().enumerate() {
                for part in (0..BLOCK).step_by(L::COUNT) {
                    // SAFETY: the taps are asserted above, the caller promises the places.
                    unsafe {
                        let mut square: Square<L> = [[L::splat(0.0); MAX_POINTS]; MAX_POINTS];
                        for i in 0..T::TAPS {
                            for j in 0..T::TAPS {
                                let tap = *phase.get_unchecked(i * T::TAPS + j);
                                square[i][j] = L::load(taps.get_unchecked(tap).as_ptr().add(part));
                            }
                        }
                        let square = transform::kernel::<T, L>(square);
                        let to = to.add(index * layout.phase + input * layout.tile + block + part);
                        transform::store(square, to, T::POINTS, T::POINTS * layout.point, layout.point);
                    }
                }
            }
        }
    }

    /// The gradients of the kernels of one output for a block of inputs from `input` on. The gradient of phase
    /// f at point p lies at `p * point + f * phase` of `values`, inputs side by side; `grads` are the kernels
    /// of these inputs.
    ///
    /// # Safety
    /// The processor has the level, and the places of `layout` behind `values` exist.
    pub(super) unsafe fn kernel_grads<T, L>(
        level,
        weights: &Weights,
        values: *const f32,
        layout: Layout,
        grads: &mut [f32],
    ) {
        let kernel = weights.kernel;
        let mut taps: Taps = [[0.0; BLOCK]; MAX_KERNEL + 1];
        for (index, phase) in weights.phases.iter().enumerate() {
            assert!(phase.len() == T::TAPS * T::TAPS && phase.iter().all(|&tap| tap <= DEAD));
            for part in (0..BLOCK).step_by(L::COUNT) {
                // SAFETY: the taps are asserted above, the caller promises the places.
                unsafe {
                    let from = values.add(index * layout.phase + part);
                    let square = transform::load::<L>(from, T::POINTS, T::POINTS * layout.point, layout.point);
                    let square = transform::kernel_adjoint::<T, L>(square);
                    for i in 0..T::TAPS {
                        for j in 0..T::TAPS {
                            let tap = *phase.get_unchecked(i * T::TAPS + j);
                            square[i][j].store(taps.get_unchecked_mut(tap).as_mut_ptr().add(part));
                        }
                    }
                }
            }
        }
        write::<L>(&taps, kernel, grads);
    }
}

/// Reads the taps of kernels that lie `step` apart: `lanes` of them, zeros for the others.
#[inline(always)]
fn read<L: Lanes>(data: &[f32], step: usize, lanes: usize, kernel: usize, taps: &mut Taps) {
    if lanes == BLOCK && data.len() >= (BLOCK - 1) * step + MAX_KERNEL {
        // Numbers beyond the kernel are taps of its neighbour, which nobody reads.
        // SAFETY: just asked.
        unsafe { L::transpose(data.as_ptr(), step, taps.as_flattened_mut().as_mut_ptr(), BLOCK) };
        return;
    }
    *taps = [[0.0; BLOCK]; MAX_KERNEL + 1];
    for lane in 0..lanes {
        (0..kernel).for_each(|tap| taps[tap][lane] = data[lane * step + tap]);
    }
}

/// Writes kernels one behind the other, as many as `kernels` has room for.
#[inline(always)]
fn write<L: Lanes>(taps: &Taps, kernel: usize, kernels: &mut [f32]) {
    if kernels.len() < BLOCK * kernel || kernel < 4 {
        for (lane, numbers) in kernels.chunks_exact_mut(kernel).enumerate() {
            numbers.iter_mut().zip(taps).for_each(|(number, tap)| *number = tap[lane]);
        }
    } else if kernel == MAX_KERNEL {
        // SAFETY: there is room for BLOCK kernels.
        unsafe { L::transpose(taps.as_flattened().as_ptr(), BLOCK, kernels.as_mut_ptr(), MAX_KERNEL) };
    } else {
        for tap in (0..kernel).step_by(4) {
            // The last four taps may overlap those before.
            let tap = tap.min(kernel - 4);
            for part in (0..BLOCK).step_by(L::COUNT) {
                // SAFETY: as above.
                unsafe {
                    let vectors = [
                        L::load(taps[tap].as_ptr().add(part)),
                        L::load(taps[tap + 1].as_ptr().add(part)),
                        L::load(taps[tap + 2].as_ptr().add(part)),
                        L::load(taps[tap + 3].as_ptr().add(part)),
                    ];
                    L::scatter4(vectors, kernels.as_mut_ptr().add(part * kernel + tap), kernel);
                }
            }
        }
    }
}
