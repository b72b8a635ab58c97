//! Whether a run that makes creatures by day into creatures by night keeps their colours:
//! `cargo run --release --example palette_figures -- runs/sprites-cyclegan [COUNT]`.
//!
//! The held-out pictures that go in are sprites, so what each should become is known: the same one by night. It is
//! also drawn by night in every other palette, and the palette whose drawing is nearest to what came out counts as
//! the one that the model has given it.

use std::path::Path;
use std::sync::Arc;

use pinxit::data::builtin::sprites::{Palette, Sprite, Variant};
use pinxit::data::split::{self, Split};
use pinxit::data::{self, Dataset, ImageShape};
use pinxit::device;
use pinxit::error::{Error, Result};
use pinxit::image_io::Picture;
use pinxit::metrics::pairs::{psnr, ssim};
use pinxit::metrics::pictures::Pictures;
use pinxit::run::Run;
use pinxit::sample::Trained;
use pinxit::translate::tiles::Image;
use pinxit::translate::{TranslateOptions, TranslatePlan};
use pinxit::watch::Unwatched;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else { return Err(Error::config("name the folder of a run")) };
    let most = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(200);
    let trained = Trained::open(&Run::open(Path::new(&folder))?, None, &device::select(None)?)?;
    let recipe = &trained.recipe.data;
    if (recipe.source.as_str(), recipe.inputs.as_deref())
        != ("builtin:sprites-night", Some("builtin:sprites"))
    {
        return Err(Error::config("the run must go from builtin:sprites to builtin:sprites-night"));
    }
    let all: Arc<dyn Dataset> =
        data::open(recipe, &data::default_cache_dir(), &mut Unwatched)?.dataset.into();
    let Some(day) = split::view(all, Split::Test, recipe.holdout)?.inputs() else {
        return Err(Error::config("the run has no pictures that go in"));
    };
    let plan = TranslatePlan::new(&trained, &TranslateOptions::default())?;
    let count = Dataset::len(&*day.dataset).min(most);
    let (mut right, mut decibels, mut likeness) = (0, 0.0, 0.0);
    for index in 0..count {
        // The set that goes in is drawn with the complement of the seed.
        let name = Dataset::name(&*day.dataset, index);
        let number = name.split(['#', ' ']).find_map(|part| part.parse().ok());
        let sprite = number.map(|number| Sprite::new(!recipe.seed, number));
        let Some(sprite) = sprite else { return Err(Error::config(format!("{name} is no sprite"))) };
        let values: Vec<f32> = day.dataset.picture(index)?.to_planar().collect();
        let ImageShape { channels, height, width } = Dataset::shape(&*day.dataset);
        let image = Image { channels, height, width, values };
        let made = plan.image(&trained, &image, index, &mut Unwatched)?;
        let made = Picture::from_planar(&made.values, trained.facts.shape);
        let by_night = |palette: Palette| {
            let mut night = sprite.clone();
            night.palette = palette;
            let values: Vec<f32> = night
                .render(Variant::Night)
                .into_iter()
                .map(|level| f32::from(level) / 127.5 - 1.0)
                .collect();
            Picture::from_planar(&values, trained.facts.shape)
        };
        let mut nearest = (f64::NEG_INFINITY, sprite.palette);
        for palette in Palette::ALL {
            let near = psnr(&made, &by_night(palette))?;
            if near > nearest.0 {
                nearest = (near, palette);
            }
        }
        right += usize::from(nearest.1 == sprite.palette);
        decibels += psnr(&made, &by_night(sprite.palette))?.min(100.0);
        likeness += ssim(&made, &by_night(sprite.palette))?;
    }
    let n = count.max(1) as f64;
    println!("{count} held-out sprites, step {}", trained.step);
    println!("palette right: {:.1} %", 100.0 * right as f64 / n);
    println!("PSNR {:.2} dB and SSIM {:.3} to the same sprite by night", decibels / n, likeness / n);
    Ok(())
}
