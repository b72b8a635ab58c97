//! Sums in a fixed order.
//!
//! A sum runs in [`LANES`] lanes whatever the processor, so its bits depend on the numbers alone.

use crate::simd::vectorised;
use crate::{glue, threads};
use burn::tensor::Tensor;

/// Partial sums that are carried side by side: enough vectors of them that an addition need not wait for the one
/// before it.
const LANES: usize = 128;
/// Numbers that a lane sums in f32 before its sum goes to f64: the rounding stays that of a short sum.
const SHORT: usize = 64;
/// Numbers that are compared side by side.
const WIDE: usize = 16;

/// Sum of the squares of all elements, in f64: the square of the 2-norm.
///
/// Independent of the number of threads. No gradient flows through it.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    if glue::supported(&x) {
        squares(glue::into_array(x).data())
    } else {
        x.square().sum().into_data().iter::<f64>().sum()
    }
}

fn squares(x: &[f32]) -> f64 {
    threads::sum_chunks(x.len(), |range| squares_of_chunk(&x[range]))
}

vectorised! {
    fn squares_of_chunk(x: &[f32]) -> f64 {
        fold([x], |[x]| x * x)
    }

    /// Sum of `x`.
    pub(crate) fn sum(x: &[f32]) -> f64 {
        fold([x], |[x]| x)
    }
}

/// Sum of a term over the elements of `M` slices of one length.
#[inline(always)]
pub(crate) fn fold<const M: usize>(slices: [&[f32]; M], term: impl Fn([f32; M]) -> f32) -> f64 {
    let mut sum = Lanes::default();
    sum.add(slices, term);
    sum.total()
}

/// A sum over several slices, one after the other.
///
/// The lanes lie in memory and the loop over them does not know how many there are, so that the compiler makes the
/// plain vector loop of it at every level; lanes in registers it takes apart into pairs or single numbers, depending
/// on what is around.
pub(crate) struct Lanes {
    sums: [f32; LANES],
    /// How many of the lanes are not 0, and how many numbers each has at most.
    used: usize,
    depth: usize,
    total: f64,
}

impl Default for Lanes {
    #[inline(always)]
    fn default() -> Self {
        Self { sums: [0.0; LANES], used: 0, depth: 0, total: 0.0 }
    }
}

impl Lanes {
    /// Adds a term of the elements of `M` slices of one length.
    #[inline(always)]
    pub(crate) fn add<const M: usize>(&mut self, slices: [&[f32]; M], term: impl Fn([f32; M]) -> f32) {
        let len = slices[0].len();
        for start in (0..len).step_by(LANES) {
            if self.depth == SHORT {
                self.empty();
            }
            let size = LANES.min(len - start);
            let parts = slices.map(|x| &x[start..start + size]);
            for (i, sum) in self.sums[..size].iter_mut().enumerate() {
                // SAFETY: the parts have `size` elements. With a check the loop could end early, and the compiler
                // leaves its last rounds to single numbers.
                *sum += term(parts.map(|x| unsafe { *x.get_unchecked(i) }));
            }
            self.used = self.used.max(size);
            self.depth += 1;
        }
    }

    /// Moves what the lanes hold to the total.
    #[inline(never)]
    fn empty(&mut self) {
        const WIDTH: usize = 8;
        let mut sums = [0.0_f64; WIDTH];
        for lanes in self.sums[..self.used.next_multiple_of(WIDTH)].as_chunks::<WIDTH>().0 {
            sums.iter_mut().zip(lanes).for_each(|(sum, &lane)| *sum += f64::from(lane));
        }
        self.sums[..self.used].fill(0.0);
        let [a, b, c, d, e, f, g, h] = sums;
        self.total += ((a + b) + (c + d)) + ((e + f) + (g + h));
        (self.used, self.depth) = (0, 0);
    }

    /// The sum of all that was added.
    #[inline(always)]
    pub(crate) fn total(mut self) -> f64 {
        self.empty();
        self.total
    }
}

/// The largest number of `x`, NaN aside.
#[inline(always)]
pub(crate) fn largest(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; WIDE];
    let (vectors, rest) = x.as_chunks::<WIDE>();
    for vector in vectors {
        lanes.iter_mut().zip(vector).for_each(|(lane, &x)| *lane = if x > *lane { x } else { *lane });
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |a, &x| a.max(x))
}

/// Sums of the columns of a matrix with rows of `width` numbers, row after row.
pub(crate) fn sum_rows(x: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; width];
    for row in x.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;

    #[test]
    fn sums_are_those_in_f64() {
        for len in [0, 1, 15, 16, 17, 127, 129, 1023, 8193, 100_003] {
            let x = numbers(len, 1);
            let want: f64 = x.iter().map(|&x| f64::from(x)).sum();
            assert!((sum(&x) - want).abs() <= 1e-6 * (len as f64).sqrt() * 20.0, "sum of {len}");
            let want: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            assert!((squares(&x) - want).abs() <= 1e-6 * want, "sum of squares of {len}");
        }
    }

    #[test]
    fn rows_add_up() {
        assert_eq!(sum_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2), [9.0, 12.0]);
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let x = numbers(10_007, 1);
        assert_eq!(sum(&x).to_bits(), fold([&x], |[x]| x).to_bits());
    }

    #[test]
    fn the_largest_is_found_wherever_it_is() {
        for at in [0, 1, 15, 16, 31, 32, 36] {
            let mut x = vec![-2.0; 37];
            x[at] = -1.0;
            assert_eq!(largest(&x), -1.0);
        }
    }
}
