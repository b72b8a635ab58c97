//! How easily generated pictures are told from real ones: a classifier two-sample test.

use rayon::prelude::*;

use super::knn::Rows;
use crate::error::{Error, Result};

/// Accuracy of a classifier on pictures that it did not learn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Share of held-out pictures whose side it names, 0.5 to 1 but for chance.
    pub accuracy: f64,
    /// Standard error of the accuracy.
    pub error: f64,
}

/// Steps of gradient descent.
const STEPS: usize = 300;
/// Strength of the pull of the weights to 0.
const DECAY: f64 = 1e-2;
/// Most pictures of either side.
const MOST: usize = 5000;

/// How well logistic regression on the features tells the two sets apart, learned from one random
/// half of the rows and judged by the other, and the other way round (Lopez-Paz and Oquab 2017, "Revisiting classifier
/// two-sample tests"). As many rows of each are taken, so that 0.5 means that they can't be told apart.
///
/// # Errors
/// [`Error::Config`] for fewer than 20 rows of either, different widths, or features that are not finite.
pub fn detectability(generated: Rows, real: Rows) -> Result<Detection> {
    let count = generated.len().min(real.len()).min(MOST) / 2 * 2;
    if count < 20 || generated.width() != real.width() {
        return Err(Error::config(format!(
            "{count} pictures of either kind are too few to learn to tell them apart"
        )));
    }
    generated.check_finite(0)?;
    real.check_finite(0)?;
    let (generated_rows, real_rows) = (generated.shuffled(), real.shuffled());
    let (generated, real) =
        (Rows::new(&generated_rows, generated.width())?, Rows::new(&real_rows, real.width())?);
    let (mean, scale) = standard(generated, real, count);
    let row = |rows: Rows, index: usize| -> Vec<f64> {
        let standardised = rows.row(index).iter().zip(mean.iter().zip(&scale));
        standardised.map(|(&value, (mean, scale))| (f64::from(value) - mean) * scale).collect()
    };
    let fold = |parity: usize| -> Vec<(Vec<f64>, f64)> {
        let indices = (parity..count).step_by(2);
        indices.flat_map(|i| [(row(generated, i), 1.0), (row(real, i), -1.0)]).collect()
    };
    let folds = [fold(0), fold(1)];
    let correct: usize = [(0, 1), (1, 0)]
        .map(|(learn, judge)| {
            let weights = fit(&folds[learn]);
            folds[judge].iter().filter(|(row, side)| margin(&weights, row) * side > 0.0).count()
        })
        .iter()
        .sum();
    let total = (2 * count) as f64;
    let accuracy = correct as f64 / total;
    Ok(Detection { accuracy, error: (accuracy * (1.0 - accuracy) / total).sqrt() })
}

/// Mean of each feature over both sets, and the reciprocal of its standard deviation.
fn standard(a: Rows, b: Rows, count: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (2 * count) as f64;
    let mut mean = vec![0.0; a.width()];
    let mut square = vec![0.0; a.width()];
    for row in a.iter().take(count).chain(b.iter().take(count)) {
        for ((mean, square), &value) in mean.iter_mut().zip(&mut square).zip(row) {
            *mean += f64::from(value) / n;
            *square += f64::from(value).powi(2) / n;
        }
    }
    let scale = |(mean, square): (&f64, &f64)| {
        let variance = square - mean * mean;
        // A feature that never changes tells nothing.
        if variance > 1e-12 * square.max(f64::MIN_POSITIVE) { 1.0 / variance.sqrt() } else { 0.0 }
    };
    let scales = mean.iter().zip(&square).map(scale).collect();
    (mean, scales)
}

/// The weights, and the intercept behind them.
fn margin(weights: &[f64], row: &[f64]) -> f64 {
    let intercept = weights.last().copied().unwrap_or(0.0);
    intercept + row.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>()
}

/// Minimises the mean logistic loss by gradient descent with Nesterov's momentum.
fn fit(rows: &[(Vec<f64>, f64)]) -> Vec<f64> {
    /// Rows whose gradients are summed by one task: fixed, so that sums don't depend on threads.
    const CHUNK: usize = 128;
    let width = rows.first().map_or(0, |(row, _)| row.len());
    // The curvature of the loss is at most a quarter of the squared length of the rows.
    let squares: f64 =
        rows.iter().map(|(row, _)| 1.0 + row.iter().map(|value| value * value).sum::<f64>()).sum();
    let step = 1.0 / (squares / rows.len() as f64 / 4.0 + DECAY);
    let (mut weights, mut previous) = (vec![0.0; width + 1], vec![0.0; width + 1]);
    for t in 0..STEPS {
        let momentum = t as f64 / (t as f64 + 3.0);
        let ahead: Vec<f64> =
            weights.iter().zip(&previous).map(|(now, before)| now + momentum * (now - before)).collect();
        let parts: Vec<Vec<f64>> = rows.par_chunks(CHUNK).map(|rows| gradient(&ahead, rows)).collect();
        previous.clone_from(&weights);
        for (i, weight) in weights.iter_mut().enumerate() {
            let sum: f64 = parts.iter().map(|part| part[i]).sum();
            let decay = if i < width { DECAY * ahead[i] } else { 0.0 };
            *weight = ahead[i] - step * (sum / rows.len() as f64 + decay);
        }
    }
    weights
}

fn gradient(weights: &[f64], rows: &[(Vec<f64>, f64)]) -> Vec<f64> {
    let mut gradient = vec![0.0; weights.len()];
    for (row, side) in rows {
        let slope = -side / (1.0 + libm::exp(side * margin(weights, row)));
        gradient.iter_mut().zip(row.iter().chain([&1.0])).for_each(|(sum, value)| *sum += slope * value);
    }
    gradient
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    fn normal(shift: f32, stream: u32) -> Vec<f32> {
        let mut values = vec![0.0; 1000 * 10];
        Rng::new(3, Purpose::Picture, stream, 0).fill_normal(&mut values);
        values.iter_mut().step_by(10).for_each(|value| *value += shift);
        values
    }

    /// Analytic: two normals whose means are d apart are told apart with accuracy P(Z < d / 2). One draw
    /// of equal normals scatters by 0.015 (40 draws), the mean of eight by 0.0054; the gate is three of that and
    /// what learning from 1000 rows costs.
    #[test]
    fn normals_are_told_apart_as_well_as_can_be() {
        for (shift, best) in [(0.0, 0.5), (2.0, 0.841_345), (6.0, 0.998_650)] {
            let draws = (0..8).map(|draw| {
                let (a, b) = (normal(shift, 2 * draw), normal(0.0, 2 * draw + 1));
                detectability(Rows::new(&a, 10).unwrap(), Rows::new(&b, 10).unwrap()).unwrap().accuracy
            });
            let mean = draws.sum::<f64>() / 8.0;
            assert!((mean - best).abs() < 0.018, "{shift}: {mean}, at best {best}");
        }
    }

    /// Analytic: two classes in turn in one set and one after the other in the other are the same distribution.
    #[test]
    fn the_order_of_a_set_tells_nothing() {
        let with_classes = |stream, second: fn(usize) -> bool| {
            let mut rows = normal(0.0, stream);
            rows.chunks_mut(10).enumerate().for_each(|(i, row)| row[0] += if second(i) { 6.0 } else { 0.0 });
            rows
        };
        let (turns, blocks) = (with_classes(1, |i| i % 2 == 1), with_classes(2, |i| i >= 500));
        let (turns, blocks) = (Rows::new(&turns, 10).unwrap(), Rows::new(&blocks, 10).unwrap());
        let found = detectability(turns, blocks).unwrap();
        assert!((found.accuracy - 0.5).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn too_few_pictures_are_refused() {
        let rows = Rows::new(&[0.0; 19], 1).unwrap();
        assert!(detectability(rows, rows).is_err());
    }
}
