//! What a VAE learns from: the bound of how probable the pictures are.

use super::model::VaeModel;
use super::network::Vae;
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::Result;
use crate::learner::{NetworkTraining, Share};
use crate::likelihood::bits_per_dim;
use crate::likelihood::bound::{free_bits, importance_weighted};
use crate::likelihood::pixel::PixelDistribution;
use crate::model::{Learner, Losses, Model, Step};
use crate::rng::{self, Purpose, Rng};

/// What is trained.
#[derive(Debug, Clone)]
pub(super) struct Objective {
    pub(super) pixels: PixelDistribution,
    pub(super) beta: f64,
    pub(super) free_bits: f64,
    pub(super) beta_warmup: u32,
    pub(super) importance: usize,
}

impl Objective {
    /// The share of `part` in the loss of a batch of `total` pictures, in bits per dimension.
    fn share(&self, network: &Vae, classes: &[u32], part: &Batch, step: &Step, total: usize) -> Share {
        let stream = |purpose| {
            let index = move |i| (part.offset + i) as u32;
            (0..part.len()).map(move |i| Rng::new(step.seed, purpose, step.number, index(i)))
        };
        let x = self.pixels.observed(part.images.clone(), stream(Purpose::Dequantise));
        let posterior = network.encode(x.clone(), classes);
        let [batch, latents] = posterior.mean.dims();
        let samples = self.importance;
        let noise = rng::tensor(
            stream(Purpose::TrainNoise),
            [batch, samples, latents],
            &x.device(),
            Rng::fill_normal,
        );
        let noise = noise.swap_dims(0, 1).reshape([samples * batch, latents]);
        let each = posterior.repeated(samples);
        let z = each.sample(noise);
        let parameters = network.decode(z.clone(), &classes.repeat(samples));
        let distortion = self.pixels.nats(parameters, x.repeat_dim(0, samples)); // [K B]
        let scale = bits_per_dim(1.0, part.images.dims()[1..].iter().product()) / total as f64;
        let kl = posterior.kl();
        let (nats, paid) = if samples > 1 {
            let ln_weights = each.ln_prior_over_posterior(z) - distortion.clone();
            (importance_weighted(ln_weights.reshape([samples, batch])).sum(), kl.sum())
        } else {
            let warm = f64::from(step.number + 1) / f64::from(self.beta_warmup.max(1));
            let paid = free_bits(kl, self.free_bits);
            (distortion.clone().sum() + paid.clone().mul_scalar(self.beta * warm.min(1.0)), paid)
        };
        let measures = vec![
            ("distortion", distortion.sum().mul_scalar(scale / samples as f64)),
            ("kl", paid.mul_scalar(scale)),
        ];
        Share { loss: nats.mul_scalar(scale), measures }
    }
}

/// A VAE in training.
pub(super) struct VaeLearner {
    pub(super) training: NetworkTraining<Vae>,
    pub(super) objective: Objective,
    pub(super) model: VaeModel,
}

impl Learner for VaeLearner {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let Self { training, objective, model } = self;
        let VaeModel { network: average, classes, .. } = model;
        training.step(average, batch, step, |network, part| {
            let classes = if classes.is_empty() { &[][..] } else { &part.labels };
            Ok(objective.share(network, classes, part, step, batch.len()))
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
