//! How near repainted pictures come to their style, and how far they go from what they show.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::checkpoint::{Array, Snapshot};
use pinxit::data::split::{self, Split};
use pinxit::data::{Batch, Dataset};
use pinxit::error::{Error, Result};
use pinxit::image_io::{self, Picture};
use pinxit::model::Request;
use pinxit::sample::Trained;
use pinxit::translation::perceptual::Goal;
use pinxit::watch::Unwatched;

/// Pictures at once.
const CHUNK: usize = 16;

/// The layer whose content is compared, whatever a run was trained with.
const LAYER: usize = 2;

/// The style that a run has learned, if it has.
pub(crate) fn goal(trained: &Trained, snapshot: &Snapshot) -> Option<Result<Goal>> {
    trained.recipe.model.get("style")?;
    let features = trained.recipe.model.get("features")?.as_str()?;
    Some(Goal::load(features, snapshot, &Device::flex()))
}

/// What a run makes of held-out pictures.
pub(crate) struct Repainted {
    /// Content and style loss (Johnson et al. 2016, eq. 2 and 4) after and before.
    pub(crate) table: Vec<Vec<String>>,
    /// The style picture, pictures, and what they became.
    pub(crate) sheet: Vec<Vec<Picture>>,
}

/// Repaints at most `most` held-out pictures, of which `shown` are shown.
pub(crate) fn judge(
    trained: &Trained,
    goal: &Goal,
    all: Arc<dyn Dataset>,
    (most, shown): (usize, usize),
) -> Result<Repainted> {
    let test = split::view(all, Split::Test, trained.recipe.data.holdout)?;
    let count = Dataset::len(&test).min(most);
    let (mut sums, mut before, mut after) = ([[0.0; 2]; 2], Vec::new(), Vec::new());
    for start in (0..count).step_by(CHUNK) {
        let batch = Batch::read(&test, start..(start + CHUNK).min(count), &Device::flex());
        let request = Request {
            seeds: (start as u64..).take(batch.len()).collect(),
            classes: vec![],
            options: trained.recipe.sample.clone(),
        };
        let made = trained.translator()?.translate(batch.images.clone(), &request, &mut Unwatched)?;
        for (sums, y) in sums.iter_mut().zip([made.clone().clamp(-1.0, 1.0), batch.images.clone()]) {
            let losses =
                goal.losses(Tensor::from_inner(batch.images.clone()), Tensor::from_inner(y), LAYER)?;
            for (sum, loss) in sums.iter_mut().zip(losses) {
                *sum += batch.len() as f64 * f64::from(loss.into_scalar::<f32>());
            }
        }
        before.extend(image_io::pictures(batch.images)?);
        after.extend(image_io::pictures(made)?);
    }
    let line = |(name, sums): (&str, [f64; 2])| {
        let [content, style] = sums.map(|sum| format!("{:.4}", sum / count.max(1) as f64));
        vec![name.to_string(), content, style]
    };
    let head = vec![format!("{count} held-out pictures"), "content loss".into(), "style loss".into()];
    let table =
        std::iter::once(head).chain(["model", "what went in"].into_iter().zip(sums).map(line)).collect();
    before.truncate(shown);
    after.truncate(shown);
    let Some(like) = before.first() else { return Err(Error::config("no picture is held out")) };
    Ok(Repainted { table, sheet: vec![row(goal, like, before.len())?, before, after] })
}

/// The style picture at the sides of `like`, and as many blank ones as make a row of `columns`.
fn row(goal: &Goal, like: &Picture, columns: usize) -> Result<Vec<Picture>> {
    let Array { shape, values } = goal.picture();
    let data = TensorData::new(values.clone(), shape.clone());
    let sides = [like.shape.height, like.shape.width];
    let picture = image_io::bicubic(Tensor::<4>::from_data(data, &Device::flex()), sides)?;
    let mut row = image_io::pictures(picture)?;
    row.resize(columns, Picture::blank(like.shape));
    if row.first().is_none_or(|picture| picture.shape != like.shape) {
        return Err(Error::config("the style picture has other channels than the pictures"));
    }
    Ok(row)
}
