//! What a latent space holds: ways from picture to picture, the same seed in every class, the direction of an
//! attribute.

use burn::tensor::Tensor;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::metrics::classes::K;
use crate::metrics::knn::{Classifier, Rows};
use crate::model::Latent;
use crate::nn::{from_rows, rows};
use crate::rng::{Purpose, Rng};
use crate::sample::Trained;
use crate::watch::Watch;

/// Something to show of a model instead of one picture a seed.
#[derive(Debug, Clone, PartialEq)]
pub enum Walk {
    /// From the picture of each seed to that of the next.
    Interpolate(Vec<u64>),
    /// Each seed in every class.
    VaryClass,
    /// Each seed moved along a direction, against it first: values of a point.
    Along(Vec<f32>),
    /// Each number of a seed's point in turn from low to high, the others as they are.
    Traverse,
}

/// Pictures along a direction: from once against it, through the seed's own, to once along it.
pub const STATIONS: usize = 7;
/// Where a traversal begins and ends, in standard deviations (Higgins et al. 2017, figure 3).
const REACH: f32 = 3.0;
/// Pictures that are painted to find a direction.
const EXPLORED: usize = 2000;
/// Fewest of them that must show an attribute.
const FEWEST: usize = 10;
/// Real pictures that teach what an attribute looks like.
const TEACHERS: usize = 10_000;

/// The model's latent space.
///
/// # Errors
/// [`Error::Unsupported`] for a family that has none.
pub fn of(trained: &Trained) -> Result<&dyn Latent> {
    trained.model.latent().ok_or_else(|| {
        Error::Unsupported(format!(
            "{} has no latent space of points: its pictures can't be walked between",
            trained.family.name
        ))
    })
}

/// Points on the way from that of each seed to that of the next, `count` a leg with both ends: `[N, dimension]`.
///
/// # Errors
/// If the points can't be read from their device.
pub fn between(latent: &dyn Latent, seeds: &[u64], count: usize) -> Result<Tensor<2>> {
    let points = latent.points(seeds);
    Ok(from_rows(&legs(&rows(points.clone())?, count), &points))
}

/// Points at [`STATIONS`] from once against `direction` to once along it, for each seed: `[N, dimension]`.
///
/// # Errors
/// If the points can't be read from their device.
pub fn along(latent: &dyn Latent, seeds: &[u64], direction: &[f32]) -> Result<Tensor<2>> {
    let points = latent.points(seeds);
    Ok(from_rows(&stations(&rows(points.clone())?, direction), &points))
}

/// For each seed and each number of its point, points at [`STATIONS`] at which that number goes from -3 to 3:
/// `[seeds * dimension * STATIONS, dimension]`.
///
/// # Errors
/// If the points can't be read from their device.
pub fn traversal(latent: &dyn Latent, seeds: &[u64]) -> Result<Tensor<2>> {
    let points = latent.points(seeds);
    Ok(from_rows(&traversals(&rows(points.clone())?), &points))
}

fn traversals(points: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let moved = |point: &[f32], number: usize| {
        let still = point.iter().enumerate().map(|(i, &value)| if i == number { 0.0 } else { value });
        let direction = (0..point.len()).map(|i| if i == number { REACH } else { 0.0 });
        stations(&[still.collect()], &direction.collect::<Vec<f32>>())
    };
    points.iter().flat_map(|point| (0..point.len()).flat_map(move |number| moved(point, number))).collect()
}

/// Great circles from each point to the next (White 2016, "Sampling Generative Networks", section 2.1): on a straight
/// line between two normal points lie shorter ones than any the model was trained on.
fn legs(points: &[Vec<f32>], count: usize) -> Vec<Vec<f32>> {
    let leg = |ends: &[Vec<f32>]| -> Vec<Vec<f32>> {
        let share = |i: usize| i as f64 / (count.max(2) - 1) as f64;
        (0..count).map(|i| great_circle(&ends[0], &ends[1], share(i))).collect()
    };
    points.windows(2).flat_map(leg).collect()
}

/// The point at `t` (0 to 1) of the way from `a` to `b` around the origin.
fn great_circle(a: &[f32], b: &[f32], t: f64) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    let angle = libm::acos((dot(a, b) / lengths.max(f64::MIN_POSITIVE)).clamp(-1.0, 1.0));
    let (from, to) = match libm::sin(angle) {
        sine if sine.abs() < 1e-6 => (1.0 - t, t),
        sine => (libm::sin((1.0 - t) * angle) / sine, libm::sin(t * angle) / sine),
    };
    a.iter().zip(b).map(|(a, b)| (from * f64::from(*a) + to * f64::from(*b)) as f32).collect()
}

fn stations(points: &[Vec<f32>], direction: &[f32]) -> Vec<Vec<f32>> {
    let strength = |i: usize| 2.0 * i as f32 / (STATIONS - 1) as f32 - 1.0;
    let moved = |point: &Vec<f32>, i: usize| -> Vec<f32> {
        point.iter().zip(direction).map(|(value, step)| value + strength(i) * step).collect()
    };
    points.iter().flat_map(|point| (0..STATIONS).map(move |i| moved(point, i))).collect()
}

/// The direction from the latent points whose pictures look like class `from` of `teachers` to those that look
/// like class `to`: the difference of their means (Radford et al. 2015, section 6.3.2; Larsen et al. 2016).
///
/// # Errors
/// [`Error::Config`] for unknown classes, a model that is asked for its class, or one that paints hardly any
/// picture of a class; what painting returns.
pub fn direction(
    trained: &Trained,
    teachers: &dyn Dataset,
    [from, to]: [&str; 2],
    watch: &mut dyn Watch,
) -> Result<Vec<f32>> {
    let latent = of(trained)?;
    if !trained.model.classes().is_empty() {
        return Err(Error::config(
            "this model is told the class, so its latent points don't hold it; show the classes with --vary-class",
        ));
    }
    let number = |name: &str| {
        teachers.classes().iter().position(|class| class == name).map(|index| index as u32).ok_or_else(|| {
            Error::config(format!(
                "there is no class \"{name}\"; there are: {}",
                teachers.classes().join(", ")
            ))
        })
    };
    let (from, to) = (number(from)?, number(to)?);
    // Seeds that depend on nothing but their number, far from those that users type.
    let seeds: Vec<u64> = (0..EXPLORED as u64).map(|i| u64::MAX - i).collect();
    let points = latent.points(&seeds);
    let images = latent.decode(points.clone(), &[], &trained.recipe.sample, watch)?;
    let kinds = recognised(images, teachers)?;
    let points = rows(points)?;
    let mean = |class: u32| -> Result<Vec<f64>> {
        let like: Vec<&Vec<f32>> =
            points.iter().zip(&kinds).filter(|(_, kind)| **kind == class).map(|(point, _)| point).collect();
        if like.len() < FEWEST {
            return Err(Error::config(format!(
                "only {} of {EXPLORED} pictures of this model look like class {}; choose another",
                like.len(),
                teachers.classes()[class as usize]
            )));
        }
        let width = like[0].len();
        let sum = |i: usize| like.iter().map(|point| f64::from(point[i])).sum::<f64>();
        Ok((0..width).map(|i| sum(i) / like.len() as f64).collect())
    };
    Ok(mean(to)?.into_iter().zip(mean(from)?).map(|(to, from)| (to - from) as f32).collect())
}

/// The class of each image, as the nearest pictures of `teachers` have it.
fn recognised(images: Tensor<4>, teachers: &dyn Dataset) -> Result<Vec<u32>> {
    let width = teachers.shape().len();
    let mut order = Rng::new(0, Purpose::SampleClass, 0, 0).permutation(teachers.len() as u32);
    order.truncate(TEACHERS);
    let mut known = vec![0.0; order.len() * width];
    for (row, &index) in known.chunks_exact_mut(width.max(1)).zip(&order) {
        teachers.read(index as usize, row);
    }
    let labels: Vec<u32> = order.iter().map(|&index| teachers.label(index as usize)).collect();
    let pictures = rows(images.clamp(-1.0, 1.0).flatten(1, 3))?.concat();
    let k = K.min(labels.len());
    Classifier::new(Rows::new(&known, width)?, &labels, k)?.classify(Rows::new(&pictures, width)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: the quarter circle.
    #[test]
    fn points_between_two_lie_on_the_circle() {
        let way = legs(&[vec![2.0, 0.0], vec![0.0, 2.0]], 3);
        let expected = [[2.0, 0.0], [2f32.sqrt(), 2f32.sqrt()], [0.0, 2.0]];
        for (found, expected) in way.iter().zip(expected) {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
        }
        assert_eq!(legs(&[vec![1.0], vec![1.0], vec![3.0]], 2).concat(), [1.0, 1.0, 1.0, 3.0]);
    }

    #[test]
    fn a_seed_is_in_the_middle_of_its_row() {
        let row = stations(&[vec![1.0, 5.0]], &[3.0, 0.0]);
        assert_eq!(row.len(), STATIONS);
        assert_eq!((&row[0], &row[3], &row[6]), (&vec![-2.0, 5.0], &vec![1.0, 5.0], &vec![4.0, 5.0]));
    }

    #[test]
    fn a_traversal_moves_one_number_at_a_time() {
        let rows = traversals(&[vec![0.5, 7.0], vec![1.0, 2.0]]);
        assert_eq!(rows.len(), 2 * 2 * STATIONS);
        assert_eq!((&rows[0], &rows[3], &rows[6]), (&vec![-3.0, 7.0], &vec![0.0, 7.0], &vec![3.0, 7.0]));
        assert_eq!((&rows[7], &rows[27]), (&vec![0.5, -3.0], &vec![1.0, 3.0]));
    }
}
