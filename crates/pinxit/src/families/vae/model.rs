//! The trained VAE: pictures from latents, latents from pictures, and how probable a picture is.

use burn::tensor::{Device, Tensor, TensorData};

use super::network::Vae;
use super::{VaeSampleKnobs, sample_knobs};
use crate::checkpoint::Array;
use crate::data::{Batch, ImageShape};
use crate::error::{Error, Result};
use crate::likelihood;
use crate::likelihood::bound::importance_weighted;
use crate::likelihood::pixel::PixelDistribution;
use crate::model::{
    Generate, Latent, Latents, Likelihood, Model, Request, check_classes, check_latents, check_shape,
};
use crate::nn::Ema;
use crate::rng::{self, Purpose, Rng};
use crate::watch::Watch;

/// Pictures that go through the network at once, to bound memory.
const AT_ONCE: usize = 64;

/// The averaged networks and what surrounds them.
pub(super) struct VaeModel {
    pub(super) network: Ema<Vae>,
    pub(super) pixels: PixelDistribution,
    pub(super) latents: usize,
    pub(super) shape: ImageShape,
    pub(super) classes: Vec<String>,
    pub(super) score_samples: usize,
    /// The recipe's `[sample]` table, under the request's options.
    pub(super) sample: toml::Table,
    pub(super) device: Device,
}

impl Model for VaeModel {
    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn generate(&self) -> Option<&dyn Generate> {
        Some(self)
    }

    fn latent(&self) -> Option<&dyn Latent> {
        Some(self)
    }

    fn latents(&self) -> Option<&dyn Latents> {
        Some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }
}

impl VaeModel {
    /// The pictures of z `[B, Z]`: means, or drawn from one stream a picture.
    fn paint(
        &self,
        z: Tensor<2>,
        classes: &[u32],
        options: &toml::Table,
        grain: Option<&[u64]>,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>> {
        let temperature = self.knobs(options)?.temperature;
        let count = z.dims()[0];
        check_classes(&self.classes, false, classes, count)?;
        let ImageShape { channels, height, width } = self.shape;
        let mut pictures = vec![Tensor::zeros([0, channels, height, width], &self.device)];
        for start in (0..count).step_by(AT_ONCE) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let end = (start + AT_ONCE).min(count);
            let classes = classes.get(start..end).unwrap_or_default();
            let z = z.clone().narrow(0, start, end - start).mul_scalar(temperature);
            let parameters = self.network.model().decode(z, classes);
            pictures.push(match grain.and_then(|seeds| seeds.get(start..end)) {
                Some(seeds) => {
                    let streams = seeds.iter().map(|&seed| Rng::new(seed, Purpose::SampleStep, 0, 0));
                    self.pixels.draw_all(parameters, streams)?
                }
                None => self.pixels.mean(parameters),
            });
            watch.progress("painting", end as u64, count as u64);
        }
        Ok(Tensor::cat(pictures, 0))
    }

    /// The recipe's sampling knobs under `options`.
    fn knobs(&self, options: &toml::Table) -> Result<VaeSampleKnobs> {
        let mut table = self.sample.clone();
        table.extend(options.clone());
        sample_knobs(&table)
    }
}

impl Generate for VaeModel {
    fn generate(&self, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        let Request { seeds, classes, options } = request;
        let grain = self.knobs(options)?.grain.then_some(seeds.as_slice());
        self.paint(self.points(seeds), classes, options, grain, watch)
    }
}

impl Latent for VaeModel {
    fn points(&self, seeds: &[u64]) -> Tensor<2> {
        let streams = seeds.iter().map(|&seed| Rng::new(seed, Purpose::SampleStart, 0, 0));
        rng::tensor(streams, [seeds.len(), self.latents], &self.device, Rng::fill_normal)
    }

    /// The means of the pixels, whatever `grain` says.
    fn decode(
        &self,
        points: Tensor<2>,
        classes: &[u32],
        options: &toml::Table,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>> {
        self.paint(points, classes, options, None, watch)
    }
}

impl Latents for VaeModel {
    fn shape(&self) -> Vec<usize> {
        vec![self.latents]
    }

    fn encode(&self, batch: &Batch) -> Result<Array> {
        check_shape(&batch.images, self.shape)?;
        let labels = if self.classes.is_empty() { &[][..] } else { &batch.labels };
        check_classes(&self.classes, false, labels, batch.len())?;
        let streams = batch.ids.iter().map(|&id| Rng::new(0, Purpose::Dequantise, 0, id));
        let x = self.pixels.observed(batch.images.clone(), streams);
        let mean = self.network.model().encode(x, labels).mean;
        Ok(Array { shape: mean.dims().to_vec(), values: likelihood::values(mean)? })
    }

    fn decode(&self, latents: &Array, classes: &[u32]) -> Result<Tensor<4>> {
        check_latents(latents, &Latents::shape(self))?;
        check_classes(&self.classes, false, classes, latents.shape[0])?;
        let data = TensorData::new(latents.values.clone(), latents.shape.clone());
        let z = Tensor::<2>::from_data(data, &self.device);
        Ok(self.pixels.mean(self.network.model().decode(z, classes)))
    }
}

impl Likelihood for VaeModel {
    /// The importance-weighted bound of `score_samples` samples.
    fn nats(&self, batch: &Batch, seed: u64, watch: &mut dyn Watch) -> Result<Vec<f64>> {
        check_shape(&batch.images, self.shape)?;
        let labels = if self.classes.is_empty() { &[][..] } else { &batch.labels };
        check_classes(&self.classes, false, labels, batch.len())?;
        let mut nats = Vec::with_capacity(batch.len());
        let parts = batch.split(batch.len().div_ceil(AT_ONCE));
        for (number, part) in parts.iter().enumerate() {
            let classes = if self.classes.is_empty() { &[][..] } else { &part.labels };
            let stream = |purpose, step| part.ids.iter().map(move |&id| Rng::new(seed, purpose, step, id));
            let x = self.pixels.observed(part.images.clone(), stream(Purpose::Dequantise, 0));
            let posterior = self.network.model().encode(x.clone(), classes);
            let mut ln_weights = Vec::with_capacity(self.score_samples);
            for sample in 0..self.score_samples {
                if watch.stopped() {
                    return Err(Error::Interrupted);
                }
                let noise = stream(Purpose::Estimate, sample as u32);
                let noise = rng::tensor(noise, posterior.mean.dims(), &x.device(), Rng::fill_normal);
                let z = posterior.sample(noise);
                let distortion = self.pixels.nats(self.network.model().decode(z.clone(), classes), x.clone());
                ln_weights.push(posterior.ln_prior_over_posterior(z) - distortion);
                let done = number * self.score_samples + sample + 1;
                let total = parts.len() * self.score_samples;
                watch.progress("estimating the likelihood", done as u64, total as u64);
            }
            let bound = importance_weighted(Tensor::stack(ln_weights, 0));
            nats.extend(likelihood::values(bound)?.into_iter().map(f64::from));
        }
        Ok(nats)
    }
}
