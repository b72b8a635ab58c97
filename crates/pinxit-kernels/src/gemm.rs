//! Matrix product of two operands whose numbers are addressed by the places along their sides: the core of every
//! dense kernel.
//!
//! An element (i, k) of an [`Operand`] lies at `outer[i] + depth[k]`, the places of two [`Axis`] added. Rows of a
//! matrix, its transpose, the pixels of a batch of images and the taps of a convolution are all of this form, so
//! a convolution is a matrix product whose patches are gathered while they are packed: no im2col buffer exists,
//! and a tile of columns may span several small images.
//!
//! The output is cut into tiles of [`MR`] x [`NR`] elements that are accumulated in registers over blocks of
//! the depth. The order of summation of an element depends on the depth alone (block by block, in order
//! within a block): not on the number of rows and columns, nor on the place in a tile, nor on the threads. Only
//! [`gemm_deep`], which no image's own result comes from, looks at the other sizes too.

use crate::axis::Axis;
use crate::buffer::unwritten;
use crate::pack::{Columns, SLACK};
use crate::store::{End, Spot, Stage};
use crate::threads::{self, Shared};
use crate::tile::{self, MR, NR, Rows, Tile};
use std::cell::RefCell;
use std::ops::Range;

/// Numbers of a line of the cache.
const LINE: usize = 16;
/// Largest block of the depth: a packed panel of `DEPTH x NR` elements stays in the cache.
const DEPTH: usize = 640;
/// Multiply-adds below which a product stays on one thread.
const WORTH_THREADS: usize = 1 << 18;
/// Parts that a deep product is summed in.
const PARTS: usize = 8;
/// Tiles of rows that a task has at least, where it has a choice.
const TILES: usize = 6;
/// Tasks that a product is cut into, if it has so many tiles.
const TASKS: usize = 16;

/// A matrix whose element (i, k) is `data[outer[i] + depth[k]]`; k is what the product sums over.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    data: &'a [f32],
    outer: Axis<'a>,
    depth: Axis<'a>,
}

impl<'a> Operand<'a> {
    /// # Panics
    /// If the sum of two places lies outside of `data`: the kernels read without asking again.
    pub(crate) fn new(data: &'a [f32], outer: Axis<'a>, depth: Axis<'a>) -> Self {
        if let (Some(i), Some(k)) = (outer.largest(), depth.largest()) {
            assert!(i + k < data.len(), "place {i} + {k} outside of {} elements", data.len());
        }
        Self { data, outer, depth }
    }
}

/// Where the element (i, j) of a product goes: `rows[i] + cols[j]`.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) rows: Axis<'a>,
    pub(crate) cols: Axis<'a>,
}

/// A product: its left side, its right side, where it goes and what is done to it on the way.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub(crate) a: Operand<'a>,
    pub(crate) b: Operand<'a>,
    pub(crate) to: Target<'a>,
    pub(crate) end: End<'a>,
}

impl Product<'_> {
    /// # Panics
    /// If the sizes differ, or a place lies outside of `len` numbers.
    fn check(&self, len: usize) {
        let Self { a, b, to, .. } = self;
        let (m, n, depth) = (a.outer.len(), b.outer.len(), a.depth.len());
        assert_eq!((depth, m, n), (b.depth.len(), to.rows.len(), to.cols.len()), "sizes of a matrix product");
        if let (Some(row), Some(col)) = (to.rows.largest(), to.cols.largest()) {
            assert!(row + col < len, "place {row} + {col} outside of {len} elements");
        }
    }
}

/// `out[i, j] = end(sum_k a[i, k] b[j, k])`; what `out` held before does not matter.
///
/// # Safety
/// The places `to.rows[i] + to.cols[j]` are different for different (i, j).
pub(crate) unsafe fn gemm(product: Product, out: &mut [f32]) {
    // SAFETY: promised by the caller.
    unsafe { gemm_all(&[product], out) };
}

/// [`gemm`] by this thread alone, to places that no other task touches.
///
/// # Safety
/// As for [`gemm`], and nobody else touches these elements of `out`.
pub(crate) unsafe fn gemm_alone(product: Product, out: &Shared) {
    product.check(out.len());
    let plan = Plan::new(product);
    for panel in 0..plan.panels() {
        // SAFETY: promised by the caller.
        unsafe { plan.columns(0..plan.rows(), panel, 0..plan.depth(), out) };
    }
}

/// Several products whose columns read the same numbers, in turn for each panel of columns.
///
/// # Safety
/// As for [`gemm`], for different (i, j) of all products.
pub(crate) unsafe fn gemm_all(products: &[Product], out: &mut [f32]) {
    let tiled: Vec<Option<Tiled>> = products.iter().map(Tiled::if_pays).collect();
    let plans: Vec<Plan> = products
        .iter()
        .zip(&tiled)
        .map(|(product, tiled)| {
            product.check(out.len());
            Plan::new(Product { a: tiled.as_ref().map_or(product.a, Tiled::operand), ..*product })
        })
        .collect();
    let out = Shared::new(out);
    let row_tiles = plans.iter().map(|plan| plan.rows().div_ceil(MR)).max().unwrap_or(0);
    let panels = plans.iter().map(|plan| plan.panels()).max().unwrap_or(0);
    let worth = plans.iter().map(|plan| plan.work()).sum::<usize>() >= WORTH_THREADS;
    let groups = panels.min(TASKS);
    // Every block of rows packs the columns again.
    let row_blocks = if worth { (row_tiles / TILES).clamp(1, TASKS / groups.max(1)) } else { 1 };
    threads::for_each(row_blocks * groups, worth, |task| {
        for panel in share(task / row_blocks, groups, panels) {
            for plan in plans.iter().filter(|plan| panel < plan.panels()) {
                let tiles = share(task % row_blocks, row_blocks, plan.rows().div_ceil(MR));
                let rows = tiles.start * MR..plan.rows().min(tiles.end * MR);
                // SAFETY: tasks have different rows or columns, so by the caller's promise different elements.
                unsafe { plan.columns(rows, panel, 0..plan.depth(), &out) };
            }
        }
    });
}

/// As [`gemm`], for a depth that is much greater than the number of rows and columns: the depth is cut into parts
/// that are summed alone, then together in their order. The cut depends on the sizes of the product.
///
/// # Safety
/// As for [`gemm`].
pub(crate) unsafe fn gemm_deep(product: Product, out: &mut [f32]) {
    product.check(out.len());
    let Product { a, b, to, .. } = product;
    let (m, n, depth) = (a.outer.len(), b.outer.len(), a.depth.len());
    let small = PARTS * m * n <= (m + n) * depth / 4 && !product.end.add;
    let parts = if small { PARTS.min(depth / DEPTH) } else { 1 };
    if parts < 2 {
        // SAFETY: promised by the caller.
        return unsafe { gemm(product, out) };
    }
    let (rows, cols) = (Axis::line(m, n), Axis::line(n, 1));
    let part = Product { to: Target { rows, cols }, end: End::default(), ..product };
    let plan = Plan::new(part);
    let panels = n.div_ceil(NR);
    let mut sums = unwritten(parts * m * n);
    let shared = Shared::new(&mut sums);
    threads::for_each(parts * panels, true, |task| {
        let (part, panel) = (task / panels, task % panels);
        // SAFETY: each task writes its columns of its part.
        unsafe {
            let sums = Shared::new(shared.part(part * m * n..(part + 1) * m * n));
            plan.columns(0..m, panel, share(part, parts, depth), &sums);
        }
    });
    let (rows, cols) = (to.rows.table(0..m), to.cols.table(0..n));
    let out = Shared::new(out);
    threads::for_each(m, parts * m * n >= WORTH_THREADS, |i| {
        let mut total = sums[i * n..(i + 1) * n].to_vec();
        for part in 1..parts {
            total.iter_mut().zip(&sums[(part * m + i) * n..]).for_each(|(x, y)| *x += y);
        }
        for (col, sum) in cols.iter().zip(total) {
            let at = rows[i] + col;
            // SAFETY: promised by the caller.
            unsafe { out.part(at..at + 1)[0] = product.end.of(i, sum) };
        }
    });
}

/// The part `index` of `parts` parts of `0..len`, equal up to 1.
fn share(index: usize, parts: usize, len: usize) -> Range<usize> {
    index * len / parts..(index + 1) * len / parts
}

/// Whether a copy of `a` pays, of which each number is read by several panels of columns: if its numbers lie apart
/// in both directions, or its rows on the same lines of the cache. Patches of images, which share their numbers,
/// are never copied.
fn copy_pays(a: Operand, columns: usize) -> bool {
    /// Numbers of one way of the first cache.
    const WAY: usize = 1024;
    let step = |axis: Axis| {
        let mut first = [0; 2];
        let known = first.len().min(axis.len());
        axis.places(0, &mut first[..known]);
        first[1].abs_diff(first[0])
    };
    let (row, k) = (step(a.outer), step(a.depth));
    let apart = row > 1 && k > 1 && columns >= 12 * NR;
    let same_lines = row > 0 && row.is_multiple_of(WAY) && columns >= 4 * NR;
    (apart || same_lines) && a.outer.len() * a.depth.len() <= a.data.len()
}

/// A copy of an operand with the rows of a tile side by side: (i, k) at `(i / MR) MR depth + k MR + i % MR`.
struct Tiled {
    data: Vec<f32>,
    outer: Vec<usize>,
    depth: usize,
}

impl Tiled {
    fn if_pays(product: &Product) -> Option<Self> {
        copy_pays(product.a, product.b.outer.len()).then(|| Self::new(product.a))
    }

    fn new(a: Operand) -> Self {
        let (rows, depth) = (a.outer.len(), a.depth.len());
        let (outer, ks) = (a.outer.table(0..rows), a.depth.table(0..depth));
        let len = rows.next_multiple_of(MR) * depth;
        let mut data = unwritten(len);
        threads::for_each_block([&mut data], [MR * depth], len, |tile, [data]| {
            let rows: [usize; MR] = std::array::from_fn(|i| outer[(tile * MR + i).min(rows - 1)]);
            for (k, line) in ks.iter().zip(data.as_chunks_mut::<MR>().0) {
                // SAFETY: `Operand::new` asked whether every sum of two places lies in the data.
                *line = rows.map(|row| unsafe { *a.data.get_unchecked(row + k) });
            }
        });
        Self { data, outer: (0..rows).map(|i| i / MR * MR * depth + i % MR).collect(), depth }
    }

    fn operand(&self) -> Operand<'_> {
        Operand::new(&self.data, Axis::List(&self.outer), Axis::line(self.depth, MR))
    }
}

/// Fetches the line of a place, which need not exist.
#[inline(always)]
fn prefetch(data: &[f32], place: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch of whatever address does nothing else.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(data.as_ptr().wrapping_add(place).cast()) };
    }
}

/// A product with the tables of its rows.
struct Plan<'a> {
    product: Product<'a>,
    a_rows: Vec<usize>,
    to_rows: Vec<usize>,
}

/// What a thread keeps between its tasks.
struct Scratch {
    panel: Vec<f32>,
    a_depth: [usize; DEPTH],
    b_depth: [usize; DEPTH],
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        panel: vec![0.0; DEPTH * NR + SLACK + LINE],
        a_depth: [0; DEPTH],
        b_depth: [0; DEPTH],
    });
}

impl<'a> Plan<'a> {
    fn new(product: Product<'a>) -> Self {
        let table = |axis: Axis| axis.table(0..axis.len());
        Self { product, a_rows: table(product.a.outer), to_rows: table(product.to.rows) }
    }

    fn rows(&self) -> usize {
        self.a_rows.len()
    }

    fn panels(&self) -> usize {
        self.product.b.outer.len().div_ceil(NR)
    }

    fn depth(&self) -> usize {
        self.product.a.depth.len()
    }

    /// Multiply-adds.
    fn work(&self) -> usize {
        self.rows() * self.product.b.outer.len() * self.depth()
    }

    /// The columns of the panel `panel` of the rows `rows`, summed over `ks`.
    ///
    /// # Safety
    /// Nobody else touches these elements of `out`, they exist, and their places are different.
    unsafe fn columns(&self, rows: Range<usize>, panel: usize, ks: Range<usize>, out: &Shared) {
        let Product { a, b, to, end } = &self.product;
        let cols = panel * NR..b.outer.len().min((panel + 1) * NR);
        let (mut from, mut places) = ([0; NR], [0; NR]);
        b.outer.places(cols.start, &mut from[..cols.len()]);
        to.cols.places(cols.start, &mut places[..cols.len()]);
        let columns = Columns::new(b.data, &mut from, cols.len());
        let ahead = (cols.end + NR <= b.outer.len()).then(|| {
            let mut ahead = [0; 2];
            b.outer.places(cols.end, &mut ahead[..1]);
            b.outer.places(cols.end + NR / 2, &mut ahead[1..]);
            ahead
        });
        let mut sums = Tile([0.0; MR * NR]);
        let blocks = ks.len().div_ceil(DEPTH).max(1);
        SCRATCH.with_borrow_mut(|Scratch { panel, a_depth, b_depth }| {
            // Vectors that begin with a line are read and written faster.
            let start = panel.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
            let panel = &mut panel[start..];
            for block in 0..blocks {
                let part = share(block, blocks, ks.len());
                let stage = Stage { first: block == 0, last: block + 1 == blocks };
                let (a_depth, b_depth) = (&mut a_depth[..part.len()], &mut b_depth[..part.len()]);
                a.depth.places(ks.start + part.start, a_depth);
                b.depth.places(ks.start + part.start, b_depth);
                columns.pack(b_depth, panel);
                for first in rows.clone().step_by(MR) {
                    // The next panel comes while this one is multiplied.
                    if let Some(ahead) = ahead {
                        let part = share((first - rows.start) / MR, rows.len().div_ceil(MR), b_depth.len());
                        b_depth[part]
                            .iter()
                            .for_each(|k| ahead.iter().for_each(|at| prefetch(b.data, at + k)));
                    }
                    let count = MR.min(rows.end - first);
                    let tile_rows = Rows { data: a.data, starts: &self.a_rows[first..first + count] };
                    let spot =
                        Spot { rows: &self.to_rows[first..first + count], cols: &places[..cols.len()] };
                    spot.prefetch(out);
                    // SAFETY: `Operand::new` asked whether every sum of two places lies in the data.
                    unsafe { tile::multiply(&tile_rows, a_depth, panel, cols.len(), &mut sums) };
                    // SAFETY: promised by the caller.
                    unsafe { spot.put(&mut sums, first, stage, end, out) };
                }
            }
        });
    }
}

/// The plain twin: sums in f64.
#[cfg(test)]
pub(crate) fn reference(product: Product, out: &mut [f64]) {
    let Product { a, b, to, end } = product;
    let table = |axis: Axis| axis.table(0..axis.len());
    let [a_rows, a_depth, b_rows, b_depth] = [a.outer, a.depth, b.outer, b.depth].map(table);
    let [rows, cols] = [to.rows, to.cols].map(table);
    for (i, row) in rows.iter().enumerate() {
        for (j, col) in cols.iter().enumerate() {
            let terms = a_depth
                .iter()
                .zip(&b_depth)
                .map(|(k, l)| f64::from(a.data[a_rows[i] + k]) * f64::from(b.data[b_rows[j] + l]));
            let sum = terms.sum::<f64>() + f64::from(end.bias.map_or(0.0, |bias| bias[i]));
            out[row + col] = crate::activation::twin::value(end.activation, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_sum_in_f64_for_odd_sizes_and_layouts() {
        for (m, n, depth) in [
            (1, 1, 1),
            (3, 5, 7),
            (2, 3, 0),
            (8, 32, 256),
            (9, 33, 257),
            (17, 100, 600),
            (130, 65, 40),
            (20, 550, 512),
        ] {
            for layout in 0..8 {
                check(m, n, depth, [layout & 1 > 0, layout & 2 > 0, layout & 4 > 0]);
            }
        }
    }

    #[test]
    fn a_deep_product_is_summed_in_parts() {
        check(24, 70, 10_000, [true, false, false]);
    }

    /// Each of the three matrices as it is or transposed.
    fn check(m: usize, n: usize, depth: usize, transposed: [bool; 3]) {
        let (x, y, bias) = (numbers(m * depth, 1), numbers(n * depth, 2), numbers(m, 3));
        let sides = |transposed: bool, rows: usize, cols: usize| {
            let (outer, inner) = if transposed { (1, rows) } else { (cols, 1) };
            (Axis::line(rows, outer), Axis::line(cols, inner))
        };
        let operand = |data, (outer, depth)| Operand::new(data, outer, depth);
        let (rows, cols) = sides(transposed[2], m, n);
        for end in [End::default(), End { bias: Some(&bias), activation: Activation::Tanh, add: false }] {
            let a = operand(&x, sides(transposed[0], m, depth));
            let b = operand(&y, sides(transposed[1], n, depth));
            let product = Product { a, b, to: Target { rows, cols }, end };
            let mut want = vec![f64::NAN; m * n];
            reference(product, &mut want);
            let mut got = vec![f32::NAN; m * n];
            // SAFETY: a matrix has different places.
            unsafe { gemm(product, &mut got) };
            assert_close(&got, &want, 3e-5);
            got.fill(f32::NAN);
            // SAFETY: as above.
            unsafe { gemm_deep(product, &mut got) };
            assert_close(&got, &want, 3e-5);
        }
    }
}
