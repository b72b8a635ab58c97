//! Matrix product of two operands that are addressed by offset tables: the core of every dense kernel.
//!
//! An element (i, k) of an [`Operand`] lies at `outer[i] + depth[k]`, two tables added. Rows of a matrix, its
//! transpose, the pixels of a batch of images and the taps of a convolution are all of this form, so a
//! convolution is a matrix product whose patches are gathered while they are packed: no im2col buffer exists,
//! and a tile of columns may span several small images.
//!
//! The output is cut into tiles of [`MR`] x [`NR`] elements that are accumulated in registers over blocks of the
//! depth. The order of summation of an element depends on the depth alone (block by block, in order within a
//! block): not on the number of rows and columns, nor on the place in a tile, nor on the threads.

use crate::simd::{self, Level, vectorised};
use crate::threads::{self, Shared};
use std::ops::Range;

/// Rows of a tile.
pub(crate) const MR: usize = 8;
/// Columns of a tile: two vectors of AVX-512.
pub(crate) const NR: usize = 32;
/// Side of the squares that packing transposes.
const SQUARE: usize = 8;
/// Largest block of the depth: a packed panel of `DEPTH x NR` elements stays in the cache.
const DEPTH: usize = 256;
/// Multiply-adds below which a product stays on one thread.
const WORTH_THREADS: usize = 1 << 19;
/// Tasks that a product is cut into, if its columns alone give fewer.
const TASKS: usize = 8;

/// The sums of one tile, row by row.
type Tile = [f32; MR * NR];

/// A matrix whose element (i, k) is `data[outer[i] + depth[k]]`; k is what the product sums over.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    data: &'a [f32],
    outer: &'a [usize],
    depth: &'a [usize],
}

impl<'a> Operand<'a> {
    /// # Panics
    /// If an offset lies outside of `data`: the kernels read without asking again.
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
    let tiled = collides(a, n).then(|| Tiled::new(a));
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

/// Whether the rows of `a` lie so far apart that they fall on the same lines of the cache, and are read often enough
/// that a copy pays.
fn collides(a: Operand, columns: usize) -> bool {
    const LINES: usize = 256;
    let step = a.outer.get(1).map_or(0, |second| second.abs_diff(a.outer[0]));
    step > 0 && step % LINES == 0 && columns >= 4 * NR
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
    let depth = a.depth.len();
    let blocks = depth.div_ceil(DEPTH).max(1);
    let length = depth.div_ceil(blocks);
    let mut panel = [0.0; DEPTH * NR];
    let mut tile = [0.0; MR * NR];
    for index in 0..blocks {
        let ks = block(index, length, depth);
        let panel = &mut panel[..ks.len() * NR];
        pack(b, cols.clone(), ks.clone(), panel);
        for start in rows.clone().step_by(MR) {
            let rows = start..rows.end.min(start + MR);
            multiply(a, rows.clone(), ks.clone(), panel, &mut tile);
            // SAFETY: promised by the caller.
            unsafe { add(&tile, to, rows, cols.clone(), out) };
        }
    }
}

/// Adds a tile to the output.
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
    let (starts, ks) = (&b.outer[cols], &b.depth[ks]);
    match run(starts) {
        32 => pack_runs::<32>(b.data, starts, ks, panel),
        16 => pack_runs::<16>(b.data, starts, ks, panel),
        8 => pack_runs::<8>(b.data, starts, ks, panel),
        4 => pack_runs::<4>(b.data, starts, ks, panel),
        _ => pack_scattered(b.data, starts, ks, panel),
    }
}

/// The largest length such that groups of so many columns lie side by side in memory.
fn run(starts: &[usize]) -> usize {
    let grouped = |length: &usize| starts.len() == NR && starts.chunks(*length).all(consecutive);
    [32, 16, 8, 4].into_iter().find(grouped).unwrap_or(1)
}

fn pack_runs<const RUN: usize>(data: &[f32], starts: &[usize], ks: &[usize], panel: &mut [f32]) {
    for (&k, row) in ks.iter().zip(panel.chunks_exact_mut(NR)) {
        for (part, start) in row.chunks_exact_mut(RUN).zip(starts.iter().step_by(RUN)) {
            part.copy_from_slice(&data[start + k..start + k + RUN]);
        }
    }
}

vectorised! {
    /// Columns that lie apart: squares of 8 x 8 are transposed where the depths lie side by side.
    fn pack_scattered(data: &[f32], starts: &[usize], ks: &[usize], panel: &mut [f32]) {
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
                        line.copy_from_slice(&data[start + next[0]..][..SQUARE]);
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
                    *x = data[start + ks[done]];
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

/// Sums one tile: `tile[i * NR + j] = sum_k a[rows[i], ks[k]] panel[k * NR + j]`.
fn multiply(a: Operand, rows: Range<usize>, ks: Range<usize>, panel: &[f32], tile: &mut Tile) {
    // Rows that do not exist repeat the first one; their sums are never stored.
    let mut starts = [a.outer[rows.start]; MR];
    starts[..rows.len()].copy_from_slice(&a.outer[rows]);
    let ks = &a.depth[ks];
    assert_eq!(panel.len(), ks.len() * NR);
    match simd::level() {
        // SAFETY: the processor has the instructions; `Operand::new` checked the offsets into `a`, and the panel
        // has NR elements for each k.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::tile_avx512(a.data, &starts, ks, panel, tile) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::tile_avx2(a.data, &starts, ks, panel, tile) },
        Level::Portable => tile_portable(a.data, &starts, ks, panel, tile),
    }
}

/// The tile in plain Rust, in pieces whose sums fit into 16 registers of 4 lanes.
fn tile_portable(a: &[f32], starts: &[usize; MR], ks: &[usize], panel: &[f32], tile: &mut Tile) {
    const ROWS: usize = 4;
    const COLS: usize = 8;
    for (i, starts) in starts.chunks_exact(ROWS).enumerate() {
        for j in (0..NR).step_by(COLS) {
            let mut sums = [[0.0_f32; COLS]; ROWS];
            for (&k, row) in ks.iter().zip(panel.chunks_exact(NR)) {
                for (sums, start) in sums.iter_mut().zip(starts) {
                    let factor = a[start + k];
                    sums.iter_mut().zip(&row[j..j + COLS]).for_each(|(sum, x)| *sum += factor * x);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let at = (i * ROWS + r) * NR + j;
                tile[at..at + COLS].copy_from_slice(sums);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{MR, NR, Tile};
    use std::arch::x86_64::*;

    /// All of the tile at once: 16 registers of sums, a broadcast of `a` against two vectors of the panel.
    ///
    /// # Safety
    /// AVX-512 F is there, `a[starts[i] + ks[k]]` exists for all i and k, `panel` has `ks.len() * NR` elements.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn tile_avx512(
        a: &[f32],
        starts: &[usize; MR],
        ks: &[usize],
        panel: &[f32],
        tile: &mut Tile,
    ) {
        let rows = starts.map(|start| a.as_ptr().wrapping_add(start));
        let mut b = panel.as_ptr();
        let mut sums = [[_mm512_setzero_ps(); 2]; MR];
        for &k in ks {
            // SAFETY: promised by the caller.
            unsafe {
                let (left, right) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
                for i in 0..MR {
                    let factor = _mm512_set1_ps(*rows[i].add(k));
                    sums[i][0] = _mm512_fmadd_ps(factor, left, sums[i][0]);
                    sums[i][1] = _mm512_fmadd_ps(factor, right, sums[i][1]);
                }
                b = b.add(NR);
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, &sum) in row.iter().enumerate() {
                // SAFETY: the place lies in the tile.
                unsafe { _mm512_storeu_ps(tile.as_mut_ptr().add(i * NR + j * 16), sum) };
            }
        }
    }

    /// The tile in four pieces of 4 rows and 16 columns, 8 registers of sums each.
    ///
    /// # Safety
    /// AVX2 and FMA are there; the rest as for [`tile_avx512`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn tile_avx2(
        a: &[f32],
        starts: &[usize; MR],
        ks: &[usize],
        panel: &[f32],
        tile: &mut Tile,
    ) {
        const ROWS: usize = 4;
        for piece in 0..4 {
            let (top, left) = (piece / 2 * ROWS, piece % 2 * 16);
            let rows: [*const f32; ROWS] = std::array::from_fn(|i| a.as_ptr().wrapping_add(starts[top + i]));
            let mut b = panel.as_ptr().wrapping_add(left);
            let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
            for &k in ks {
                // SAFETY: promised by the caller.
                unsafe {
                    let (x, y) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
                    for i in 0..ROWS {
                        let factor = _mm256_set1_ps(*rows[i].add(k));
                        sums[i][0] = _mm256_fmadd_ps(factor, x, sums[i][0]);
                        sums[i][1] = _mm256_fmadd_ps(factor, y, sums[i][1]);
                    }
                }
                b = b.wrapping_add(NR);
            }
            for (i, row) in sums.iter().enumerate() {
                for (j, &sum) in row.iter().enumerate() {
                    let at = (top + i) * NR + left + j * 8;
                    // SAFETY: the place lies in the tile.
                    unsafe { _mm256_storeu_ps(tile.as_mut_ptr().add(at), sum) };
                }
            }
        }
    }
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

    #[test]
    fn every_tile_kernel_equals_the_sum_in_f64() {
        let (x, panel) = (numbers(MR * 100, 1), numbers(100 * NR, 2));
        let starts: [usize; MR] = std::array::from_fn(|i| i * 100);
        let ks = multiples(100, 1);
        let mut want = vec![0.0; MR * NR];
        let cols = multiples(NR, 1);
        let rows = multiples(MR, NR);
        let depth = multiples(100, NR);
        let to = Target { rows: &rows, cols: &cols };
        reference(Operand::new(&x, &starts, &ks), Operand::new(&panel, &cols, &depth), to, &mut want);
        let mut tile = [0.0; MR * NR];
        tile_portable(&x, &starts, &ks, &panel, &mut tile);
        assert_close(&tile, &want, 1e-5);
        #[cfg(target_arch = "x86_64")]
        if simd::level() != Level::Portable {
            // SAFETY: the level is at least AVX2, the tables are as above.
            unsafe { x86::tile_avx2(&x, &starts, &ks, &panel, &mut tile) };
            assert_close(&tile, &want, 1e-5);
        }
        #[cfg(target_arch = "x86_64")]
        if simd::level() == Level::Avx512 {
            // SAFETY: the level is AVX-512, the tables are as above.
            unsafe { x86::tile_avx512(&x, &starts, &ks, &panel, &mut tile) };
            assert_close(&tile, &want, 1e-5);
        }
    }
}
