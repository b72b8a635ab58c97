//! An autoregressive model in training.

use super::Autoregressive;
use super::model::AutoregressiveModel;
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::Result;
use crate::learner::NetworkTraining;
use crate::likelihood::bits_per_dim;
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::Mode;
use crate::recipe::TrainRecipe;
use crate::rng::{Purpose, Rng};

/// The learner of every autoregressive family. Its loss is the bits per dimension.
pub struct AutoregressiveLearner<N> {
    training: NetworkTraining<N>,
    /// Holds the averaged weights.
    model: AutoregressiveModel<N>,
}

impl<N: Autoregressive> AutoregressiveLearner<N> {
    /// A learner of `network`, which requires gradients, whose averages `model` keeps.
    pub(super) fn new(network: N, model: AutoregressiveModel<N>, train: &TrainRecipe) -> Self {
        Self { training: NetworkTraining::new(network, train), model }
    }
}

impl<N: Autoregressive> Learner for AutoregressiveLearner<N> {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let Self { training, model } = self;
        let AutoregressiveModel { network: average, pixels, shape, classes, .. } = model;
        let scale = bits_per_dim(1.0, shape.len()) / batch.len() as f64;
        training.step(average, batch, step, |network, part| {
            let place = |i| (part.offset + i) as u32;
            let streams =
                (0..part.len()).map(|i| Rng::new(step.seed, Purpose::Dequantise, step.number, place(i)));
            let x = pixels.observed(part.images.clone(), streams);
            let classes = if classes.is_empty() { &[][..] } else { &part.labels };
            let mode = Mode::Train { seed: step.seed, step: step.number, offset: part.offset as u32 };
            let nats = pixels.nats(network.forward(x.clone(), classes, &mode), x);
            Ok(nats.sum().mul_scalar(scale).into())
        })
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn parameters(&self) -> usize {
        self.training.parameters()
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.training.save(&self.model.network, "", to)
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        self.training.load(&mut self.model.network, "", from)
    }
}
