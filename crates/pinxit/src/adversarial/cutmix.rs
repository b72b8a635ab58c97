//! Real and fake cut together: Schoenfeld et al. 2020, "A U-Net Based Discriminator for Generative
//! Adversarial Networks", section 3.2.

use burn::tensor::{Device, Tensor, TensorData};

use super::learner::Game;
use super::{Condition, Discriminator, Verdict};
use crate::data::Batch;
use crate::model::Step;
use crate::nn::ops;
use crate::rng::{Purpose, Rng};

/// Keys of the rectangles, beside those of the points between real and fake.
const PLACES: u32 = 1 << 31;

impl Game {
    /// Whether D also learns from cut pictures in this step.
    pub(super) fn cuts(&self, step: &Step) -> bool {
        let half = self.steps.map_or(1.0, |steps| f64::from(steps.max(2)) / 2.0);
        let share = self.settings.cutmix * (f64::from(step.number) / half).min(1.0);
        share > 0.0 && Rng::new(step.seed, Purpose::Mix, step.number, u32::MAX).chance(share)
    }

    /// What D has to pay for pictures that are real in one rectangle and fake elsewhere, or the other way
    /// round: the whole is fake, each pixel is what it is, and its verdict is the one that it had in the
    /// picture that it comes from (eq. 8 and 9). Nothing for a D without verdicts on pixels.
    pub(super) fn bill_of_cuts<D: Discriminator>(
        &self,
        d: &D,
        [real, fake]: [Tensor<4>; 2],
        verdicts: [&Verdict; 2],
        condition: &Condition<'_>,
        part: &Batch,
        step: &Step,
    ) -> Option<Tensor<1>> {
        let [of_real, of_fake] = verdicts.map(|verdict| verdict.pixels.as_ref().map(|p| p.value.clone()));
        let (of_real, of_fake) = (of_real?, of_fake?);
        let mask = masks(real.dims(), part, step, &real.device());
        let cut = |real: Tensor<4>, fake: Tensor<4>| fake.clone() + (real - fake) * mask.clone();

        let verdict = d.judge(cut(real, fake).into(), condition, &super::learner::mode(part, step));
        let pixels = verdict.pixels?.value;
        let loss = self.settings.loss;
        let whole = loss.of_fake(verdict.image.value).mean();
        let (each, is_real) = (pixels.clone().flatten(0, 3), mask.clone().flatten(0, 3));
        let of_each = loss.of_real(each.clone(), self.settings.label_smoothing) * is_real.clone()
            + loss.of_fake(each) * (-is_real + 1.0);
        Some(whole + of_each.mean() + ops::mse(pixels, cut(of_real, of_fake)))
    }
}

/// 1 where a cut picture is real, 0 where it is fake: `[B, 1, H, W]`.
fn masks([pictures, _, height, width]: [usize; 4], part: &Batch, step: &Step, device: &Device) -> Tensor<4> {
    let masks = (0..pictures).flat_map(|i| {
        let place = PLACES | (part.offset + i) as u32;
        mask([height, width], &mut Rng::new(step.seed, Purpose::Mix, step.number, place))
    });
    Tensor::from_data(TensorData::new(masks.collect::<Vec<f32>>(), [pictures, 1, height, width]), device)
}

/// 1 inside of a rectangle whose share of the picture is uniform (Yun et al. 2019, eq. 2), 0 outside;
/// or the other way round.
fn mask([height, width]: [usize; 2], rng: &mut Rng) -> Vec<f32> {
    let side = (1.0 - rng.uniform()).sqrt();
    let mut span = |length: usize| {
        let cut = (length as f64 * side).round() as usize;
        let middle = rng.below(length as u32) as usize;
        [middle.saturating_sub(cut / 2), (middle + cut - cut / 2).min(length)]
    };
    let (rows, columns) = (span(height), span(width));
    let inverse = rng.chance(0.5);
    let inside = |place: usize, [first, end]: [usize; 2]| first <= place && place < end;
    let is_real = |i: usize| (inside(i / width, rows) && inside(i % width, columns)) != inverse;
    (0..height * width).map(|i| f32::from(u8::from(is_real(i)))).collect()
}
