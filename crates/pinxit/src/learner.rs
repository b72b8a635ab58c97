//! What learners share: a network with its optimizer and its moving average, and one step of it.

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::{Losses, Step};
use crate::nn::{Adam, AdamConfig, Ema, add_gradients, params, ramped_decay};
use crate::recipe::TrainRecipe;

/// A network in training. Its moving average belongs to the model that paints with it.
#[derive(Debug)]
pub struct NetworkTraining<M> {
    network: M,
    adam: Adam,
    lr: f64,
    clip: f64,
    ema: f64,
}

/// The loss of a part of a batch, as its share in the loss of the whole batch, and measures likewise.
pub struct Share {
    /// What the gradient is taken of, `[1]`.
    pub loss: Tensor<1>,
    /// Other numbers of interest, by name, `[1]` each.
    pub measures: Vec<(&'static str, Tensor<1>)>,
}

impl From<Tensor<1>> for Share {
    fn from(loss: Tensor<1>) -> Self {
        Self { loss, measures: Vec::new() }
    }
}

impl<M: Module> NetworkTraining<M> {
    /// The training of `network`, which requires gradients.
    pub fn new(network: M, train: &TrainRecipe) -> Self {
        let adam = Adam::new(AdamConfig { weight_decay: train.weight_decay, ..AdamConfig::default() });
        Self { network, adam, lr: train.lr.unwrap_or(1e-3), clip: train.clip, ema: train.ema }
    }

    /// The network as it is now.
    pub fn network(&self) -> &M {
        &self.network
    }

    /// Begins with the values of `first`, a network of the same shape, in place of its own.
    ///
    /// # Errors
    /// If a tensor can't be read from its device, or `first` is another network.
    pub fn begin_with(&mut self, average: &mut Ema<M>, first: &M) -> Result<()> {
        self.network = params::import(self.network.clone(), &params::export(first)?)?;
        *average = Ema::new(&self.network);
        Ok(())
    }

    /// One step on `batch`, worked through in `step.accumulate` parts, and on with the moving average.
    /// `loss` gives the [`Share`] of each part.
    ///
    /// # Errors
    /// If the batch holds no picture, or what `loss` returns.
    pub fn step(
        &mut self,
        average: &mut Ema<M>,
        batch: &Batch,
        step: &Step,
        loss: impl Fn(&M, &Batch) -> Result<Share>,
    ) -> Result<Losses> {
        let (mut losses, mut gradients) = self.gradients(batch, step, loss)?;
        let lr = self.lr * step.rate;
        let average = Some((average, ramped_decay(self.ema, step.number)));
        let norm = self.adam.update(&mut self.network, &mut gradients, lr, self.clip, average);
        losses.0.push(("grad_norm", norm));
        Ok(losses)
    }

    /// The losses and the gradients of the whole batch.
    fn gradients(
        &self,
        batch: &Batch,
        step: &Step,
        loss: impl Fn(&M, &Batch) -> Result<Share>,
    ) -> Result<(Losses, Gradients)> {
        let mut sum: Option<(Losses, Gradients)> = None;
        for part in batch.split(step.accumulate) {
            let Share { loss, measures } = loss(&self.network, &part)?;
            let gradients = loss.backward();
            let named = std::iter::once(("loss", loss)).chain(measures);
            let values: Vec<_> =
                named.map(|(name, value)| (name, f64::from(value.into_scalar::<f32>()))).collect();
            match &mut sum {
                None => sum = Some((Losses(values), gradients)),
                Some((total, all)) => {
                    for ((_, total), (_, value)) in total.0.iter_mut().zip(values) {
                        *total += value;
                    }
                    add_gradients(&self.network, all, gradients);
                }
            }
        }
        sum.ok_or_else(|| Error::config("a batch without pictures can't be learned from"))
    }

    /// Number of trainable values.
    pub fn parameters(&self) -> usize {
        params::count(&self.network)
    }

    /// Writes the average as `{of}model/...`, the network as `{of}train/...` and the optimizer as
    /// `{of}adam/...`; `of` is empty for a learner of one network.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    pub fn save(&self, average: &Ema<M>, of: &str, to: &mut Snapshot) -> Result<()> {
        params::save(&self.network, &format!("{of}train"), to)?;
        average.save(&format!("{of}model"), to)?;
        self.adam.save(&format!("{of}adam"), to)
    }

    /// Takes up what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape; nothing has changed then.
    pub fn load(&mut self, average: &mut Ema<M>, of: &str, from: &Snapshot) -> Result<()> {
        let network = params::load(self.network.clone(), &format!("{of}train"), from)?;
        let mut adam = self.adam.clone();
        adam.load(&format!("{of}adam"), from, &network)?;
        average.load(&format!("{of}model"), from)?;
        (self.network, self.adam) = (network, adam);
        Ok(())
    }
}
