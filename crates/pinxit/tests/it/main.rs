//! The integration tests of the library: one binary, because linking Burn is slow.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod convergence;
mod diffusion;
mod samplers;
mod schedules;
mod vlb;
