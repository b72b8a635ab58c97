//! Whether creatures by day made creatures by night keep their colours.
//!
//! The held-out pictures that go in are sprites, so what each should become is known: the same one by night. It is
//! also drawn by night in every other palette, and the palette whose drawing is nearest to what came out counts as
//! the one that the model has given it.

use std::sync::Arc;

use pinxit::data::builtin::sprites::{Palette, Sprite, Variant};
use pinxit::data::split::{self, Split};
use pinxit::data::{Dataset, ImageShape};
use pinxit::error::{Error, Result};
use pinxit::image_io::Picture;
use pinxit::metrics::pairs::{psnr, ssim};
use pinxit::metrics::pictures::Pictures;
use pinxit::recipe::DataRecipe;
use pinxit::sample::Trained;
use pinxit::translate::tiles::Image;
use pinxit::translate::{TranslateOptions, TranslatePlan};
use pinxit::watch::Unwatched;

/// Decibels of equal pictures, so that a mean exists.
const MOST_PSNR: f64 = 100.0;

/// What became of the held-out sprites.
#[derive(Default)]
pub(crate) struct Found {
    /// Sprites that came out in the palette that they went in with.
    pub(crate) right: usize,
    /// The same sprites by night.
    pub(crate) truth: Vec<Picture>,
    /// Sum of PSNR to them, in decibels.
    pub(crate) psnr: f64,
    /// Sum of SSIM to them.
    pub(crate) ssim: f64,
}

/// Whether a run goes from sprites by day to sprites by night.
pub(crate) fn applies(data: &DataRecipe) -> bool {
    (data.source.as_str(), data.inputs.as_deref()) == ("builtin:sprites-night", Some("builtin:sprites"))
}

/// Translates at most `most` of the held-out sprites by day.
pub(crate) fn judge(trained: &Trained, all: Arc<dyn Dataset>, most: usize) -> Result<Found> {
    let recipe = &trained.recipe.data;
    let Some(day) = split::view(all, Split::Test, recipe.holdout)?.inputs() else {
        return Err(Error::config("the run has no pictures that go in"));
    };
    let plan = TranslatePlan::new(trained, &TranslateOptions::default())?;
    let mut found = Found::default();
    for index in 0..Dataset::len(&*day.dataset).min(most) {
        // The set that goes in is drawn with the complement of the seed.
        let name = Dataset::name(&*day.dataset, index);
        let number = name.split(['#', ' ']).find_map(|part| part.parse().ok());
        let sprite = number.map(|number| Sprite::new(!recipe.seed, number));
        let Some(sprite) = sprite else { return Err(Error::config(format!("{name} is no sprite"))) };
        let values: Vec<f32> = day.dataset.picture(index)?.to_planar().collect();
        let ImageShape { channels, height, width } = Dataset::shape(&*day.dataset);
        let image = Image { channels, height, width, values };
        let made = plan.image(trained, &image, index, &mut Unwatched)?;
        let made = Picture::from_planar(&made.values, trained.facts.shape);
        let by_night = |palette| {
            let mut night = sprite.clone();
            night.palette = palette;
            Picture { shape: trained.facts.shape, pixels: interleaved(&night.render(Variant::Night)) }
        };
        let mut nearest = (f64::NEG_INFINITY, sprite.palette);
        for palette in Palette::ALL {
            let near = psnr(&made, &by_night(palette))?;
            if near > nearest.0 {
                nearest = (near, palette);
            }
        }
        let truth = by_night(sprite.palette);
        found.right += usize::from(nearest.1 == sprite.palette);
        found.psnr += psnr(&made, &truth)?.min(MOST_PSNR);
        found.ssim += ssim(&made, &truth)?;
        found.truth.push(truth);
    }
    Ok(found)
}

/// The channels of planar levels side by side.
fn interleaved(planar: &[u8]) -> Vec<u8> {
    let area = planar.len() / 3;
    (0..planar.len()).map(|i| planar[i % 3 * area + i / 3]).collect()
}
