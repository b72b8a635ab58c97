//! A trained generator: pictures from seeds, or from points of its latent space.

use burn::tensor::{Device, Tensor};

use super::Generator;
use super::learner::normals;
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::knobs;
use crate::model::{Generate, Latent, Model, Request};
use crate::nn::{Ema, Mode};
use crate::rng::{Purpose, Rng};
use crate::watch::Watch;

/// Pixels, over all pictures, that go through the network at once, to bound memory.
const PIXELS_AT_ONCE: usize = 262_144;

crate::knobs! {
    /// The `[sample]` table of an adversarial family.
    pub struct SampleKnobs {
        /// Length of each latent vector relative to the one drawn, 0 to 1: below 1 pictures are more usual
        /// and less varied.
        pub truncation: f64 = 1.0,
    }
}

impl SampleKnobs {
    /// Refuses what can't be.
    ///
    /// # Errors
    /// [`Error::Config`] naming the knob.
    pub fn check(&self) -> Result<()> {
        match (0.0..=1.0).contains(&self.truncation) {
            true => Ok(()),
            false => Err(Error::config(format!(
                "sample.truncation is {}; it must be 0 (the average picture) to 1 (as trained)",
                self.truncation
            ))),
        }
    }
}

/// The averaged generator of an adversarial family and what surrounds it.
#[derive(Debug)]
pub struct GanModel<G> {
    pub(super) network: Ema<G>,
    pub(super) shape: ImageShape,
    /// Those that it can be asked for: none for an unconditional generator.
    pub(super) classes: Vec<String>,
    /// The recipe's `[sample]` table, under the request's options.
    pub(super) sample: toml::Table,
    pub(super) device: Device,
}

impl<G: Generator> Model for GanModel<G> {
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
}

impl<G: Generator> Generate for GanModel<G> {
    fn generate(&self, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        self.decode(self.points(&request.seeds), &request.classes, &request.options, watch)
    }
}

impl<G: Generator> Latent for GanModel<G> {
    fn points(&self, seeds: &[u64]) -> Tensor<2> {
        let streams = seeds.iter().map(|&seed| Rng::new(seed, Purpose::SampleStart, 0, 0)).collect();
        normals(streams, self.network.model().latent(), &self.device)
    }

    fn decode(
        &self,
        points: Tensor<2>,
        classes: &[u32],
        options: &toml::Table,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>> {
        let mut table = self.sample.clone();
        table.extend(options.clone());
        let knobs: SampleKnobs = knobs::parse(&table, "sample")?;
        knobs.check()?;
        let points = points * knobs.truncation;
        let [count, _] = points.dims();
        self.check_classes(classes, count)?;
        let ImageShape { channels, height, width } = self.shape;
        let at_once = (PIXELS_AT_ONCE / (height * width).max(1)).clamp(1, 256);
        let mut pictures = Vec::new();
        for start in (0..count).step_by(at_once) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let end = (start + at_once).min(count);
            let classes = classes.get(start..end).unwrap_or_default();
            let points = points.clone().narrow(0, start, end - start);
            pictures.push(self.network.model().paint(points, classes, &Mode::Eval));
            watch.progress("painting", end as u64, count as u64);
        }
        if pictures.is_empty() {
            return Ok(Tensor::zeros([0, channels, height, width], &self.device));
        }
        Ok(Tensor::cat(pictures, 0))
    }
}

impl<G: Generator> GanModel<G> {
    /// Refuses classes that don't fit the pictures or the model.
    fn check_classes(&self, classes: &[u32], pictures: usize) -> Result<()> {
        let known = self.classes.len();
        let expected = if known == 0 { 0 } else { pictures };
        if classes.len() != expected {
            return Err(Error::config(format!(
                "{pictures} pictures of a model with {known} classes need {expected} class indices, not {}",
                classes.len()
            )));
        }
        match classes.iter().find(|&&class| class as usize >= known) {
            None => Ok(()),
            Some(class) => Err(Error::config(format!(
                "class {class} is unknown; the model has {known} classes, counted from 0"
            ))),
        }
    }
}
