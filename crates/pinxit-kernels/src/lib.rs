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
mod batch_norm;
mod buffer;
mod conv2d;
mod conv_transpose2d;
mod exp;
mod gemm;
mod geometry;
mod glue;
mod group_norm;
mod linear;
mod map;
mod norm;
pub mod peak;
mod reduce;
mod simd;
#[cfg(test)]
mod testing;
pub mod threads;
mod tile;
mod upsample;
mod winograd;

pub use activation::{Activation, activate};
pub use adam::{AdamStep, adam, lerp};
pub use attention::attention;
pub use batch_norm::{BatchNorm, batch_norm};
pub use conv_transpose2d::conv_transpose2d;
pub use conv2d::{conv2d, masked_conv2d};
pub use group_norm::{group_norm, instance_norm, shifted_group_norm};
pub use linear::linear;
pub use map::MappedFile;
pub use reduce::sum_of_squares;
pub use upsample::upsample_nearest2;
pub use winograd::{exact, set_exact};
