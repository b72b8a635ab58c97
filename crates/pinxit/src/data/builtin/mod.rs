//! Pictures that need no network: stored digits and photographs, drawn sprites and glyphs.
//!
//! To add a set, implement [`Pictures`] in a file of its own and add one row to [`BUILTINS`].

mod digits;
mod fitted;
mod glyphs;
mod patches;
pub mod sprites;

use crate::data::{Dataset, ImageShape, prepare};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;

use fitted::Fitted;

/// A built-in set as a user sees it.
pub struct Builtin {
    /// As typed after `builtin:`.
    pub name: &'static str,
    /// One sentence for a newcomer.
    pub about: &'static str,
    /// Licence of the pictures, and whom to credit.
    pub licence: &'static str,
    /// Shape of a picture when the recipe asks for no other.
    pub shape: ImageShape,
    /// Whether the recipe's `count` and `seed` apply.
    pub endless: bool,
    make: fn(&DataRecipe) -> Result<Box<dyn Pictures>>,
}

/// Every built-in set.
pub static BUILTINS: &[&Builtin] = &[
    &digits::BUILTIN,
    &glyphs::BUILTIN,
    &sprites::BUILTIN,
    &sprites::NIGHT,
    &sprites::OUTLINES,
    &patches::BUILTIN,
];

/// The built-in set called `name` (without `builtin:`), brought to the shape that the recipe asks for.
///
/// # Errors
/// [`Error::Config`] if there is no such set (the message lists the names), or if the recipe asks
/// for a size, number of channels or count that can't be made.
pub fn open(name: &str, recipe: &DataRecipe) -> Result<Box<dyn Dataset>> {
    let Some(builtin) = BUILTINS.iter().find(|builtin| builtin.name == name) else {
        let names: Vec<_> = BUILTINS.iter().map(|builtin| format!("builtin:{}", builtin.name)).collect();
        return Err(Error::config(format!(
            "data: there is no built-in set `{name}`; choose one of {}, or give a folder",
            names.join(", ")
        )));
    };
    prepare::check(recipe)?;
    let pictures = (builtin.make)(recipe)?;
    Ok(Box::new(Fitted::new(pictures, recipe)))
}

/// The number of pictures to make of an endless set.
fn endless_count(recipe: &DataRecipe) -> Result<u32> {
    match u32::try_from(recipe.count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Error::config(format!(
            "data.count: {} pictures can't be made; the number goes from 1 to {}",
            recipe.count,
            u32::MAX
        ))),
    }
}

/// A built-in set at its native shape, as bytes.
trait Pictures: Send + Sync {
    /// The native shape.
    fn shape(&self) -> ImageShape;

    /// Number of pictures.
    fn len(&self) -> usize;

    /// Names of the classes.
    fn classes(&self) -> Vec<String>;

    /// Class of picture `index`.
    fn label(&self, index: usize) -> u32;

    /// Picture `index` at the native shape, planar `[C, H, W]`.
    fn pixels(&self, index: usize) -> Vec<u8>;

    /// Picture `index` as shown to a user.
    fn name(&self, index: usize) -> String;

    /// As [`Dataset::group`], for pictures that are not each a group of their own.
    fn group(&self, index: usize) -> Option<u64> {
        let _ = index;
        None
    }
}
