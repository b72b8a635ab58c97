//! Pictures to pictures by adversarial training, in independent axes: networks, loss, pairing.
//!
//! A generator G turns one picture into another, and a discriminator D judges patches of it (Isola et al.
//! 2017). Where the pictures come in pairs, G is also told how far it is from the right one
//! ([`paired`]); where there are two sets without pairs, two generators learn to undo each other
//! ([`cycle`]). How alike two pictures look to a network that was trained for something else is in [`perceptual`].

pub mod cycle;
pub mod knobs;
pub mod model;
pub mod nets;
pub mod paired;
pub mod perceptual;
pub mod pool;
pub mod setup;

use burn::tensor::Tensor;

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::ops;

/// What goes in and what should come out of a part of a batch, for computations with autodiff.
fn sides(part: &Batch) -> Result<[Tensor<4>; 2]> {
    let device = part.images.device().autodiff();
    let Some(inputs) = &part.inputs else {
        return Err(Error::config("the batch has no pictures to go in; set data.inputs or data.pair"));
    };
    Ok([inputs, &part.images].map(|images| ops::onto(images.clone(), &device)))
}
