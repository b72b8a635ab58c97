//! What a VQ-VAE learns from: pictures that come back through their codes, and the order of codes.

use burn::tensor::Tensor;

use super::model::VqVaeModel;
use super::network::{VqVae, code_nats, vectors};
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::Result;
use crate::learner::{NetworkTraining, Share};
use crate::likelihood::autoregressive::Autoregressive;
use crate::likelihood::autoregressive::gated::GatedPixelCnn;
use crate::likelihood::pixel::PixelDistribution;
use crate::likelihood::{bits_per_dim, values};
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::{Mode, ops};
use crate::rng::{Purpose, Rng};

/// A VQ-VAE in training: the prior learns beside it from the codes of the moment, or after it from those that
/// came out.
pub(super) struct VqVaeLearner {
    pub(super) autoencoder: NetworkTraining<VqVae>,
    pub(super) prior: NetworkTraining<GatedPixelCnn>,
    pub(super) commitment: f64,
    /// The first step of the prior alone; 0 if both learn all the time.
    pub(super) prior_from: u32,
    pub(super) model: VqVaeModel,
}

impl VqVaeLearner {
    /// The autoencoder's step (van den Oord et al. 2017, eq. 3; the codebook follows by averages).
    fn learn_codes(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let Self { autoencoder, commitment, model, .. } = self;
        let VqVaeModel { network: average, pixels, shape, .. } = model;
        let scale = bits_per_dim(1.0, shape.len()) / batch.len() as f64;
        autoencoder.step(average, batch, step, |network, part| {
            let x = observed(pixels, part, step);
            let z = network.encode(x.clone());
            let (codes, indices) = network.quantise(&z);
            let codes = ops::onto(codes, &z.device());
            let held = (z.clone() - codes.clone()).square().sum().mul_scalar(*commitment * scale);
            let straight_through = z.clone() + (codes - z.clone()).detach(); // section 3.2
            let distortion = pixels.nats(network.decode(straight_through), x).sum().mul_scalar(scale);
            let nearest: Vec<u32> = values(indices.float())?.into_iter().map(|code| code as u32).collect();
            network.codebook.learn(vectors(&z.inner()), &nearest, step.seed, step.number)?;
            let measures = vec![("distortion", distortion.clone()), ("commitment", held.clone())];
            Ok(Share { loss: distortion + held, measures })
        })
    }

    /// The autoencoder's losses when it learns no more.
    fn measure_codes(&self, batch: &Batch, step: &Step) -> Result<Losses> {
        let VqVaeModel { network, pixels, shape, .. } = &self.model;
        let x = observed(pixels, batch, step).inner();
        let z = network.model().encode(x.clone());
        let (codes, _) = network.model().quantise(&z);
        let scale = bits_per_dim(1.0, shape.len()) / batch.len() as f64;
        let number = |value: Tensor<1>| f64::from(value.into_scalar::<f32>()) * scale;
        let held = number((z - codes.clone()).square().sum()) * self.commitment;
        let distortion = number(pixels.nats(network.model().decode(codes), x).sum());
        Ok(Losses(vec![("loss", distortion + held), ("distortion", distortion), ("commitment", held)]))
    }

    /// The prior's step: on the codes of the autoencoder as it now is, or of its average that stays.
    fn learn_prior(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let Self { autoencoder, prior, model, prior_from, .. } = self;
        let VqVaeModel { network: settled, prior: average, pixels, shape, classes, .. } = model;
        let scale = bits_per_dim(1.0, shape.len()) / batch.len() as f64;
        prior.step(average, batch, step, |network, part| {
            let x = observed(pixels, part, step);
            let (codes, indices) = match *prior_from {
                0 => autoencoder.network().quantise(&autoencoder.network().encode(x)),
                _ => settled.model().quantise(&settled.model().encode(x.inner())),
            };
            let classes = if classes.is_empty() { &[][..] } else { &part.labels };
            let mode = Mode::Train { seed: step.seed, step: step.number, offset: part.offset as u32 };
            let device = part.images.device();
            let logits = network.forward(ops::onto(codes, &device), classes, &mode);
            Ok(code_nats(logits, indices).sum().mul_scalar(scale).into())
        })
    }
}

/// The pictures of a training batch as the model sees them.
fn observed(pixels: &PixelDistribution, part: &Batch, step: &Step) -> Tensor<4> {
    let place = |i| (part.offset + i) as u32;
    let stream = |i| Rng::new(step.seed, Purpose::Dequantise, step.number, place(i));
    pixels.observed(part.images.clone(), (0..part.len()).map(stream))
}

impl Learner for VqVaeLearner {
    /// The loss is the autoencoder's; with the prior's it bounds the bits per dimension.
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let settled = self.prior_from > 0 && step.number >= self.prior_from;
        let mut losses =
            if settled { self.measure_codes(batch, step)? } else { self.learn_codes(batch, step)? };
        if settled || self.prior_from == 0 {
            losses.0.push(("prior", self.learn_prior(batch, step)?.main()));
        }
        Ok(losses)
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn parameters(&self) -> usize {
        self.autoencoder.parameters() + self.prior.parameters()
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.autoencoder.save(&self.model.network, "", to)?;
        self.prior.save(&self.model.prior, "prior-", to)
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        self.autoencoder.load(&mut self.model.network, "", from)?;
        self.prior.load(&mut self.model.prior, "prior-", from)
    }
}
