//! The integration tests, in one binary because linking Burn is slow.

mod golden;
mod optim;
mod unet;
