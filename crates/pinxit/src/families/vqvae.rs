//! VQ-VAE: pictures as small grids of codes out of a learned book, and a gated PixelCNN that learns
//! which grids there are.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Family, Material};
use crate::checkpoint::{Array, Snapshot};
use crate::data::{Batch, DataFacts, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::learner::{NetworkTraining, Share};
use crate::likelihood::autoregressive::gated::GatedPixelCnn;
use crate::likelihood::autoregressive::knobs::{AutoregressiveSampleKnobs, sample_knobs};
use crate::likelihood::autoregressive::paint::{Brush, Painting};
use crate::likelihood::autoregressive::setup::NetworkConfig;
use crate::likelihood::autoregressive::{Autoregressive, Start};
use crate::likelihood::levels::Levels;
use crate::likelihood::pixel::{Kind, PixelDistribution};
use crate::likelihood::{bits_per_dim, categorical, values};
use crate::model::{
    Generate, Latents, Learner, Likelihood, Losses, Model, Request, Step, check_classes, check_latents,
    check_shape,
};
use crate::nn::{Activation, Budget, Codebook, Conv2d, ConvTranspose2d, Cost, Ema, Init, Mode, Tally, ops};
use crate::recipe::Recipe;
use crate::rng::{Purpose, Rng};
use crate::watch::{Part, Watch};

crate::knobs! {
    /// The `[model]` table.
    pub struct VqVaeKnobs {
        /// Features of encoder and decoder, 1 to 1024.
        pub width: usize = 64,
        /// How often the encoder halves height and width, 1 to 6; the size must divide by 2 to this power.
        pub halvings: Option<usize> = None,
        /// Codes in the book, 2 to 8192.
        pub codes: usize = 128,
        /// Values of a code, 1 to 1024.
        pub code_dim: usize = 16,
        /// Decay of the averages that the codes are, 0 to below 1.
        pub code_decay: f64 = 0.99,
        /// How strongly the encoder is held to its codes (the paper's beta).
        pub commitment: f64 = 0.25,
        /// Share of the steps that learn the codes alone, 0 to below 1; then these stay, and the other steps learn which
        /// stand together, as in the paper. 0 learns both all the time.
        pub codes_first: f64 = 0.0,
        /// What the decoder says of a pixel: `logistic`, `gaussian`, `softmax`, or `bernoulli` for black and white.
        pub decoder: Kind = Kind::Logistic,
        /// Logistics in the mixture of a pixel of `logistic`, 1 to 64.
        pub mixtures: usize = 5,
        /// Grey levels of the pictures, 2 to 256: 17 for builtin:digits.
        pub levels: usize = 256,
        /// Features of the network that learns which codes stand together, an even number up to 1024.
        pub prior_width: usize = 64,
        /// Its layers after the first, 1 to 100.
        pub prior_layers: usize = 6,
        /// Probability of dropping one of its features, 0 to below 1.
        pub dropout: f64 = 0.1,
    }
}

// ---- The networks ----

/// Encoder, codebook and decoder (van den Oord et al. 2017, section 4.1): convolutions of stride 2 with
/// 4x4 kernels, two residual blocks, and the same back.
#[derive(Module, Debug)]
pub struct VqVae {
    down: Vec<Conv2d>,
    encoder: Vec<ResidualBlock>,
    to_code: Conv2d,
    codebook: Codebook,
    from_code: Conv2d,
    decoder: Vec<ResidualBlock>,
    up: Vec<ConvTranspose2d>,
    conv_out: Conv2d,
}

/// ReLU, 3x3, ReLU, 1x1.
#[derive(Module, Debug)]
struct ResidualBlock {
    conv1: Conv2d,
    conv2: Conv2d,
}

/// The parts of a resolved recipe that shape the networks.
#[derive(Debug, Clone)]
struct Config {
    knobs: VqVaeKnobs,
    halvings: usize,
    shape: ImageShape,
    pixels: PixelDistribution,
    prior: NetworkConfig,
}

impl VqVae {
    fn new(config: &Config, init: &mut Init) -> Self {
        let &VqVaeKnobs { width, codes, code_dim, code_decay, .. } = &config.knobs;
        let inputs = std::iter::once(config.shape.channels).chain(std::iter::repeat(width));
        let down = inputs.take(config.halvings);
        let blocks = |init: &mut Init| {
            [0, 1].map(|_| ResidualBlock {
                conv1: Conv2d::new(width, width, 3, init),
                conv2: Conv2d::new(width, width, 1, init),
            })
        };
        Self {
            down: down
                .map(|input| Conv2d::new(input, width, 4, init).with_stride(2).with_padding(1))
                .collect(),
            encoder: blocks(init).into(),
            to_code: Conv2d::new(width, code_dim, 1, init),
            codebook: Codebook::new(codes, code_dim, code_decay, init),
            from_code: Conv2d::new(code_dim, width, 3, init),
            decoder: blocks(init).into(),
            up: (0..config.halvings)
                .map(|_| ConvTranspose2d::new(width, width, 4, init).with_stride(2).with_padding(1))
                .collect(),
            conv_out: Conv2d::new(width, config.pixels.parameters(), 3, init),
        }
    }

    /// x `[B, C, H, W]` -> `[B, D, h, w]`, before it is rounded to codes.
    fn encode(&self, mut x: Tensor<4>) -> Tensor<4> {
        for conv in &self.down {
            x = relu(conv.forward(x)); // [B, F, H/2^i, W/2^i]
        }
        for block in &self.encoder {
            x = block.forward(x);
        }
        self.to_code.forward(relu(x))
    }

    /// z `[B, D, h, w]` -> parameters of every pixel's distribution `[B, P, H, W]`.
    fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        let mut x = self.from_code.forward(z);
        for block in &self.decoder {
            x = block.forward(x);
        }
        for conv in &self.up {
            x = relu(conv.forward(x));
        }
        self.conv_out.forward(x)
    }

    /// The nearest codes of z `[B, D, h, w]` as vectors `[B, D, h, w]` and as indices `[B h w]`, both
    /// without autodiff.
    fn quantise(&self, z: &Tensor<4>) -> (Tensor<4>, Tensor<1, Int>) {
        let [batch, dim, height, width] = z.dims();
        let rows = vectors(&z.clone().inner());
        let indices = self.codebook.nearest(rows);
        let codes = self.codebook.look_up(indices.clone()).reshape([batch, height, width, dim]);
        (codes.permute([0, 3, 1, 2]), indices)
    }
}

/// `[B, D, h, w]` -> `[B h w, D]`.
fn vectors(z: &Tensor<4>) -> Tensor<2> {
    let [batch, dim, height, width] = z.dims();
    z.clone().permute([0, 2, 3, 1]).reshape([batch * height * width, dim])
}

fn relu(x: Tensor<4>) -> Tensor<4> {
    ops::activate(x, Activation::Relu)
}

impl ResidualBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        x.clone() + self.conv2.forward(relu(self.conv1.forward(relu(x))))
    }
}

/// `-ln p(codes)` of each picture: logits `[B, K, h, w]`, codes `[B h w]` -> `[B]`.
fn code_nats(logits: Tensor<4>, codes: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _, height, width] = logits.dims();
    let codes = codes.reshape([batch, 1, height, width]);
    let chosen = burn::tensor::activation::log_softmax(logits, 1).gather(1, codes); // [B, 1, h, w]
    crate::likelihood::sum_of_each(chosen).neg()
}

// ---- Learning ----

/// A VQ-VAE in training: the prior learns beside it from the codes of the moment, or after it from those that
/// came out.
struct VqVaeLearner {
    autoencoder: NetworkTraining<VqVae>,
    prior: NetworkTraining<GatedPixelCnn>,
    commitment: f64,
    /// The first step of the prior alone; 0 if both learn all the time.
    prior_from: u32,
    model: VqVaeModel,
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

// ---- The trained model ----

/// Pictures that are worked on at once, to bound memory.
const AT_ONCE: usize = 64;

/// The averaged networks and what surrounds them.
struct VqVaeModel {
    network: Ema<VqVae>,
    prior: Ema<GatedPixelCnn>,
    pixels: PixelDistribution,
    /// Values of a code, rows and columns of a grid of codes.
    grid: [usize; 3],
    shape: ImageShape,
    classes: Vec<String>,
    /// The recipe's `[sample]` table, under the request's options.
    sample: toml::Table,
    device: Device,
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

// ---- From recipe to parts ----

impl Config {
    fn new(knobs: VqVaeKnobs, facts: &DataFacts) -> Result<Self> {
        let shape = facts.shape;
        let halvings = knobs.halvings.unwrap_or(0);
        let within =
            |key: &str, value: usize, range: std::ops::RangeInclusive<usize>| match range.contains(&value) {
                true => Ok(()),
                false => Err(Error::config(format!(
                    "model.{key} is {value}; it must be {} to {}",
                    range.start(),
                    range.end()
                ))),
            };
        within("width", knobs.width, 1..=1024)?;
        within("halvings", halvings, 1..=6)?;
        within("codes", knobs.codes, 2..=8192)?;
        within("code_dim", knobs.code_dim, 1..=1024)?;
        within("mixtures", knobs.mixtures, 1..=64)?;
        within("prior_width", knobs.prior_width, 2..=1024)?;
        within("prior_layers", knobs.prior_layers, 1..=100)?;
        let shares = [
            ("code_decay", knobs.code_decay),
            ("dropout", knobs.dropout),
            ("codes_first", knobs.codes_first),
        ];
        for (key, value) in shares {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::config(format!(
                    "model.{key} is {value}; it must be at least 0 and below 1"
                )));
            }
        }
        if !(knobs.commitment.is_finite() && knobs.commitment >= 0.0) {
            return Err(Error::config(format!(
                "model.commitment is {}; it must be at least 0",
                knobs.commitment
            )));
        }
        let multiple = 1 << halvings;
        if !(shape.height.is_multiple_of(multiple) && shape.width.is_multiple_of(multiple)) {
            return Err(Error::config(format!(
                "pictures of {}x{} pixels can't be halved {halvings} times (model.halvings); use height and width \
                 divisible by {multiple}",
                shape.height, shape.width
            )));
        }
        let pixels = PixelDistribution {
            kind: knobs.decoder,
            levels: Levels::new(knobs.levels)?,
            mixtures: knobs.mixtures,
            channels: shape.channels,
        };
        let prior = NetworkConfig {
            input: knobs.code_dim,
            size: [shape.height / multiple, shape.width / multiple],
            classes: facts.classes.len(),
            width: knobs.prior_width,
            layers: knobs.prior_layers,
            dropout: knobs.dropout,
            colours: 1,
            output: knobs.codes,
        };
        Ok(Self { knobs, halvings, shape, pixels, prior })
    }

    fn read(recipe: &Recipe, facts: &DataFacts) -> Result<Self> {
        Self::new(knobs::parse(&recipe.model, "model")?, facts)
    }

    /// Counts the layers of [`VqVae::new`] and of the prior.
    fn cost(&self) -> Cost {
        let (mut tally, width) = (Tally::default(), self.knobs.width);
        let size = |level: usize| [self.shape.height, self.shape.width].map(|side| side >> level);
        for level in 0..self.halvings {
            let input = if level == 0 { self.shape.channels } else { width };
            tally.conv2d(input, width, 4, 2, size(level + 1));
            tally.taps(width, width, 16, size(level + 1)); // its transpose
        }
        let grid = size(self.halvings);
        for _ in 0..4 {
            tally.conv2d(width, width, 3, 1, grid);
            tally.conv2d(width, width, 1, 1, grid);
        }
        tally.conv2d(width, self.knobs.code_dim, 1, 1, grid);
        tally.conv2d(self.knobs.code_dim, width, 3, 1, grid);
        tally.conv2d(width, self.pixels.parameters(), 3, 1, size(0));
        let (own, prior) = (tally.cost(), GatedPixelCnn::cost(&self.prior));
        Cost {
            parameters: own.parameters + prior.parameters,
            forward_macs: own.forward_macs + prior.forward_macs,
            activation_bytes: own.activation_bytes + prior.activation_bytes,
        }
    }

    fn networks(&self, seed: u64, device: &Device) -> (VqVae, GatedPixelCnn) {
        let init = &mut Init::new(seed, device);
        (VqVae::new(self, init), GatedPixelCnn::new(&self.prior, init))
    }

    fn model(
        &self,
        (network, prior): (&VqVae, &GatedPixelCnn),
        recipe: &Recipe,
        facts: &DataFacts,
        device: &Device,
    ) -> VqVaeModel {
        let [height, width] = self.prior.size;
        VqVaeModel {
            network: Ema::new(network),
            prior: Ema::new(prior),
            pixels: self.pixels,
            grid: [self.knobs.code_dim, height, width],
            shape: self.shape,
            classes: facts.classes.clone(),
            sample: recipe.sample.clone(),
            device: device.clone(),
        }
    }
}

fn resolve(recipe: &mut Recipe, facts: &DataFacts, _: Budget) -> Result<()> {
    let mut knobs: VqVaeKnobs = knobs::parse(&recipe.model, "model")?;
    let even = (facts.shape.height | facts.shape.width).trailing_zeros() as usize;
    let wanted = if facts.shape.height.max(facts.shape.width) <= 12 { 1 } else { 2 };
    knobs.halvings.get_or_insert(wanted.min(even.max(1)));
    Config::new(knobs.clone(), facts)?;
    recipe.train.lr.get_or_insert(1e-3);
    recipe.model = knobs::table(&knobs)?;
    recipe.sample = knobs::table(&sample_knobs(&recipe.sample)?)?;
    Ok(())
}

fn cost(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    Ok(Config::read(recipe, facts)?.cost())
}

fn learner(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let config = Config::read(recipe, facts)?;
    let (network, prior) = config.networks(recipe.train.seed, &device.clone().autodiff());
    let model = config.model((&network, &prior), recipe, facts, device);
    Ok(Box::new(VqVaeLearner {
        autoencoder: NetworkTraining::new(network, &recipe.train),
        prior: NetworkTraining::new(prior, &recipe.train),
        commitment: config.knobs.commitment,
        prior_from: (config.knobs.codes_first * f64::from(recipe.train.steps.unwrap_or(0))) as u32,
        model,
    }))
}

fn model(recipe: &Recipe, facts: &DataFacts, snapshot: &Snapshot, device: &Device) -> Result<Box<dyn Model>> {
    let config = Config::read(recipe, facts)?;
    let (network, prior) = config.networks(recipe.train.seed, device);
    let mut model = config.model((&network, &prior), recipe, facts, device);
    model.network.load("model", snapshot)?;
    model.prior.load("prior-model", snapshot)?;
    Ok(Box::new(model))
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "vqvae",
    about: "VQ-VAE: pictures as grids of codes, and a gated PixelCNN over the codes that makes new ones.",
    paper: "van den Oord, Vinyals, Kavukcuoglu 2017, Neural Discrete Representation Learning",
    material: Material::Pictures,
    model_knobs: VqVaeKnobs::KNOBS,
    sample_knobs: AutoregressiveSampleKnobs::KNOBS,
    resolve,
    cost,
    learner,
    model,
};
