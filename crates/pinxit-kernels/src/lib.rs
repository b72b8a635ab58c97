//! Fast CPU kernels and their place in Burn: the only crate of Pinxit with unsafe code.
//!
//! Every public function takes and gives Burn tensors. On Burn's CPU backend `Flex` in `f32` it runs a kernel
//! of this crate; on every other device or type it composes Burn's own operations, so that the same program
//! runs on a GPU. The kernels use AVX-512 or AVX2 where the processor has them, asked at run time.
//!
//! Two properties hold for every kernel, by construction and by test:
//! - the result for an image does not depend on the other images of its batch, nor on their number;
//! - no result depends on the number of threads ([`threads::count`]).

mod activation;
mod adam;
mod attention;
mod axis;
mod batch_norm;
mod buffer;
mod conv2d;
mod conv_transpose2d;
mod cross_entropy;
mod deferred;
mod elementwise;
mod exp;
mod gated;
mod gemm;
mod geometry;
mod glue;
mod group_norm;
mod layer_norm;
mod linear;
mod lines;
mod losses;
mod map;
mod norm;
mod pack;
mod pad;
#[doc(hidden)]
pub mod passes;
pub mod peak;
mod phases;
mod pool;
mod pooling;
mod recycling;
mod reduce;
mod scale_shift;
mod simd;
mod store;
#[cfg(test)]
mod testing;
pub mod threads;
mod tile;
mod upsample;
mod winograd;

pub use activation::{Activation, activate};
pub use adam::{AdamStep, Descent, Optimized, adam, lerp};
pub use attention::{attention, attention2d};
pub use batch_norm::{BatchNorm, batch_norm};
pub use conv_transpose2d::conv_transpose2d;
pub use conv2d::{conv2d, masked_conv2d};
pub use cross_entropy::cross_entropy;
pub use deferred::{Found, Leaf, can_defer, deferred, identity, root};
pub use elementwise::{add, concat_channels, mix_images, reparameterise, sum_pixels};
pub use gated::gated;
pub use group_norm::{group_norm, instance_norm, shifted_group_norm};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_activation};
pub use losses::{
    Reduction, bce_with_logits, bce_with_logits_each, gaussian_kl, l1_loss, mse_loss, sum_all,
    weighted_mse_loss,
};
pub use map::MappedFile;
pub use pooling::{Windows, avg_pool2d, max_pool2d};
pub use recycling::{Recycling, Usage};
pub use reduce::global_norm;
pub use scale_shift::{scale_images, scale_shift};
pub use upsample::upsample_nearest2;
pub use winograd::{exact, set_exact};
