//! Pinxit ("painted it") trains, samples, judges and serves image generators of every family on
//! your own pictures.
//!
//! The story: [`data`] turns a folder into batches; a row of [`families::FAMILIES`] makes a
//! [`Learner`](model::Learner) for a [`Recipe`](recipe::Recipe); [`train`] steps it and keeps a
//! [`run`] folder with [`checkpoint`]s; [`sample`] turns seeds into pictures with the trained
//! [`Model`](model::Model); [`metrics`] and [`report`] say what they are worth.

pub mod adversarial;
pub mod checkpoint;
pub mod data;
pub mod device;
pub mod diffusion;
pub mod error;
pub mod families;
pub mod files;
pub mod image_io;
pub mod knobs;
pub mod latent;
pub mod latents;
pub mod learner;
pub mod likelihood;
pub mod machine;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod nn;
pub mod recipe;
pub mod report;
pub mod rng;
pub mod run;
pub mod sample;
pub mod tensorboard;
pub mod train;
pub mod translate;
pub mod translation;
pub mod watch;

pub use error::{Error, Result};
