//! The integration tests, in one binary because linking Burn is slow.

mod builtin;
mod contract;
mod convergence;
mod data;
mod demo;
mod diffusion;
mod golden;
mod layers;
mod optim;
mod samplers;
mod schedules;
mod unet;
mod vlb;
