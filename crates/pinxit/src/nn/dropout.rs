//! Dropout.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::Init;
use crate::rng::{Purpose, Rng};

/// Whether a network learns, and if so the key of its random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is random.
    Eval,
    /// Dropout is on.
    Train {
        /// The seed of the run.
        seed: u64,
        /// The number of the training step.
        step: u32,
        /// Place in the batch of the first picture, for batches that are worked through in parts.
        offset: u32,
    },
}

/// Sets values to 0 with probability p while training and scales the others by 1 / (1 - p)
/// (Srivastava et al. 2014, "inverted").
///
/// What is dropped depends on the seed, the step, the layer and the place in the batch, never on
/// the size of the batch.
#[derive(Module, Debug)]
pub struct Dropout {
    p: f64,
    layer: u32,
}

impl Dropout {
    /// Drops with probability `p`, 0 to below 1.
    pub fn new(p: f64, init: &mut Init) -> Self {
        Self { p, layer: init.dropout() }
    }

    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        let &Mode::Train { seed, step, offset } = mode else { return x };
        if self.p == 0.0 {
            return x;
        }
        let shape = x.dims();
        let picture = shape[1..].iter().product();
        let mut mask = vec![0.0f32; shape[0] * picture];
        mask.par_chunks_mut(picture).enumerate().for_each(|(i, mask)| {
            let index = self.index(offset + i as u32);
            self.fill_mask(mask, &mut Rng::new(seed, Purpose::Dropout, step, index));
        });
        let mask = Tensor::<4>::from_data(TensorData::new(mask, shape), &x.device());
        x * mask
    }

    /// Layer and place in one number: room for 4096 layers and a million pictures a batch.
    fn index(&self, place: u32) -> u32 {
        self.layer << 20 | place
    }

    fn fill_mask(&self, mask: &mut [f32], rng: &mut Rng) {
        let threshold = (self.p * 2f64.powi(32)) as u32;
        let kept = (1.0 / (1.0 - self.p)) as f32;
        mask.fill_with(|| if rng.bits() < threshold { 0.0 } else { kept });
    }
}
