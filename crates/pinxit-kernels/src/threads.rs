//! How work is divided among threads.
//!
//! The division never shows in a result: every element of an output is written by one task in an order that
//! depends on the shapes alone, and sums over tasks are taken in the order of the tasks.

use rayon::prelude::*;
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
    if worth && tasks > 1 && count() > 1 {
        (0..tasks).into_par_iter().for_each(task);
    } else {
        (0..tasks).for_each(task);
    }
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

/// Sums `f(range)` over consecutive parts of `0..len`, in their order.
pub(crate) fn sum_chunks(len: usize, f: impl Fn(Range<usize>) -> f64 + Sync + Send) -> f64 {
    let chunk = |i: usize| f(i * CHUNK..len.min((i + 1) * CHUNK));
    let chunks = len.div_ceil(CHUNK);
    if chunks > 1 && count() > 1 {
        let sums: Vec<f64> = (0..chunks).into_par_iter().map(chunk).collect();
        sums.into_iter().sum()
    } else {
        (0..chunks).map(chunk).sum()
    }
}

/// One slice that parallel tasks write, each its own elements.
pub(crate) struct Shared<'a>(&'a [Cell<f32>]);

// SAFETY: the elements are reached only through the unsafe methods below, whose callers promise that no two
// threads touch the same element.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn new(data: &'a mut [f32]) -> Self {
        Self(Cell::from_mut(data).as_slice_of_cells())
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// While the answer is alive nothing else reads or writes these elements.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [f32] {
        let cells = &self.0[range];
        // SAFETY: `Cell<f32>` has the layout of `f32` and allows writes through a shared reference; the
        // caller promises that nothing else touches these elements.
        unsafe { std::slice::from_raw_parts_mut(cells.as_ptr().cast::<f32>().cast_mut(), cells.len()) }
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
        assert_eq!(sum_chunks(out.len(), |range| range.len() as f64), out.len() as f64);
    }
}
