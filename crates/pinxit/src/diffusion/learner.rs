//! A diffusion model in training: network, objective, optimizer and moving average.

use burn::tensor::Gradients;

use super::model::DiffusionModel;
use super::objective::Objective;
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::{Adam, AdamConfig, Mode, UNet2d, add_gradients, params, ramped_decay};
use crate::recipe::TrainRecipe;
use crate::rng::{Purpose, Rng};

/// The learner of every diffusion family; families differ in its parts only.
#[derive(Debug)]
pub struct DiffusionLearner {
    network: UNet2d,
    adam: Adam,
    objective: Objective,
    label_drop: f64,
    lr: f64,
    clip: f64,
    ema: f64,
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
        let adam = Adam::new(AdamConfig { weight_decay: train.weight_decay, ..AdamConfig::default() });
        let (lr, clip, ema) = (train.lr.unwrap_or(1e-3), train.clip, train.ema);
        Self { network, adam, objective, label_drop, lr, clip, ema, model }
    }

    /// The loss and the gradients of the whole batch, worked through in `step.accumulate` parts.
    fn gradients(&self, batch: &Batch, step: &Step) -> Result<(f64, Gradients)> {
        let mut sum: Option<(f64, Gradients)> = None;
        for part in batch.split(step.accumulate) {
            let examples = self.objective.examples(&self.model.preconditioning, &part, step);
            let mode = Mode::Train { seed: step.seed, step: step.number, offset: part.offset as u32 };
            let classes = self.classes(&part, step);
            let (input, noise) = (examples.input.clone(), examples.noise.clone());
            let predicted = self.network.forward(input, noise, &classes, &mode);
            let loss = examples.loss(predicted, batch.len());
            let gradients = loss.backward();
            let value = f64::from(loss.into_scalar::<f32>());
            match &mut sum {
                None => sum = Some((value, gradients)),
                Some((total, all)) => {
                    *total += value;
                    add_gradients(&self.network, all, gradients);
                }
            }
        }
        sum.ok_or_else(|| Error::config("a batch without pictures can't be learned from"))
    }

    /// The classes of a batch, some replaced by "no class" for classifier-free guidance (Ho and
    /// Salimans 2022, algorithm 1).
    fn classes(&self, batch: &Batch, step: &Step) -> Vec<u32> {
        if self.model.classes.is_empty() {
            return Vec::new();
        }
        let no_class = self.model.classes.len() as u32;
        let hidden = |i: usize| {
            let index = (batch.offset + i) as u32;
            Rng::new(step.seed, Purpose::LabelDrop, step.number, index).chance(self.label_drop)
        };
        let label = |(i, &label)| if hidden(i) { no_class } else { label };
        batch.labels.iter().enumerate().map(label).collect()
    }
}

impl Learner for DiffusionLearner {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let (loss, mut gradients) = self.gradients(batch, step)?;
        let lr = self.lr * step.rate;
        let average = Some((&mut self.model.network, ramped_decay(self.ema, step.number)));
        let norm = self.adam.update(&mut self.network, &mut gradients, lr, self.clip, average);
        Ok(Losses(vec![("loss", loss), ("grad_norm", norm)]))
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn parameters(&self) -> usize {
        params::count(&self.network)
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        params::save(&self.network, "train", to)?;
        self.model.network.save("model", to)?;
        self.adam.save("adam", to)
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        let network = params::load(self.network.clone(), "train", from)?;
        let mut adam = self.adam.clone();
        adam.load("adam", from, &network)?;
        self.model.network.load("model", from)?;
        (self.network, self.adam) = (network, adam);
        Ok(())
    }
}
