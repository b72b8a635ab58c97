//! The innermost loop: one tile of a matrix product, accumulated in registers.

use crate::simd::{self, Level};

/// Rows of a tile.
pub(crate) const MR: usize = 8;
/// Columns of a tile: two vectors of AVX-512.
pub(crate) const NR: usize = 32;

/// The sums of one tile, row by row.
pub(crate) type Tile = [f32; MR * NR];

/// `tile[i * NR + j] = sum_k a[starts[i] + ks[k]] panel[k * NR + j]`, in the order of k.
///
/// # Safety
/// Every `starts[i] + ks[k]` lies in `a`.
pub(crate) unsafe fn multiply(a: &[f32], starts: &[usize; MR], ks: &[usize], panel: &[f32], tile: &mut Tile) {
    assert_eq!(panel.len(), ks.len() * NR);
    match simd::level() {
        // SAFETY: the processor has the instructions, the caller promises the offsets into `a`, and the panel
        // has NR elements for each k.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(a, starts, ks, panel, tile) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(a, starts, ks, panel, tile) },
        Level::Portable => portable(a, starts, ks, panel, tile),
    }
}

/// The tile in plain Rust, in pieces whose sums fit into 16 registers of 4 lanes.
fn portable(a: &[f32], starts: &[usize; MR], ks: &[usize], panel: &[f32], tile: &mut Tile) {
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
    /// AVX-512 F is there, `a[starts[i] + ks[k]]` exists for all i and k, `panel` has `ks.len() * NR`
    /// elements.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512(
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
    /// AVX2 and FMA are there; the rest as for [`avx512`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(a: &[f32], starts: &[usize; MR], ks: &[usize], panel: &[f32], tile: &mut Tile) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn every_level_equals_the_sum_in_f64() {
        let (depth, step) = (100, 103);
        let (a, panel) = (numbers(MR * step, 1), numbers(depth * NR, 2));
        let starts: [usize; MR] = std::array::from_fn(|i| i * step);
        let ks: Vec<usize> = (0..depth).rev().collect();
        let sum = |at: usize| {
            let term = |k: usize| f64::from(a[starts[at / NR] + ks[k]]) * f64::from(panel[k * NR + at % NR]);
            (0..depth).map(term).sum()
        };
        let want: Vec<f64> = (0..MR * NR).map(sum).collect();
        let mut tile = [0.0; MR * NR];
        portable(&a, &starts, &ks, &panel, &mut tile);
        assert_close(&tile, &want, 1e-5);
        #[cfg(target_arch = "x86_64")]
        if simd::level() != Level::Portable {
            // SAFETY: the level is at least AVX2, the tables are as above.
            unsafe { x86::avx2(&a, &starts, &ks, &panel, &mut tile) };
            assert_close(&tile, &want, 1e-5);
        }
        #[cfg(target_arch = "x86_64")]
        if simd::level() == Level::Avx512 {
            // SAFETY: the level is AVX-512, the tables are as above.
            unsafe { x86::avx512(&a, &starts, &ks, &panel, &mut tile) };
            assert_close(&tile, &want, 1e-5);
        }
    }
}
