//! What the rows of the autoregressive families share: recipe to parts, parts to learner and model.

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Autoregressive;
use super::knobs::{AutoregressiveKnobs, sample_knobs};
use super::learner::AutoregressiveLearner;
use super::model::AutoregressiveModel;
use crate::checkpoint::Snapshot;
use crate::data::DataFacts;
use crate::error::Result;
use crate::knobs;
use crate::likelihood::levels::Levels;
use crate::likelihood::pixel::{Kind as PixelKind, PixelDistribution};
use crate::model::{Learner, Model};
use crate::nn::{Budget, Cost, Ema, Init};
use crate::recipe::Recipe;

/// What a network is built for.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// Values of a pixel that go in.
    pub input: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Number of classes, 0 for an unconditional network.
    pub classes: usize,
    /// Features of a pixel.
    pub width: usize,
    /// Layers after the first.
    pub layers: usize,
    /// Probability of dropping a feature.
    pub dropout: f64,
    /// Channels of a pixel that know each other through the network, in order; 1 if none do.
    pub colours: usize,
    /// Parameters of a pixel that come out.
    pub output: usize,
}

/// What makes one autoregressive family differ from another.
pub trait Kind: Default + Serialize + DeserializeOwned {
    /// Its network.
    type Network: Autoregressive;

    /// Fills in what is open.
    fn fill(&mut self, facts: &DataFacts);

    /// Layers when the recipe doesn't say.
    fn usual_layers(&self) -> usize;

    /// The family of distributions that its network speaks of, and the number of its mixtures.
    fn pixels(&self) -> (PixelKind, usize);

    /// Refuses knobs of its own that can't work.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the knob.
    fn check(&self, config: &NetworkConfig) -> Result<()>;

    /// A network with fresh weights.
    fn network(&self, config: &NetworkConfig, init: &mut Init) -> Self::Network;

    /// What it costs.
    fn cost(&self, config: &NetworkConfig) -> Cost;
}

/// The parts of a resolved recipe.
struct Setup<K> {
    kind: K,
    config: NetworkConfig,
    pixels: PixelDistribution,
}

impl<K: Kind> Setup<K> {
    fn new(shared: &AutoregressiveKnobs, kind: K, facts: &DataFacts) -> Result<Self> {
        let (pixel_kind, mixtures) = kind.pixels();
        let channels = facts.shape.channels;
        let levels = Levels::new(shared.levels)?;
        let pixels = PixelDistribution { kind: pixel_kind, levels, mixtures, channels };
        let colours = pixels.draws().len();
        shared.check(colours)?;
        let config = NetworkConfig {
            input: channels,
            size: [facts.shape.height, facts.shape.width],
            classes: facts.classes.len(),
            width: shared.width.unwrap_or(0),
            layers: shared.layers.unwrap_or(0),
            dropout: shared.dropout,
            colours,
            output: pixels.parameters(),
        };
        kind.check(&config)?;
        Ok(Self { kind, config, pixels })
    }

    fn read(recipe: &Recipe, facts: &DataFacts) -> Result<Self> {
        let (shared, kind) = read::<K>(recipe)?;
        Self::new(&shared, kind, facts)
    }

    fn model(
        &self,
        network: &K::Network,
        recipe: &Recipe,
        facts: &DataFacts,
        device: &Device,
    ) -> AutoregressiveModel<K::Network> {
        AutoregressiveModel {
            network: Ema::new(network),
            pixels: self.pixels,
            shape: facts.shape,
            classes: facts.classes.clone(),
            sample: recipe.sample.clone(),
            device: device.clone(),
        }
    }
}

/// The `[model]` table of an autoregressive family.
fn read<K: Kind>(recipe: &Recipe) -> Result<(AutoregressiveKnobs, K)> {
    knobs::parse_joined(&recipe.model, AutoregressiveKnobs::KNOBS, "model")
}

/// [`Family::resolve`](crate::families::Family::resolve) of an autoregressive family.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for knobs or sizes that can't work.
pub fn resolve<K: Kind>(recipe: &mut Recipe, facts: &DataFacts, budget: Budget) -> Result<()> {
    let (mut shared, mut kind) = read::<K>(recipe)?;
    kind.fill(facts);
    shared.fill(facts, kind.usual_layers(), budget, |shared| {
        let kind: K = knobs::parse(&knobs::table(&kind)?, "model")?;
        let setup = Setup::new(shared, kind, facts)?;
        Ok(setup.kind.cost(&setup.config).forward_macs)
    })?;
    let sample = sample_knobs(&recipe.sample)?;
    recipe.model = knobs::table(&shared)?;
    recipe.model.extend(knobs::table(&kind)?);
    recipe.sample = knobs::table(&sample)?;
    recipe.train.lr.get_or_insert(1e-3);
    Setup::new(&shared, kind, facts).map(drop)
}

/// [`Family::cost`](crate::families::Family::cost) of an autoregressive family.
///
/// # Errors
/// As [`resolve`].
pub fn cost<K: Kind>(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    let setup = Setup::<K>::read(recipe, facts)?;
    Ok(setup.kind.cost(&setup.config))
}

/// [`Family::learner`](crate::families::Family::learner) of an autoregressive family.
///
/// # Errors
/// As [`resolve`].
pub fn learner<K: Kind>(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let setup = Setup::<K>::read(recipe, facts)?;
    let init = &mut Init::new(recipe.train.seed, &device.clone().autodiff());
    let network = setup.kind.network(&setup.config, init);
    let model = setup.model(&network, recipe, facts, device);
    Ok(Box::new(AutoregressiveLearner::new(network, model, &recipe.train)))
}

/// [`Family::model`](crate::families::Family::model) of an autoregressive family.
///
/// # Errors
/// As [`resolve`], or for a checkpoint whose weights don't fit.
pub fn model<K: Kind>(
    recipe: &Recipe,
    facts: &DataFacts,
    snapshot: &Snapshot,
    device: &Device,
) -> Result<Box<dyn Model>> {
    let setup = Setup::<K>::read(recipe, facts)?;
    let network = setup.kind.network(&setup.config, &mut Init::new(recipe.train.seed, device));
    let mut model = setup.model(&network, recipe, facts, device);
    model.network.load("model", snapshot)?;
    Ok(Box::new(model))
}
