//! The kernel at the points of the transform, and the gradient of the kernel from the one there.

use super::lanes::at_level;
use super::tiles::{BLOCK, Layout, PANEL};
use super::transform::{self, MAX_POINTS, Square};

/// Most taps of a kernel: 4 x 4.
const MAX_KERNEL: usize = 16;

/// How a pass sees the weights `[C_out, C_in, K, K]`.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// Channels that the pass makes, and the distance of their kernels.
    pub(super) outputs: (usize, usize),
    /// Channels that the pass sums over, and the distance of their kernels.
    pub(super) inputs: (usize, usize),
    /// Taps of a kernel.
    pub(super) kernel: usize,
    /// For each phase the taps of its kernel, row by row.
    pub(super) phases: Vec<Vec<usize>>,
}

at_level! {
    /// Transforms the kernels of the outputs from `output` on, a panel of them, for the input `input`. The
    /// kernel of phase f at point p goes to `p * point + f * phase`, outputs side by side.
    ///
    /// # Safety
    /// The processor has the level, and nobody else touches the places of `layout` behind `to`, all of which
    /// exist.
    pub(super) unsafe fn transform_kernels<T, L>(
        level,
        weights: &Weights,
        data: &[f32],
        output: usize,
        input: usize,
        to: *mut f32,
        layout: Layout,
    ) {
        let ((outputs, step), kernel) = (weights.outputs, weights.kernel);
        let mut taps = [[0.0_f32; BLOCK]; MAX_KERNEL];
        for block in (0..PANEL).step_by(BLOCK) {
            let first = output + block;
            let lanes = outputs.saturating_sub(first).min(BLOCK);
            if lanes == 0 || input >= weights.inputs.0 {
                taps = [[0.0; BLOCK]; MAX_KERNEL];
            } else {
                let from = first * step + input * weights.inputs.1;
                let data = &data[from..from + (lanes - 1) * step + kernel];
                if lanes == BLOCK {
                    for tap in (0..kernel).step_by(4) {
                        let tap = tap.min(kernel - 4);
                        for part in (0..BLOCK).step_by(L::COUNT) {
                            // SAFETY: the slice has these taps of BLOCK outputs.
                            unsafe {
                                let vectors = L::gather4(data.as_ptr().add(part * step + tap), step);
                                for i in 0..4 {
                                    vectors[i].store(taps[tap + i].as_mut_ptr().add(part));
                                }
                            }
                        }
                    }
                } else {
                    taps = [[0.0; BLOCK]; MAX_KERNEL];
                    for lane in 0..lanes {
                        (0..kernel).for_each(|tap| taps[tap][lane] = data[lane * step + tap]);
                    }
                }
            }
            for (index, phase) in weights.phases.iter().enumerate() {
                assert!(phase.len() == T::TAPS * T::TAPS && phase.iter().all(|&tap| tap < MAX_KERNEL));
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
                        let to = to.add(index * layout.phase + block + part);
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
        let mut taps = [[0.0_f32; BLOCK]; MAX_KERNEL];
        for (index, phase) in weights.phases.iter().enumerate() {
            assert!(phase.len() == T::TAPS * T::TAPS && phase.iter().all(|&tap| tap < MAX_KERNEL));
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
        let lanes = grads.len() / kernel;
        if lanes < BLOCK {
            for (lane, grads) in grads.chunks_exact_mut(kernel).enumerate() {
                grads.iter_mut().zip(&taps).for_each(|(grad, tap)| *grad = tap[lane]);
            }
            return;
        }
        for tap in (0..kernel).step_by(4) {
            let tap = tap.min(kernel - 4);
            for part in (0..BLOCK).step_by(L::COUNT) {
                // SAFETY: `grads` has the taps of BLOCK inputs.
                unsafe {
                    let vectors = [
                        L::load(taps[tap].as_ptr().add(part)),
                        L::load(taps[tap + 1].as_ptr().add(part)),
                        L::load(taps[tap + 2].as_ptr().add(part)),
                        L::load(taps[tap + 3].as_ptr().add(part)),
                    ];
                    L::scatter4(vectors, grads.as_mut_ptr().add(part * kernel + tap), kernel);
                }
            }
        }
    }
}
