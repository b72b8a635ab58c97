//! An autoregressive model in training.

use burn::tensor::Tensor;

use super::Autoregressive;
use super::model::AutoregressiveModel;
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::Result;
use crate::learner::NetworkTraining;
use crate::likelihood::bits_per_dim;
use crate::likelihood::pixel::PixelDistribution;
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::Mode;
use crate::recipe::TrainRecipe;
use crate::rng::{Purpose, Rng};

/// Pictures, at most, from which first weights are found: as many as in the code of Salimans et al. 2017.
const STARTERS: usize = 16;

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

    /// First weights from the first pictures, for networks whose weights depend on them.
    fn start(&mut self, batch: &Batch, step: &Step) -> Result<()> {
        let Self { training, model } = self;
        let AutoregressiveModel { network: average, pixels, classes, .. } = model;
        let Some(first) = batch.split(batch.len().div_ceil(STARTERS)).into_iter().next() else {
            return Ok(());
        };
        let first = Batch { images: first.images.inner(), ..first };
        let Seen { x, classes, mode } = Seen::new(pixels, classes, &first, step);
        match average.model().started(x, classes, &mode) {
            Some(network) => training.begin_with(average, &network),
            None => Ok(()),
        }
    }
}

/// A part of a batch as the network sees it.
struct Seen<'a> {
    x: Tensor<4>,
    classes: &'a [u32],
    mode: Mode,
}

impl<'a> Seen<'a> {
    fn new(pixels: &PixelDistribution, classes: &[String], part: &'a Batch, step: &Step) -> Self {
        let place = |i| (part.offset + i) as u32;
        let streams =
            (0..part.len()).map(|i| Rng::new(step.seed, Purpose::Dequantise, step.number, place(i)));
        Self {
            x: pixels.observed(part.images.clone(), streams),
            classes: if classes.is_empty() { &[] } else { &part.labels },
            mode: Mode::Train { seed: step.seed, step: step.number, offset: part.offset as u32 },
        }
    }
}

impl<N: Autoregressive> Learner for AutoregressiveLearner<N> {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        if step.number == 0 {
            self.start(batch, step)?;
        }
        let Self { training, model } = self;
        let AutoregressiveModel { network: average, pixels, shape, classes, .. } = model;
        let scale = bits_per_dim(1.0, shape.len()) / batch.len() as f64;
        training.step(average, batch, step, |network, part| {
            let Seen { x, classes, mode } = Seen::new(pixels, classes, part, step);
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
