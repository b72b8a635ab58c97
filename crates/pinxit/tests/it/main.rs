//! The integration tests, in one binary because linking Burn is slow.
#![allow(clippy::panic, clippy::unwrap_used)]

mod adversarial;
mod autoregressive;
mod builtin;
mod conditional;
mod contract;
mod convergence;
mod data;
mod demo;
mod diffusion;
mod editing;
mod games;
mod gan_figures;
mod gans;
mod golden;
mod layers;
mod likelihood;
mod likelihood_rows;
mod metrics;
mod norms;
mod optim;
mod recipes;
mod samplers;
mod schedules;
mod style;
mod torch_layers;
mod translation;
mod unet;
mod vae;
mod verdict;
mod vlb;

/// The tests run on the program's allocator.
#[global_allocator]
static MEMORY: pinxit::memory::Recycling = pinxit::memory::Recycling::new();
