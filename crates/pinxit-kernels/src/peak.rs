//! What this machine can do at most, measured: the yardstick of the kernels.

use crate::simd::{self, Level};
use crate::threads;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Rounds of a measurement; the best counts, because other programs only take away.
const ROUNDS: usize = 8;

/// Fused multiply-adds of `f32` a second, on all threads of the current pool together, from registers alone.
pub fn multiply_adds_per_second() -> f64 {
    const REPEATS: usize = 4_000_000;
    let threads = threads::count();
    best(|| {
        let done = (0..threads).into_par_iter().map(|_| multiply_adds(REPEATS)).sum::<usize>();
        done as f64
    })
}

/// Bytes a second that `a = b + 2 c` over arrays larger than the cache reads and writes, on all threads of the
/// current pool together (McCalpin 1995, STREAM's triad, which does not count that `a` is read as well).
pub fn bytes_per_second() -> f64 {
    const COUNT: usize = 12 << 20;
    let (mut a, b, c) = (vec![0.0_f32; COUNT], vec![1.0_f32; COUNT], vec![2.0_f32; COUNT]);
    best(|| {
        threads::for_each_chunk([&mut a], |range, [a]| triad(a, &b[range.clone()], &c[range]));
        black_box(&a);
        (3 * COUNT * size_of::<f32>()) as f64
    })
}

/// The largest amount a second that `work`, which answers with what it did, reaches.
fn best(mut work: impl FnMut() -> f64) -> f64 {
    let mut round = || {
        let start = Instant::now();
        work() / start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(|_| round()).fold(0.0, f64::max)
}

fn multiply_adds(repeats: usize) -> usize {
    match simd::level() {
        // SAFETY: `level` found the instructions that the function is compiled with.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(repeats) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(repeats) },
        Level::Portable => portable(repeats),
    }
}

/// Products and sums of the baseline, which may have no fused ones.
fn portable(repeats: usize) -> usize {
    const SUMS: usize = 8;
    let mut sums = [[0.0_f32; 4]; SUMS];
    let (x, y) = (black_box([1.0_f32; 4]), black_box([1e-9_f32; 4]));
    for _ in 0..repeats {
        for sum in &mut sums {
            (0..4).for_each(|i| sum[i] = sum[i] * x[i] + y[i]);
        }
    }
    black_box(sums);
    repeats * SUMS * 4
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// As many sums as hide the latency of the two units.
    const SUMS: usize = 12;

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(repeats: usize) -> usize {
        let mut sums = [_mm512_setzero_ps(); SUMS];
        let (x, y) = (_mm512_set1_ps(black_box(1.0)), _mm512_set1_ps(black_box(1e-9)));
        for _ in 0..repeats {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, y);
            }
        }
        black_box(sums);
        repeats * SUMS * 16
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(repeats: usize) -> usize {
        let mut sums = [_mm256_setzero_ps(); SUMS];
        let (x, y) = (_mm256_set1_ps(black_box(1.0)), _mm256_set1_ps(black_box(1e-9)));
        for _ in 0..repeats {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, x, y);
            }
        }
        black_box(sums);
        repeats * SUMS * 8
    }
}

crate::simd::vectorised! {
    fn triad(a: &mut [f32], b: &[f32], c: &[f32]) {
        a.iter_mut().zip(b).zip(c).for_each(|((a, &b), &c)| *a = b + 2.0 * c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_code_counts_what_the_plain_code_counts_per_lane() {
        assert_eq!(portable(10), 10 * 8 * 4);
        assert!(multiply_adds(10) >= 10 * 12 * 8 || simd::level() == Level::Portable);
        let mut a = [0.0; 5];
        triad(&mut a, &[1.0, 2.0, 3.0, 4.0, 5.0], &[10.0; 5]);
        assert_eq!(a, [21.0, 22.0, 23.0, 24.0, 25.0]);
    }
}
