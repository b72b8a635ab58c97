//! The registry: every family that Pinxit has, one row each.
//!
//! To add a family, write `families/x.rs` with a `FAMILY`, add `mod x;` and one row here. The
//! command line, its help, the README's table and the contract tests follow from the row.

pub mod cdcgan;
pub mod cgan;
pub mod dcgan;
pub mod ddpm;
pub mod edm;
pub mod flow;
pub mod gan;
pub mod r3gan;
pub mod sngan;
pub mod unet_gan;
pub mod wgan;
pub mod wgan_gp;

use burn::tensor::Device;

use crate::checkpoint::Snapshot;
use crate::data::DataFacts;
use crate::error::{Error, Result};
use crate::knobs::Knob;
use crate::model::{Learner, Model};
pub use crate::nn::{Budget, Cost};
use crate::recipe::{self, Recipe};

/// A kind of generator: how it is called, set, trained and loaded.
pub struct Family {
    /// As typed after `--family`.
    pub name: &'static str,
    /// One sentence for a newcomer.
    pub about: &'static str,
    /// Authors, year and title of the paper.
    pub paper: &'static str,
    /// Keys of the recipe's `[model]` table.
    pub model_knobs: &'static [Knob],
    /// Keys of the recipe's `[sample]` table, and so the sampling flags that it has a use for.
    pub sample_knobs: &'static [Knob],
    /// Fills in what the recipe leaves open (`model` and `sample` tables, learning rate), from the
    /// shape and number of the pictures; refuses what can't work. Idempotent.
    pub resolve: fn(&mut Recipe, &DataFacts, Budget) -> Result<()>,
    /// What a resolved recipe costs.
    pub cost: fn(&Recipe, &DataFacts) -> Result<Cost>,
    /// A learner with fresh weights, for a resolved recipe.
    pub learner: fn(&Recipe, &DataFacts, &Device) -> Result<Box<dyn Learner>>,
    /// The trained model in a checkpoint of a resolved recipe.
    pub model: OpenModel,
}

/// Opens the trained model in a checkpoint.
pub type OpenModel = fn(&Recipe, &DataFacts, &Snapshot, &Device) -> Result<Box<dyn Model>>;

/// The family of a recipe that names none.
pub static DEFAULT: &Family = &flow::FAMILY;

/// Every family.
pub static FAMILIES: &[&Family] = &[
    &flow::FAMILY,
    &edm::FAMILY,
    &ddpm::FAMILY,
    &r3gan::FAMILY,
    &sngan::FAMILY,
    &unet_gan::FAMILY,
    &wgan_gp::FAMILY,
    &wgan::FAMILY,
    &cdcgan::FAMILY,
    &dcgan::FAMILY,
    &cgan::FAMILY,
    &gan::FAMILY,
];

/// Other names of families: what is typed, and the row that it means.
pub static ALIASES: &[(&str, &str)] = &[("butd-gan", "unet-gan")];

/// The family called `name`.
///
/// # Errors
/// [`Error::Config`] with the names that are nearest.
pub fn find(name: &str) -> Result<&'static Family> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let row = alias.map_or(name, |(_, row)| row);
    FAMILIES.iter().copied().find(|family| family.name == row).ok_or_else(|| {
        let names: Vec<String> = FAMILIES.iter().map(|family| family.name.into()).collect();
        Error::config(format!("there is no family \"{name}\"; {}", recipe::nearest(name, &names)))
    })
}
