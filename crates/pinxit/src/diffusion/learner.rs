//! A diffusion model in training: network, objective, optimizer and moving average.

use super::model::DiffusionModel;
use super::objective::Objective;
use super::origin;
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::Result;
use crate::learner::NetworkTraining;
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::{Mode, UNet2d};
use crate::recipe::TrainRecipe;
use crate::rng::{Purpose, Rng};

/// The learner of every diffusion family; families differ in its parts only.
#[derive(Debug)]
pub struct DiffusionLearner {
    training: NetworkTraining<UNet2d>,
    objective: Objective,
    label_drop: f64,
    /// Holds the averaged weights.
    model: DiffusionModel,
}

impl DiffusionLearner {
    /// A learner of `network`, which requires gradients, whose averages `model` keeps.
    pub(super) fn new(
        network: UNet2d,
        model: DiffusionModel,
        objective: Objective,
        label_drop: f64,
        train: &TrainRecipe,
    ) -> Self {
        Self { training: NetworkTraining::new(network, train), objective, label_drop, model }
    }
}

/// The classes of a batch, some replaced by "no class" for classifier-free guidance (Ho and
/// Salimans 2022, algorithm 1).
fn classes(known: usize, label_drop: f64, batch: &Batch, step: &Step) -> Vec<u32> {
    if known == 0 {
        return Vec::new();
    }
    let hidden = |i: usize| {
        let index = (batch.offset + i) as u32;
        Rng::new(step.seed, Purpose::LabelDrop, step.number, index).chance(label_drop)
    };
    let label = |(i, &label)| if hidden(i) { known as u32 } else { label };
    batch.labels.iter().enumerate().map(label).collect()
}

impl Learner for DiffusionLearner {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let Self { training, objective, label_drop, model } = self;
        let DiffusionModel { network: average, preconditioning, origin, shape, classes: known, .. } = model;
        training.step(average, batch, step, |network, part| {
            let examples = objective.examples(preconditioning, part, step);
            let mode = Mode::Train { seed: step.seed, step: step.number, offset: part.offset as u32 };
            let classes = classes(known.len(), *label_drop, part, step);
            let input = origin::beside(examples.input.clone(), origin.seen_of(part, *shape)?);
            let noise = examples.noise.clone();
            let predicted = network.forward(input, noise, &classes, &mode);
            Ok(examples.loss(predicted, batch.len()).into())
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
