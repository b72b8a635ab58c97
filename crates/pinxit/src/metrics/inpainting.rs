//! How well a model paints what is hidden of pictures.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::translation::{CHUNK, Score, Yardstick, sheet_of};
use crate::data::split::{self, Split};
use crate::data::{Batch, Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::image_io;
use crate::model::Request;
use crate::sample::Trained;
use crate::watch::{Part, Watch};

/// Judges a model by the pictures of `all` that are for tests, at most `most` of them: a square in the middle, of half
/// their sides, is hidden and painted anew. Beside it stands the baseline that fills the square with the mean of what is
/// not hidden, channel by channel. PSNR and SSIM are over the whole picture.
///
/// # Errors
/// [`Error::Unsupported`] if the model can't paint what is hidden, [`Error::Config`] if nothing is held out; those of
/// the model.
pub fn score(
    trained: &Trained,
    all: Arc<dyn Dataset>,
    options: &toml::Table,
    (most, shown): (usize, usize),
    watch: &mut dyn Watch,
) -> Result<Score> {
    let Some(model) = trained.model.inpaint() else {
        return Err(Error::Unsupported(format!("{} can't complete pictures", trained.family.name)));
    };
    let holdout = trained.recipe.data.holdout;
    let test = split::view(all.clone(), Split::Test, holdout)?;
    let train = split::view(all, Split::Train, holdout)?;
    let count = test.len().min(most);
    if count == 0 {
        return Err(Error::config("no picture is held out for tests: train with data.holdout"));
    }
    let hidden = square(test.shape());
    let classes = !trained.model.classes().is_empty();
    let (mut truth, mut filled, mut painted) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..count).step_by(CHUNK) {
        let end = (start + CHUNK).min(count);
        let batch = Batch::read(&test, start..end, &Device::flex());
        let mask = hidden.clone().repeat_dim(0, end - start);
        let request = Request {
            seeds: (start as u64..end as u64).collect(),
            classes: if classes { batch.labels.clone() } else { vec![] },
            options: options.clone(),
        };
        let mut part = Part { watch, before: start as u64, len: (end - start) as u64, total: count as u64 };
        let made = model.inpaint(batch.images.clone(), mask.clone(), &request, &mut part)?;
        painted.extend(image_io::pictures(made)?);
        filled.extend(image_io::pictures(with_mean(batch.images.clone(), mask))?);
        truth.extend(image_io::pictures(batch.images)?);
    }
    let yardstick = Yardstick::new(&train, &truth, watch)?;
    let rows = vec![
        yardstick.row("model", &painted, watch)?,
        yardstick.row("mean of what is not hidden", &filled, watch)?,
    ];
    Ok(Score { count, rows, sheet: sheet_of(vec![filled, painted, truth], shown) })
}

/// 1 in the middle half of both sides, 0 elsewhere: `[1, 1, H, W]`.
fn square(ImageShape { height, width, .. }: ImageShape) -> Tensor<4> {
    let inside = |at: usize, side: usize| (side / 4..side - side / 4).contains(&at);
    let value = |i: usize| f32::from(u8::from(inside(i / width, height) && inside(i % width, width)));
    let values = (0..height * width).map(value).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, [1, 1, height, width]), &Device::flex())
}

/// Pictures `[B, C, H, W]` with the mean of what is not hidden where `mask` `[B, 1, H, W]` is 1.
fn with_mean(images: Tensor<4>, mask: Tensor<4>) -> Tensor<4> {
    let known = mask.ones_like() - mask.clone();
    let sum = |x: Tensor<4>| x.sum_dim(2).sum_dim(3);
    let mean = sum(images.clone() * known.clone()) / sum(known.clone());
    images * known + mean * mask
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Analytic case: a picture of two levels, whose hidden square has the other one.
    #[test]
    fn the_baseline_knows_nothing_of_what_is_hidden() {
        let mask = square(ImageShape { channels: 1, height: 6, width: 8 });
        assert_eq!(mask.clone().sum().into_scalar::<f32>(), 16.0);
        let filled = with_mean(mask.clone() * 2.0 - 1.0, mask);
        assert!(filled.into_data().try_into_vec::<f32>().unwrap().iter().all(|&value| value == -1.0));
    }
}
