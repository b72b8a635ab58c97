//! Training on pairs: Isola et al. 2017, eq. 1 to 4.

use burn::tensor::Tensor;

use super::knobs::Settings;
use super::model::{Painters, TranslationModel};
use super::nets::PatchDiscriminator;
use super::sides;
use crate::adversarial::learner::mode;
use crate::adversarial::player::{Bill, Player, load_both, save_both};
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::Result;
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::ops::{Reduction, l1_loss};
use crate::nn::{params, ramped_decay};
use crate::recipe::TrainRecipe;

/// A generator that is told the right picture, and a discriminator that sees each picture beside what it
/// was made from.
pub struct PairedLearner {
    g: Player<Painters>,
    d: Player<PatchDiscriminator>,
    settings: Settings,
    /// Lambda of eq. 4.
    l1: f64,
    ema: f64,
    /// Holds the averaged weights of G.
    model: TranslationModel,
}

impl PairedLearner {
    /// A learner of two networks, which require gradients; `model` keeps the averages of the first.
    pub(super) fn new(
        (g, d): (Painters, PatchDiscriminator),
        model: TranslationModel,
        settings: Settings,
        l1: f64,
        train: &TrainRecipe,
    ) -> Self {
        let (lr, optimizer) = (train.lr.unwrap_or(settings.lr), settings.optimizer());
        let (g, d) = (Player::new(g, optimizer, lr, train), Player::new(d, optimizer, lr, train));
        Self { g, d, settings, l1, ema: train.ema, model }
    }

    /// One step of D.
    fn teach_d(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let (settings, painters) = (&self.settings, params::frozen(&self.g.network));
        let bill = |d: &PatchDiscriminator, part: &Batch| {
            let [x, y] = sides(part)?;
            let fake = painters.forward.paint(x.clone(), &mode(part, step)).detach();
            let [real, fake] = [y, fake].map(|y| d.judge(Tensor::cat(vec![x.clone(), y], 1)));
            let loss = settings.loss.discriminator(real, fake, 0.0) * settings.weights()[0];
            Ok(Bill { measures: vec![("d_loss", loss.clone())], loss })
        };
        let (mut losses, norm) = self.d.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("d_grad_norm", norm));
        Ok(Losses(losses))
    }

    /// One step of G.
    fn teach_g(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let (settings, l1, d) = (&self.settings, self.l1, params::frozen(&self.d.network));
        let bill = |g: &Painters, part: &Batch| {
            let [x, y] = sides(part)?;
            let fake = g.forward.paint(x.clone(), &mode(part, step));
            let verdicts = d.judge(Tensor::cat(vec![x, fake.clone()], 1));
            let game = settings.loss.generator(None, verdicts) * settings.weights()[1];
            let distance = l1_loss(fake, y, Reduction::Mean);
            let loss = game.clone() + distance.clone() * l1;
            Ok(Bill { loss, measures: vec![("g_loss", game), ("l1", distance)] })
        };
        let (mut losses, norm) = self.g.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("g_grad_norm", norm));
        Ok(Losses(losses))
    }
}

impl Learner for PairedLearner {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let mut losses = self.teach_d(batch, step)?;
        losses.0.extend(self.teach_g(batch, step)?.0);
        self.model.network.update(&self.g.network, ramped_decay(self.ema, step.number));
        Ok(losses)
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn descends(&self) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        params::count(&self.g.network) + params::count(&self.d.network)
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.model.network.save("model", to)?;
        save_both(&self.g, &self.d, to)
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        let (g, d) = load_both(&self.g, &self.d, from)?;
        self.model.load(from)?;
        (self.g, self.d) = (g, d);
        Ok(())
    }
}
