//! VAE: an encoder turns a picture into a distribution of latents, a decoder turns latents into a
//! distribution of pictures, and both learn from a bound of how probable the pictures are.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::checkpoint::{Array, Snapshot};
use crate::data::{Batch, DataFacts, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::learner::{NetworkTraining, Share};
use crate::likelihood::bound::{Posterior, free_bits, importance_weighted};
use crate::likelihood::levels::Levels;
use crate::likelihood::pixel::{Kind, PixelDistribution};
use crate::likelihood::{self, bits_per_dim};
use crate::model::{
    Generate, Latent, Latents, Learner, Likelihood, Losses, Model, Request, Step, check_classes,
    check_latents, check_shape,
};
use crate::nn::{Activation, Budget, Conv2d, Cost, Ema, Embedding, Init, Linear, Tally, ops};
use crate::recipe::Recipe;
use crate::rng::{self, Purpose, Rng};
use crate::watch::Watch;

/// What the networks are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layers {
    /// Fully connected.
    Dense,
    /// Convolutions that halve and double the size.
    Conv,
}

crate::knobs! {
    /// The `[model]` table.
    pub struct VaeKnobs {
        /// Networks of `conv` (convolutions) or `dense` (fully connected) layers.
        pub layers: Layers = Layers::Conv,
        /// Channels of `conv` at full size, 1 to 1024; they double with each halving, up to four times.
        pub width: Option<usize> = None,
        /// How often `conv` halves height and width; down to about 4 pixels when not given.
        pub halvings: Option<usize> = None,
        /// Widths of the hidden layers of `dense`, from the picture inwards.
        pub hidden: Option<Vec<usize>> = None,
        /// Number of latents, 1 to 4096.
        pub latents: usize = 32,
        /// What the decoder says of a pixel: `logistic`, `gaussian`, `softmax`, or `bernoulli` for black and white.
        pub decoder: Kind = Kind::Logistic,
        /// Logistics in the mixture of a pixel of `logistic`, 1 to 64.
        pub mixtures: usize = 5,
        /// Grey levels of the pictures, 2 to 256: 17 for builtin:digits.
        pub levels: usize = 256,
        /// Weight of the divergence from the prior: 1 bounds the likelihood, above 1 untangles the latents.
        pub beta: f64 = 1.0,
        /// Divergence of a latent, in nats, that costs nothing; 0 charges all of it.
        pub free_bits: f64 = 0.0,
        /// Steps over which `beta` rises from 0.
        pub beta_warmup: u32 = 0,
        /// Samples of the importance-weighted bound that is trained (IWAE); 1 is the plain bound.
        pub importance: usize = 1,
        /// Samples of the importance-weighted bound that tells how probable a picture is.
        pub score_samples: usize = 64,
    }
}

crate::knobs! {
    /// The `[sample]` table.
    pub struct VaeSampleKnobs {
        /// Standard deviation of the latents: below 1 keeps to usual pictures.
        pub temperature: f64 = 1.0,
        /// Draw every pixel from its distribution instead of showing the mean.
        pub grain: bool = false,
    }
}

// ---- The network ----

/// The parts of a resolved recipe that shape the network.
#[derive(Debug, Clone)]
pub struct VaeConfig {
    /// Shape of the pictures.
    pub shape: ImageShape,
    /// Number of classes, 0 for an unconditional network.
    pub classes: usize,
    /// Z.
    pub latents: usize,
    /// Widths of dense hidden layers.
    pub hidden: Vec<usize>,
    /// Channels of each size of a convolutional network, from the full size down; empty for a dense one.
    pub channels: Vec<usize>,
    /// What the decoder's output means.
    pub pixels: PixelDistribution,
}

impl VaeConfig {
    /// Height and width at `level`, halved and rounded up as a convolution of stride 2 does it.
    fn size(&self, level: usize) -> [usize; 2] {
        [self.shape.height, self.shape.width].map(|side| side.div_ceil(1 << level))
    }

    /// Values of the smallest feature map.
    fn innermost(&self) -> usize {
        let last = self.channels.len().saturating_sub(1);
        let [height, width] = self.size(last);
        self.channels.last().map_or(0, |channels| channels * height * width)
    }

    /// Layer by layer what the networks below are built of.
    fn cost(&self) -> Cost {
        let (mut tally, pixels) = (Tally::default(), self.shape.height * self.shape.width);
        let (input, output) = (self.shape.len(), self.pixels.parameters());
        if self.channels.is_empty() {
            let widths = |from: usize, to: usize, hidden: Vec<usize>| [vec![from], hidden, vec![to]].concat();
            let inwards = widths(input, 2 * self.latents, self.hidden.clone());
            let outwards = widths(self.latents, output * pixels, self.hidden.iter().rev().copied().collect());
            for pair in inwards.windows(2).chain(outwards.windows(2)) {
                tally.linear(pair[0], pair[1], 1);
            }
            tally.embedding(self.classes, inwards[1] + outwards[1]);
            return tally.cost();
        }
        let (channels, inner) = (&self.channels, self.innermost());
        tally.conv2d(self.shape.channels, channels[0], 3, 1, self.size(0));
        for (level, pair) in channels.windows(2).enumerate() {
            tally.conv2d(pair[0], pair[1], 3, 2, self.size(level + 1)); // down
            tally.conv2d(pair[1], pair[1], 3, 1, self.size(level + 1));
            tally.conv2d(pair[1], pair[0], 3, 1, self.size(level)); // up
            tally.conv2d(pair[0], pair[0], 3, 1, self.size(level));
        }
        tally.linear(inner, 2 * self.latents, 1);
        tally.linear(self.latents, inner, 1);
        tally.conv2d(channels[0], output, 3, 1, self.size(0));
        tally.embedding(self.classes, channels[0] + inner);
        tally.cost()
    }
}

/// Encoder and decoder (Kingma and Welling 2013). Classes are told to the first layer of each, as a
/// one-hot vector beside its input would (Sohn et al. 2015).
#[derive(Module, Debug)]
pub struct Vae {
    /// Pictures to latents.
    pub encoder: Encoder,
    /// Latents to pictures.
    pub decoder: Decoder,
}

/// Pictures to the distribution of latents.
#[derive(Module, Debug)]
pub struct Encoder {
    /// At full size; none in a dense network.
    conv_in: Option<Conv2d>,
    /// For each halving, one convolution of stride 2 and one of stride 1.
    down: Vec<Conv2d>,
    /// Fully connected layers, the last of which gives mean and logarithm of the variance.
    pub linear: Vec<Linear>,
    class_embedding: Option<Embedding>,
}

/// Latents to what [`PixelDistribution`] takes.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Fully connected layers.
    pub linear: Vec<Linear>,
    /// For each doubling, from the smallest size up, two convolutions of stride 1.
    up: Vec<Conv2d>,
    /// At full size; none in a dense network.
    conv_out: Option<Conv2d>,
    class_embedding: Option<Embedding>,
    /// Channels, height and width before each doubling and at the end.
    sizes: Vec<[usize; 3]>,
}

impl Vae {
    /// A network with fresh weights.
    pub fn new(config: &VaeConfig, init: &mut Init) -> Self {
        Self { encoder: Encoder::new(config, init), decoder: Decoder::new(config, init) }
    }

    /// x `[B, C, H, W]`, class of each -> `q(z | x)` over `[B, Z]`.
    pub fn encode(&self, x: Tensor<4>, classes: &[u32]) -> Posterior {
        self.encoder.forward(x, classes)
    }

    /// z `[B, Z]`, class of each -> parameters of every pixel's distribution `[B, P, H, W]`.
    pub fn decode(&self, z: Tensor<2>, classes: &[u32]) -> Tensor<4> {
        self.decoder.forward(z, classes)
    }
}

fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ops::activate(x, Activation::Silu)
}

/// Linear layers from `widths[0]` features to the last of `widths`.
fn linears(widths: &[usize], init: &mut Init) -> Vec<Linear> {
    widths.windows(2).map(|pair| Linear::new(pair[0], pair[1], init)).collect()
}

impl Encoder {
    fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let (channels, output) = (&config.channels, 2 * config.latents);
        let conv_in = channels.first().map(|&first| Conv2d::new(config.shape.channels, first, 3, init));
        let mut down = Vec::new();
        for pair in channels.windows(2) {
            down.push(Conv2d::new(pair[0], pair[1], 3, init).with_stride(2));
            down.push(Conv2d::new(pair[1], pair[1], 3, init));
        }
        let widths = match conv_in {
            Some(_) => vec![config.innermost(), output],
            None => [vec![config.shape.len()], config.hidden.clone(), vec![output]].concat(),
        };
        let told = channels.first().copied().unwrap_or(widths[1]);
        let class_embedding = (config.classes > 0).then(|| Embedding::new(config.classes, told, init));
        Self { conv_in, down, linear: linears(&widths, init), class_embedding }
    }

    fn forward(&self, x: Tensor<4>, classes: &[u32]) -> Posterior {
        let batch = x.dims()[0];
        let mut class = self.class_embedding.as_ref().map(|embedding| embedding.forward(classes));
        let mut x = match &self.conv_in {
            Some(conv_in) => {
                let mut x = conv_in.forward(x); // [B, C0, H, W]
                if let Some(class) = class.take() {
                    let channels = x.dims()[1];
                    x = x + class.reshape([batch, channels, 1, 1]);
                }
                for conv in &self.down {
                    x = conv.forward(silu(x)); // [B, Ci, H/2^i, W/2^i]
                }
                silu(x).flatten::<2>(1, 3)
            }
            None => x.flatten::<2>(1, 3),
        };
        for (number, linear) in self.linear.iter().enumerate() {
            x = linear.forward(if number == 0 { x } else { silu(x) });
            if let Some(class) = class.take() {
                x = x + class;
            }
        }
        let latents = x.dims()[1] / 2;
        Posterior { mean: x.clone().narrow(1, 0, latents), ln_var: x.narrow(1, latents, latents) }
    }
}

impl Decoder {
    fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let (channels, parameters) = (&config.channels, config.pixels.parameters());
        let [height, width] = config.size(0);
        let widths = match channels.is_empty() {
            false => vec![config.latents, config.innermost()],
            true => {
                let hidden = config.hidden.iter().rev().copied().collect();
                [vec![config.latents], hidden, vec![parameters * height * width]].concat()
            }
        };
        let linear = linears(&widths, init);
        let mut up = Vec::new();
        let mut sizes = Vec::new();
        for (level, pair) in channels.windows(2).enumerate().rev() {
            let [height, width] = config.size(level + 1);
            sizes.push([pair[1], height, width]);
            up.push(Conv2d::new(pair[1], pair[0], 3, init));
            up.push(Conv2d::new(pair[0], pair[0], 3, init));
        }
        sizes.push([channels.first().copied().unwrap_or(parameters), height, width]);
        let conv_out = channels.first().map(|&first| Conv2d::new(first, parameters, 3, init));
        let class_embedding = (config.classes > 0).then(|| Embedding::new(config.classes, widths[1], init));
        Self { linear, up, conv_out, class_embedding, sizes }
    }

    fn forward(&self, z: Tensor<2>, classes: &[u32]) -> Tensor<4> {
        let batch = z.dims()[0];
        let mut x = z;
        for (number, linear) in self.linear.iter().enumerate() {
            x = linear.forward(if number == 0 { x } else { silu(x) });
            if let Some(embedding) = self.class_embedding.as_ref().filter(|_| number == 0) {
                x = x + embedding.forward(classes);
            }
        }
        let [channels, height, width] = self.sizes[0];
        let mut x = x.reshape([batch, channels, height, width]);
        for (pair, &[_, height, width]) in self.up.chunks(2).zip(&self.sizes[1..]) {
            // Doubled, and cut where the halving had rounded up.
            x = ops::upsample_nearest2(silu(x)).narrow(2, 0, height).narrow(3, 0, width);
            for (number, conv) in pair.iter().enumerate() {
                x = conv.forward(if number == 0 { x } else { silu(x) });
            }
        }
        match &self.conv_out {
            Some(conv_out) => conv_out.forward(silu(x)), // [B, P, H, W]
            None => x,
        }
    }
}

// ---- The objective ----

/// What is trained.
#[derive(Debug, Clone)]
struct Objective {
    pixels: PixelDistribution,
    beta: f64,
    free_bits: f64,
    beta_warmup: u32,
    importance: usize,
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
struct VaeLearner {
    training: NetworkTraining<Vae>,
    objective: Objective,
    model: VaeModel,
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

// ---- The trained model ----

/// Pictures that go through the network at once, to bound memory.
const AT_ONCE: usize = 64;

/// The averaged networks and what surrounds them.
struct VaeModel {
    network: Ema<Vae>,
    pixels: PixelDistribution,
    latents: usize,
    shape: ImageShape,
    classes: Vec<String>,
    score_samples: usize,
    /// The recipe's `[sample]` table, under the request's options.
    sample: toml::Table,
    device: Device,
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

// ---- From recipe to parts ----

/// Reads the `[sample]` table.
fn sample_knobs(table: &toml::Table) -> Result<VaeSampleKnobs> {
    let knobs: VaeSampleKnobs = knobs::parse(table, "sample")?;
    if !(0.0..=100.0).contains(&knobs.temperature) {
        return Err(Error::config(format!(
            "sample.temperature is {}; it must be 0 to 100",
            knobs.temperature
        )));
    }
    Ok(knobs)
}

impl VaeKnobs {
    /// Fills in what is open for pictures of `shape`.
    fn fill(&mut self, shape: ImageShape) {
        match self.layers {
            Layers::Dense => _ = self.hidden.get_or_insert_with(|| vec![400]),
            Layers::Conv => {
                let longer = shape.height.max(shape.width).max(1);
                self.halvings.get_or_insert(longer.div_ceil(4).next_power_of_two().ilog2() as usize);
                self.width.get_or_insert(32);
            }
        }
    }

    /// The network of filled-in knobs.
    fn config(&self, facts: &DataFacts) -> Result<VaeConfig> {
        let (width, halvings) = (self.width.unwrap_or(0), self.halvings.unwrap_or(0));
        let hidden = self.hidden.clone().unwrap_or_default();
        let positive = |value: f64| value.is_finite() && value >= 0.0;
        let refuse = |key: &str, value: &dyn std::fmt::Debug, range: &str| {
            Err(Error::config(format!("model.{key} is {value:?}; it must be {range}")))
        };
        match self.layers {
            _ if !(1..=4096).contains(&self.latents) => return refuse("latents", &self.latents, "1 to 4096"),
            _ if !(1..=64).contains(&self.mixtures) => return refuse("mixtures", &self.mixtures, "1 to 64"),
            _ if !(1..=1000).contains(&self.importance) => {
                return refuse("importance", &self.importance, "1 to 1000");
            }
            _ if !(1..=100_000).contains(&self.score_samples) => {
                return refuse("score_samples", &self.score_samples, "1 to 100000");
            }
            _ if !positive(self.beta) => return refuse("beta", &self.beta, "at least 0"),
            _ if !positive(self.free_bits) => return refuse("free_bits", &self.free_bits, "at least 0"),
            _ if self.importance > 1
                && (self.beta != 1.0 || self.free_bits != 0.0 || self.beta_warmup != 0) =>
            {
                return Err(Error::config(
                    "model.importance above 1 trains its own bound: leave model.beta, model.free_bits and \
                     model.beta_warmup away",
                ));
            }
            Layers::Conv if !(1..=1024).contains(&width) => return refuse("width", &width, "1 to 1024"),
            Layers::Conv if halvings > 10 => return refuse("halvings", &halvings, "0 to 10"),
            Layers::Dense if hidden.iter().any(|width| !(1..=65_536).contains(width)) => {
                return refuse("hidden", &hidden, "widths from 1 to 65536");
            }
            _ => {}
        }
        let channels = match self.layers {
            Layers::Dense => Vec::new(),
            Layers::Conv => (0..=halvings).map(|level| width << level.min(2)).collect(),
        };
        Ok(VaeConfig {
            shape: facts.shape,
            classes: facts.classes.len(),
            latents: self.latents,
            hidden,
            channels,
            pixels: PixelDistribution {
                kind: self.decoder,
                levels: Levels::new(self.levels)?,
                mixtures: self.mixtures,
                channels: facts.shape.channels,
            },
        })
    }

    fn objective(&self, pixels: PixelDistribution) -> Objective {
        Objective {
            pixels,
            beta: self.beta,
            free_bits: self.free_bits,
            beta_warmup: self.beta_warmup,
            importance: self.importance,
        }
    }
}

fn parts(recipe: &Recipe, facts: &DataFacts) -> Result<(VaeKnobs, VaeConfig)> {
    let knobs: VaeKnobs = knobs::parse(&recipe.model, "model")?;
    let config = knobs.config(facts)?;
    Ok((knobs, config))
}

fn resolve(recipe: &mut Recipe, facts: &DataFacts, _: Budget) -> Result<()> {
    let mut knobs: VaeKnobs = knobs::parse(&recipe.model, "model")?;
    knobs.fill(facts.shape);
    knobs.config(facts)?;
    recipe.train.lr.get_or_insert(1e-3);
    recipe.model = knobs::table(&knobs)?;
    recipe.sample = knobs::table(&sample_knobs(&recipe.sample)?)?;
    Ok(())
}

fn cost(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    let (knobs, config) = parts(recipe, facts)?;
    let mut cost = config.cost();
    cost.forward_macs *= knobs.importance as u64;
    cost.activation_bytes *= knobs.importance as u64;
    Ok(cost)
}

fn new_model(
    network: &Vae,
    knobs: &VaeKnobs,
    config: &VaeConfig,
    recipe: &Recipe,
    facts: &DataFacts,
    device: &Device,
) -> VaeModel {
    VaeModel {
        network: Ema::new(network),
        pixels: config.pixels,
        latents: config.latents,
        shape: facts.shape,
        classes: facts.classes.clone(),
        score_samples: knobs.score_samples,
        sample: recipe.sample.clone(),
        device: device.clone(),
    }
}

fn learner(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let (knobs, config) = parts(recipe, facts)?;
    let network = Vae::new(&config, &mut Init::new(recipe.train.seed, &device.clone().autodiff()));
    let model = new_model(&network, &knobs, &config, recipe, facts, device);
    let objective = knobs.objective(config.pixels);
    Ok(Box::new(VaeLearner { training: NetworkTraining::new(network, &recipe.train), objective, model }))
}

fn model(recipe: &Recipe, facts: &DataFacts, snapshot: &Snapshot, device: &Device) -> Result<Box<dyn Model>> {
    let (knobs, config) = parts(recipe, facts)?;
    let network = Vae::new(&config, &mut Init::new(recipe.train.seed, device));
    let mut model = new_model(&network, &knobs, &config, recipe, facts, device);
    model.network.load("model", snapshot)?;
    Ok(Box::new(model))
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "vae",
    about: "VAE: encodes pictures as a few numbers and decodes them; smooth pictures, bounds the likelihood.",
    paper: "Kingma, Welling 2013, Auto-Encoding Variational Bayes; Burda, Grosse, Salakhutdinov 2015, Importance \
            Weighted Autoencoders",
    material: Material::Pictures,
    model_knobs: VaeKnobs::KNOBS,
    sample_knobs: VaeSampleKnobs::KNOBS,
    resolve,
    cost,
    learner,
    model,
};
