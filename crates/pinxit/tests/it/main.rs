//! The integration tests, in one binary because linking Burn is slow.

mod builtin;
mod contract;
mod convergence;
mod diffusion;
mod golden;
mod layers;
mod optim;
mod samplers;
mod schedules;
mod unet;
//! Integration tests, one binary: linking Burn is slow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod data;
