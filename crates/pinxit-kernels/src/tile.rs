//! The innermost loop: one tile of a matrix product, accumulated in registers.

use crate::simd::{self, Level};

/// Rows of a tile.
pub(crate) const MR: usize = 8;
/// Columns of a tile: two vectors of AVX-512.
pub(crate) const NR: usize = 32;
/// Columns of half a tile, which is enough for the last columns of a narrow matrix.
pub(crate) const HALF: usize = NR / 2;

const NEON: bool = cfg!(target_arch = "aarch64");

/// The sums of one tile, row by row.
#[repr(align(64))]
pub(crate) struct Tile(pub(crate) [f32; MR * NR]);

/// The rows of a tile, at most [`MR`]: where they start in the data of the left side.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) starts: &'a [usize],
}

/// `tile[i * NR + j] = sum_k data[starts[i] + ks[k]] panel[k * NR + j]` in the order of k, for the first `width`
/// columns at least.
///
/// # Safety
/// Every `starts[i] + ks[k]` lies in the data.
pub(crate) unsafe fn multiply(rows: &Rows, ks: &[usize], panel: &[f32], width: usize, tile: &mut Tile) {
    assert!(panel.len() >= ks.len() * NR && (1..=MR).contains(&rows.starts.len()));
    match simd::level() {
        // SAFETY: the processor has the instructions, the caller promises the offsets into the data, and the
        // panel has NR elements for each k.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(rows, ks, panel, width, tile) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(rows, ks, panel, width, tile) },
        Level::Portable => portable(rows, ks, panel, width, tile),
    }
}

/// The tile in plain Rust, in pieces whose sums fit into the registers of 4 lanes: 32 of them with NEON, which every
/// 64-bit ARM has together with fused multiply-adds, else 16 without.
fn portable(rows: &Rows, ks: &[usize], panel: &[f32], width: usize, tile: &mut Tile) {
    const ROWS: usize = if NEON { 8 } else { 4 };
    const COLS: usize = 8;
    for top in (0..rows.starts.len()).step_by(ROWS) {
        // Rows that do not exist repeat the first one; their sums are never stored.
        let starts: [usize; ROWS] =
            std::array::from_fn(|i| rows.starts[if top + i < rows.starts.len() { top + i } else { 0 }]);
        for left in (0..width).step_by(COLS) {
            let mut sums = [[0.0_f32; COLS]; ROWS];
            for (&k, row) in ks.iter().zip(panel.chunks_exact(NR)) {
                for (sums, start) in sums.iter_mut().zip(starts) {
                    let factor = rows.data[start + k];
                    for (sum, &x) in sums.iter_mut().zip(&row[left..left + COLS]) {
                        *sum = if NEON { factor.mul_add(x, *sum) } else { *sum + factor * x };
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                tile.0[(top + r) * NR + left..][..COLS].copy_from_slice(sums);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{HALF, NR, Rows, Tile};
    use std::arch::x86_64::*;

    /// Calls `$f::<R>` with the number of rows.
    macro_rules! for_rows {
        ($count:expr, $f:ident :: <$($n:literal),+>, $args:tt) => {
            match $count {
                $($n => for_rows!(@ $f, $n, $args),)+
                _ => for_rows!(@ $f, 8, $args),
            }
        };
        (@ $f:ident, $n:literal, ($($arg:expr),*)) => { $f::<$n>($($arg),*) };
    }

    /// All of the tile at once: 16 registers of sums, a broadcast of the data against two vectors of the panel.
    ///
    /// # Safety
    /// AVX-512 F is there, and what [`super::multiply`] asks for holds.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512(rows: &Rows, ks: &[usize], panel: &[f32], width: usize, tile: &mut Tile) {
        // SAFETY: promised by the caller.
        unsafe {
            if width > HALF {
                for_rows!(rows.starts.len(), wide::<1, 2, 3, 4, 5, 6, 7>, (rows, ks, panel, tile));
            } else {
                for_rows!(rows.starts.len(), narrow::<1, 2, 3, 4, 5, 6, 7>, (rows, ks, panel, tile));
            }
        }
    }

    /// # Safety
    /// As for [`avx512`], with R rows.
    #[target_feature(enable = "avx512f")]
    unsafe fn wide<const R: usize>(rows: &Rows, ks: &[usize], panel: &[f32], tile: &mut Tile) {
        // SAFETY: promised by the caller.
        unsafe { vectors::<R, 2>(rows, ks, panel, tile) }
    }

    /// # Safety
    /// As for [`avx512`], with R rows.
    #[target_feature(enable = "avx512f")]
    unsafe fn narrow<const R: usize>(rows: &Rows, ks: &[usize], panel: &[f32], tile: &mut Tile) {
        // SAFETY: promised by the caller.
        unsafe { vectors::<R, 1>(rows, ks, panel, tile) }
    }

    /// R rows and W vectors of columns.
    ///
    /// # Safety
    /// As for [`avx512`], with R rows.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn vectors<const R: usize, const W: usize>(
        rows: &Rows,
        ks: &[usize],
        panel: &[f32],
        tile: &mut Tile,
    ) {
        let starts: [*const f32; R] =
            std::array::from_fn(|i| rows.data.as_ptr().wrapping_add(rows.starts[i]));
        let mut b = panel.as_ptr();
        let mut sums = [[_mm512_setzero_ps(); W]; R];
        for &k in ks {
            // SAFETY: promised by the caller.
            unsafe {
                let columns: [__m512; W] = std::array::from_fn(|j| _mm512_loadu_ps(b.add(j * 16)));
                for i in 0..R {
                    let factor = _mm512_set1_ps(*starts[i].add(k));
                    for j in 0..W {
                        sums[i][j] = _mm512_fmadd_ps(factor, columns[j], sums[i][j]);
                    }
                }
                b = b.add(NR);
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, &sum) in row.iter().enumerate() {
                // SAFETY: the place lies in the tile.
                unsafe { _mm512_storeu_ps(tile.0.as_mut_ptr().add(i * NR + j * 16), sum) };
            }
        }
    }

    /// The tile in pieces of 4 rows and 16 columns, 8 registers of sums each.
    ///
    /// # Safety
    /// AVX2 and FMA are there, and what [`super::multiply`] asks for holds.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(rows: &Rows, ks: &[usize], panel: &[f32], width: usize, tile: &mut Tile) {
        for top in (0..rows.starts.len()).step_by(4) {
            for left in (0..width).step_by(HALF) {
                // SAFETY: promised by the caller.
                unsafe {
                    match rows.starts.len() - top {
                        1 => piece::<1>(rows, top, left, ks, panel, tile),
                        2 => piece::<2>(rows, top, left, ks, panel, tile),
                        3 => piece::<3>(rows, top, left, ks, panel, tile),
                        _ => piece::<4>(rows, top, left, ks, panel, tile),
                    }
                }
            }
        }
    }

    /// R rows from `top` on and 16 columns from `left` on.
    ///
    /// # Safety
    /// As for [`avx2`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn piece<const R: usize>(
        rows: &Rows,
        top: usize,
        left: usize,
        ks: &[usize],
        panel: &[f32],
        tile: &mut Tile,
    ) {
        let starts: [*const f32; R] =
            std::array::from_fn(|i| rows.data.as_ptr().wrapping_add(rows.starts[top + i]));
        let mut b = panel.as_ptr().wrapping_add(left);
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        for &k in ks {
            // SAFETY: promised by the caller.
            unsafe {
                let (x, y) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
                for i in 0..R {
                    let factor = _mm256_set1_ps(*starts[i].add(k));
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
                unsafe { _mm256_storeu_ps(tile.0.as_mut_ptr().add(at), sum) };
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
        for count in 1..=MR {
            for width in [1, HALF, HALF + 1, NR] {
                check(count, width);
            }
        }
    }

    fn check(count: usize, width: usize) {
        let (depth, step) = (100, 103);
        let (data, panel) = (numbers(MR * step, 1), numbers(depth * NR, 2));
        let starts: Vec<usize> = (0..count).map(|i| i * step).collect();
        let ks: Vec<usize> = (0..depth).rev().collect();
        let sum = |at: usize| {
            let (i, j) = (at / width, at % width);
            let term = |k: usize| f64::from(data[starts[i] + ks[k]]) * f64::from(panel[k * NR + j]);
            (0..depth).map(term).sum()
        };
        let want: Vec<f64> = (0..count * width).map(sum).collect();
        let rows = Rows { data: &data, starts: &starts };
        let verify = |tile: &Tile| {
            let got: Vec<f32> =
                tile.0.chunks(NR).take(count).flat_map(|row| &row[..width]).copied().collect();
            assert_close(&got, &want, 1e-5);
        };
        let mut tile = Tile([0.0; MR * NR]);
        portable(&rows, &ks, &panel, width, &mut tile);
        verify(&tile);
        #[cfg(target_arch = "x86_64")]
        if simd::level() != Level::Portable {
            // SAFETY: the level is at least AVX2, the tables are as above.
            unsafe { x86::avx2(&rows, &ks, &panel, width, &mut tile) };
            verify(&tile);
        }
        #[cfg(target_arch = "x86_64")]
        if simd::level() == Level::Avx512 {
            // SAFETY: the level is AVX-512, the tables are as above.
            unsafe { x86::avx512(&rows, &ks, &panel, width, &mut tile) };
            verify(&tile);
        }
    }
}
