//! Whether a model copies the pictures that it was trained on.
//!
//! No single number says it, so the audit sets several side by side, each against real pictures that
//! were held out: a set of copies stands out from them, an honest model doesn't. The pairs are shown.

mod copying;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use copying::copying_score;

use super::knn::{self, Rows};
use super::likeness::{Gallery, Match, Position};
use super::ranks::{RankTest, rank_test};
use crate::error::{Error, Result};
use crate::image_io::Picture;
use crate::watch::Watch;

/// Ratio to the mean distance of the fifty nearest below which a picture is a copy (Carlini et al.
/// 2023, "Extracting training data from diffusion models", section 5.1).
pub const COPY_RATIO: f64 = 0.5;
/// Distance of standardised pictures above which none is a copy, however far the others are.
const COPY_DISTANCE: f64 = 0.5;
/// Share of the held-out pictures that may lie below the limit; it is lowered until no more do.
const CHANCE: f64 = 0.002;

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
    /// Root mean square difference after mean and contrast were taken out.
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
    /// Ratio below which a sample was called a copy: [`COPY_RATIO`], or less where held-out pictures
    /// are as near as that.
    pub limit: f64,
    /// The samples that are copies, nearest first.
    pub copies: Vec<Pair>,
    /// Held-out pictures below the same limit: what chance and duplicates in the data make.
    pub held_out_copies: usize,
    /// Whether samples are nearer to training pictures than held-out pictures are; `None` without a control.
    pub nearer: Option<RankTest>,
    /// Groups of samples that are copies of each other, each by its numbers, largest first.
    pub cliques: Vec<Vec<usize>>,
    /// Groups of training pictures that are copies of each other.
    pub train_duplicates: Vec<Vec<usize>>,
    /// The samples that are most like a training picture, copies or not, nearest first.
    pub nearest: Vec<Pair>,
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
        watch.progress("looking for copies", done, 5);
        if watch.stopped() { Err(Error::Interrupted) } else { Ok(()) }
    };
    stage(0)?;
    let (samples, train) = (Gallery::new(suspects.samples)?, Gallery::new(suspects.train)?);
    let found = train.most_alike(&samples, false)?;
    stage(1)?;
    let control = match suspects.held_out.is_empty() {
        true => Vec::new(),
        false => train.most_alike(&Gallery::new(suspects.held_out)?, false)?,
    };
    stage(2)?;
    let limit = limit(&control);
    let is_copy = |found: &Match| is_copy(found, limit);
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
    let cliques = groups(&samples, &is_copy)?;
    stage(3)?;
    let train_duplicates = groups(&train, &is_copy)?;
    stage(4)?;
    Ok(Audit {
        samples: samples.len(),
        train: train.len(),
        held_out: control.len(),
        limit,
        held_out_copies: control.iter().filter(|found| is_copy(found)).count(),
        nearer: rank_test(&distances(&found), &distances(&control)),
        cliques,
        train_duplicates,
        copies: pairs.iter().filter(|(_, is_copy)| *is_copy).map(|(pair, _)| pair.clone()).collect(),
        nearest: pairs.into_iter().take(SHOWN).map(|(pair, _)| pair).collect(),
    })
}

/// Whether a picture is a copy of the one that it is most like.
pub(super) fn is_copy(found: &Match, limit: f64) -> bool {
    found.ratio < limit && found.distance < COPY_DISTANCE
}

/// [`COPY_RATIO`], or where held-out pictures come nearer by chance, what all but [`CHANCE`] of them
/// keep. Never so low that copies themselves escape: a data set may hold duplicates.
pub(super) fn limit(control: &[Match]) -> f64 {
    /// Ratio that copies keep below, even recompressed ones.
    const LEAST: f64 = 0.25;
    let mut ratios: Vec<f64> = control.iter().map(|found| found.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let lowest = ratios.get((ratios.len() as f64 * CHANCE) as usize).copied();
    lowest.map_or(COPY_RATIO, |lowest| COPY_RATIO.min(0.9 * lowest).max(LEAST))
}

/// Pictures of a gallery that are copies of each other, as connected groups.
fn groups(gallery: &Gallery, is_copy: &dyn Fn(&Match) -> bool) -> Result<Vec<Vec<usize>>> {
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
