//! The operations as a user of Burn tensors sees them.
#![allow(clippy::unwrap_used)]

mod against_burn;
mod operations;
mod same_bits;
