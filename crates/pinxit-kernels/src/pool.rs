//! The threads that kernels run on beside the caller.
//!
//! A training step calls hundreds of kernels that last from microseconds to milliseconds, so what counts is
//! how soon a second thread is at work. Here the caller works too, and a helper that has run out of work looks
//! for the next for a while ([`SPINS`]) before it sleeps: within a step it is there at once, and between steps
//! it costs nothing.
//!
//! One job runs at a time. A caller that finds the pool at work, be it another thread or a task that calls a
//! kernel itself, does its job alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

/// How often a helper without work looks for some before it sleeps: about 50 microseconds.
const SPINS: u32 = 2000;
/// Low bits of [`Pool::gate`]: how many helpers the job may still take on.
const PLACES: u64 = 0xffff;

/// The pool of the process.
static POOL: Pool = Pool {
    busy: AtomicBool::new(false),
    gate: AtomicU64::new(0),
    job: AtomicPtr::new(ptr::null_mut()),
    left: AtomicUsize::new(0),
    helpers: Mutex::new(Vec::new()),
};

struct Pool {
    /// Whether a job runs; who turns it on owns the rest.
    busy: AtomicBool,
    /// The number of the job, and below it ([`PLACES`]) how many helpers it may still take on.
    gate: AtomicU64,
    /// The job that the gate leads to; valid for a helper from when it took a place until it has left.
    job: AtomicPtr<Job<'static>>,
    /// Helpers that took a place of the present job and have left it.
    left: AtomicUsize,
    helpers: Mutex<Vec<Arc<Helper>>>,
}

struct Helper {
    asleep: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// Tasks that are taken one by one.
struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    tasks: usize,
    next: AtomicUsize,
    /// The first panic of a helper's task.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.tasks {
                return;
            }
            (self.task)(index);
        }
    }

    /// Lets nobody begin another task.
    fn cancel(&self) {
        self.next.store(self.tasks, Ordering::Relaxed);
    }
}

/// Calls `task(i)` once for every `i` of `0..tasks`, on up to `threads` threads, and returns when all are done.
///
/// # Panics
/// If a task does.
pub(crate) fn run(tasks: usize, threads: usize, task: &(dyn Fn(usize) + Sync)) {
    let places = threads.min(tasks).saturating_sub(1);
    if places == 0 || POOL.busy.swap(true, Ordering::Acquire) {
        (0..tasks).for_each(task);
        return;
    }
    let job = Job { task, tasks, next: AtomicUsize::new(0), panic: Mutex::new(None) };
    POOL.open(&job, places);
    let outcome = catch_unwind(AssertUnwindSafe(|| job.work()));
    if outcome.is_err() {
        job.cancel();
    }
    POOL.close(places);
    POOL.busy.store(false, Ordering::Release);
    let helper = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(panic) = outcome.err().or(helper) {
        resume_unwind(panic);
    }
}

impl Pool {
    /// Lets up to `places` helpers into the job, and wakes those that sleep.
    fn open(&'static self, job: &Job<'_>, places: usize) {
        let mut helpers = self.helpers.lock().unwrap_or_else(PoisonError::into_inner);
        while helpers.len() < places {
            let Some(helper) = self.hire() else { break };
            helpers.push(helper);
        }
        let places = places.min(helpers.len());
        self.left.store(0, Ordering::Relaxed);
        self.job.store(ptr::from_ref(job).cast::<Job<'static>>().cast_mut(), Ordering::Relaxed);
        let number = (self.gate.load(Ordering::Relaxed) | PLACES) + 1;
        self.gate.store(number | places as u64, Ordering::SeqCst);
        for helper in helpers.iter().take(places) {
            helper.wake();
        }
    }

    /// Lets nobody in any more and waits for those who came.
    fn close(&self, places: usize) {
        let places = places.min(self.helpers.lock().unwrap_or_else(PoisonError::into_inner).len());
        let unused = self.gate.fetch_and(!PLACES, Ordering::AcqRel) & PLACES;
        let came = places - unused as usize;
        let mut spins = 0;
        while self.left.load(Ordering::Acquire) < came {
            pause(&mut spins, SPINS);
        }
    }

    /// A new helper, if the system has a thread for it.
    fn hire(&'static self) -> Option<Arc<Helper>> {
        let helper = Arc::new(Helper { asleep: AtomicBool::new(false), thread: Mutex::new(None) });
        let own = helper.clone();
        let thread = thread::Builder::new().name("pinxit-kernels".into());
        let handle = thread.spawn(move || self.help(&own)).ok()?;
        *helper.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle.thread().clone());
        Some(helper)
    }

    /// The life of a helper.
    fn help(&self, me: &Helper) {
        let mut spins = 0;
        loop {
            if self.enter() {
                // SAFETY: `open` stored the job before the gate that was entered, and its owner keeps it until
                // this helper has left.
                let job = unsafe { &*self.job.load(Ordering::Relaxed) };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.work())) {
                    job.cancel();
                    job.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
                }
                self.left.fetch_add(1, Ordering::Release);
                spins = 0;
            } else if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                me.sleep(self);
                spins = 0;
            }
        }
    }

    /// Takes a place, if there is one.
    fn enter(&self) -> bool {
        let gate = self.gate.load(Ordering::SeqCst);
        gate & PLACES > 0
            && self.gate.compare_exchange(gate, gate - 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl Helper {
    fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner)
        {
            thread.unpark();
        }
    }

    /// Sleeps until it is woken, unless there is a place: who opens the gate looks at `asleep` afterwards, so
    /// one of the two sees the other.
    fn sleep(&self, pool: &Pool) {
        self.asleep.store(true, Ordering::SeqCst);
        if pool.gate.load(Ordering::SeqCst) & PLACES > 0 {
            self.asleep.store(false, Ordering::SeqCst);
            return;
        }
        while self.asleep.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// One round of waiting: on the processor at first, then letting others have it.
fn pause(spins: &mut u32, limit: u32) {
    if *spins < limit {
        *spins += 1;
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs one after the other, some with pauses in which helpers fall asleep, from two threads at once.
    #[test]
    fn every_task_runs_once() {
        thread::scope(|scope| {
            for caller in 0..2 {
                scope.spawn(move || {
                    for round in 0..3000 {
                        let tasks = (round * 7 + caller) % 40;
                        let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                        run(tasks, 1 + round % 5, &|i| _ = done[i].fetch_add(1, Ordering::Relaxed));
                        assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1), "round {round}");
                        if round.is_multiple_of(500) {
                            thread::sleep(std::time::Duration::from_millis(2));
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_task_may_run_a_job_of_its_own() {
        let count = AtomicUsize::new(0);
        run(8, 3, &|_| run(5, 3, &|_| _ = count.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(count.into_inner(), 40);
    }

    #[test]
    fn a_panic_of_a_task_is_the_callers_and_the_pool_goes_on() {
        for bad in 0..4 {
            let task = |i: usize| assert!(i != bad, "task {bad}");
            assert!(catch_unwind(|| run(4, 2, &task)).is_err());
        }
        let count = AtomicUsize::new(0);
        run(100, 2, &|_| _ = count.fetch_add(1, Ordering::Relaxed));
        assert_eq!(count.into_inner(), 100);
    }
}
