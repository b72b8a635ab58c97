//! Ctrl-C: the first one asks, the second one aborts.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{Failure, Outcome};
use crate::terminal;

static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// From now on Ctrl-C (and a termination signal) asks long work to stop; `promise` says what
/// happens then.
pub(crate) fn listen(promise: &'static str) -> Outcome {
    let on_signal = move || match REQUESTS.fetch_add(1, Ordering::SeqCst) {
        0 => terminal::tell(&format!("\nstopping: {promise} (Ctrl-C again aborts at once)")),
        _ => std::process::exit(130),
    };
    ctrlc::set_handler(on_signal).map_err(|error| Failure::Usage(format!("can't listen for Ctrl-C: {error}")))
}

/// Whether the user asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTS.load(Ordering::SeqCst) > 0
}
