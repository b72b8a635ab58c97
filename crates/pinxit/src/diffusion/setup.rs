//! What the rows of the diffusion families share: recipe to parts, parts to learner and model.

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::knobs::DiffusionKnobs;
use super::learner::DiffusionLearner;
use super::model::DiffusionModel;
use super::objective::{Objective, TrainingLevels};
use super::origin::Origin;
use super::precond::Preconditioning;
use super::sampling::SampleKnobs;
use crate::checkpoint::Snapshot;
use crate::data::DataFacts;
use crate::error::Result;
use crate::knobs;
use crate::model::{Learner, Model};
use crate::nn::{Budget, Cost};
use crate::nn::{Ema, Init, UNet2d, UNetConfig};
use crate::recipe::Recipe;

/// What makes one diffusion family differ from another.
pub trait Kind: Default + Serialize + DeserializeOwned {
    /// How it samples when the recipe doesn't say.
    const USUAL: Usual;

    /// Refuses knobs of its own that can't work.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the knob.
    fn parts(&self) -> Result<(Preconditioning, TrainingLevels)>;
}

/// What a family fills into an open `[sample]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// Name of the sampler.
    pub sampler: &'static str,
    /// Sampling steps.
    pub steps: usize,
    /// Whether to cut estimates to the range of pictures.
    pub clamp: bool,
}

/// The parts of a resolved recipe.
#[derive(Debug, Clone)]
struct Setup {
    unet: UNetConfig,
    preconditioning: Preconditioning,
    objective: Objective,
    origin: Origin,
    label_drop: f64,
}

impl Setup {
    fn new<K: Kind>(recipe: &Recipe, facts: &DataFacts) -> Result<Self> {
        let (shared, own) = read::<K>(recipe)?;
        let (preconditioning, levels) = own.parts()?;
        Ok(Self {
            unet: UNetConfig { checkpoint_blocks: recipe.train.checkpoint_blocks, ..shared.unet(facts)? },
            preconditioning,
            objective: Objective { levels, min_snr_gamma: shared.min_snr_gamma },
            origin: shared.origin(facts)?,
            label_drop: shared.label_drop,
        })
    }

    /// The model whose averages start at the weights of `network`.
    fn model(&self, network: &UNet2d, recipe: &Recipe, facts: &DataFacts, device: &Device) -> DiffusionModel {
        let classes = self.origin.classes(facts).to_vec();
        DiffusionModel {
            network: Ema::new(network),
            preconditioning: self.preconditioning.clone(),
            origin: self.origin,
            shape: facts.shape,
            knows_no_class: !classes.is_empty() && self.label_drop > 0.0,
            classes,
            sample: recipe.sample.clone(),
            device: device.clone(),
        }
    }
}

/// The `[model]` table of a diffusion family.
fn read<K: Kind>(recipe: &Recipe) -> Result<(DiffusionKnobs, K)> {
    knobs::parse_joined(&recipe.model, DiffusionKnobs::KNOBS, "model")
}

/// [`Family::resolve`](crate::families::Family::resolve) of a diffusion family.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for knobs or sizes that can't work.
pub fn resolve<K: Kind>(recipe: &mut Recipe, facts: &DataFacts, budget: Budget) -> Result<()> {
    let (mut shared, own) = read::<K>(recipe)?;
    shared.fill(facts, budget)?;
    let (preconditioning, _) = own.parts()?;

    let mut sample: SampleKnobs = knobs::parse(&recipe.sample, "sample")?;
    let Usual { sampler, steps, clamp } = K::USUAL;
    sample.sampler.get_or_insert(sampler.into());
    sample.steps.get_or_insert(steps);
    sample.clamp.get_or_insert(clamp);
    sample.plan(&preconditioning)?;

    recipe.train.lr.get_or_insert(shared.learning_rate());
    recipe.model = knobs::table(&shared)?;
    recipe.model.extend(knobs::table(&own)?);
    recipe.sample = knobs::table(&sample)?;
    Ok(())
}

/// [`Family::cost`](crate::families::Family::cost) of a diffusion family.
///
/// # Errors
/// As [`resolve`].
pub fn cost<K: Kind>(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    let setup = Setup::new::<K>(recipe, facts)?;
    Ok(setup.unet.cost([facts.shape.height, facts.shape.width]))
}

/// [`Family::learner`](crate::families::Family::learner) of a diffusion family.
///
/// # Errors
/// As [`resolve`].
pub fn learner<K: Kind>(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let setup = Setup::new::<K>(recipe, facts)?;
    let network = UNet2d::new(&setup.unet, &mut Init::new(recipe.train.seed, &device.clone().autodiff()));
    let model = setup.model(&network, recipe, facts, device);
    Ok(Box::new(DiffusionLearner::new(network, model, setup.objective, setup.label_drop, &recipe.train)))
}

/// [`Family::model`](crate::families::Family::model) of a diffusion family.
///
/// # Errors
/// As [`resolve`], or for a checkpoint whose weights don't fit.
pub fn model<K: Kind>(
    recipe: &Recipe,
    facts: &DataFacts,
    snapshot: &Snapshot,
    device: &Device,
) -> Result<Box<dyn Model>> {
    let setup = Setup::new::<K>(recipe, facts)?;
    let network = UNet2d::new(&setup.unet, &mut Init::new(recipe.train.seed, device));
    let mut model = setup.model(&network, recipe, facts, device);
    model.network.load("model", snapshot)?;
    Ok(Box::new(model))
}
