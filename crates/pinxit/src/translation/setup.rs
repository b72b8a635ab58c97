//! What the rows of the families share: recipe to parts, parts to learner and model.

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cycle::CycleLearner;
use super::knobs::{Net, Settings, TranslationKnobs, inputs};
use super::model::{Inputs, Painters, TranslateKnobs, TranslationModel};
use super::nets::{Generator, PatchDiscriminator};
use super::paired::PairedLearner;
use crate::checkpoint::Snapshot;
use crate::data::{DataFacts, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::model::{Learner, Model};
use crate::nn::{Budget, Cost, Ema, Init};
use crate::recipe::Recipe;

/// What makes one family differ from another.
pub trait Kind: Default + Serialize + DeserializeOwned {
    /// Knobs that are open come to these.
    fn usual(&self) -> Settings;

    /// How the pictures are learned from.
    fn game(&self) -> Game;
}

/// What is learned, apart from winning against the discriminator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Game {
    /// To be near the right picture.
    Paired {
        /// Weight of the mean absolute difference.
        l1: f64,
    },
    /// To be undone by the generator of the other direction.
    Cycle {
        /// Weight of the mean absolute difference after there and back.
        cycle: f64,
        /// Weight of that between a picture and what becomes of it where nothing should.
        identity: f64,
        /// Fakes that are kept for the discriminators.
        pool: usize,
    },
}

impl Game {
    /// Refuses weights that can't be, and a loss between pictures of different channels.
    fn check(&self, [input, output]: [usize; 2]) -> Result<()> {
        let weights = match *self {
            Self::Paired { l1 } => [("l1", l1), ("l1", l1)],
            Self::Cycle { cycle, identity, .. } => [("cycle", cycle), ("identity", identity)],
        };
        if let Some((name, weight)) = weights.iter().find(|(_, weight)| !(0.0..f64::MAX).contains(weight)) {
            return Err(Error::config(format!("model.{name} is {weight}; it must be a number from 0 on")));
        }
        match *self {
            Self::Cycle { identity, .. } if identity > 0.0 && input != output => Err(Error::config(format!(
                "model.identity compares pictures of {input} channels with ones of {output}: set it to 0, or \
                 data.channels and data.input_channels to one number"
            ))),
            _ => Ok(()),
        }
    }

    /// Generators, and as many discriminators.
    fn directions(&self) -> u64 {
        match self {
            Self::Paired { .. } => 1,
            Self::Cycle { .. } => 2,
        }
    }
}

/// A recipe's networks and game.
struct Parts {
    settings: Settings,
    game: Game,
    /// Channels that go in and come out.
    ends: [usize; 2],
    paired: bool,
}

fn read<K: Kind>(recipe: &Recipe, facts: &DataFacts) -> Result<(Parts, K)> {
    let (shared, own): (TranslationKnobs, K) =
        knobs::parse_joined(&recipe.model, TranslationKnobs::KNOBS, "model")?;
    let settings = shared.settings(&own.usual(), facts);
    settings.check(facts.shape)?;
    let inputs = inputs(facts)?;
    let (ends, game) = ([inputs.channels, facts.shape.channels], own.game());
    game.check(ends)?;
    Ok((Parts { settings, game, ends, paired: inputs.paired }, own))
}

/// [`Family::resolve`](crate::families::Family::resolve) of a family of pictures to pictures.
///
/// # Errors
/// [`Error::Config`] for knobs or sizes that can't work.
pub fn resolve<K: Kind>(recipe: &mut Recipe, facts: &DataFacts, _: Budget) -> Result<()> {
    let (Parts { settings, .. }, own) = read::<K>(recipe, facts)?;
    let sample: TranslateKnobs = knobs::parse(&recipe.sample, "sample")?;
    recipe.train.lr.get_or_insert(settings.lr);
    recipe.train.batch.get_or_insert(settings.batch);
    recipe.model = knobs::table(&TranslationKnobs::from(settings))?;
    recipe.model.extend(knobs::table(&own)?);
    recipe.sample = knobs::table(&sample)?;
    Ok(())
}

/// [`Family::cost`](crate::families::Family::cost) of a family of pictures to pictures.
///
/// # Errors
/// As [`resolve`].
pub fn cost<K: Kind>(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    let (Parts { settings, game, ends: [input, output], .. }, _) = read::<K>(recipe, facts)?;
    let ImageShape { height, width, .. } = facts.shape;
    let g = Generator::cost(&settings, [input, output], [height, width]).cost();
    let seen = if game.directions() == 1 { input + output } else { output };
    let d = PatchDiscriminator::cost(&settings, seen, [height, width]).cost();
    // Each way: a fake, and there and back and the identity of a cycle; D sees a real picture and a fake, twice.
    let (ways, passes) = (game.directions(), if game.directions() == 1 { 1 } else { 3 });
    Ok(Cost {
        parameters: ways * (g.parameters + d.parameters),
        forward_macs: ways * (passes * g.forward_macs + 3 * d.forward_macs),
        activation_bytes: ways * (passes * g.activation_bytes + 2 * d.activation_bytes),
    })
}

/// [`Family::learner`](crate::families::Family::learner) of a family of pictures to pictures.
///
/// # Errors
/// As [`resolve`].
pub fn learner<K: Kind>(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let (parts, _) = read::<K>(recipe, facts)?;
    let mut init = Init::new(recipe.train.seed, &device.clone().autodiff());
    let painters = painters(&parts, &mut init);
    let model = around(&painters, &parts, recipe, facts, device);
    let Parts { settings, game, ends: [input, output], .. } = parts;
    let mut judge = |channels| PatchDiscriminator::new(&settings, channels, &mut init);
    Ok(match game {
        Game::Paired { l1 } => {
            let d = judge(input + output);
            Box::new(PairedLearner::new((painters, d), model, settings, l1, &recipe.train))
        }
        Game::Cycle { cycle, identity, pool } => {
            let judges = [judge(output), judge(input)];
            let weights = [cycle, identity];
            Box::new(CycleLearner::new((painters, judges), model, settings, (weights, pool), &recipe.train))
        }
    })
}

/// [`Family::model`](crate::families::Family::model) of a family of pictures to pictures.
///
/// # Errors
/// As [`resolve`], or for a checkpoint whose weights don't fit.
pub fn model<K: Kind>(
    recipe: &Recipe,
    facts: &DataFacts,
    snapshot: &Snapshot,
    device: &Device,
) -> Result<Box<dyn Model>> {
    let (parts, _) = read::<K>(recipe, facts)?;
    let painters = painters(&parts, &mut Init::new(recipe.train.seed, device));
    let mut model = around(&painters, &parts, recipe, facts, device);
    model.load(snapshot)?;
    Ok(Box::new(model))
}

fn painters(parts: &Parts, init: &mut Init) -> Painters {
    let [input, output] = parts.ends;
    let forward = Generator::new(&parts.settings, [input, output], init);
    let backward =
        (parts.game.directions() == 2).then(|| Generator::new(&parts.settings, [output, input], init));
    Painters { forward, backward }
}

/// The model whose averages start at these weights.
fn around(
    painters: &Painters,
    parts: &Parts,
    recipe: &Recipe,
    facts: &DataFacts,
    device: &Device,
) -> TranslationModel {
    TranslationModel {
        network: Ema::new(painters),
        shape: facts.shape,
        input: parts.ends[0],
        inputs: if parts.paired { Inputs::Pairs } else { Inputs::Others },
        multiple: parts.settings.multiple(),
        fixed: parts.settings.net == Net::Unet,
        sample: recipe.sample.clone(),
        device: device.clone(),
    }
}
