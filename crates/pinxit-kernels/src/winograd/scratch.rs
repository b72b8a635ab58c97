//! Memory that a thread uses again from call to call.
//!
//! Fresh megabytes for every call would cost as much in page faults as the arithmetic on them. Large pages,
//! where the system has them, save look-ups of addresses: the points of the transform lie far apart.

use memmap2::MmapMut;
use std::alloc::{Layout, handle_alloc_error};
use std::cell::RefCell;

/// Granularity of the buffers, in bytes: a large page.
const PAGE: usize = 2 << 20;
/// Largest buffer that a thread keeps, in bytes.
const KEPT: usize = 64 << 20;

thread_local! {
    static FREE: RefCell<Vec<MmapMut>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `len` numbers that start on a line of the cache and hold anything.
pub(super) fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = take(len * size_of::<f32>());
    // SAFETY: any bits are a number.
    let (_, numbers, _) = unsafe { buffer.align_to_mut::<f32>() };
    let answer = f(&mut numbers[..len]);
    if buffer.len() <= KEPT {
        FREE.with_borrow_mut(|free| free.push(buffer));
    }
    answer
}

/// The smallest free buffer that is large enough, or a new one in place of the largest that is not.
fn take(bytes: usize) -> MmapMut {
    let found = FREE.with_borrow_mut(|free| {
        free.sort_unstable_by_key(|buffer| buffer.len());
        let found = free.iter().position(|buffer| buffer.len() >= bytes);
        if found.is_none() {
            free.pop();
        }
        found.map(|index| free.remove(index))
    });
    found.unwrap_or_else(|| new(bytes.next_multiple_of(PAGE).max(PAGE)))
}

fn new(bytes: usize) -> MmapMut {
    let Ok(buffer) = MmapMut::map_anon(bytes) else {
        handle_alloc_error(Layout::array::<u8>(bytes).unwrap_or(Layout::new::<u8>()));
    };
    // Without large pages it is only slower.
    #[cfg(target_os = "linux")]
    let _ = buffer.advise(memmap2::Advice::HugePage);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_used_again() {
        let first = with(1000, |x| x.as_ptr());
        assert!(first.addr().is_multiple_of(64));
        with(900, |x| {
            assert_eq!(x.as_ptr(), first);
            with(1000, |y| assert_ne!(y.as_ptr(), first));
        });
    }
}
