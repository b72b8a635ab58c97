//! One of the two networks in training, with its optimizer.

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::nn::{Adam, AdamConfig, add_gradients, params};
use crate::recipe::TrainRecipe;

/// A network in training.
#[derive(Debug)]
pub(crate) struct Player<M> {
    pub(crate) network: M,
    adam: Adam,
    /// Its learning rate.
    lr: f64,
    clip: f64,
}

/// What a player has to pay for a part of a batch: the loss `[1]` that its gradient is taken of, and
/// measures by name.
pub(crate) struct Bill {
    pub(crate) loss: Tensor<1>,
    pub(crate) measures: Vec<(&'static str, Tensor<1>)>,
}

impl<M: Module> Player<M> {
    /// A player that begins at `network`, which requires gradients.
    pub(crate) fn new(network: M, config: AdamConfig, lr: f64, train: &TrainRecipe) -> Self {
        let adam = Adam::new(AdamConfig { weight_decay: train.weight_decay, ..config });
        Self { network, adam, lr, clip: train.clip }
    }

    /// One step on `batch`, worked through in `parts`; `bill` is asked for the loss of each part, as a mean over
    /// its pictures. Gives the means over the batch, and the norm of the gradient last.
    ///
    /// # Errors
    /// If the batch holds no picture, or what `bill` returns.
    pub(crate) fn step(
        &mut self,
        batch: &Batch,
        parts: usize,
        rate: f64,
        mut bill: impl FnMut(&M, &Batch) -> Result<Bill>,
    ) -> Result<(Vec<(&'static str, f64)>, f64)> {
        let mut sum: Option<(Vec<(&'static str, f64)>, Gradients)> = None;
        for part in batch.split(parts) {
            let share = part.len() as f64 / batch.len() as f64;
            let Bill { loss, measures } = bill(&self.network, &part)?;
            let gradients = (loss * share).backward();
            let values = measures.into_iter().map(|(name, value)| (name, share * scalar(value)));
            match &mut sum {
                None => sum = Some((values.collect(), gradients)),
                Some((total, all)) => {
                    total.iter_mut().zip(values).for_each(|((_, total), (_, value))| *total += value);
                    add_gradients(&self.network, all, gradients);
                }
            }
        }
        let Some((values, mut gradients)) = sum else {
            return Err(Error::config("a batch without pictures can't be learned from"));
        };
        let network = self.network.clone();
        let (network, norm) = self.adam.step(network, &mut gradients, self.lr * rate, self.clip);
        self.network = network;
        Ok((values, norm))
    }

    pub(crate) fn save(&self, name: &str, to: &mut Snapshot) -> Result<()> {
        params::save(&self.network, &format!("train/{name}"), to)?;
        self.adam.save(&format!("adam/{name}"), to)
    }

    /// The network and optimizer that [`save`](Self::save) wrote, in this one's place once the other
    /// player has loaded too.
    pub(crate) fn loaded(&self, name: &str, from: &Snapshot) -> Result<Self> {
        let network = params::load(self.network.clone(), &format!("train/{name}"), from)?;
        let mut adam = self.adam.clone();
        adam.load(&format!("adam/{name}"), from, &network)?;
        Ok(Self { network, adam, ..*self })
    }
}

/// Writes both players of a game.
///
/// # Errors
/// If a tensor can't be read from its device.
pub(crate) fn save_both<G: Module, D: Module>(g: &Player<G>, d: &Player<D>, to: &mut Snapshot) -> Result<()> {
    g.save("g", to)?;
    d.save("d", to)
}

/// Both players that [`save_both`] wrote, so that none changes unless both can.
///
/// # Errors
/// If a tensor is missing, unknown or of another shape.
pub(crate) fn load_both<G: Module, D: Module>(
    g: &Player<G>,
    d: &Player<D>,
    from: &Snapshot,
) -> Result<(Player<G>, Player<D>)> {
    Ok((g.loaded("g", from)?, d.loaded("d", from)?))
}

fn scalar(value: Tensor<1>) -> f64 {
    f64::from(value.into_scalar::<f32>())
}
