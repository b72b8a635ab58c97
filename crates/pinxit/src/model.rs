//! What a family gives: a [`Learner`] while it trains and a [`Model`] afterwards.

use burn::tensor::Tensor;

use crate::checkpoint::Snapshot;
use crate::data::{Batch, ImageShape};
use crate::error::Result;
use crate::watch::Watch;

/// What the trainer tells a learner about the step it is in.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The number of this step, from 0. Every random number of the step is keyed by it.
    pub number: u32,
    /// The seed of the run.
    pub seed: u64,
    /// Factor on the learner's learning rates: warm-up, decay and what rollbacks took off.
    pub rate: f64,
    /// In how many equal parts to work through the batch, to save memory.
    pub accumulate: usize,
}

/// The named losses and measures of one step. The first one is the one to watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Losses(pub Vec<(&'static str, f64)>);

impl Losses {
    /// Whether every value is a finite number.
    pub fn are_finite(&self) -> bool {
        self.0.iter().all(|(_, value)| value.is_finite())
    }

    /// The loss to watch, NaN when there is none.
    pub fn main(&self) -> f64 {
        self.0.first().map_or(f64::NAN, |(_, value)| *value)
    }
}

/// A model in training: owns its networks, optimizers and moving averages.
///
/// A learner is a pure function of its recipe and the batches it was given: two learners that have
/// seen the same steps are equal to the bit on the CPU, and so is one that was saved and loaded.
pub trait Learner: Send {
    /// Learns from one batch.
    ///
    /// # Errors
    /// Never for a loss that is not finite: that is a number for the trainer to judge.
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses>;

    /// The model with its averaged (EMA) weights as they are now.
    fn model(&self) -> &dyn Model;

    /// Whether the first loss falls while all goes well, so that its rise is a divergence. The losses of
    /// networks that play against each other rise and fall with the other's luck.
    fn descends(&self) -> bool {
        true
    }

    /// Whether the trainer should look at samples every few hundred steps, and at what the learner reports of
    /// its discriminator: `d_right_real` and `d_right_fake` (shares of pictures that it takes for what they
    /// are) and `g_grad_norm`. For learners that paint quickly and can fail in the ways of adversarial training.
    fn watched(&self) -> bool {
        false
    }

    /// Number of trainable values.
    fn parameters(&self) -> usize;

    /// Writes everything that `load` needs to go on as if nothing had happened.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    fn save(&self, to: &mut Snapshot) -> Result<()>;

    /// Takes up what `save` wrote.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape.
    fn load(&mut self, from: &Snapshot) -> Result<()>;
}

/// A trained model. What it can do is what it answers `Some` to.
pub trait Model: Send + Sync {
    /// Shape of the pictures that go in and come out.
    fn shape(&self) -> ImageShape;

    /// Names of the classes it can be asked for; empty for an unconditional model.
    fn classes(&self) -> &[String];

    /// Seeds to images.
    fn generate(&self) -> Option<&dyn Generate> {
        None
    }

    /// Points of a latent space to images.
    fn latent(&self) -> Option<&dyn Latent> {
        None
    }

    /// Images to images.
    fn translate(&self) -> Option<&dyn Translate> {
        None
    }

    /// Images to nats.
    fn likelihood(&self) -> Option<&dyn Likelihood> {
        None
    }
}

/// Which pictures to make.
#[derive(Debug, Clone)]
pub struct Request {
    /// One seed a picture. Picture i depends on seed i and nothing else of the request but its
    /// class and the options.
    pub seeds: Vec<u64>,
    /// The class of each picture, as an index into [`Model::classes`]; empty for an unconditional model.
    pub classes: Vec<u32>,
    /// The family's sampling knobs, checked (see [`Family::sample_knobs`](crate::families::Family)).
    pub options: toml::Table,
}

/// Makes pictures from seeds.
pub trait Generate {
    /// Images `[seeds, C, H, W]` in `[-1, 1]` (not clamped).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for options that make no sense together;
    /// [`Error::Interrupted`](crate::Error::Interrupted) when the watcher stops it.
    fn generate(&self, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>>;
}

/// Makes pictures from the points of a space in which near points are like pictures: a generator's, or an
/// autoencoder's code.
pub trait Latent {
    /// The points `[seeds, dimension]` from which the pictures of these seeds are made, standard normal.
    fn points(&self, seeds: &[u64]) -> Tensor<2>;

    /// Images `[B, C, H, W]` in `[-1, 1]` (not clamped) of points `[B, dimension]`, with the class of each, none for
    /// an unconditional model. Picture i depends on point i, its class and the options.
    ///
    /// # Errors
    /// As those of [`Generate::generate`].
    fn decode(
        &self,
        points: Tensor<2>,
        classes: &[u32],
        options: &toml::Table,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>>;
}

/// Makes pictures from pictures.
pub trait Translate {
    /// Images `[B, C, H, W]` in `[-1, 1]` for images `[B, C, H, W]` in `[-1, 1]`.
    ///
    /// # Errors
    /// If the pictures are not of the model's shape.
    fn translate(&self, images: Tensor<4>, options: &toml::Table, watch: &mut dyn Watch)
    -> Result<Tensor<4>>;
}

/// Says how probable pictures are.
pub trait Likelihood {
    /// Negative log-likelihood (or its upper bound) of each picture of the batch, in nats of the
    /// discrete 8-bit pictures.
    ///
    /// # Errors
    /// If the pictures are not of the model's shape, or the watcher stops it.
    fn nats(&self, batch: &Batch, seed: u64, watch: &mut dyn Watch) -> Result<Vec<f64>>;
}
