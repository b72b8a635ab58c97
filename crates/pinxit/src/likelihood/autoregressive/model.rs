//! A trained autoregressive model.

use burn::tensor::{Device, Tensor};

use super::knobs::sample_knobs;
use super::paint::Painting;
use super::{Autoregressive, Start};
use crate::data::{Batch, ImageShape};
use crate::error::{Error, Result};
use crate::likelihood::pixel::PixelDistribution;
use crate::likelihood::values;
use crate::model::{Complete, Generate, Given, Likelihood, Model, Request, check_classes, check_shape};
use crate::nn::{Ema, Mode};
use crate::rng::{Purpose, Rng};
use crate::watch::{Part, Watch};

/// Pictures that are worked on at once, to bound memory.
const AT_ONCE: usize = 64;

/// The averaged network of an autoregressive family and what surrounds it.
pub struct AutoregressiveModel<N> {
    pub(super) network: Ema<N>,
    pub(super) pixels: PixelDistribution,
    pub(super) shape: ImageShape,
    pub(super) classes: Vec<String>,
    /// The recipe's `[sample]` table, under the request's options.
    pub(super) sample: toml::Table,
    pub(super) device: Device,
}

impl<N: Autoregressive> Model for AutoregressiveModel<N> {
    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn generate(&self) -> Option<&dyn Generate> {
        Some(self)
    }

    fn complete(&self) -> Option<&dyn Complete> {
        Some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }
}

impl<N: Autoregressive> Generate for AutoregressiveModel<N> {
    fn generate(&self, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        self.paint(request, None, watch)
    }
}

impl<N: Autoregressive> Complete for AutoregressiveModel<N> {
    fn complete(&self, given: &Given, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        check_shape(&given.images, self.shape)?;
        given.check(request.seeds.len())?;
        self.paint(request, Some(given), watch)
    }
}

impl<N: Autoregressive> AutoregressiveModel<N> {
    fn paint(&self, request: &Request, given: Option<&Given>, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        let mut table = self.sample.clone();
        table.extend(request.options.clone());
        let temperature = sample_knobs(&table)?.temperature;
        check_classes(&self.classes, false, &request.classes, request.seeds.len())?;
        let ImageShape { channels, height, width } = self.shape;
        let given = given.map(|given| (self.pixels.levels.rounded(given.images.clone()), given.rows));
        let mut pictures = vec![Tensor::zeros([0, channels, height, width], &self.device)];
        for (number, seeds) in request.seeds.chunks(AT_ONCE).enumerate() {
            let start = number * AT_ONCE;
            let classes = request.classes.get(start..start + seeds.len()).unwrap_or_default();
            let (before, len) = (start as u64, seeds.len() as u64);
            let mut watch = Part { watch, before, len, total: request.seeds.len() as u64 };
            let painting = Painting {
                shape: [channels, height, width],
                seeds,
                given: given.clone().map(|(images, rows)| (images.narrow(0, start, seeds.len()), rows)),
                temperature,
                device: &self.device,
            };
            let at =
                Start { batch: seeds.len(), width, classes: classes.to_vec(), device: self.device.clone() };
            let walk = self.network.model().walk(&at);
            pictures.push(painting.paint(walk, &self.pixels, &mut watch)?);
        }
        Ok(Tensor::cat(pictures, 0))
    }
}

impl<N: Autoregressive> Likelihood for AutoregressiveModel<N> {
    /// The likelihood itself, not a bound.
    fn nats(&self, batch: &Batch, seed: u64, watch: &mut dyn Watch) -> Result<Vec<f64>> {
        check_shape(&batch.images, self.shape)?;
        let labels = if self.classes.is_empty() { &[][..] } else { &batch.labels };
        check_classes(&self.classes, false, labels, batch.len())?;
        let mut nats = Vec::with_capacity(batch.len());
        for part in batch.split(batch.len().div_ceil(AT_ONCE)) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let streams = part.ids.iter().map(|&id| Rng::new(seed, Purpose::Dequantise, 0, id));
            let x = self.pixels.observed(part.images.clone(), streams);
            let classes = if self.classes.is_empty() { &[][..] } else { &part.labels };
            let parameters = self.network.model().forward(x.clone(), classes, &Mode::Eval);
            nats.extend(values(self.pixels.nats(parameters, x))?.into_iter().map(f64::from));
            watch.progress("computing the likelihood", nats.len() as u64, batch.len() as u64);
        }
        Ok(nats)
    }
}
