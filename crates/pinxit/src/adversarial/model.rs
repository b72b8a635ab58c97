//! A trained generator: pictures from seeds, or from points of its latent space.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::learner::normals;
use super::{Condition, Generator};
use crate::checkpoint::{Array, Snapshot};
use crate::data::{Batch, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::model::{Generate, Latent, Model, Request, check_classes};
use crate::nn::{Ema, Mode, from_rows, ops, rows};
use crate::rng::{Purpose, Rng};
use crate::watch::Watch;

/// The name of the exemplars in a checkpoint.
const EXEMPLARS: &str = "exemplars";
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
    /// The last picture of each class that was trained on, flattened `[classes, C H W]`, for networks that are
    /// shown a picture in place of a class.
    pub(super) exemplars: Option<Tensor<2>>,
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
        check_classes(&self.classes, false, classes, count)?;
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
            let condition = Condition { classes, pictures: self.pictures_of(classes) };
            pictures.push(self.network.model().paint(points, &condition, &Mode::Eval));
            watch.progress("painting", end as u64, count as u64);
        }
        if pictures.is_empty() {
            return Ok(Tensor::zeros([0, channels, height, width], &self.device));
        }
        Ok(Tensor::cat(pictures, 0))
    }
}

impl<G: Generator> GanModel<G> {
    /// What each picture of a batch in training is said to show: nothing to unconditional networks.
    pub(super) fn shown<'a>(&self, batch: &'a Batch) -> Condition<'a> {
        if self.classes.is_empty() {
            return Condition::default();
        }
        let onto = |pictures: Tensor<2>| ops::onto(pictures, &self.device.clone().autodiff());
        Condition { classes: &batch.labels, pictures: self.pictures_of(&batch.labels).map(onto) }
    }

    /// The exemplar of each class.
    fn pictures_of(&self, classes: &[u32]) -> Option<Tensor<2>> {
        let exemplars = self.exemplars.clone()?;
        let indices: Vec<i64> = classes.iter().map(|&class| class.into()).collect();
        let indices = TensorData::new(indices, [classes.len()]);
        Some(exemplars.select(0, Tensor::<1, Int>::from_data(indices, &self.device)))
    }

    /// Takes the pictures of a batch as exemplars of their classes, the last ones last.
    ///
    /// # Errors
    /// If they can't be read from their device.
    pub(super) fn remember(&mut self, batch: &Batch) -> Result<()> {
        let Some(exemplars) = &mut self.exemplars else { return Ok(()) };
        let mut known = rows(exemplars.clone())?;
        let pictures = rows(batch.images.clone().flatten(1, 3))?;
        for (picture, &label) in pictures.into_iter().zip(&batch.labels) {
            if let Some(row) = known.get_mut(label as usize) {
                *row = picture;
            }
        }
        *exemplars = from_rows(&known, exemplars);
        Ok(())
    }

    /// Writes weights and exemplars.
    ///
    /// # Errors
    /// If they can't be read from their device.
    pub(super) fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.network.save("model", to)?;
        if let Some(exemplars) = &self.exemplars {
            let [classes, width] = exemplars.dims();
            let values = rows(exemplars.clone())?.concat();
            to.tensors.insert(EXEMPLARS.into(), Array { shape: vec![classes, width], values });
        }
        Ok(())
    }

    /// Takes up what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape.
    pub(super) fn load(&mut self, from: &Snapshot) -> Result<()> {
        self.network.load("model", from)?;
        let Some(exemplars) = &mut self.exemplars else { return Ok(()) };
        let shape = exemplars.dims();
        match from.tensors.get(EXEMPLARS) {
            Some(array) if array.shape == shape => {
                let data = TensorData::new(array.values.clone(), shape);
                *exemplars = Tensor::from_data(data, &self.device);
                Ok(())
            }
            _ => Err(Error::config(format!("{EXEMPLARS} is missing or not {shape:?}"))),
        }
    }
}
