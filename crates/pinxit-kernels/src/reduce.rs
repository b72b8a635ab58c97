//! Sums in a fixed order.
//!
//! A sum runs in [`LANES`] lanes whatever the processor, so its bits depend on the numbers alone.

use crate::glue::{self, Array};
use crate::simd::vectorised;
use crate::threads;
use burn::tensor::Tensor;

/// Partial sums that are carried side by side: enough vectors of them that an addition need not wait for the one
/// before it, and so many that the compiler makes a vector loop of a loop over them; it would unroll a shorter one
/// and go on with pairs or single numbers, depending on what is around.
const LANES: usize = 128;
/// Numbers that a lane sums in f32, about, before its sum goes to f64: the rounding stays that of a short sum.
const SHORT: usize = 64;
/// Numbers that are compared, and lanes that are added up, side by side.
const WIDE: usize = 16;

/// The Euclidean norm of all elements of all tensors together, in f64.
///
/// Independent of the number of threads. No gradient flows through it.
pub fn global_norm(tensors: Vec<Tensor<1>>) -> f64 {
    let squares: f64 = if tensors.iter().all(glue::supported) {
        let arrays: Vec<Array> = tensors.into_iter().map(glue::into_array).collect();
        squares(&arrays.iter().map(Array::data).collect::<Vec<_>>()).into_iter().sum()
    } else {
        let squares = |x: Tensor<1>| x.square().sum().into_data().iter::<f64>().sum::<f64>();
        tensors.into_iter().map(squares).sum()
    };
    squares.sqrt()
}

/// The sum of the squares of each slice.
fn squares(slices: &[&[f32]]) -> Vec<f64> {
    let lens: Vec<usize> = slices.iter().map(|x| x.len()).collect();
    threads::sums(&lens, |i, range| squares_of_chunk(&slices[i][range]))
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
    let len = slices[0].len();
    let mut total = 0.0;
    for start in (0..len).step_by(SHORT * LANES) {
        let size = (SHORT * LANES).min(len - start);
        let mut sums = [0.0; LANES];
        add_block(slices.map(|x| &x[start..start + size]), &mut sums, &term);
        total += held(&sums[..size.min(LANES).next_multiple_of(WIDE)]);
    }
    total
}

/// Adds a term of the elements of `M` slices of one length, lane by lane.
#[inline(always)]
fn add_block<const M: usize>(slices: [&[f32]; M], sums: &mut [f32; LANES], term: &impl Fn([f32; M]) -> f32) {
    assert!(slices.iter().all(|x| x.len() == slices[0].len()), "a sum over slices of several lengths");
    let parts = slices.map(|x| x.as_chunks::<LANES>());
    let count = parts[0].0.len();
    if count > 0 {
        let mut found = [0.0_f32; LANES];
        for at in 0..count {
            let full = parts.map(|(full, _)| &full[at]);
            for i in 0..LANES {
                found[i] += term(full.map(|x| x[i]));
            }
        }
        for (sum, found) in sums.iter_mut().zip(&found) {
            *sum += found;
        }
    }
    let rest = parts.map(|(_, rest)| rest);
    for (i, sum) in sums[..rest[0].len()].iter_mut().enumerate() {
        // SAFETY: the rests are of one length. With a check the loop could end early, and the compiler leaves its
        // last rounds to single numbers.
        *sum += term(rest.map(|x| unsafe { *x.get_unchecked(i) }));
    }
}

/// A sum over several slices, one after the other.
///
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
        for start in (0..len).step_by(SHORT * LANES) {
            let size = (SHORT * LANES).min(len - start);
            if self.depth >= SHORT {
                self.empty();
            }
            add_block(slices.map(|x| &x[start..start + size]), &mut self.sums, &term);
            self.used = self.used.max(size.min(LANES));
            self.depth += size.div_ceil(LANES);
        }
    }

    /// Moves what the lanes hold to the total.
    #[cold]
    #[inline(never)]
    fn empty(&mut self) {
        self.total += held(&self.sums[..self.used.next_multiple_of(WIDE)]);
        self.sums = [0.0; LANES];
        (self.used, self.depth) = (0, 0);
    }

    /// The sum of all that was added.
    #[inline(always)]
    pub(crate) fn total(&self) -> f64 {
        self.total + held(&self.sums[..self.used.next_multiple_of(WIDE)])
    }
}

/// The sum of lanes: 16 of them in f32, those in f64.
#[inline(never)]
fn held(lanes: &[f32]) -> f64 {
    let mut sums = [0.0_f32; WIDE];
    for lanes in lanes.as_chunks::<WIDE>().0 {
        sums.iter_mut().zip(lanes).for_each(|(sum, &lane)| *sum += lane);
    }
    let wide = sums.map(f64::from);
    let mut halves: [f64; WIDE / 2] = std::array::from_fn(|i| wide[i] + wide[i + WIDE / 2]);
    for size in [4, 2, 1] {
        for i in 0..size {
            halves[i] += halves[i + size];
        }
    }
    halves[0]
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
            assert!((squares(&[&x])[0] - want).abs() <= 1e-6 * want, "sum of squares of {len}");
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
