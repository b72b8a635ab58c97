//! How near the pictures that a model makes from pictures are to what they should be.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde::Serialize;

use super::collect::{Collected, collect};
use super::extract::{Learning, OwnExtractor};
use super::frechet::{Gaussian, Moments, frechet_distance};
use super::inpainting;
use super::knn::{self, Rows};
use super::pairs::{psnr, ssim};
use crate::data::split::{self, Split};
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::image_io::{self, Picture};
use crate::model::{Example, Request, Translate};
use crate::sample::Trained;
use crate::watch::Watch;

/// Pictures that are worked on at once.
pub(super) const CHUNK: usize = 16;
/// Training pairs that are searched for the one most alike.
const SEARCHED: usize = 5000;
/// Decibels of equal pictures, whose ratio is infinite, so that a mean over pictures exists.
const MOST_PSNR: f64 = 100.0;

/// What is compared with the truth, means over pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nearness {
    /// What it is.
    pub name: &'static str,
    /// Peak signal to noise ratio in decibels; 100 for equal pictures.
    pub psnr: f64,
    /// Structural similarity; `None` for pictures of less than 11 pixels.
    pub ssim: Option<f64>,
    /// Fréchet distance of the features of a small random network, for comparing rows of one table and nothing
    /// else; `None` for fewer than two pictures.
    pub distance: Option<f64>,
    /// The same of the features of what went in and what came out side by side, so that pictures which look true but belong
    /// to another input are far too (Fréchet joint distance: DeVries et al. 2019); `None` where what went in has another
    /// shape.
    pub joint: Option<f64>,
}

/// A model judged by pictures that it has not seen.
#[derive(Debug, Clone)]
pub struct Score {
    /// Pictures that were translated.
    pub count: usize,
    /// The model, and what it is to be compared with.
    pub rows: Vec<Nearness>,
    /// Of the first pictures what went in, what came out and, where that is known, what should have; as many
    /// pictures of each.
    pub sheet: Vec<Vec<Picture>>,
}

/// Judges a model by the pictures of `all` that are for tests, at most `most` of them: of pairs what comes out beside
/// the truth, and beside the training picture whose input is nearest (the baseline that has learned by heart); of a
/// model of both ways every picture beside itself after there and back. A model that has learned from no pairs and can
/// complete pictures is judged by [`inpainting`].
///
/// # Errors
/// [`Error::Config`] if nothing is held out; those of the model.
pub fn score(
    trained: &Trained,
    all: Arc<dyn Dataset>,
    options: &toml::Table,
    (most, shown): (usize, usize),
    watch: &mut dyn Watch,
) -> Result<Score> {
    if trained.facts.inputs.is_none() && trained.model.inpaint().is_some() {
        return inpainting::score(trained, all, options, (most, shown), watch);
    }
    let translator = trained.translator()?;
    let holdout = trained.recipe.data.holdout;
    let test = split::view(all.clone(), Split::Test, holdout)?;
    let train = split::view(all, Split::Train, holdout)?;
    let count = test.len().min(most);
    if count == 0 {
        return Err(Error::config(
            "no picture is held out for tests: train with data.holdout, or translate pictures of your own",
        ));
    }
    let made = Made::new(translator, &test, options, count, watch)?;
    let mut rows = Vec::new();
    if !made.truth.is_empty() {
        let shape = |pictures: &[Picture]| pictures.first().map(|picture| picture.shape);
        let alike = shape(&made.inputs) == shape(&made.truth);
        let yardstick = Yardstick::new(&train, &made.truth, watch)?;
        let yardstick = if alike { yardstick.beside(&made.inputs, watch)? } else { yardstick };
        rows.push(yardstick.row("model", &made.outputs, watch)?);
        let nearest = nearest(translator, &train, options, &made, watch)?;
        rows.push(yardstick.row("nearest training pair", &nearest, watch)?);
        if alike {
            let name = if translator.canvas(options)?.scale > 1 { "bicubic" } else { "what went in" };
            rows.push(yardstick.row(name, &made.inputs, watch)?);
        }
    }
    if !made.back.is_empty() {
        rows.push(nearness("there and back", &made.back, &made.inputs)?);
    }
    let sheet = vec![made.inputs, made.outputs, made.truth];
    Ok(Score { count, rows, sheet: sheet_of(sheet, shown) })
}

/// The first `shown` pictures of each row that has any.
pub(super) fn sheet_of(mut rows: Vec<Vec<Picture>>, shown: usize) -> Vec<Vec<Picture>> {
    rows.retain(|row| !row.is_empty());
    rows.iter_mut().for_each(|row| row.truncate(shown));
    rows
}

/// Compares pictures with what they should be.
pub(super) struct Yardstick<'a> {
    extractor: OwnExtractor,
    truth: &'a Vec<Picture>,
    features: Collected,
    /// Features of what went in.
    inputs: Option<Collected>,
}

impl<'a> Yardstick<'a> {
    /// With the features of a random network for pictures like those of `train`.
    pub(super) fn new(train: &dyn Dataset, truth: &'a Vec<Picture>, watch: &mut dyn Watch) -> Result<Self> {
        let extractor = OwnExtractor::random(train, Learning::default().seed, &Device::flex())?;
        let features = collect(&extractor, truth, watch)?;
        Ok(Self { extractor, truth, features, inputs: None })
    }

    /// Which also judges what belongs to `inputs`, pictures of the shape of the true ones.
    fn beside(self, inputs: &Vec<Picture>, watch: &mut dyn Watch) -> Result<Self> {
        let inputs = collect(&self.extractor, inputs, watch)?;
        Ok(Self { inputs: Some(inputs), ..self })
    }

    /// How near `pictures`, as many as are true, come to the truth.
    pub(super) fn row(
        &self,
        name: &'static str,
        pictures: &Vec<Picture>,
        watch: &mut dyn Watch,
    ) -> Result<Nearness> {
        let of = collect(&self.extractor, pictures, watch)?;
        let both = of.gaussian.as_ref().zip(self.features.gaussian.as_ref());
        let distance = both.map(|(a, b)| frechet_distance(a, b)).transpose()?;
        let joint = match &self.inputs {
            Some(inputs) if inputs.count > 1 => {
                Some(frechet_distance(&joint(inputs, &of)?, &joint(inputs, &self.features)?)?)
            }
            _ => None,
        };
        Ok(Nearness { distance, joint, ..nearness(name, pictures, self.truth)? })
    }
}

/// Of the features of two sets of as many pictures side by side.
fn joint(inputs: &Collected, outputs: &Collected) -> Result<Gaussian> {
    let (left, right) = (inputs.rows()?, outputs.rows()?);
    let width = inputs.width + outputs.width;
    let pairs: Vec<f32> = left.iter().zip(right.iter()).flat_map(|(a, b)| [a, b].concat()).collect();
    let mut moments = Moments::new(width);
    moments.add(Rows::new(&pairs, width)?)?;
    moments.finish()
}

/// What went in and came out.
#[derive(Default)]
struct Made {
    /// In the channels of what came out.
    inputs: Vec<Picture>,
    /// As they were.
    raw: Vec<f32>,
    outputs: Vec<Picture>,
    truth: Vec<Picture>,
    /// The inputs after there and back.
    back: Vec<Picture>,
}

impl Made {
    fn new(
        translator: &dyn Translate,
        set: &dyn Dataset,
        options: &toml::Table,
        count: usize,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let mut all = Self::default();
        let ways = translator.directions(options);
        let back = ways.iter().find(|way| *way != options).filter(|_| ways.len() == 2);
        for start in (0..count).step_by(CHUNK) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let end = (start + CHUNK).min(count);
            let batch = Batch::read(set, start..end, &Device::flex());
            let Example { inputs, truth } = translator.example(&batch, options)?;
            let request = |options: &toml::Table| Request {
                seeds: (start as u64..end as u64).collect(),
                classes: vec![],
                options: options.clone(),
            };
            let outputs = translator.translate(inputs.clone(), &request(options), watch)?;
            if let Some(back) = back {
                // As a user gets them: within the range.
                let there = outputs.clone().clamp(-1.0, 1.0);
                all.back.extend(image_io::pictures(translator.translate(there, &request(back), watch)?)?);
            }
            let scale = translator.canvas(options)?.scale;
            let channels = if back.is_some() { inputs.dims()[1] } else { outputs.dims()[1] };
            let shown = image_io::magnified(inputs.clone(), scale)?;
            all.inputs.extend(image_io::pictures(image_io::in_channels(shown, channels))?);
            all.raw.extend(host(inputs)?);
            all.outputs.extend(image_io::pictures(outputs)?);
            if let Some(truth) = truth {
                all.truth.extend(image_io::pictures(truth)?);
            }
            watch.progress("translating", end as u64, count as u64);
        }
        Ok(all)
    }
}

/// The truth of the training picture whose input is nearest to each of those of `made`.
fn nearest(
    translator: &dyn Translate,
    train: &dyn Dataset,
    options: &toml::Table,
    made: &Made,
    watch: &mut dyn Watch,
) -> Result<Vec<Picture>> {
    let count = train.len().min(SEARCHED);
    let (mut known, mut truths) = (Vec::new(), Vec::new());
    for start in (0..count).step_by(CHUNK) {
        let batch = Batch::read(train, start..(start + CHUNK).min(count), &Device::flex());
        let Example { inputs, truth } = translator.example(&batch, options)?;
        known.extend(host(inputs)?);
        truths.extend(truth.map(image_io::pictures).transpose()?.unwrap_or_default());
        watch.progress("reading pairs", (start + batch.len()) as u64, count as u64);
    }
    let width = known.len() / count.max(1);
    let found = knn::nearest(Rows::new(&made.raw, width)?, Rows::new(&known, width)?)?;
    let picture = |found: &knn::Neighbour| truths.get(found.index).cloned();
    let pictures: Option<Vec<Picture>> = found.iter().map(picture).collect();
    pictures.ok_or_else(|| Error::config("the training pictures have no truth beside them"))
}

/// Means over pairs of pictures.
fn nearness(name: &'static str, pictures: &[Picture], truth: &[Picture]) -> Result<Nearness> {
    let count = truth.len().max(1) as f64;
    let mut sums = (0.0, Some(0.0));
    for (a, b) in pictures.iter().zip(truth) {
        sums.0 += psnr(a, b)?.min(MOST_PSNR);
        sums.1 = sums.1.zip(ssim(a, b).ok()).map(|(sum, ssim)| sum + ssim);
    }
    Ok(Nearness {
        name,
        psnr: sums.0 / count,
        ssim: sums.1.map(|sum| sum / count),
        distance: None,
        joint: None,
    })
}

fn host(images: Tensor<4>) -> Result<Vec<f32>> {
    let values = images.into_data().convert::<f32>().try_into_vec::<f32>();
    values.map_err(|e| Error::Unsupported(format!("the pictures can't be read: {e:?}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data;
    use crate::recipe::DataRecipe;
    use crate::watch::Unwatched;

    /// Analytic case: the true pictures, each given to the wrong input, are as a set what they should be.
    #[test]
    fn true_pictures_of_other_inputs_are_far_only_jointly() {
        let recipe = DataRecipe { source: "builtin:digits".into(), ..DataRecipe::default() };
        let digits = data::open(&recipe, &data::default_cache_dir(), &mut Unwatched).unwrap().dataset;
        let batch = Batch::read(&*digits, 0..24, &Device::flex());
        let truth = image_io::pictures(batch.images.clone()).unwrap();
        let inputs = image_io::pictures(-batch.images).unwrap();
        let mut moved = truth.clone();
        moved.rotate_left(1);
        let mut watch = Unwatched;
        let yardstick = Yardstick::new(&*digits, &truth, &mut watch).unwrap();
        let yardstick = yardstick.beside(&inputs, &mut watch).unwrap();
        let right = yardstick.row("right", &truth, &mut watch).unwrap();
        assert!(right.distance.unwrap().abs() < 1e-6 && right.joint.unwrap().abs() < 1e-6, "{right:?}");
        let wrong = yardstick.row("wrong", &moved, &mut watch).unwrap();
        assert!(wrong.distance.unwrap().abs() < 1e-6 && wrong.joint.unwrap() > 0.1, "{wrong:?}");
    }
}
