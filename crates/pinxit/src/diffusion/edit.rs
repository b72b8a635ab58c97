//! A trained diffusion model on pictures that are there already: made from them as it has learned, changed, told anew as
//! another class, completed.

use burn::tensor::Tensor;

use super::model::DiffusionModel;
use super::noise::{NoiseSource, SeededNoise};
use super::origin::Origin;
use super::samplers::Sampling;
use super::sampling::{EditKnobs, SamplePlan};
use super::{Condition, Denoiser};
use crate::data::{Batch, ImageShape};
use crate::error::{Error, Result};
use crate::model::{Canvas, Example, Inpaint, Request, Translate, check_classes, find_class};
use crate::watch::{Part, Watch};

/// How much of the way from noise is gone again when nothing else is said: Meng et al. 2022 (SDEdit), figure 4,
/// find 0.4 to 0.6 both true to the picture and real.
const STRENGTH: f64 = 0.5;

impl Translate for DiffusionModel {
    fn canvas(&self, _: &toml::Table) -> Result<Canvas> {
        Ok(self.origin.canvas(self.shape))
    }

    fn translate(&self, images: Tensor<4>, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        self.canvas(&request.options)?.check(&images, request)?;
        if self.origin != Origin::Noise {
            return self.make_from(images, request, watch);
        }
        self.knobs(&request.options)?.refuse_repainting()?;
        let (plan, knobs) = self.edit_plan(&request.options)?;
        let from = knobs.from_class.as_deref().map(|class| find_class(class, &self.classes)).transpose()?;
        // Inversion keeps what the picture is like over the whole way.
        let usual = if from.is_some() { 1.0 } else { STRENGTH };
        let begin = begin(&plan.sigmas, knobs.strength.unwrap_or(usual));
        self.each(images, request, watch, |x0, seeds, condition, watch| {
            let noise = SeededNoise { seeds, shape: self.shape, device: &self.device };
            plan.with_denoiser(&self.denoiser(), self.classes.len() as u32, |denoiser| {
                let sampling =
                    |sigmas| Sampling { denoiser, condition, sigmas, noise: &noise, settings: plan.settings };
                let x = match from {
                    Some(class) => {
                        let shown = Condition { classes: vec![class; seeds.len()], seen: None };
                        invert(&self.denoiser(), x0, &plan.sigmas[begin..], &shown)
                    }
                    None => noised(x0, &plan.sigmas, begin, &noise),
                };
                (plan.sampler.run)(&sampling(&plan.sigmas[begin..]), x, watch)
            })
        })
    }

    fn example(&self, batch: &Batch, _: &toml::Table) -> Result<Example> {
        let images = || batch.images.clone();
        Ok(match self.origin.of(batch, self.shape)? {
            Some(inputs) => Example { inputs, truth: Some(images()) },
            None => Example { inputs: images(), truth: None },
        })
    }
}

impl Inpaint for DiffusionModel {
    fn inpaint(
        &self,
        images: Tensor<4>,
        mask: Tensor<4>,
        request: &Request,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>> {
        self.canvas(&request.options)?.check(&images, request)?;
        let [count, _, height, width] = images.dims();
        if mask.dims() != [count, 1, height, width] {
            return Err(Error::config(format!(
                "a mask of {:?} doesn't fit pictures of {height}x{width}: it must be [{count}, 1, {height}, {width}]",
                mask.dims()
            )));
        }
        let (plan, knobs) = self.edit_plan(&request.options)?;
        if knobs.from_class.is_some() {
            return Err(Error::config("sample.from_class is for whole pictures; leave it or the mask away"));
        }
        let begin = begin(&plan.sigmas, knobs.strength.unwrap_or(1.0));
        let both = Tensor::cat(vec![images, mask], 1);
        let channels = self.shape.channels;
        self.each(both, request, watch, |both, seeds, condition, watch| {
            let known = both.clone().narrow(1, 0, channels);
            let hidden = both.narrow(1, channels, 1).greater_equal_elem(0.5);
            let hidden = hidden.expand(known.dims());
            let noise = SeededNoise { seeds, shape: self.shape, device: &self.device };
            let x = noised(known.clone(), &plan.sigmas, begin, &noise);
            let painted = plan.with_denoiser(&self.denoiser(), self.classes.len() as u32, |denoiser| {
                let keeping = Keeping { denoiser, known: known.clone(), hidden: hidden.clone() };
                let sampling = Sampling {
                    denoiser: &keeping,
                    condition,
                    sigmas: &plan.sigmas[begin..],
                    noise: &noise,
                    settings: plan.settings,
                };
                repaint(&sampling, &plan, &knobs, x, watch)
            })?;
            // Not nearly what was given but that itself.
            Ok(known.mask_where(hidden, painted))
        })
    }
}

impl DiffusionModel {
    /// Pictures made as it has learned from those that go in.
    fn make_from(&self, images: Tensor<4>, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        let plan = self.plan(&request.options)?;
        self.knobs(&request.options)?.refuse_edits()?;
        self.each(images, request, watch, |inputs, seeds, condition, watch| {
            let condition = Condition { seen: Some(self.origin.seen(inputs)?), ..condition.clone() };
            self.sample(&plan, seeds, &condition, watch)
        })
    }

    /// Has `work` change the pictures, some at a time.
    fn each(
        &self,
        images: Tensor<4>,
        request: &Request,
        watch: &mut dyn Watch,
        work: impl Fn(Tensor<4>, &[u64], &Condition, &mut dyn Watch) -> Result<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        check_classes(&self.classes, self.knows_no_class, &request.classes, request.seeds.len())?;
        let images = images.to_device(&self.device);
        let total = request.seeds.len();
        let mut made = Vec::new();
        for (number, seeds) in request.seeds.chunks(self.at_once()).enumerate() {
            let start = number * self.at_once();
            let classes = request.classes.get(start..start + seeds.len()).unwrap_or_default().to_vec();
            let (before, len) = (start as u64, seeds.len() as u64);
            let mut part = Part { watch, before, len, total: total as u64 };
            let images = images.clone().narrow(0, start, seeds.len());
            made.push(work(images, seeds, &Condition { classes, seen: None }, &mut part)?);
        }
        let ImageShape { channels, height, width } = self.shape;
        if made.is_empty() {
            return Ok(Tensor::zeros([0, channels, height, width], &self.device));
        }
        Ok(Tensor::cat(made, 0))
    }
}

/// Where among the noise levels a picture of this strength begins: 0 at the first, which knows nothing of the picture,
/// for 1; at the last, which is the picture, for 0.
fn begin(sigmas: &[f64], strength: f64) -> usize {
    let steps = sigmas.len() - 1;
    steps - (strength * steps as f64).round() as usize
}

/// Pictures at the noise level `sigmas[begin]` (Meng et al. 2022, "SDEdit", algorithm 1).
fn noised(x0: Tensor<4>, sigmas: &[f64], begin: usize, noise: &SeededNoise<'_>) -> Tensor<4> {
    let unit = noise.start().mul_scalar(sigmas[begin]);
    // The first level is where sampling starts, and forgets what was there.
    if begin == 0 { unit } else { x0 + unit }
}

/// The noisy picture of level `sigmas[0]` from which the deterministic way down the levels leads to x0: DDIM
/// inversion (Song et al. 2021, section 4.3), Euler's steps upward, each with the noise found one level below.
pub fn invert(denoiser: &dyn Denoiser, x0: Tensor<4>, sigmas: &[f64], shown: &Condition) -> Tensor<4> {
    let mut x = x0;
    let upward: Vec<f64> = sigmas.iter().rev().copied().collect();
    for levels in upward.windows(2) {
        // The slope at level 0 is not known; that at the first level above, as Dhariwal and Nichol 2021, appendix F.
        let at = if levels[0] > 0.0 { levels[0] } else { levels[1] };
        let slope = (x.clone() - denoiser.denoise(x.clone(), at, shown)).div_scalar(at);
        x = x + slope.mul_scalar(levels[1] - levels[0]);
    }
    x
}

/// A denoiser that knows what isn't hidden. Along the way down, what is known is then the picture with the noise that
/// it began with: Lugmayr et al. 2022 (RePaint), eq. 8.
pub struct Keeping<'a> {
    /// The model.
    pub denoiser: &'a dyn Denoiser,
    /// The pictures `[B, C, H, W]`.
    pub known: Tensor<4>,
    /// Where they are not known, of the same shape.
    pub hidden: Tensor<4, burn::tensor::Bool>,
}

impl Denoiser for Keeping<'_> {
    fn denoise(&self, x: Tensor<4>, sigma: f64, condition: &Condition) -> Tensor<4> {
        let denoised = self.denoiser.denoise(x, sigma, condition);
        self.known.clone().mask_where(self.hidden.clone(), denoised)
    }
}

/// Noise of the steps from a number on.
struct From<'a> {
    noise: &'a dyn NoiseSource,
    first: u32,
}

impl NoiseSource for From<'_> {
    fn step(&self, number: u32) -> Tensor<4> {
        self.noise.step(self.first + number)
    }
}

/// Walks down the levels in stretches and each of them several times, with noise back up between, so that what is
/// painted and what is known come to fit: Lugmayr et al. 2022, algorithm 1.
///
/// # Errors
/// Those of the sampler.
pub fn repaint(
    sampling: &Sampling<'_>,
    plan: &SamplePlan,
    knobs: &EditKnobs,
    mut x: Tensor<4>,
    watch: &mut dyn Watch,
) -> Result<Tensor<4>> {
    let steps = sampling.sigmas.len().saturating_sub(1);
    let (jump, turns) = (knobs.jump.max(1), knobs.resample.max(1));
    let stretches = steps.div_ceil(jump);
    let total = (stretches * turns) as u64;
    let (mut first, mut done) = (0, 0);
    for stretch in 0..stretches {
        let levels = &sampling.sigmas[stretch * jump..=((stretch + 1) * jump).min(steps)];
        let (Some(&high), Some(&low)) = (levels.first(), levels.last()) else { continue };
        for turn in 0..turns {
            let noise = From { noise: sampling.noise, first };
            let part = Sampling { sigmas: levels, noise: &noise, ..*sampling };
            let mut watch = Part { watch, before: done, len: 1, total };
            x = (plan.sampler.run)(&part, x, &mut watch)?;
            first += levels.len() as u32;
            done += 1;
            if turn + 1 < turns {
                let back = (high * high - low * low).max(0.0).sqrt();
                x = x + sampling.noise.step(first).mul_scalar(back);
                first += 1;
            }
        }
    }
    Ok(x)
}
