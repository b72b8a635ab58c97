//! What the rows of the adversarial families share: recipe to parts, parts to learner and model.

use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::knobs::{AdversarialKnobs, Conditioning, Net, Settings};
use super::learner::GanLearner;
use super::model::{GanModel, SampleKnobs};
use super::nets::{Pair, Plan, cnn, dcgan, mlp, modern, resnet, unet};
use crate::checkpoint::Snapshot;
use crate::data::DataFacts;
use crate::error::{Error, Result};
use crate::knobs;
use crate::model::{Learner, Model};
use crate::nn::{Budget, Cost, Ema, Init, Tally};
use crate::recipe::Recipe;

/// The expression with the pair of networks that a [`Net`] names as the type.
macro_rules! with_pair {
    ($net:expr, $pair:ident => $body:expr) => {
        match $net {
            Net::Mlp => with_pair!(mlp::Mlp, $pair, $body),
            Net::Dcgan => with_pair!(dcgan::Dcgan, $pair, $body),
            Net::Cnn => with_pair!(cnn::Cnn, $pair, $body),
            Net::Resnet => with_pair!(resnet::Resnet, $pair, $body),
            Net::Unet => with_pair!(unet::Unet, $pair, $body),
            Net::Modern => with_pair!(modern::Modern, $pair, $body),
        }
    };
    ($type:ty, $pair:ident, $body:expr) => {{
        type $pair = $type;
        $body
    }};
}

/// What makes one adversarial family differ from another.
pub trait Kind: Default + Serialize + DeserializeOwned {
    /// Knobs that are open come to these.
    fn usual(&self) -> Settings;
}

/// The `[model]` table of an adversarial family, its open knobs filled in, and the family's own.
fn read<K: Kind>(recipe: &Recipe, facts: &DataFacts) -> Result<(Settings, K)> {
    let (shared, own): (AdversarialKnobs, K) =
        knobs::parse_joined(&recipe.model, AdversarialKnobs::KNOBS, "model")?;
    let settings = shared.settings(own.usual(), facts);
    settings.check(facts)?;
    Ok((settings, own))
}

/// [`Family::resolve`](crate::families::Family::resolve) of an adversarial family.
///
/// # Errors
/// [`Error::Config`] for knobs or sizes that can't work.
pub fn resolve<K: Kind>(recipe: &mut Recipe, facts: &DataFacts, _: Budget) -> Result<()> {
    let (settings, own) = read::<K>(recipe, facts)?;
    Plan::new(&settings, facts)?;
    let sample: SampleKnobs = knobs::parse(&recipe.sample, "sample")?;
    sample.check()?;
    recipe.train.lr.get_or_insert(settings.lr);
    let batch = *recipe.train.batch.get_or_insert(settings.batch * settings.d_steps);
    if !batch.is_multiple_of(settings.d_steps) {
        return Err(Error::config(format!(
            "train.batch is {batch} and model.d_steps {}: each step of D takes its part of the batch, so the batch \
             must divide by their number",
            settings.d_steps
        )));
    }
    recipe.model = knobs::table(&AdversarialKnobs::from(settings))?;
    recipe.model.extend(knobs::table(&own)?);
    recipe.sample = knobs::table(&sample)?;
    Ok(())
}

/// [`Family::cost`](crate::families::Family::cost) of an adversarial family.
///
/// # Errors
/// As [`resolve`].
pub fn cost<K: Kind>(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    let (settings, _) = read::<K>(recipe, facts)?;
    let plan = Plan::new(&settings, facts)?;
    let [g, d] = with_pair!(settings.net, P => P::cost(&plan)).map(Tally::cost);
    // Each picture is judged beside a fake one, and G learns from as many as one step of D sees.
    let turns = settings.d_steps as u64;
    Ok(Cost {
        parameters: g.parameters + d.parameters,
        forward_macs: g.forward_macs + 2 * d.forward_macs + (g.forward_macs + d.forward_macs) / turns,
        activation_bytes: (g.activation_bytes + 2 * d.activation_bytes) / turns,
    })
}

/// [`Family::learner`](crate::families::Family::learner) of an adversarial family.
///
/// # Errors
/// As [`resolve`].
pub fn learner<K: Kind>(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let (settings, _) = read::<K>(recipe, facts)?;
    with_pair!(settings.net, P => learner_of::<P>(settings, recipe, facts, device))
}

/// [`Family::model`](crate::families::Family::model) of an adversarial family.
///
/// # Errors
/// As [`resolve`], or for a checkpoint whose weights don't fit.
pub fn model<K: Kind>(
    recipe: &Recipe,
    facts: &DataFacts,
    snapshot: &Snapshot,
    device: &Device,
) -> Result<Box<dyn Model>> {
    let (settings, _) = read::<K>(recipe, facts)?;
    with_pair!(settings.net, P => model_of::<P>(settings, recipe, facts, (snapshot, device)))
}

fn learner_of<P: Pair + 'static>(
    settings: Settings,
    recipe: &Recipe,
    facts: &DataFacts,
    device: &Device,
) -> Result<Box<dyn Learner>> {
    let plan = Plan::new(&settings, facts)?;
    let players = P::build(&plan, &mut Init::new(recipe.train.seed, &device.clone().autodiff()));
    let model = around(&players.0, &plan, recipe, facts, device);
    Ok(Box::new(GanLearner::<P>::new(players, model, settings, &recipe.train)))
}

fn model_of<P: Pair + 'static>(
    settings: Settings,
    recipe: &Recipe,
    facts: &DataFacts,
    (snapshot, device): (&Snapshot, &Device),
) -> Result<Box<dyn Model>> {
    let plan = Plan::new(&settings, facts)?;
    let (generator, _) = P::build(&plan, &mut Init::new(recipe.train.seed, device));
    let mut model = around(&generator, &plan, recipe, facts, device);
    model.load(snapshot)?;
    Ok(Box::new(model))
}

/// The model whose averages start at the weights of `generator`.
fn around<G: super::Generator>(
    generator: &G,
    plan: &Plan,
    recipe: &Recipe,
    facts: &DataFacts,
    device: &Device,
) -> GanModel<G> {
    GanModel {
        network: Ema::new(generator),
        shape: facts.shape,
        classes: if plan.classes == 0 { Vec::new() } else { facts.classes.clone() },
        exemplars: (plan.condition == Conditioning::Picture)
            .then(|| Tensor::zeros([plan.classes, plan.shape.len()], device)),
        sample: recipe.sample.clone(),
        device: device.clone(),
    }
}
