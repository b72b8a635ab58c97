//! Whether a model copies the pictures that it was trained on.
//!
//! No single number says it, so the audit sets several side by side, each against real pictures that
//! were held out: a set of copies stands out from them, an honest model doesn't. The pairs are shown.

mod copying;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde::Serialize;

pub use copying::copying_score;

use super::knn::{self, Rows};
use super::likeness::{Gallery, Match, Position};
use super::ranks::{RankTest, rank_test};
use crate::error::{Error, Result};
use crate::image_io::Picture;
use crate::watch::Watch;

/// Ratio to the mean distance of the fifty most alike below which a picture is a copy: the rule of Carlini
/// et al. 2023, "Extracting training data from diffusion models", section 5.1, with half of its limit,
/// because it is held against the tile that differs most.
///
/// On the built-in sets, copies out of a JPEG file of quality 75 lie below 0.23, shifted, mirrored and
/// brighter ones below 0.01, and about one in 700 new pictures below 0.25. To learn the limit from the
/// held-out pictures is worse: of 500 the nearest two decide, and seven of 950 sprites were called copies.
pub const COPY_RATIO: f64 = 0.25;
/// Distance of standardised pictures above which none is a copy, however far the others are.
const COPY_DISTANCE: f64 = 0.5;
/// The pictures of an audit, all of one shape.
pub struct Suspects<'a> {
    /// What the model painted.
    pub samples: &'a [Picture],
    /// What it was trained on.
    pub train: &'a [Picture],
    /// What it never saw; may be empty.
    pub held_out: &'a [Picture],
}

/// A sample and the training picture that it is most like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Number of the sample.
    pub sample: usize,
    /// Number of the training picture.
    pub train: usize,
    /// Root mean square difference in the tile where they differ most, after mean and contrast were taken out.
    pub distance: f64,
    /// That over the mean of the fifty nearest.
    pub ratio: f64,
    /// How the training picture lies upon the sample.
    pub position: Position,
}

/// What an audit of pixels found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Samples looked at.
    pub samples: usize,
    /// Training pictures searched.
    pub train: usize,
    /// Held-out pictures, the control.
    pub held_out: usize,
    /// Ratio below which a sample was called a copy.
    pub limit: f64,
    /// The samples that are copies, nearest first.
    pub copies: Vec<Pair>,
    /// Held-out pictures below the same limit: what chance and duplicates in the data make.
    pub held_out_copies: usize,
    /// Whether samples are nearer to training pictures than held-out pictures are; `None` without a control.
    pub nearer: Option<RankTest>,
    /// Share of the samples, 0 to 1, that are more like a training picture than like any of as many held-out ones
    /// (Platzer and Reutterer 2021, "Holdout-based empirical assessment of mixed-type synthetic data", section 3.3):
    /// half for a model that doesn't copy, however typical its pictures are; `None` without a control.
    pub toward_training: Option<f64>,
    /// Groups of samples that are copies of each other, each by its numbers, largest first.
    pub cliques: Vec<Vec<usize>>,
    /// Groups of training pictures that are copies of each other.
    pub train_duplicates: Vec<Vec<usize>>,
    /// The samples that are most like a training picture, copies or not, nearest first.
    pub nearest: Vec<Pair>,
}

impl Audit {
    /// Whether samples tend to training pictures more than chance explains: by three standard deviations of as many
    /// coin tosses as there are pictures in the smallest set.
    pub fn tends_to_training(&self) -> bool {
        let tosses = self.samples.min(self.held_out).min(self.train) as f64;
        self.toward_training.is_some_and(|share| share > 0.5 + 1.5 / tosses.sqrt())
    }
}

/// Pairs that are shown.
const SHOWN: usize = 16;

/// Looks for training pictures among the samples.
///
/// # Errors
/// [`Error::Config`] if there are no samples or no training pictures, or the shapes differ;
/// [`Error::Interrupted`] when the watcher stops it.
pub fn audit(suspects: &Suspects, watch: &mut dyn Watch) -> Result<Audit> {
    let mut stage = |done: u64| {
        watch.progress("looking for copies", done, 3);
        if watch.stopped() { Err(Error::Interrupted) } else { Ok(()) }
    };
    stage(0)?;
    let (samples, train) = (Gallery::new(suspects.samples)?, Gallery::new(suspects.train)?);
    let found = train.most_alike(&samples, false)?;
    let control = match suspects.held_out.is_empty() {
        true => Vec::new(),
        false => train.most_alike(&Gallery::new(suspects.held_out)?, false)?,
    };
    let toward_training = toward_training(suspects, &samples)?;
    stage(1)?;
    let pair = |(sample, found): (usize, &Match)| Pair {
        sample,
        train: found.index,
        distance: found.distance,
        ratio: found.ratio,
        position: found.position,
    };
    let mut pairs: Vec<(Pair, bool)> =
        found.iter().enumerate().map(|(i, found)| (pair((i, found)), is_copy(found))).collect();
    pairs.sort_by(|(a, _), (b, _)| a.ratio.total_cmp(&b.ratio));
    let distances = |found: &[Match]| found.iter().map(|found| found.distance).collect::<Vec<f64>>();
    let cliques = groups(&samples)?;
    stage(2)?;
    let train_duplicates = groups(&train)?;
    stage(3)?;
    Ok(Audit {
        samples: samples.len(),
        train: train.len(),
        held_out: control.len(),
        limit: COPY_RATIO,
        held_out_copies: control.iter().filter(|found| is_copy(found)).count(),
        nearer: rank_test(&distances(&found), &distances(&control)),
        toward_training,
        cliques,
        train_duplicates,
        copies: pairs.iter().filter(|(_, is_copy)| *is_copy).map(|(pair, _)| pair.clone()).collect(),
        nearest: pairs.into_iter().take(SHOWN).map(|(pair, _)| pair).collect(),
    })
}

/// [`Audit::toward_training`]; samples that are like both count half.
fn toward_training(suspects: &Suspects, samples: &Gallery) -> Result<Option<f64>> {
    let [train, held_out] = [suspects.train, suspects.held_out];
    let count = train.len().min(held_out.len());
    if count == 0 {
        return Ok(None);
    }
    let found = |set: &[Picture]| -> Result<Vec<Match>> {
        // Evenly spread, because sets are often sorted by class.
        let some: Vec<Picture> = (0..count).map(|i| set[i * set.len() / count].clone()).collect();
        Gallery::new(&some)?.most_alike(samples, false)
    };
    let pairs = found(train)?.into_iter().zip(found(held_out)?);
    let sum: f64 = pairs
        .map(|(train, held_out)| match train.distance.total_cmp(&held_out.distance) {
            Ordering::Less => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Greater => 0.0,
        })
        .sum();
    Ok(Some(sum / samples.len() as f64))
}

/// Which of the samples copy a training picture, by the rule of [`audit`] and without the rest of it.
///
/// # Errors
/// [`Error::Config`] as [`audit`].
pub fn copies(samples: &[Picture], train: &[Picture]) -> Result<Vec<usize>> {
    let found = Gallery::new(train)?.most_alike(&Gallery::new(samples)?, false)?;
    Ok((0..found.len()).filter(|&sample| is_copy(&found[sample])).collect())
}

/// Whether a picture is a copy of the one that it is most like.
pub(super) fn is_copy(found: &Match) -> bool {
    found.ratio < COPY_RATIO && found.distance < COPY_DISTANCE
}

/// Pictures of a gallery that are copies of each other, as connected groups.
fn groups(gallery: &Gallery) -> Result<Vec<Vec<usize>>> {
    if gallery.len() < 2 {
        return Ok(Vec::new());
    }
    let mut leader: Vec<usize> = (0..gallery.len()).collect();
    let find = |leader: &[usize], mut at: usize| {
        while leader[at] != at {
            at = leader[at];
        }
        at
    };
    for (index, found) in gallery.most_alike(gallery, true)?.iter().enumerate() {
        if is_copy(found) {
            let (a, b) = (find(&leader, index), find(&leader, found.index));
            leader[a.max(b)] = a.min(b);
        }
    }
    let mut groups = vec![Vec::new(); leader.len()];
    (0..leader.len()).for_each(|index| groups[find(&leader, index)].push(index));
    groups.retain(|group| group.len() > 1);
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    Ok(groups)
}

/// Share of the samples, in percent, that are authentic: farther from their nearest training row
/// than that row is from its own nearest one (Alaa et al. 2022, "How faithful is your synthetic
/// data?", section 3.3). 50 for held-out data of the same distribution; low for copies.
///
/// # Errors
/// [`Error::Config`] for no samples, fewer than two training rows, or different widths.
pub fn authenticity(samples: Rows, train: Rows) -> Result<f64> {
    if samples.is_empty() {
        return Err(Error::config("there are no samples whose authenticity could be told"));
    }
    let own = knn::neighbours(train, train, 2)?;
    let own: Vec<f64> = own.iter().filter_map(|found| found.last()).map(|found| found.distance).collect();
    let nearest = knn::nearest(samples, train)?;
    let authentic = nearest.iter().filter(|found| own[found.index] < found.distance).count();
    Ok(100.0 * authentic as f64 / samples.len() as f64)
}
