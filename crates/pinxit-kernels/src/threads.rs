//! How work is divided among threads.
//!
//! The division never shows in a result: every element of an output is written by one task in an order that
//! depends on the shapes alone, and sums over tasks are taken in the order of the tasks.

use crate::pool;
use std::cell::Cell;
use std::ops::Range;

/// Elements below which an element-wise pass stays on one thread: waking a thread costs about as much.
const CHUNK: usize = 16 * 1024;

/// Number of threads that the kernels called from this thread use.
///
/// It is the size of the current rayon pool: the global one, or the one whose `install` runs the caller.
pub fn count() -> usize {
    rayon::current_num_threads()
}

/// Whether passes over so many elements pay for waking threads.
pub(crate) fn pays(elements: usize) -> bool {
    elements >= 2 * CHUNK
}

/// Calls `task(i)` for every `i` of `0..tasks`, on several threads when `worth` says that it pays.
pub(crate) fn for_each(tasks: usize, worth: bool, task: impl Fn(usize) + Sync + Send) {
    if worth && tasks > 1 {
        pool::run(tasks, count(), &task);
    } else {
        (0..tasks).for_each(task);
    }
}

/// What `task(i)` gives for every `i` of `0..tasks`, in this order.
pub(crate) fn map<R: Send>(tasks: usize, worth: bool, task: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    let mut results: Vec<Option<R>> = (0..tasks).map(|_| None).collect();
    let slots = Shared::new(&mut results);
    for_each(tasks, worth, |i| {
        // SAFETY: each task has a slot of its own.
        unsafe { slots.part(i..i + 1)[0] = Some(task(i)) };
    });
    results.into_iter().flatten().collect()
}

/// Calls `task(range, parts)` for consecutive parts of slices of one length, where `parts` are their elements
/// at `range`.
pub(crate) fn for_each_chunk<const N: usize>(
    outs: [&mut [f32]; N],
    task: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync + Send,
) {
    let len = outs[0].len();
    for_each_block(outs, [CHUNK; N], len, |i, parts| task(i * CHUNK..i * CHUNK + parts[0].len(), parts));
}

/// Calls `task(range)` for consecutive parts of `0..len`.
pub(crate) fn for_each_range(len: usize, task: impl Fn(Range<usize>) + Sync + Send) {
    for_each(len.div_ceil(CHUNK), pays(len), |i| task(i * CHUNK..len.min((i + 1) * CHUNK)));
}

/// Calls `task(i, blocks)` with the block `i` of each slice, where a block of slice n has `sizes[n]` elements
/// and only the last one fewer. `work` is the number of elements that all the tasks read or write.
pub(crate) fn for_each_block<const N: usize>(
    outs: [&mut [f32]; N],
    sizes: [usize; N],
    work: usize,
    task: impl Fn(usize, [&mut [f32]; N]) + Sync + Send,
) {
    let outs = outs.map(Shared::new);
    let blocks = if outs[0].is_empty() { 0 } else { outs[0].len().div_ceil(sizes[0]) };
    for_each(blocks, pays(work), |i| {
        let part = |n: usize| {
            let start = (i * sizes[n]).min(outs[n].len());
            // SAFETY: blocks with different numbers do not overlap, nor do different slices.
            unsafe { outs[n].part(start..outs[n].len().min(start + sizes[n])) }
        };
        task(i, std::array::from_fn(part));
    });
}

/// Consecutive parts of several slices of the lengths `lens`, as (number of the slice, elements): the tasks of
/// a pass over all of them.
pub(crate) fn parts(lens: impl IntoIterator<Item = usize>) -> Vec<(usize, Range<usize>)> {
    let of = |(i, len): (usize, usize)| {
        (0..len).step_by(CHUNK).map(move |start| (i, start..len.min(start + CHUNK)))
    };
    lens.into_iter().enumerate().flat_map(of).collect()
}

/// Sums `f(i, range)` over the [`parts`] of slices of the lengths `lens`, in their order: a sum for each slice.
pub(crate) fn sums(lens: &[usize], f: impl Fn(usize, Range<usize>) -> f64 + Sync + Send) -> Vec<f64> {
    let parts = parts(lens.iter().copied());
    let sums = map(parts.len(), parts.len() > 2, |task| f(parts[task].0, parts[task].1.clone()));
    let mut totals = vec![0.0; lens.len()];
    parts.iter().zip(sums).for_each(|((i, _), sum)| totals[*i] += sum);
    totals
}

/// Sums `f(range)` over consecutive parts of `0..len`, in their order.
pub(crate) fn sum_chunks(len: usize, f: impl Fn(Range<usize>) -> f64 + Sync + Send) -> f64 {
    let chunks = len.div_ceil(CHUNK);
    map(chunks, pays(len), |i| f(i * CHUNK..len.min((i + 1) * CHUNK))).into_iter().sum()
}

/// One slice that parallel tasks write, each its own elements.
pub(crate) struct Shared<'a, T = f32>(&'a [Cell<T>]);

// SAFETY: the elements are reached only through the unsafe methods below, whose callers promise that no two
// threads touch the same element.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Self(Cell::from_mut(data).as_slice_of_cells())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A part that is written as a slice of its own.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        Self(&self.0[range])
    }

    /// Fetches the lines of two vectors for writing.
    #[inline(always)]
    pub(crate) fn prefetch(&self, place: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            for n in [0, 16, 31] {
                // SAFETY: a prefetch of whatever address does nothing else.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(self.0.as_ptr().wrapping_add(place + n).cast()) };
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// While the answer is alive nothing else reads or writes these elements.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        let cells = &self.0[range];
        // SAFETY: `Cell<T>` has the layout of `T` and allows writes through a shared reference; the
        // caller promises that nothing else touches these elements.
        unsafe { std::slice::from_raw_parts_mut(cells.as_ptr().cast::<T>().cast_mut(), cells.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_everything_once() {
        let mut out = vec![0.0; 5 * CHUNK + 7];
        for_each_chunk([&mut out], |range, [part]| {
            for (i, x) in range.zip(part) {
                *x += i as f32;
            }
        });
        assert!(out.iter().enumerate().all(|(i, &x)| x == i as f32));
        assert_eq!(sums(&[out.len(), 0, 3], |_, range| range.len() as f64), [out.len() as f64, 0.0, 3.0]);
    }
}
