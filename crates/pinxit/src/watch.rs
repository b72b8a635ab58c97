//! How long work shows itself and is stopped: the library never prints.

/// Sees the progress of long work and may stop it.
///
/// Every long function of this crate takes a `&mut dyn Watch`, calls [`Watch::progress`] as it
/// goes and returns [`Error::Interrupted`](crate::Error::Interrupted) soon after
/// [`Watch::stopped`] turns true.
pub trait Watch {
    /// `done` of `total` units of `task` are finished; `task` is a short phrase such as
    /// "reading pictures". Called often: a watcher decides what to show.
    fn progress(&mut self, task: &str, done: u64, total: u64) {
        let _ = (task, done, total);
    }

    /// Something that the user should know, one line, at once.
    fn notice(&mut self, message: &str) {
        let _ = message;
    }

    /// Whether to stop.
    fn stopped(&self) -> bool {
        false
    }
}

/// A watcher that looks away.
#[derive(Debug, Default, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// The watcher of one of several pieces of work: shows their progress as one.
pub struct Part<'a> {
    /// The watcher of the whole.
    pub watch: &'a mut dyn Watch,
    /// Units of the whole that the pieces before have done.
    pub before: u64,
    /// Units of the whole that this piece is, whatever it counts in itself.
    pub len: u64,
    /// Units of the whole.
    pub total: u64,
}

impl Watch for Part<'_> {
    fn progress(&mut self, task: &str, done: u64, total: u64) {
        let done = self.before + self.len * done / total.max(1);
        self.watch.progress(task, done, self.total);
    }

    fn notice(&mut self, message: &str) {
        self.watch.notice(message);
    }

    fn stopped(&self) -> bool {
        self.watch.stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_shown_as_its_share_of_the_whole() {
        struct Last(u64, u64);
        impl Watch for Last {
            fn progress(&mut self, _: &str, done: u64, total: u64) {
                *self = Self(done, total);
            }
        }
        let mut last = Last(0, 0);
        Part { watch: &mut last, before: 64, len: 32, total: 96 }.progress("sampling", 5, 10);
        assert_eq!((last.0, last.1), (80, 96));
    }
}
