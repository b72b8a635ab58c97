//! Memory that a thread uses again from call to call.
//!
//! Fresh megabytes for every call would cost as much in page faults as the arithmetic on them.

use std::cell::RefCell;

/// Numbers of a line of the cache.
const LINE: usize = 16;
/// Largest buffer that a thread keeps, in numbers.
const KEPT: usize = 1 << 24;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `len` numbers that start on a line of the cache and hold anything.
pub(super) fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = take(len + LINE);
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let answer = f(&mut buffer[start..start + len]);
    if buffer.len() <= KEPT {
        FREE.with_borrow_mut(|free| free.push(buffer));
    }
    answer
}

/// The smallest free buffer that is large enough, or a new one in place of the largest that is not.
fn take(len: usize) -> Vec<f32> {
    let found = FREE.with_borrow_mut(|free| {
        free.sort_unstable_by_key(Vec::len);
        match free.iter().position(|buffer| buffer.len() >= len) {
            Some(index) => Some(free.remove(index)),
            None => {
                free.pop();
                None
            }
        }
    });
    found.unwrap_or_else(|| vec![0.0; len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_used_again() {
        let first = with(1000, |x| x.as_ptr());
        assert!(first.cast::<[u8; 64]>().align_offset(64) == 0 && first.addr().is_multiple_of(64));
        with(900, |x| {
            assert_eq!(x.as_ptr(), first);
            with(1000, |y| assert_ne!(y.as_ptr(), first));
        });
    }
}
