//! A global allocator that keeps the large blocks of a training step for the next one.
//!
//! A step allocates and frees hundreds of blocks of megabytes, and gets the same sizes in the next step. The
//! system's allocator gives such blocks back to the kernel, which clears every page again at its first touch
//! (a quarter of a millisecond per megabyte). [`Recycling`] keeps them: blocks of at least 64 KiB are runs of
//! 16 KiB grains in regions of 64 MiB, best fit, joined with their free neighbours, and the regions ask for
//! huge pages. Smaller blocks go to the system's allocator.
//!
//! What is kept is bounded by use: memory that lay free for a whole [`WINDOW`] goes back to the system at the
//! next allocation after it, and all that is free at a call of [`Recycling::give_back`].

use memmap2::{MmapMut, MmapOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Blocks from this size on are ours.
const LARGE: usize = 64 << 10;
/// Sizes are rounded up to a multiple of this, and every block begins at one.
const GRAIN: usize = 16 << 10;
/// Size of the regions that are asked of the system, unless a block needs a larger one.
const REGION: usize = 64 << 20;
/// Size and alignment of huge pages.
const HUGE: usize = 2 << 20;
/// How long memory may lie free before it goes back to the system: longer than most training steps.
const WINDOW: Duration = Duration::from_secs(10);

/// The allocator; a program installs it with two lines.
///
/// ```
/// #[global_allocator]
/// static MEMORY: pinxit_kernels::Recycling = pinxit_kernels::Recycling::new();
/// ```
#[derive(Debug)]
pub struct Recycling {
    heap: Mutex<Heap>,
}

/// What large blocks take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// In use now.
    pub live: usize,
    /// The most that was in use at a time since the last [`Recycling::reset_peak`].
    pub peak: usize,
    /// Free and kept for the next allocation.
    pub kept: usize,
}

impl Recycling {
    /// An allocator that holds nothing yet.
    pub const fn new() -> Self {
        Self { heap: Mutex::new(Heap::new()) }
    }

    /// What large blocks take now.
    pub fn usage(&self) -> Usage {
        self.lock().usage
    }

    /// Counts the peak of [`usage`](Self::usage) from here.
    pub fn reset_peak(&self) {
        let mut heap = self.lock();
        heap.usage.peak = heap.usage.live;
    }

    /// Gives all that is free back to the system: for a program that is going to be idle.
    ///
    /// Only Linux takes memory back; elsewhere it stays with the process.
    pub fn give_back(&self) {
        self.lock().give_back(usize::MAX);
    }

    /// Nothing panics while the heap is locked, so it is sound even if a thread died.
    fn lock(&self) -> MutexGuard<'_, Heap> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, size: usize) -> Option<Block> {
        self.lock().take(grains(size)?)
    }
}

impl Default for Recycling {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a block is ours; it depends on its layout alone, which is the same when it is freed.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= GRAIN
}

/// `size` rounded up to whole grains, unless that is more than there can be.
fn grains(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(GRAIN)
}

// SAFETY: blocks that are not large are the system allocator's in every method. A large one is a run of whole
// grains, at least as long as asked and aligned to a grain, that `Heap` hands out to one owner at a time.
unsafe impl GlobalAlloc for Recycling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return self.take(layout.size()).map_or(ptr::null_mut(), |block| block.start);
        }
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            let Some(Block { start, zero }) = self.take(layout.size()) else { return ptr::null_mut() };
            if !zero {
                // SAFETY: the block is at least so long, and nobody else's.
                unsafe { start.write_bytes(0, layout.size()) };
            }
            return start;
        }
        // SAFETY: promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match grains(layout.size()) {
            Some(len) if is_large(layout) => self.lock().put(block, len),
            // SAFETY: promised by the caller, and `alloc` took the block from the system.
            _ => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size` is a valid one for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: promised by the caller, and `alloc` took the block from the system.
            (false, false) => return unsafe { System.realloc(block, layout, size) },
            (true, true) => {
                if let (Some(old), Some(new)) = (grains(layout.size()), grains(size))
                    && self.lock().resize(block, old, new)
                {
                    return block;
                }
            }
            _ => {}
        }
        // SAFETY: as above; both blocks hold the bytes that are copied, and are different blocks.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// A run of grains that was handed out.
struct Block {
    start: *mut u8,
    /// Whether all its bytes are known to be 0.
    zero: bool,
}

/// Free grains side by side, which begin at the key that they lie under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    len: usize,
    /// Whether the pages are with the system: they cost nothing, and are 0 when they are touched.
    fresh: bool,
}

/// The free runs of all regions.
///
/// The maps allocate while the heap is locked, but their nodes are small blocks, which never come here; nothing
/// else in these methods may allocate.
#[derive(Debug)]
struct Heap {
    usage: Usage,
    regions: BTreeMap<usize, MmapMut>,
    free: BTreeMap<usize, Run>,
    /// The free runs as (length, start): those whose pages are ours, and the fresh ones.
    kept: BTreeSet<(usize, usize)>,
    fresh: BTreeSet<(usize, usize)>,
    /// The least that was kept at a time in this window: what nobody has needed.
    unneeded: usize,
    window: Option<Instant>,
}

impl Heap {
    const fn new() -> Self {
        Self {
            usage: Usage { live: 0, peak: 0, kept: 0 },
            regions: BTreeMap::new(),
            free: BTreeMap::new(),
            kept: BTreeSet::new(),
            fresh: BTreeSet::new(),
            unneeded: 0,
            window: None,
        }
    }

    /// A block of `len` bytes: the smallest kept run that holds it, else the smallest fresh one.
    fn take(&mut self, len: usize) -> Option<Block> {
        self.age();
        let start = self.best(len).or_else(|| self.grow(len))?;
        let run = self.remove(start)?;
        if run.len > len {
            self.insert(start + len, Run { len: run.len - len, ..run });
        }
        self.usage.live += len;
        self.usage.peak = self.usage.peak.max(self.usage.live);
        self.unneeded = self.unneeded.min(self.usage.kept);
        // The address came from a map, whose pages are exposed by `grow`.
        Some(Block { start: ptr::with_exposed_provenance_mut(start), zero: run.fresh })
    }

    fn best(&self, len: usize) -> Option<usize> {
        let fits = |runs: &BTreeSet<(usize, usize)>| runs.range((len, 0)..).next().map(|&(_, start)| start);
        fits(&self.kept).or_else(|| fits(&self.fresh))
    }

    /// Takes a block back and joins it with kept neighbours.
    fn put(&mut self, block: *mut u8, len: usize) {
        self.usage.live -= len;
        self.join(block.expose_provenance(), Run { len, fresh: false });
    }

    /// Changes the length of a block where it lies, if what follows it is free.
    fn resize(&mut self, block: *mut u8, old: usize, new: usize) -> bool {
        let start = block.expose_provenance();
        if new < old {
            self.usage.live -= old - new;
            self.join(start + new, Run { len: old - new, fresh: false });
        } else if new > old {
            let more = new - old;
            let Some(&run) = self.free.get(&(start + old)).filter(|run| run.len >= more) else {
                return false;
            };
            self.remove(start + old);
            if run.len > more {
                self.insert(start + new, Run { len: run.len - more, ..run });
            }
            self.usage.live += more;
            self.usage.peak = self.usage.peak.max(self.usage.live);
            self.unneeded = self.unneeded.min(self.usage.kept);
        }
        true
    }

    /// Frees a run, as one with the neighbours of its kind. Runs of different regions never touch.
    fn join(&mut self, mut start: usize, mut run: Run) {
        if let Some((&before, &left)) = self.free.range(..start).next_back()
            && before + left.len == start
            && left.fresh == run.fresh
        {
            self.remove(before);
            (start, run.len) = (before, left.len + run.len);
        }
        if let Some(&right) = self.free.get(&(start + run.len)).filter(|right| right.fresh == run.fresh) {
            self.remove(start + run.len);
            run.len += right.len;
        }
        self.insert(start, run);
    }

    fn insert(&mut self, start: usize, run: Run) {
        self.free.insert(start, run);
        if run.fresh {
            self.fresh.insert((run.len, start));
        } else {
            self.kept.insert((run.len, start));
            self.usage.kept += run.len;
        }
    }

    fn remove(&mut self, start: usize) -> Option<Run> {
        let run = self.free.remove(&start)?;
        if run.fresh {
            self.fresh.remove(&(run.len, start));
        } else {
            self.kept.remove(&(run.len, start));
            self.usage.kept -= run.len;
        }
        Some(run)
    }

    /// The start of a free run of at least `len` bytes when no kept and no fresh run has so many: one of both
    /// kinds side by side, else of a new region.
    fn grow(&mut self, len: usize) -> Option<usize> {
        if let Some(start) = self.merge(len) {
            return Some(start);
        }
        let size = len.checked_next_multiple_of(HUGE)?.max(REGION);
        // Room to align it, and a grain behind it that is never free, so that no two regions touch.
        let mut region = MmapOptions::new().len(size.checked_add(HUGE + GRAIN)?).map_anon().ok()?;
        #[cfg(target_os = "linux")]
        // A kernel without huge pages refuses; ordinary ones do.
        let _ = region.advise(memmap2::Advice::HugePage);
        let start = region.as_mut_ptr().expose_provenance().next_multiple_of(HUGE);
        self.regions.insert(start, region);
        self.insert(start, Run { len: size, fresh: true });
        Some(start)
    }

    /// Makes one kept run of the first neighbours that have `len` bytes together.
    fn merge(&mut self, len: usize) -> Option<usize> {
        let (mut start, mut end) = (0, 0);
        for (&next, run) in &self.free {
            if next != end {
                start = next;
            }
            end = next + run.len;
            if end - start >= len {
                break;
            }
        }
        if end - start < len {
            return None;
        }
        while let Some((&part, _)) = self.free.range(start..end).next() {
            self.remove(part);
        }
        self.insert(start, Run { len: end - start, fresh: false });
        Some(start)
    }

    /// Gives back what a whole window has not needed.
    fn age(&mut self) {
        let now = Instant::now();
        if self.window.is_none_or(|begin| now - begin > WINDOW) {
            if self.window.is_some() {
                self.give_back(self.unneeded);
            }
            self.window = Some(now);
            self.unneeded = self.usage.kept;
        }
    }

    /// Gives the largest kept runs back to the system, about `amount` bytes.
    fn give_back(&mut self, amount: usize) {
        let mut given = 0;
        while given < amount
            && let Some(&(len, start)) = self.kept.last()
            && self.advise(start, len)
        {
            self.remove(start);
            self.join(start, Run { len, fresh: true });
            given += len;
        }
        self.unneeded = self.unneeded.min(self.usage.kept);
    }

    /// Tells the system that the bytes of a free run are not needed; false if it can't take them.
    #[cfg(target_os = "linux")]
    fn advise(&self, start: usize, len: usize) -> bool {
        let Some((_, region)) = self.regions.range(..=start).next_back() else { return false };
        let offset = start - region.as_ptr().addr();
        // SAFETY: the run is free, so nobody looks at its bytes, and what comes next expects them to be 0.
        unsafe { region.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, len) }.is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn advise(&self, _start: usize, _len: usize) -> bool {
        false
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 64).unwrap()
    }

    /// A block of `size` bytes that are all `mark`.
    fn marked(memory: &Recycling, size: usize, mark: u8) -> *mut u8 {
        // SAFETY: the size is not 0, and the bytes are the block's.
        unsafe {
            let block = memory.alloc(layout(size));
            assert!(!block.is_null() && block.addr().is_multiple_of(64));
            block.write_bytes(mark, size);
            block
        }
    }

    fn bytes<'a>(block: *mut u8, size: usize) -> &'a [u8] {
        // SAFETY: the tests ask for blocks that they hold, of which they have written every byte.
        unsafe { std::slice::from_raw_parts(block, size) }
    }

    fn free(memory: &Recycling, block: *mut u8, size: usize) {
        // SAFETY: the tests give every block back once.
        unsafe { memory.dealloc(block, layout(size)) };
    }

    /// Every free run lies in both tables, and no two that could be one touch.
    fn check(memory: &Recycling) {
        let heap = memory.lock();
        let lens = |runs: &BTreeSet<(usize, usize)>| runs.iter().map(|&(len, _)| len).sum::<usize>();
        assert_eq!(heap.free.len(), heap.kept.len() + heap.fresh.len());
        assert_eq!(lens(&heap.kept), heap.usage.kept);
        for ((&a, left), (&b, right)) in heap.free.iter().zip(heap.free.iter().skip(1)) {
            assert!(a + left.len < b || (a + left.len == b && left.fresh != right.fresh));
        }
        let free = lens(&heap.kept) + lens(&heap.fresh);
        let regions: usize = heap.regions.values().map(|region| region.len() - HUGE - GRAIN).sum();
        assert_eq!(free + heap.usage.live, regions);
    }

    #[test]
    fn blocks_keep_their_bytes_among_others() {
        let memory = Recycling::new();
        let mut held: Vec<(*mut u8, usize, u8)> = Vec::new();
        let mut state = 1_u64;
        for round in 0..2000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = (state >> 33) as usize;
            if held.len() < 20 || !pick.is_multiple_of(3) && held.len() < 60 {
                let (size, mark) = (LARGE + pick % (1 << 20), round as u8);
                held.push((marked(&memory, size, mark), size, mark));
            } else {
                let (block, size, mark) = held.swap_remove(pick % held.len());
                assert!(bytes(block, size).iter().all(|&x| x == mark), "round {round}");
                free(&memory, block, size);
            }
            if round.is_multiple_of(250) {
                memory.give_back();
                check(&memory);
            }
        }
        for (block, size, mark) in held {
            assert!(bytes(block, size).iter().all(|&x| x == mark));
            free(&memory, block, size);
        }
        check(&memory);
        assert_eq!(memory.usage().live, 0);
    }

    #[test]
    fn a_freed_block_is_the_next_of_its_size_and_zeroed_when_asked() {
        let memory = Recycling::new();
        let size = 3 << 20;
        let first = marked(&memory, size, 7);
        free(&memory, first, size);
        assert_eq!(memory.usage(), Usage { live: 0, peak: size, kept: size });
        // SAFETY: the size is not 0.
        let second = unsafe { memory.alloc_zeroed(layout(size)) };
        assert_eq!(first, second);
        assert!(bytes(second, size).iter().all(|&x| x == 0));
        free(&memory, second, size);
    }

    #[test]
    fn what_was_given_back_reads_as_zero() {
        let memory = Recycling::new();
        let size = 5 << 20;
        let block = marked(&memory, size, 7);
        free(&memory, block, size);
        memory.give_back();
        if cfg!(target_os = "linux") {
            assert_eq!(memory.usage().kept, 0);
        }
        // SAFETY: the size is not 0.
        let block = unsafe { memory.alloc_zeroed(layout(size)) };
        assert!(bytes(block, size).iter().all(|&x| x == 0));
        free(&memory, block, size);
    }

    #[test]
    fn a_block_grows_where_it_lies_and_moves_when_it_must() {
        let memory = Recycling::new();
        let sizes = [100, LARGE, 2 * LARGE, 9 * LARGE, LARGE / 2, 3 * REGION, LARGE];
        let mut block = marked(&memory, sizes[0], 9);
        for pair in sizes.windows(2) {
            // SAFETY: the block has the first size; 100 bytes of it are written.
            block = unsafe { memory.realloc(block, layout(pair[0]), pair[1]) };
            assert!(bytes(block, 100).iter().all(|&x| x == 9));
            check(&memory);
        }
        free(&memory, block, sizes[sizes.len() - 1]);
        assert_eq!(memory.usage().live, 0);
    }

    #[test]
    fn threads_share_it() {
        let memory = Recycling::new();
        std::thread::scope(|scope| {
            for mark in 0..4 {
                let memory = &memory;
                scope.spawn(move || {
                    for size in (LARGE..LARGE + 200_000).step_by(1999) {
                        let block = marked(memory, size, mark);
                        assert!(bytes(block, size).iter().all(|&x| x == mark));
                        free(memory, block, size);
                    }
                });
            }
        });
        check(&memory);
    }

    #[test]
    fn too_much_is_refused() {
        let memory = Recycling::new();
        let most = isize::MAX as usize - 64;
        // SAFETY: the size is not 0.
        assert!(unsafe { memory.alloc(layout(most)) }.is_null());
        check(&memory);
    }
}
