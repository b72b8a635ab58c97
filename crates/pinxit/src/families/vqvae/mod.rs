//! VQ-VAE: pictures as small grids of codes out of a learned book, and a gated PixelCNN that learns
//! which grids there are.

mod learner;
mod model;
mod network;

use burn::tensor::Device;

use super::{Family, Material};
use crate::checkpoint::Snapshot;
use crate::data::{DataFacts, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::learner::NetworkTraining;
use crate::likelihood::autoregressive::gated::GatedPixelCnn;
use crate::likelihood::autoregressive::knobs::{AutoregressiveSampleKnobs, sample_knobs};
use crate::likelihood::autoregressive::setup::NetworkConfig;
use crate::likelihood::levels::Levels;
use crate::likelihood::pixel::{Kind, PixelDistribution};
use crate::model::{Learner, Model};
use crate::nn::{Budget, Cost, Ema, Init, Tally};
use crate::recipe::Recipe;

use learner::VqVaeLearner;
use model::VqVaeModel;
use network::VqVae;

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

/// The parts of a resolved recipe that shape the networks.
#[derive(Debug, Clone)]
struct Config {
    knobs: VqVaeKnobs,
    halvings: usize,
    shape: ImageShape,
    pixels: PixelDistribution,
    prior: NetworkConfig,
}

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
