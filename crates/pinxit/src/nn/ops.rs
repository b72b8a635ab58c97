//! The operations that the layers are made of: the one place that calls kernels.
//!
//! On the CPU they are the kernels of `pinxit-kernels`, on a GPU compositions of Burn's operations;
//! a layer doesn't know.

pub use pinxit_kernels::{
    Activation, AdamStep, Descent, Found, Leaf, Optimized, adam, attention, can_defer, conv2d, deferred,
    global_norm, group_norm, identity, lerp, linear, root, silu, upsample_nearest2,
};
