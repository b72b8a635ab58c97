//! Adversarial training in independent axes: networks, loss, penalty, augmentation, condition.
//!
//! A generator G makes pictures from latent vectors, a discriminator D tells them from real ones, and
//! each learns from the other (Goodfellow et al. 2014). One [learner] serves every row of the
//! registry; a row says which networks and which usual settings it has.
//!
//! | axis | module | what varies |
//! |---|---|---|
//! | networks | [`nets`] | any pair of a [`Generator`] and a [`Discriminator`] |
//! | loss | [`loss`] | what the verdicts are worth to either |
//! | penalty | [`penalty`] | how steep D may be |
//! | augmentation | [`augment`] | what D sees of the pictures |

pub mod augment;
mod cutmix;
pub mod dual;
pub mod knobs;
pub mod learner;
pub mod loss;
pub mod model;
pub mod nets;
pub mod penalty;
pub(crate) mod player;
pub mod setup;

use burn::module::Module;
use burn::tensor::Tensor;

pub use augment::DiffAugment;
pub use dual::Dual;
pub use loss::Loss;
pub use penalty::Penalty;

use crate::nn::Mode;

/// What pictures are asked, or claim, to show; nothing for unconditional networks.
#[derive(Debug, Clone, Default)]
pub struct Condition<'a> {
    /// The class of each picture `[B]`.
    pub classes: &'a [u32],
    /// Another picture of that class for each, flattened `[B, C H W]`, for networks that are shown one.
    pub pictures: Option<Tensor<2>>,
}

/// Latent vectors to pictures.
pub trait Generator: Module + Sync {
    /// Length of a latent vector.
    fn latent(&self) -> usize;

    /// Latent vectors z `[B, latent]` and what each is to show -> pictures `[B, C, H, W]`.
    fn paint(&self, z: Tensor<2>, condition: &Condition<'_>, mode: &Mode) -> Tensor<4>;
}

/// Pictures to verdicts.
pub trait Discriminator: Module + Sync {
    /// Pictures x `[B, C, H, W]` and what each claims to show.
    fn judge(&self, x: Dual<4>, condition: &Condition<'_>, mode: &Mode) -> Verdict;
}

/// What D says of each picture, without a sigmoid: high for what it takes for real.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// On the picture: `[B]`.
    pub image: Dual<1>,
    /// On each pixel, from a D that has a decoder: `[B, 1, H, W]`.
    pub pixels: Option<Dual<4>>,
    /// On the class, from a D that names it: `[B, classes]`.
    pub classes: Option<Tensor<2>>,
}

impl Verdict {
    /// A verdict on the pictures alone, from `[B, 1]`.
    pub fn of(image: Dual<2>) -> Self {
        Self { image: image.linear(|x| x.flatten(0, 1)), pixels: None, classes: None }
    }

    /// One number a picture, `[B]`: the verdict on it and the mean of those on its pixels.
    pub fn total(self) -> Dual<1> {
        let Some(pixels) = self.pixels else { return self.image };
        let mean = pixels.linear(|x| x.mean_dim(1).mean_dim(2).mean_dim(3).flatten(0, 3));
        self.image.zip(mean, |image, pixels| image + pixels)
    }
}
