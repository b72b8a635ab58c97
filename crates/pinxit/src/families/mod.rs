//! The registry: every family that Pinxit has, one row each.
//!
//! To add a family, write `families/x.rs` with a `FAMILY`, add `mod x;` and one row here. The
//! command line, its help, the README's table and the contract tests follow from the row.

pub mod cdcgan;
pub mod cgan;
pub mod cyclegan;
pub mod dcgan;
pub mod ddpm;
pub mod edm;
pub mod flow;
pub mod gan;
pub mod pix2pix;
pub mod pixelcnn;
pub mod pixelrnn;
pub mod r3gan;
pub mod sngan;
pub mod srgan;
pub mod style;
pub mod unet_gan;
pub mod vae;
pub mod vqvae;
pub mod wgan;
pub mod wgan_gp;

use burn::tensor::Device;

use crate::checkpoint::Snapshot;
use crate::data::DataFacts;
use crate::error::{Error, Result};
use crate::knobs::Knob;
use crate::model::{Learner, Model};
pub use crate::nn::{Budget, Cost};
use crate::recipe::{self, DataRecipe, Pair, Recipe};

/// A kind of generator: how it is called, set, trained and loaded.
pub struct Family {
    /// As typed after `--family`.
    pub name: &'static str,
    /// One sentence for a newcomer.
    pub about: &'static str,
    /// Authors, year and title of the paper.
    pub paper: &'static str,
    /// What it learns from.
    pub material: Material,
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

/// What a family learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Material {
    /// Pictures.
    Pictures,
    /// Pictures, and for each the one that it is to be made from.
    Pairs,
    /// Either.
    PicturesOrPairs,
    /// Two sets of pictures, of which each is to become like those of the other.
    Domains,
}

impl Material {
    /// Settles where what goes in comes from, as far as the recipe leaves that open. Idempotent.
    ///
    /// # Errors
    /// [`Error::Config`] if the recipe names what the family has no use for, or nothing that it needs.
    pub fn settle(self, data: &mut DataRecipe) -> Result<()> {
        let refuse = |message: &str| Err(Error::config(message));
        match (self, data.pair) {
            (Self::Pictures | Self::PicturesOrPairs, None) if data.inputs.is_none() => Ok(()),
            (Self::Pictures, _) => refuse(
                "data.inputs and data.pair are for families that make pictures from pictures, and this one makes \
                 them from nothing: leave them away, or take another --family",
            ),
            (Self::Pairs | Self::PicturesOrPairs, Some(Pair::Unpaired)) => refuse(
                "this family learns from pairs: data.pair = \"unpaired\" is for families that learn from two sets; \
                 take data.pair = \"names\", or another --family",
            ),
            (Self::Pairs | Self::PicturesOrPairs | Self::Domains, Some(_)) => Ok(()),
            (Self::Pairs, None) if data.inputs.is_none() => refuse(
                "this family learns to make pictures from others: name the folder of those with --inputs, or say how \
                 they are made with --pair side-by-side, edges, gray, blur, mask or downscale",
            ),
            (Self::Domains, None) if data.inputs.is_none() => refuse(
                "this family learns from two sets of pictures: name the folder of the other one with --inputs",
            ),
            (Self::Pairs | Self::PicturesOrPairs, None) => {
                data.pair = Some(Pair::Names);
                Ok(())
            }
            (Self::Domains, None) => {
                data.pair = Some(Pair::Unpaired);
                Ok(())
            }
        }
    }
}

impl Material {
    /// Pictures to try a family on, where a recipe names none: the built-in digits, blurred ones to make them
    /// from, or a second set of them.
    pub fn try_on_digits(self, data: &mut DataRecipe) {
        const DIGITS: &str = "builtin:digits";
        if data.source.is_empty() {
            data.source = DIGITS.into();
        }
        match self {
            Self::Pairs if data.inputs.is_none() => _ = data.pair.get_or_insert(Pair::Blur),
            Self::Domains if data.pair.is_none() => _ = data.inputs.get_or_insert(DIGITS.into()),
            _ => {}
        }
    }
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
    &vae::FAMILY,
    &vqvae::FAMILY,
    &pixelcnn::FAMILY,
    &pixelrnn::FAMILY,
    &pix2pix::FAMILY,
    &cyclegan::FAMILY,
    &srgan::FAMILY,
    &style::FAMILY,
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
