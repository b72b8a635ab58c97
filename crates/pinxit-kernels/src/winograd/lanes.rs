//! Vectors of neighbouring channels, one type for each [`crate::simd::Level`], and the way to run a function at a level.

#[cfg(test)]
use crate::simd::Level;

/// `COUNT` numbers side by side in a register.
///
/// The methods of a type are called only where the processor has its instructions ([`at_level`]).
pub(super) trait Lanes: Copy {
    const COUNT: usize;
    /// Rows of a tile of the product, two vectors wide, whose sums fit into the registers.
    const ROWS: usize;

    fn splat(x: f32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * factor + other`, rounded once where the processor can.
    fn mul_add(self, factor: Self, other: Self) -> Self;

    /// # Safety
    /// `from` has `COUNT` numbers.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// `to` has room for `COUNT` numbers.
    unsafe fn store(self, to: *mut f32);

    /// Four vectors, of which lane l of vector i is `from[l * step + i]`.
    ///
    /// # Safety
    /// These numbers exist.
    unsafe fn gather4(from: *const f32, step: usize) -> [Self; 4];

    /// The inverse of [`Lanes::gather4`].
    ///
    /// # Safety
    /// These places exist.
    unsafe fn scatter4(vectors: [Self; 4], to: *mut f32, step: usize);

    /// `to[j * to_step + i] = from[i * from_step + j]` for i and j below 16.
    ///
    /// # Safety
    /// These places exist.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        for i in (0..16).step_by(Self::COUNT) {
            for j in (0..16).step_by(4) {
                // SAFETY: promised by the caller.
                unsafe {
                    let vectors = Self::gather4(from.add(i * from_step + j), from_step);
                    for k in 0..4 {
                        vectors[k].store(to.add((j + k) * to_step + i));
                    }
                }
            }
        }
    }
}

/// Defines functions over a transform and lanes that run at the level of their first argument.
///
/// What they call must be `#[inline(always)]` to be compiled with the wide instructions too, and no vector may
/// pass through a closure.
macro_rules! at_level {
    ($($(#[$meta:meta])* $vis:vis unsafe fn $name:ident<$t:ident, $l:ident>(
        $level:ident, $($arg:ident: $type:ty),* $(,)?
    ) $body:block)*) => { $(
        $(#[$meta])*
        $vis unsafe fn $name<$t: crate::winograd::transform::Transform>(
            $level: crate::simd::Level, $($arg: $type),*
        ) {
            #[inline(always)]
            unsafe fn plain<$t: crate::winograd::transform::Transform, $l: crate::winograd::lanes::Lanes>(
                $($arg: $type),*
            ) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            unsafe fn avx512<$t: crate::winograd::transform::Transform>($($arg: $type),*) {
                // SAFETY: promised by the caller.
                unsafe { plain::<$t, crate::winograd::lanes::Avx512>($($arg),*) }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2<$t: crate::winograd::transform::Transform>($($arg: $type),*) {
                // SAFETY: promised by the caller.
                unsafe { plain::<$t, crate::winograd::lanes::Avx2>($($arg),*) }
            }

            match $level {
                // SAFETY: promised by the caller, the processor's level included.
                #[cfg(target_arch = "x86_64")]
                crate::simd::Level::Avx512 => unsafe { avx512::<$t>($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::simd::Level::Avx2 => unsafe { avx2::<$t>($($arg),*) },
                // SAFETY: as above.
                crate::simd::Level::Portable => unsafe {
                    plain::<$t, crate::winograd::lanes::Portable>($($arg),*)
                },
            }
        }
    )* };
}
pub(super) use at_level;

/// Levels that this processor has, the best one first.
#[cfg(test)]
pub(super) fn levels() -> Vec<Level> {
    #[cfg(target_arch = "x86_64")]
    let all = [Level::Avx512, Level::Avx2, Level::Portable];
    #[cfg(not(target_arch = "x86_64"))]
    let all = [Level::Portable];
    let best = crate::simd::level();
    all.into_iter().skip_while(|&level| level != best).collect()
}

/// What the compiler makes of plain Rust for the baseline.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

impl Lanes for Portable {
    const COUNT: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a + e, b + f, c + g, d + h])
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a - e, b - f, c - g, d - h])
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a * e, b * f, c * g, d * h])
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, other: Self) -> Self {
        self.mul(factor).add(other)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { to.cast::<[f32; 4]>().write(self.0) };
    }

    #[inline(always)]
    unsafe fn gather4(from: *const f32, step: usize) -> [Self; 4] {
        // SAFETY: promised by the caller.
        let rows = unsafe {
            [
                Self::load(from),
                Self::load(from.add(step)),
                Self::load(from.add(2 * step)),
                Self::load(from.add(3 * step)),
            ]
        };
        transposed(rows)
    }

    #[inline(always)]
    unsafe fn scatter4(vectors: [Self; 4], to: *mut f32, step: usize) {
        let rows = transposed(vectors);
        for (l, row) in rows.iter().enumerate() {
            // SAFETY: promised by the caller.
            unsafe { row.store(to.add(l * step)) };
        }
    }
}

#[inline(always)]
fn transposed(rows: [Portable; 4]) -> [Portable; 4] {
    let mut columns = [Portable([0.0; 4]); 4];
    for i in 0..4 {
        for j in 0..4 {
            columns[j].0[i] = rows[i].0[j];
        }
    }
    columns
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// 16 lanes.
    #[derive(Clone, Copy)]
    pub(in crate::winograd) struct Avx512(__m512);

    // SAFETY of every block below: the processor has AVX-512 (for `Avx2`: AVX2 and FMA) where the methods run,
    // and the caller promises that the numbers at the pointers exist.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Lanes for Avx512 {
        const COUNT: usize = 16;
        const ROWS: usize = 8;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            unsafe { Self(_mm512_set1_ps(x)) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, other: Self) -> Self {
            unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm512_loadu_ps(from)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) };
        }

        #[inline(always)]
        unsafe fn gather4(from: *const f32, step: usize) -> [Self; 4] {
            // Row r holds the lanes r, r + 4, r + 8 and r + 12, one in each quarter, so that the squares of
            // 4 x 4 are transposed within the quarters.
            let mut rows = [Self::splat(0.0); 4];
            for (r, row) in rows.iter_mut().enumerate() {
                unsafe {
                    let from = from.add(r * step);
                    let x = _mm512_castps128_ps512(_mm_loadu_ps(from));
                    let x = _mm512_insertf32x4::<1>(x, _mm_loadu_ps(from.add(4 * step)));
                    let x = _mm512_insertf32x4::<2>(x, _mm_loadu_ps(from.add(8 * step)));
                    row.0 = _mm512_insertf32x4::<3>(x, _mm_loadu_ps(from.add(12 * step)));
                }
            }
            transposed512(rows)
        }

        #[inline(always)]
        unsafe fn scatter4(vectors: [Self; 4], to: *mut f32, step: usize) {
            let rows = transposed512(vectors);
            for (r, row) in rows.iter().enumerate() {
                unsafe {
                    let to = to.add(r * step);
                    _mm_storeu_ps(to, _mm512_castps512_ps128(row.0));
                    _mm_storeu_ps(to.add(4 * step), _mm512_extractf32x4_ps::<1>(row.0));
                    _mm_storeu_ps(to.add(8 * step), _mm512_extractf32x4_ps::<2>(row.0));
                    _mm_storeu_ps(to.add(12 * step), _mm512_extractf32x4_ps::<3>(row.0));
                }
            }
        }

        /// Whole lines of the cache at once: lines 4 KiB apart push each other out of it before they are read
        /// a second time.
        #[inline(always)]
        unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
            let mut squares = [[Self::splat(0.0); 4]; 4];
            for q in 0..4 {
                let mut rows = [Self::splat(0.0); 4];
                for r in 0..4 {
                    rows[r] = unsafe { Self::load(from.add((4 * q + r) * from_step)) };
                }
                squares[q] = transposed512(rows);
            }
            for j in 0..4 {
                let columns = quarters([squares[0][j], squares[1][j], squares[2][j], squares[3][j]]);
                for q in 0..4 {
                    unsafe { columns[q].store(to.add((4 * q + j) * to_step)) };
                }
            }
        }
    }

    /// Vectors of the quarters of `x`: quarter q of vector i is quarter i of `x[q]`.
    #[inline(always)]
    #[allow(clippy::undocumented_unsafe_blocks)]
    fn quarters([a, b, c, d]: [Avx512; 4]) -> [Avx512; 4] {
        unsafe {
            let ab = _mm512_shuffle_f32x4::<0x44>(a.0, b.0);
            let cd = _mm512_shuffle_f32x4::<0x44>(c.0, d.0);
            let ab_high = _mm512_shuffle_f32x4::<0xee>(a.0, b.0);
            let cd_high = _mm512_shuffle_f32x4::<0xee>(c.0, d.0);
            [
                Avx512(_mm512_shuffle_f32x4::<0x88>(ab, cd)),
                Avx512(_mm512_shuffle_f32x4::<0xdd>(ab, cd)),
                Avx512(_mm512_shuffle_f32x4::<0x88>(ab_high, cd_high)),
                Avx512(_mm512_shuffle_f32x4::<0xdd>(ab_high, cd_high)),
            ]
        }
    }

    /// The squares of 4 x 4 in each quarter, transposed.
    #[inline(always)]
    #[allow(clippy::undocumented_unsafe_blocks)]
    fn transposed512([a, b, c, d]: [Avx512; 4]) -> [Avx512; 4] {
        unsafe {
            let (ab, cd) = (_mm512_unpacklo_ps(a.0, b.0), _mm512_unpacklo_ps(c.0, d.0));
            let (ab_high, cd_high) = (_mm512_unpackhi_ps(a.0, b.0), _mm512_unpackhi_ps(c.0, d.0));
            [
                Avx512(_mm512_shuffle_ps::<0x44>(ab, cd)),
                Avx512(_mm512_shuffle_ps::<0xee>(ab, cd)),
                Avx512(_mm512_shuffle_ps::<0x44>(ab_high, cd_high)),
                Avx512(_mm512_shuffle_ps::<0xee>(ab_high, cd_high)),
            ]
        }
    }

    /// 8 lanes.
    #[derive(Clone, Copy)]
    pub(in crate::winograd) struct Avx2(__m256);

    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Lanes for Avx2 {
        const COUNT: usize = 8;
        const ROWS: usize = 4;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(x)) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, other: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) };
        }

        #[inline(always)]
        unsafe fn gather4(from: *const f32, step: usize) -> [Self; 4] {
            let mut rows = [Self::splat(0.0); 4];
            for (r, row) in rows.iter_mut().enumerate() {
                unsafe {
                    let low = _mm256_castps128_ps256(_mm_loadu_ps(from.add(r * step)));
                    row.0 = _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(from.add((r + 4) * step)));
                }
            }
            transposed256(rows)
        }

        #[inline(always)]
        unsafe fn scatter4(vectors: [Self; 4], to: *mut f32, step: usize) {
            let rows = transposed256(vectors);
            for (r, row) in rows.iter().enumerate() {
                unsafe {
                    _mm_storeu_ps(to.add(r * step), _mm256_castps256_ps128(row.0));
                    _mm_storeu_ps(to.add((r + 4) * step), _mm256_extractf128_ps::<1>(row.0));
                }
            }
        }
    }

    /// The squares of 4 x 4 in each half, transposed.
    #[inline(always)]
    #[allow(clippy::undocumented_unsafe_blocks)]
    fn transposed256([a, b, c, d]: [Avx2; 4]) -> [Avx2; 4] {
        unsafe {
            let (ab, cd) = (_mm256_unpacklo_ps(a.0, b.0), _mm256_unpacklo_ps(c.0, d.0));
            let (ab_high, cd_high) = (_mm256_unpackhi_ps(a.0, b.0), _mm256_unpackhi_ps(c.0, d.0));
            [
                Avx2(_mm256_shuffle_ps::<0x44>(ab, cd)),
                Avx2(_mm256_shuffle_ps::<0xee>(ab, cd)),
                Avx2(_mm256_shuffle_ps::<0x44>(ab_high, cd_high)),
                Avx2(_mm256_shuffle_ps::<0xee>(ab_high, cd_high)),
            ]
        }
    }
}
