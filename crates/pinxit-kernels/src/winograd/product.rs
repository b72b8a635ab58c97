//! The matrix product at one point of the transform.

use super::lanes::{Lanes, at_level};
use super::tiles::PANEL;

/// `out[i * out_row + j] (+)= sum_k a[i * a_row + k * a_depth] b[k * b_depth + j]` for i < rows, j < [`PANEL`],
/// in the order of k.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) a: *const f32,
    pub(super) a_row: usize,
    pub(super) a_depth: usize,
    pub(super) b: *const f32,
    pub(super) b_depth: usize,
    pub(super) out: *mut f32,
    pub(super) out_row: usize,
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// Whether the sums are added to what is there.
    pub(super) more: bool,
}

/// Products of one size at equal distances.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    pub(super) count: usize,
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) out: usize,
}

at_level! {
    /// `batch.count` products, each `batch.a` numbers of `a` further than the one before, and so on.
    ///
    /// # Safety
    /// The processor has the level, all of the numbers exist, and nobody else touches `out`.
    pub(super) unsafe fn multiply<_T, L>(level, product: Product, batch: Batch) {
        for index in 0..batch.count {
            let mut p = product;
            p.a = p.a.wrapping_add(index * batch.a);
            p.b = p.b.wrapping_add(index * batch.b);
            p.out = p.out.wrapping_add(index * batch.out);
            // SAFETY: promised by the caller.
            unsafe {
                while p.rows >= L::ROWS {
                    // The constants are known here; the registers of each level hold its tile.
                    if L::ROWS == 8 { columns::<L, 8>(p) } else { columns::<L, 4>(p) }
                    p.skip(L::ROWS);
                }
                if p.rows >= 4 {
                    columns::<L, 4>(p);
                    p.skip(4);
                }
                if p.rows >= 2 {
                    columns::<L, 2>(p);
                    p.skip(2);
                }
                if p.rows == 1 {
                    columns::<L, 1>(p);
                }
            }
        }
    }
}

impl Product {
    #[inline(always)]
    fn skip(&mut self, rows: usize) {
        self.a = self.a.wrapping_add(rows * self.a_row);
        self.out = self.out.wrapping_add(rows * self.out_row);
        self.rows -= rows;
    }
}

/// `ROWS` rows, two vectors of columns at a time, with the sums in registers.
///
/// # Safety
/// The numbers exist.
#[inline(always)]
unsafe fn columns<L: Lanes, const ROWS: usize>(p: Product) {
    for column in (0..PANEL).step_by(2 * L::COUNT) {
        let mut sums = [[L::splat(0.0); 2]; ROWS];
        let (mut a, mut b) = (p.a, p.b.wrapping_add(column));
        for _ in 0..p.depth {
            // SAFETY: promised by the caller.
            unsafe {
                let (left, right) = (L::load(b), L::load(b.add(L::COUNT)));
                for i in 0..ROWS {
                    let factor = L::splat(*a.add(i * p.a_row));
                    sums[i][0] = factor.mul_add(left, sums[i][0]);
                    sums[i][1] = factor.mul_add(right, sums[i][1]);
                }
            }
            a = a.wrapping_add(p.a_depth);
            b = b.wrapping_add(p.b_depth);
        }
        for i in 0..ROWS {
            for j in 0..2 {
                let to = p.out.wrapping_add(i * p.out_row + column + j * L::COUNT);
                // SAFETY: promised by the caller.
                unsafe {
                    let sum = if p.more { L::load(to).add(sums[i][j]) } else { sums[i][j] };
                    sum.store(to);
                }
            }
        }
    }
}
