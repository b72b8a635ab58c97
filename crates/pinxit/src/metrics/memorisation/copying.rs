//! The data-copying test C_T: are samples nearer to the training set than new data is?

use nalgebra::DMatrix;

use crate::error::{Error, Result};
use crate::metrics::frechet::Gaussian;
use crate::metrics::knn::{self, Rows};
use crate::metrics::ranks::rank_test;

/// Principal components that distances are measured in.
const COMPONENTS: usize = 64;
/// Regions of the feature space.
const CELLS: usize = 3;
/// Fewest samples, and fewest held-out rows, of a cell that counts.
const FEWEST: usize = 20;
/// Rounds of k-means.
const ROUNDS: usize = 50;

/// `C_T` of Meehan et al. 2020, "A non-parametric test to detect data-copying in generative models"
/// (section 4.2): the rank test of distances to the training rows, samples against held-out rows, in
/// each cell of the feature space, weighted by the held-out rows of the cells. Below about -3 the
/// samples lie nearer to the training set than new data does, above 3 farther from it. Copies do so, and so do pictures
/// more typical than data (low temperature, strong guidance), which are near to everything; [`Audit::toward_training`]
/// tells them apart.
///
/// [`Audit::toward_training`]: super::Audit::toward_training
///
/// # Errors
/// [`Error::Config`] if the widths differ or no cell holds 20 samples and 20 held-out rows.
pub fn copying_score(samples: Rows, train: Rows, held_out: Rows) -> Result<f64> {
    if [samples.width(), held_out.width()] != [train.width(); 2] || train.len() < CELLS {
        return Err(Error::config(
            "C_T takes features of one extractor, and at least three training pictures",
        ));
    }
    let project = principal_components(train)?;
    let [samples, train, held_out] = [samples, train, held_out].map(|rows| project.rows(rows));
    let width = project.width();
    let centres = k_means(Rows::new(&train, width)?)?;
    let cell = |values: &[f32]| -> Result<Vec<Vec<f32>>> {
        let nearest = knn::nearest(Rows::new(values, width)?, Rows::new(&centres, width)?)?;
        let mut cells = vec![Vec::new(); CELLS];
        for (row, found) in values.chunks_exact(width).zip(nearest) {
            cells[found.index].extend_from_slice(row);
        }
        Ok(cells)
    };
    let (samples, train, held_out) = (cell(&samples)?, cell(&train)?, cell(&held_out)?);
    let (mut sum, mut weights) = (0.0, 0.0);
    for ((samples, train), held_out) in samples.iter().zip(&train).zip(&held_out) {
        let distances = |values: &[f32]| -> Result<Vec<f64>> {
            let found = knn::nearest(Rows::new(values, width)?, Rows::new(train, width)?)?;
            Ok(found.iter().map(|found| found.distance).collect())
        };
        if samples.len().min(held_out.len()) >= FEWEST * width
            && !train.is_empty()
            && let Some(test) = rank_test(&distances(samples)?, &distances(held_out)?)
        {
            sum += test.z * held_out.len() as f64;
            weights += held_out.len() as f64;
        }
    }
    match weights > 0.0 {
        true => Ok(sum / weights),
        false => Err(Error::config(format!(
            "C_T takes at least {FEWEST} samples and {FEWEST} held-out pictures in one of {CELLS} regions: paint more \
             (--count), or hold out more (data.holdout)"
        ))),
    }
}

/// A change to the directions in which rows vary most.
struct Projection {
    mean: Vec<f32>,
    /// One direction a column.
    directions: DMatrix<f32>,
}

fn principal_components(rows: Rows) -> Result<Projection> {
    let gaussian = Gaussian::of(rows)?;
    let width = rows.width();
    let covariance = DMatrix::from_column_slice(width, width, &gaussian.covariance);
    let eigen = covariance.symmetric_eigen();
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    order.truncate(COMPONENTS);
    let directions =
        DMatrix::from_fn(width, order.len(), |row, column| eigen.eigenvectors[(row, order[column])] as f32);
    Ok(Projection { mean: gaussian.mean, directions })
}

impl Projection {
    fn width(&self) -> usize {
        self.directions.ncols()
    }

    fn rows(&self, rows: Rows) -> Vec<f32> {
        let centred =
            rows.iter().flat_map(|row| row.iter().zip(&self.mean).map(|(value, mean)| value - mean));
        let columns = DMatrix::from_iterator(rows.width(), rows.len(), centred);
        self.directions.tr_mul(&columns).as_slice().to_vec()
    }
}

/// Lloyd's algorithm from the first row and the rows farthest from those before; the centres.
fn k_means(rows: Rows) -> Result<Vec<f32>> {
    let width = rows.width();
    let mut centres = rows.row(0).to_vec();
    while centres.len() < CELLS * width {
        let nearest = knn::nearest(rows, Rows::new(&centres, width)?)?;
        let farthest = nearest.iter().enumerate().max_by(|a, b| a.1.distance.total_cmp(&b.1.distance));
        centres.extend_from_slice(rows.row(farthest.map_or(0, |(index, _)| index)));
    }
    for _ in 0..ROUNDS {
        let nearest = knn::nearest(rows, Rows::new(&centres, width)?)?;
        let mut sums = vec![0.0f64; centres.len()];
        let mut counts = [0usize; CELLS];
        for (row, found) in rows.iter().zip(&nearest) {
            counts[found.index] += 1;
            sums[found.index * width..][..width]
                .iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let moved: Vec<f32> =
            (0..centres.len())
                .map(|i| {
                    if counts[i / width] > 0 {
                        (sums[i] / counts[i / width] as f64) as f32
                    } else {
                        centres[i]
                    }
                })
                .collect();
        if moved == centres {
            break;
        }
        centres = moved;
    }
    Ok(centres)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    fn normal(count: usize, stream: u32) -> Vec<f32> {
        let mut values = vec![0.0; count * 80];
        Rng::new(3, Purpose::Picture, stream, 0).fill_normal(&mut values);
        // Directions of different spread, so that there are principal ones.
        values.iter_mut().enumerate().for_each(|(i, value)| *value /= 1.0 + (i % 80) as f32 / 10.0);
        values
    }

    /// Analytic: for new data of the same distribution the score is a standard normal; for training
    /// rows with a little noise it is far below, for rows twice as wide far above.
    #[test]
    fn copies_score_far_below_new_data() {
        let (train, held_out, new) = (normal(600, 1), normal(200, 2), normal(200, 4));
        let mut rng = Rng::new(1, Purpose::Picture, 9, 9);
        let copies: Vec<f32> = train[..200 * 80].iter().map(|value| value + 0.01 * rng.normal()).collect();
        let wide: Vec<f32> = new.iter().map(|value| 2.0 * value).collect();
        let rows = |values| Rows::new(values, 80).unwrap();
        let score = |values| copying_score(rows(values), rows(&train), rows(&held_out)).unwrap();
        assert!(score(&new).abs() < 3.0, "{}", score(&new));
        assert!(score(&copies) < -5.0, "{}", score(&copies));
        assert!(score(&wide) > 5.0, "{}", score(&wide));
        assert!(copying_score(rows(&new[..80]), rows(&train), rows(&held_out)).is_err());
    }
}
