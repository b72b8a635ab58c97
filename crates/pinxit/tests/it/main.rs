//! The integration tests, in one binary because linking Burn is slow.

mod builtin;
mod contract;
mod golden;
mod layers;
mod optim;
mod unet;
