//! The operations that the layers are made of: the one place that calls kernels.
//!
//! On the CPU they are the kernels of `pinxit-kernels`, on a GPU compositions of Burn's operations;
//! a layer doesn't know.

pub use pinxit_kernels::{
    Activation, AdamStep, adam, attention, conv_transpose2d, conv2d, group_norm, lerp, linear, masked_conv2d,
    silu, sum_of_squares, upsample_nearest2,
};
