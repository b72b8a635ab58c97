//! A trained diffusion model: pictures from seeds, and how probable pictures are.

use burn::tensor::{Device, Tensor};

use super::noise::SeededNoise;
use super::origin::Origin;
use super::precond::{Network, Preconditioned, Preconditioning};
use super::samplers::Sampling;
use super::sampling::{EditKnobs, SampleKnobs, SamplePlan};
use super::{Clamped, Condition, vlb};
use crate::data::{Batch, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::model::{Generate, Inpaint, Likelihood, Model, Request, Translate, check_classes, check_shape};
use crate::nn::{Ema, Mode, UNet2d};
use crate::watch::{Part, Watch};

/// Pixels, over all pictures, that go through the network at once, to bound memory.
const PIXELS_AT_ONCE: usize = 65_536;

/// The averaged network of a diffusion family and what surrounds it.
#[derive(Debug)]
pub struct DiffusionModel {
    pub(super) network: Ema<UNet2d>,
    pub(super) preconditioning: Preconditioning,
    pub(super) origin: Origin,
    pub(super) shape: ImageShape,
    pub(super) classes: Vec<String>,
    /// Whether it has learned "no class" (index `classes.len()`) too.
    pub(super) knows_no_class: bool,
    /// The recipe's `[sample]` table, under the request's options.
    pub(super) sample: toml::Table,
    pub(super) device: Device,
}

impl Network for UNet2d {
    fn predict(&self, x: Tensor<4>, noise: Tensor<1>, classes: &[u32]) -> Tensor<4> {
        self.forward(x, noise, classes, &Mode::Eval)
    }
}

impl Model for DiffusionModel {
    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn generate(&self) -> Option<&dyn Generate> {
        (self.origin == Origin::Noise).then_some(self)
    }

    fn translate(&self) -> Option<&dyn Translate> {
        Some(self)
    }

    fn inpaint(&self) -> Option<&dyn Inpaint> {
        (self.origin == Origin::Noise).then_some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        matches!(self.preconditioning, Preconditioning::VariancePreserving { .. }).then_some(self)
    }
}

impl Generate for DiffusionModel {
    fn generate(&self, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        let plan = self.plan(&request.options)?;
        self.knobs(&request.options)?.refuse_edits()?;
        check_classes(&self.classes, self.knows_no_class, &request.classes, request.seeds.len())?;
        let at_once = self.at_once();
        let steps = plan.sigmas.len() as u64 - 1;
        let total = steps * request.seeds.len().div_ceil(at_once) as u64;
        let mut pictures = Vec::new();
        for (number, seeds) in request.seeds.chunks(at_once).enumerate() {
            let start = number * at_once;
            let classes = request.classes.get(start..start + seeds.len()).unwrap_or_default().to_vec();
            let mut watch = Part { watch, before: steps * number as u64, len: steps, total };
            pictures.push(self.sample(&plan, seeds, &Condition { classes, seen: None }, &mut watch)?);
        }
        if pictures.is_empty() {
            let ImageShape { channels, height, width } = self.shape;
            return Ok(Tensor::zeros([0, channels, height, width], &self.device));
        }
        Ok(Tensor::cat(pictures, 0))
    }
}

impl DiffusionModel {
    /// How many pictures to work on at once.
    pub(super) fn at_once(&self) -> usize {
        (PIXELS_AT_ONCE / (self.shape.height * self.shape.width).max(1)).clamp(1, 256)
    }

    /// The recipe's settings with `options` over them.
    pub(super) fn knobs(&self, options: &toml::Table) -> Result<SampleKnobs> {
        let mut table = self.sample.clone();
        table.extend(options.clone());
        knobs::parse(&table, "sample")
    }

    /// The plan of these options, and how to change a picture that is there.
    pub(super) fn edit_plan(&self, options: &toml::Table) -> Result<(SamplePlan, EditKnobs)> {
        let plan = self.plan(options)?;
        let edit = self.knobs(options)?.edit(plan.sigmas.len() - 1)?;
        Ok((plan, edit))
    }

    /// The plan of the recipe's settings with `options` over them.
    pub(super) fn plan(&self, options: &toml::Table) -> Result<SamplePlan> {
        let plan = self.knobs(options)?.plan(&self.preconditioning)?;
        if plan.guides() && !self.knows_no_class {
            return Err(Error::config(if self.classes.is_empty() {
                "guidance needs classes, and this model has none; leave sample.guidance away"
            } else {
                "guidance needs a model that was trained with model.label_drop above 0; leave sample.guidance away"
            }));
        }
        Ok(plan)
    }

    /// Pictures of these seeds.
    pub(super) fn sample(
        &self,
        plan: &SamplePlan,
        seeds: &[u64],
        condition: &Condition,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>> {
        let noise = SeededNoise { seeds, shape: self.shape, device: &self.device };
        let start = noise.start().mul_scalar(plan.sigmas[0]);
        plan.with_denoiser(&self.denoiser(), self.classes.len() as u32, |denoiser| {
            let sampling = Sampling {
                denoiser,
                condition,
                sigmas: &plan.sigmas,
                noise: &noise,
                settings: plan.settings,
            };
            (plan.sampler.run)(&sampling, start, watch)
        })
    }

    pub(super) fn denoiser(&self) -> Preconditioned<'_> {
        Preconditioned { network: self.network.model(), preconditioning: &self.preconditioning }
    }
}

impl Likelihood for DiffusionModel {
    fn nats(&self, batch: &Batch, seed: u64, watch: &mut dyn Watch) -> Result<Vec<f64>> {
        let Preconditioning::VariancePreserving { levels, .. } = &self.preconditioning else {
            return Err(Error::Unsupported("only the discrete noise levels of ddpm have this bound".into()));
        };
        check_shape(&batch.images, self.shape)?;
        let labels = if self.classes.is_empty() { &[][..] } else { &batch.labels };
        check_classes(&self.classes, self.knows_no_class, labels, batch.len())?;
        let parts = batch.split(batch.len().div_ceil(self.at_once()));
        let steps = levels.count() as u64;
        let total = steps * parts.len() as u64;
        let mut nats = Vec::with_capacity(batch.len());
        for (number, part) in parts.iter().enumerate() {
            let classes = if self.classes.is_empty() { Vec::new() } else { part.labels.clone() };
            let mut watch = Part { watch, before: steps * number as u64, len: steps, total };
            let condition = Condition { classes, seen: self.origin.seen_of(part, self.shape)? };
            let denoiser = self.denoiser();
            let bound = vlb::Bound { denoiser: &Clamped(&denoiser), levels, condition: &condition };
            nats.extend(bound.nats(part, seed, &mut watch)?);
        }
        Ok(nats)
    }
}
