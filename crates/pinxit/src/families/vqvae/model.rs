//! The trained VQ-VAE: pictures from grids of codes, codes of pictures, and a bound of how probable a picture is.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::network::{VqVae, code_nats};
use crate::checkpoint::Array;
use crate::data::{Batch, ImageShape};
use crate::error::{Error, Result};
use crate::likelihood::autoregressive::gated::GatedPixelCnn;
use crate::likelihood::autoregressive::knobs::sample_knobs;
use crate::likelihood::autoregressive::paint::{Brush, Painting};
use crate::likelihood::autoregressive::{Autoregressive, Start};
use crate::likelihood::pixel::PixelDistribution;
use crate::likelihood::{categorical, values};
use crate::model::{
    Generate, Latents, Likelihood, Model, Request, check_classes, check_latents, check_shape,
};
use crate::nn::{Ema, Mode};
use crate::rng::{Purpose, Rng};
use crate::watch::{Part, Watch};

/// Pictures that are worked on at once, to bound memory.
const AT_ONCE: usize = 64;

/// The averaged networks and what surrounds them.
pub(super) struct VqVaeModel {
    pub(super) network: Ema<VqVae>,
    pub(super) prior: Ema<GatedPixelCnn>,
    pub(super) pixels: PixelDistribution,
    /// Values of a code, rows and columns of a grid of codes.
    pub(super) grid: [usize; 3],
    pub(super) shape: ImageShape,
    pub(super) classes: Vec<String>,
    /// The recipe's `[sample]` table, under the request's options.
    pub(super) sample: toml::Table,
    pub(super) device: Device,
}

impl Model for VqVaeModel {
    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn generate(&self) -> Option<&dyn Generate> {
        Some(self)
    }

    fn latents(&self) -> Option<&dyn Latents> {
        Some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }
}

/// Draws codes and puts their vectors on the canvas.
struct CodeBrush {
    /// `[K, D]`.
    codes: Vec<f32>,
    dim: usize,
}

impl Brush for CodeBrush {
    fn strokes(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.dim).collect()
    }

    fn stroke(&self, logits: &[f32], _: Range<usize>, temperature: f64, rng: &mut Rng, pixel: &mut [f32]) {
        let code = categorical::draw(logits, temperature, rng);
        pixel.copy_from_slice(&self.codes[code * self.dim..(code + 1) * self.dim]);
    }
}

impl Generate for VqVaeModel {
    fn generate(&self, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        let mut table = self.sample.clone();
        table.extend(request.options.clone());
        let temperature = sample_knobs(&table)?.temperature;
        check_classes(&self.classes, false, &request.classes, request.seeds.len())?;
        let codes = values(self.network.model().codebook.codes.value())?;
        let brush = CodeBrush { codes, dim: self.grid[0] };
        let ImageShape { channels, height, width } = self.shape;
        let mut pictures = vec![Tensor::zeros([0, channels, height, width], &self.device)];
        for (number, seeds) in request.seeds.chunks(AT_ONCE).enumerate() {
            let start = number * AT_ONCE;
            let (before, len) = (start as u64, seeds.len() as u64);
            let mut watch = Part { watch, before, len, total: request.seeds.len() as u64 };
            let classes = request.classes.get(start..start + seeds.len()).unwrap_or_default().to_vec();
            let at = Start { batch: seeds.len(), width: self.grid[2], classes, device: self.device.clone() };
            let painting =
                Painting { shape: self.grid, seeds, given: None, temperature, device: &self.device };
            let z = painting.paint(self.prior.model().walk(&at), &brush, &mut watch)?;
            pictures.push(self.pixels.mean(self.network.model().decode(z)));
        }
        Ok(Tensor::cat(pictures, 0))
    }
}

impl Latents for VqVaeModel {
    /// Rows and columns of the grid of codes.
    fn shape(&self) -> Vec<usize> {
        self.grid[1..].to_vec()
    }

    fn encode(&self, batch: &Batch) -> Result<Array> {
        check_shape(&batch.images, self.shape)?;
        let x = observed_once(&self.pixels, batch, 0);
        let (_, indices) = self.network.model().quantise(&self.network.model().encode(x));
        let [_, height, width] = self.grid;
        Ok(Array { shape: vec![batch.len(), height, width], values: values(indices.float())? })
    }

    fn decode(&self, latents: &Array, _: &[u32]) -> Result<Tensor<4>> {
        check_latents(latents, &Latents::shape(self))?;
        let [dim, height, width] = self.grid;
        let codes = self.network.model().codebook.codes.value().dims()[0];
        let is_code = |value: &f32| value.fract() == 0.0 && (0.0..codes as f32).contains(value);
        if let Some(value) = latents.values.iter().find(|value| !is_code(value)) {
            let message =
                format!("{value} is no code: a latent of this model is a whole number below {codes}");
            return Err(Error::config(message));
        }
        let count = latents.shape.first().copied().unwrap_or(0);
        let indices: Vec<i64> = latents.values.iter().map(|&value| value as i64).collect();
        let indices =
            Tensor::<1, Int>::from_data(TensorData::new(indices, [latents.values.len()]), &self.device);
        let z = self.network.model().codebook.look_up(indices).reshape([count, height, width, dim]);
        Ok(self.pixels.mean(self.network.model().decode(z.permute([0, 3, 1, 2]))))
    }
}

/// Pictures as the model sees them when they are judged.
fn observed_once(pixels: &PixelDistribution, batch: &Batch, seed: u64) -> Tensor<4> {
    let streams = batch.ids.iter().map(|&id| Rng::new(seed, Purpose::Dequantise, 0, id));
    pixels.observed(batch.images.clone(), streams)
}

impl Likelihood for VqVaeModel {
    /// `-ln p(x | codes) - ln p(codes)` of the codes that the encoder chooses: a bound, because other codes
    /// may make the picture too.
    fn nats(&self, batch: &Batch, seed: u64, watch: &mut dyn Watch) -> Result<Vec<f64>> {
        check_shape(&batch.images, self.shape)?;
        let labels = if self.classes.is_empty() { &[][..] } else { &batch.labels };
        check_classes(&self.classes, false, labels, batch.len())?;
        let network = self.network.model();
        let mut nats = Vec::with_capacity(batch.len());
        for part in batch.split(batch.len().div_ceil(AT_ONCE)) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let x = observed_once(&self.pixels, &part, seed);
            let (codes, indices) = network.quantise(&network.encode(x.clone()));
            let classes = if self.classes.is_empty() { &[][..] } else { &part.labels };
            let logits = self.prior.model().forward(codes.clone(), classes, &Mode::Eval);
            let bound = self.pixels.nats(network.decode(codes), x) + code_nats(logits, indices);
            nats.extend(values(bound)?.into_iter().map(f64::from));
            watch.progress("estimating the likelihood", nats.len() as u64, batch.len() as u64);
        }
        Ok(nats)
    }
}
