//! The integration tests, in one binary because linking Burn is slow.
#![allow(clippy::panic, clippy::unwrap_used)]

mod builtin;
mod contract;
mod convergence;
mod data;
mod demo;
mod diffusion;
mod golden;
mod layers;
mod metrics;
mod optim;
mod recipes;
mod samplers;
mod schedules;
mod torch_layers;
mod unet;
mod vlb;
