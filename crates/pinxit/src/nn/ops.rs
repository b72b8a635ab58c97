//! The operations that the layers are made of: the one place that calls kernels.
//!
//! On the CPU they are the kernels of `pinxit-kernels`, on a GPU compositions of Burn's operations;
//! a layer doesn't know.

pub use pinxit_kernels::{
    Activation, AdamStep, BatchNorm, Reduction, activate, adam, add, attention, batch_norm, bce_with_logits,
    bce_with_logits_each, concat_channels, conv2d, cross_entropy, gated, gaussian_kl, group_norm,
    instance_norm, l1_loss, layer_norm, lerp, linear, mix_images, mse_loss, reparameterise, scale_images,
    scale_shift, shifted_group_norm, sum_all, sum_of_squares, sum_pixels, upsample_nearest2,
    weighted_mse_loss,
};
