//! Which vector instructions this processor has, asked once at run time.
//!
//! A program compiled for the baseline of its architecture still runs the wide code where the processor has
//! it. Element-wise loops are written once in plain Rust and compiled once per [`Level`] (`vectorised!`);
//! they use no fused multiply-add, so their results are the same bits at every level. Only the tile of
//! [`crate::tile`] is written with intrinsics.

use std::sync::OnceLock;

/// Vector instruction sets that have code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// 16 lanes: AVX-512 F, VL, BW and DQ.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 8 lanes: AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the compiler makes of plain Rust for the baseline (SSE2, NEON).
    Portable,
}

/// The best level that this processor supports.
pub(crate) fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq");
    match (fma, wide) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        (false, _) => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// Defines functions that are compiled once for every [`Level`] and run in the best one of this processor.
///
/// What they call must be `#[inline(always)]` to be compiled with the wide instructions too. An unsafe one is
/// written `[unsafe] fn`.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis $([$unsafe:tt])? fn $name:ident $(<$(const $size:ident: usize),+>)? (
        $($arg:ident: $type:ty),* $(,)?
    ) $(-> $out:ty)? $body:block)*) => { $(
        $(#[$meta])*
        $vis $($unsafe)? fn $name $(<$(const $size: usize),+>)? ($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            $($unsafe)? fn plain $(<$(const $size: usize),+>)? ($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            $($unsafe)? fn avx512 $(<$(const $size: usize),+>)? ($($arg: $type),*) $(-> $out)? {
                // SAFETY: promised by the caller, if anything.
                #[allow(unused_unsafe)]
                unsafe {
                    plain $(::<$($size),+>)? ($($arg),*)
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            $($unsafe)? fn avx2 $(<$(const $size: usize),+>)? ($($arg: $type),*) $(-> $out)? {
                // SAFETY: promised by the caller, if anything.
                #[allow(unused_unsafe)]
                unsafe {
                    plain $(::<$($size),+>)? ($($arg),*)
                }
            }

            match crate::simd::level() {
                // SAFETY: `level` found the instructions that the function is compiled with.
                #[cfg(target_arch = "x86_64")]
                crate::simd::Level::Avx512 => unsafe { avx512 $(::<$($size),+>)? ($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::simd::Level::Avx2 => unsafe { avx2 $(::<$($size),+>)? ($($arg),*) },
                // SAFETY: promised by the caller, if anything.
                #[allow(unused_unsafe)]
                crate::simd::Level::Portable => unsafe { plain $(::<$($size),+>)? ($($arg),*) },
            }
        }
    )* };
}
pub(crate) use vectorised;
