//! VAE: an encoder turns a picture into a distribution of latents, a decoder turns latents into a
//! distribution of pictures, and both learn from a bound of how probable the pictures are.

mod learner;
mod model;
mod network;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::checkpoint::Snapshot;
use crate::data::{DataFacts, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::learner::NetworkTraining;
use crate::likelihood::levels::Levels;
use crate::likelihood::pixel::{Kind, PixelDistribution};
use crate::model::{Learner, Model};
use crate::nn::{Budget, Cost, Ema, Init};
use crate::recipe::Recipe;

use learner::{Objective, VaeLearner};
use model::VaeModel;
pub use network::{Decoder, Encoder, Vae, VaeConfig};

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
