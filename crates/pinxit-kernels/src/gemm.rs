//! Matrix product of two operands that are addressed by offset tables: the core of every dense kernel.
//!
//! An element (i, k) of an [`Operand`] lies at `outer[i] + depth[k]`, two tables added. Rows of a matrix, its
//! transpose, the pixels of a batch of images and the taps of a convolution are all of this form, so a
//! convolution is a matrix product whose patches are gathered while they are packed: no im2col buffer exists,
//! and a tile of columns may span several small images.
//!
//! The output is cut into tiles of [`MR`] x [`NR`] elements that are accumulated in registers over blocks of
//! the depth. The order of summation of an element depends on the depth alone (block by block, in order
//! within a block): not on the number of rows and columns, nor on the place in a tile, nor on the threads.

use crate::simd::vectorised;
use crate::threads::{self, Shared};
use crate::tile::{self, MR, NR, Tile};
use std::cell::RefCell;
use std::ops::Range;

/// Side of the squares that packing transposes.
const SQUARE: usize = 8;
/// Largest block of the depth: a packed panel of `DEPTH x NR` elements stays in the cache.
const DEPTH: usize = 384;
/// Multiply-adds below which a product stays on one thread.
const WORTH_THREADS: usize = 1 << 19;
/// Tasks that a product is cut into, if its columns alone give fewer.
const TASKS: usize = 8;

/// A matrix whose element (i, k) is `data[outer[i] + depth[k]]`; k is what the product sums over.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    data: &'a [f32],
    outer: &'a [usize],
    depth: &'a [usize],
}

impl<'a> Operand<'a> {
    /// # Panics
    /// If the sum of two offsets lies outside of `data`: the kernels read without asking again.
    pub(crate) fn new(data: &'a [f32], outer: &'a [usize], depth: &'a [usize]) -> Self {
        if let (Some(i), Some(k)) = (outer.iter().max(), depth.iter().max()) {
            assert!(i + k < data.len(), "offset {i} + {k} outside of {} elements", data.len());
        }
        Self { data, outer, depth }
    }
}

/// Where the element (i, j) of a product goes: `rows[i] + cols[j]`.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) rows: &'a [usize],
    pub(crate) cols: &'a [usize],
}

/// Multiples `0, step, 2 step, ...`.
pub(crate) fn multiples(count: usize, step: usize) -> Vec<usize> {
    (0..count).map(|i| i * step).collect()
}

/// `out[i, j] += sum_k a[i, k] b[j, k]`.
///
/// # Safety
/// The offsets `to.rows[i] + to.cols[j]` are different for different (i, j).
pub(crate) unsafe fn gemm(a: Operand, b: Operand, to: Target, out: &mut [f32]) {
    let (m, n, depth) = (a.outer.len(), b.outer.len(), a.depth.len());
    assert_eq!((depth, m, n), (b.depth.len(), to.rows.len(), to.cols.len()), "sizes of a matrix product");
    let tiled = copy_pays(a, n).then(|| Tiled::new(a));
    let a = tiled.as_ref().map_or(a, Tiled::operand);
    let out = Shared::new(out);
    let worth = m * n * depth >= WORTH_THREADS;
    let (row_tiles, panels) = (m.div_ceil(MR), n.div_ceil(NR));
    let row_blocks = if worth { TASKS.div_ceil(panels.max(1)).min(row_tiles) } else { 1 };
    let height = row_tiles.div_ceil(row_blocks.max(1)) * MR;
    threads::for_each(row_blocks * panels, worth, |task| {
        let rows = block(task % row_blocks, height, m);
        let cols = block(task / row_blocks, NR, n);
        // SAFETY: tasks have different rows or columns, so by the caller's promise different elements.
        unsafe { columns(a, b, to, rows, cols, &out) };
    });
}

/// Whether a copy of `a` pays: each number is read by so many panels of columns that copying it costs little
/// beside, or by some of them from rows that lie on the same lines of the cache. Patches of images, which
/// share their numbers, are never copied.
fn copy_pays(a: Operand, columns: usize) -> bool {
    const LINES: usize = 256;
    let step = a.outer.get(1).map_or(0, |second| second.abs_diff(a.outer[0]));
    let panels = if step > 0 && step.is_multiple_of(LINES) { 4 } else { 16 };
    columns >= panels * NR && a.outer.len() * a.depth.len() <= a.data.len()
}

/// A copy of an operand with the rows of a tile side by side: (i, k) at `(i / MR) MR depth + k MR + i % MR`.
struct Tiled {
    data: Vec<f32>,
    outer: Vec<usize>,
    depth: Vec<usize>,
}

impl Tiled {
    fn new(a: Operand) -> Self {
        let (rows, depth) = (a.outer.len(), a.depth.len());
        let mut data = vec![0.0; rows.next_multiple_of(MR) * depth];
        threads::for_each_block([&mut data], [MR * depth], rows * depth, |tile, [data]| {
            let rows = &a.outer[tile * MR..rows.min((tile + 1) * MR)];
            for (k, line) in a.depth.iter().zip(data.chunks_exact_mut(MR)) {
                line.iter_mut().zip(rows).for_each(|(x, row)| *x = a.data[row + k]);
            }
        });
        let outer = (0..rows).map(|i| i / MR * MR * depth + i % MR).collect();
        Self { data, outer, depth: multiples(depth, MR) }
    }

    fn operand(&self) -> Operand<'_> {
        Operand::new(&self.data, &self.outer, &self.depth)
    }
}

fn block(index: usize, size: usize, len: usize) -> Range<usize> {
    (index * size).min(len)..((index + 1) * size).min(len)
}

/// The columns `cols`, at most [`NR`], of the rows `rows`.
///
/// # Safety
/// Nobody else touches these elements of `out`, and their offsets are different.
unsafe fn columns(a: Operand, b: Operand, to: Target, rows: Range<usize>, cols: Range<usize>, out: &Shared) {
    thread_local! {
        static PANEL: RefCell<Vec<f32>> = RefCell::new(vec![0.0; DEPTH * NR]);
    }
    let depth = a.depth.len();
    let blocks = depth.div_ceil(DEPTH).max(1);
    let length = depth.div_ceil(blocks);
    let mut sums = [0.0; MR * NR];
    PANEL.with_borrow_mut(|panel| {
        for index in 0..blocks {
            let ks = block(index, length, depth);
            let panel = &mut panel[..ks.len() * NR];
            pack(b, cols.clone(), ks.clone(), panel);
            for start in rows.clone().step_by(MR) {
                let rows = start..rows.end.min(start + MR);
                multiply(a, rows.clone(), ks.clone(), panel, &mut sums);
                // SAFETY: promised by the caller.
                unsafe { add(&sums, to, rows, cols.clone(), out) };
            }
        }
    });
}

/// Adds the sums of a tile to the output.
///
/// # Safety
/// As for [`columns`].
unsafe fn add(tile: &Tile, to: Target, rows: Range<usize>, cols: Range<usize>, out: &Shared) {
    let cols = &to.cols[cols];
    let together = consecutive(cols);
    for (row, sums) in to.rows[rows].iter().zip(tile.chunks_exact(NR)) {
        if together {
            let start = row + cols[0];
            // SAFETY: promised by the caller.
            let part = unsafe { out.part(start..start + cols.len()) };
            part.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum);
        } else {
            for (col, sum) in cols.iter().zip(sums) {
                // SAFETY: promised by the caller.
                unsafe { out.part(row + col..row + col + 1)[0] += sum };
            }
        }
    }
}

/// Copies the columns `cols` of the depths `ks` side by side: `panel[k * NR + j]`.
fn pack(b: Operand, cols: Range<usize>, ks: Range<usize>, panel: &mut [f32]) {
    match run(&b.outer[cols.clone()]) {
        Some((32, 1)) => pack_runs::<32, 1>(b, cols, ks, panel),
        Some((16, 1)) => pack_runs::<16, 1>(b, cols, ks, panel),
        Some((8, 1)) => pack_runs::<8, 1>(b, cols, ks, panel),
        Some((4, 1)) => pack_runs::<4, 1>(b, cols, ks, panel),
        Some((32, 2)) => pack_runs::<32, 2>(b, cols, ks, panel),
        Some((16, 2)) => pack_runs::<16, 2>(b, cols, ks, panel),
        Some((8, 2)) => pack_runs::<8, 2>(b, cols, ks, panel),
        Some((4, 2)) => pack_runs::<4, 2>(b, cols, ks, panel),
        _ => pack_scattered(b, cols, ks, panel),
    }
}

/// The largest length such that groups of so many columns lie at even steps in memory, and the step: 1 or 2,
/// the stride of a convolution.
fn run(starts: &[usize]) -> Option<(usize, usize)> {
    let even = |length, step| {
        starts.chunks(length).all(|group| group.windows(2).all(|pair| pair[1] == pair[0] + step))
    };
    let runs = [1, 2].into_iter().flat_map(|step| [32, 16, 8, 4].map(|length| (length, step)));
    runs.into_iter().find(|&(length, step)| starts.len() == NR && even(length, step))
}

vectorised! {
    /// Columns in groups of `RUN` at steps of `STEP`.
    fn pack_runs<const RUN: usize, const STEP: usize>(b: Operand, cols: Range<usize>, ks: Range<usize>, panel: &mut [f32]) {
        let starts = &b.outer[cols];
        for (&k, row) in b.depth[ks].iter().zip(panel.chunks_exact_mut(NR)) {
            for (part, start) in row.chunks_exact_mut(RUN).zip(starts.iter().step_by(RUN)) {
                let from = &b.data[start + k..][..(RUN - 1) * STEP + 1];
                if STEP == 1 {
                    part.copy_from_slice(from);
                } else {
                    (0..RUN).for_each(|j| part[j] = from[j * STEP]);
                }
            }
        }
    }

    /// Columns that lie apart: squares of 8 x 8 are transposed where the depths lie side by side.
    fn pack_scattered(b: Operand, cols: Range<usize>, ks: Range<usize>, panel: &mut [f32]) {
        let (starts, ks) = (&b.outer[cols], &b.depth[ks]);
        // Columns that do not exist repeat the first one; their sums are never stored.
        let mut all = [starts[0]; NR];
        all[..starts.len()].copy_from_slice(starts);
        let mut done = 0;
        while done < ks.len() {
            let next = &ks[done..ks.len().min(done + SQUARE)];
            if next.len() == SQUARE && consecutive(next) {
                let rows = &mut panel[done * NR..][..SQUARE * NR];
                for (columns, starts) in all.as_chunks::<SQUARE>().0.iter().enumerate() {
                    let square = starts.map(|start| {
                        let mut line = [0.0; SQUARE];
                        line.copy_from_slice(&b.data[start + next[0]..][..SQUARE]);
                        line
                    });
                    for (k, row) in rows.as_chunks_mut::<NR>().0.iter_mut().enumerate() {
                        let row = &mut row[columns * SQUARE..][..SQUARE];
                        (0..SQUARE).for_each(|j| row[j] = square[j][k]);
                    }
                }
                done += SQUARE;
            } else {
                for (x, start) in panel[done * NR..][..NR].iter_mut().zip(all) {
                    // SAFETY: `Operand::new` asked whether every sum of two offsets lies in the data.
                    *x = unsafe { *b.data.get_unchecked(start + next[0]) };
                }
                done += 1;
            }
        }
    }
}

/// Whether each offset is the one before plus 1.
#[inline(always)]
fn consecutive(offsets: &[usize]) -> bool {
    offsets.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// The sums of one tile over the depths `ks`, with the columns packed in `panel`.
fn multiply(a: Operand, rows: Range<usize>, ks: Range<usize>, panel: &[f32], sums: &mut Tile) {
    // Rows that do not exist repeat the first one; their sums are never stored.
    let mut starts = [a.outer[rows.start]; MR];
    starts[..rows.len()].copy_from_slice(&a.outer[rows]);
    // SAFETY: `Operand::new` asked whether every sum of two offsets lies in the data.
    unsafe { tile::multiply(a.data, &starts, &a.depth[ks], panel, sums) };
}

/// The plain twin: sums in f64.
#[cfg(test)]
pub(crate) fn reference(a: Operand, b: Operand, to: Target, out: &mut [f64]) {
    for (i, row) in to.rows.iter().enumerate() {
        for (j, col) in to.cols.iter().enumerate() {
            let terms = (0..a.depth.len()).map(|k| {
                let (x, y) = (a.data[a.outer[i] + a.depth[k]], b.data[b.outer[j] + b.depth[k]]);
                f64::from(x) * f64::from(y)
            });
            out[row + col] += terms.sum::<f64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_sum_in_f64_for_odd_sizes_and_layouts() {
        for (m, n, depth) in
            [(1, 1, 1), (3, 5, 7), (8, 32, 256), (9, 33, 257), (17, 100, 600), (130, 65, 40), (20, 140, 512)]
        {
            let (x, y) = (numbers(m * depth, 1), numbers(n * depth, 2));
            for transposed in [false, true] {
                let (outer, inner) = if transposed { (1, n) } else { (depth, 1) };
                let tables =
                    (multiples(m, depth), multiples(depth, 1), multiples(n, outer), multiples(depth, inner));
                let a = Operand::new(&x, &tables.0, &tables.1);
                let b = Operand::new(&y, &tables.2, &tables.3);
                let (rows, cols) = (multiples(m, n), multiples(n, 1));
                let to = Target { rows: &rows, cols: &cols };
                let (mut got, mut want) = (vec![1.0; m * n], vec![1.0; m * n]);
                // SAFETY: a row-major matrix has different offsets.
                unsafe { gemm(a, b, to, &mut got) };
                reference(a, b, to, &mut want);
                assert_close(&got, &want, 1e-5);
            }
        }
    }
}
