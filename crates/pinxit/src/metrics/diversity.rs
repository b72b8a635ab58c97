//! How much samples differ from each other.

use rayon::prelude::*;

use super::knn::{self, Rows};
use super::pairs::{ms_ssim, scales};
use crate::error::{Error, Result};
use crate::image_io::Picture;

/// Most pairs that are measured.
const PAIRS: usize = 10_000;

/// Mean Euclidean distance of two rows: of every row and the one half the set further on, then a
/// quarter, and so on, until [`PAIRS`] pairs are measured.
///
/// The counterpart of the mean LPIPS between samples (Zhu et al. 2017, "Toward multimodal
/// image-to-image translation", section 5.1) in the features at hand.
///
/// # Errors
/// [`Error::Config`] for fewer than two rows or features that are not finite.
pub fn mean_pairwise_distance(rows: Rows) -> Result<f64> {
    let count = rows.len();
    if count < 2 {
        return Err(Error::config(format!("diversity takes at least two pictures, not {count}")));
    }
    rows.check_finite(0)?;
    let mut distances = Vec::new();
    let mut shift = count / 2;
    while shift > 0 && distances.len() + count <= PAIRS.max(count) {
        let distance = |i: usize| knn::distance(rows.row(i), rows.row((i + shift) % count));
        distances.par_extend((0..count).into_par_iter().map(distance));
        shift /= 2;
    }
    Ok(distances.iter().sum::<f64>() / distances.len() as f64)
}

/// Mean MS-SSIM of pairs of pictures: high means that they look alike (Odena et al. 2017,
/// "Conditional image synthesis with auxiliary classifier GANs", section 4.2). Picture i is paired
/// with the one half the set further on. The second value is the number of scales.
///
/// # Errors
/// [`Error::Config`] for fewer than two pictures, pictures of several sizes, or sides below 11 pixels.
pub fn mean_ms_ssim(pictures: &[Picture]) -> Result<(f64, usize)> {
    let half = pictures.len() / 2;
    let Some(first) = pictures.first().filter(|_| half > 0) else {
        return Err(Error::config("MS-SSIM between samples takes at least two pictures"));
    };
    let values: Vec<f64> = pictures[..half]
        .par_iter()
        .zip(&pictures[half..2 * half])
        .map(|(a, b)| ms_ssim(a, b))
        .collect::<Result<_>>()?;
    Ok((values.iter().sum::<f64>() / half as f64, scales(first.shape)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Analytic: two points, and four of which two pairs are far apart.
    #[test]
    fn mean_distances_are_known_for_few_points() {
        let of = |values: &[f32]| mean_pairwise_distance(Rows::new(values, 1).unwrap()).unwrap();
        assert_eq!(of(&[0.0, 3.0]), 3.0);
        // Half on: |0-1|, |0-1|, |1-0|, |1-0|; a quarter on: 0, 1, 0, 1.
        assert_eq!(of(&[0.0, 0.0, 1.0, 1.0]), 6.0 / 8.0);
        assert_eq!(of(&[5.0; 9]), 0.0);
    }
}
