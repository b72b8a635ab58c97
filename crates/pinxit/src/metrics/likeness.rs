//! Whether one picture is a copy of another, whatever was done to it on the way: shifted by a pixel,
//! mirrored, recompressed, made brighter or paler.
//!
//! Pictures are compared after their mean and contrast are taken out, in the best of 18 positions: as
//! they are and mirrored, each shifted by up to one pixel. Candidates are found by thumbnails, which
//! none of this changes much.

use rayon::prelude::*;

use super::knn::{self, Rows};
use crate::error::{Error, Result};
use crate::image_io::Picture;

/// Longest side of a thumbnail, in pixels.
const THUMBNAIL: usize = 8;
/// Candidates that are compared pixel by pixel, of each picture and its mirror image.
const CANDIDATES: usize = 50;
/// Contrast below which a picture counts as flat, in levels of 0 to 255: noise is not blown up.
const FLAT: f32 = 4.0;

/// A picture that is like another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Number of the other picture.
    pub index: usize,
    /// Root mean square difference of the two, of which each has mean 0 and contrast 1: 0 for a copy,
    /// about 1.4 for pictures that have nothing to do with each other.
    pub distance: f64,
    /// The distance over the mean distance of the [`CANDIDATES`] most alike (Carlini et al. 2023,
    /// "Extracting training data from diffusion models", section 5.1).
    pub ratio: f64,
    /// How the other one has to be moved to match.
    pub position: Position,
}

/// A position of a picture upon another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// Turned left to right.
    pub mirrored: bool,
    /// Moved down by so many pixels.
    pub down: i8,
    /// Moved right by so many pixels.
    pub right: i8,
}

impl Position {
    const HERE: Self = Self { mirrored: false, down: 0, right: 0 };

    fn all() -> impl Iterator<Item = Self> {
        let moves = (-1..=1).flat_map(|down| (-1..=1).map(move |right| (down, right)));
        moves.flat_map(|(down, right)| [false, true].map(|mirrored| Self { mirrored, down, right }))
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mirrored = if self.mirrored { "mirrored" } else { "" };
        match (self.down, self.right) {
            (0, 0) if self.mirrored => f.write_str(mirrored),
            (0, 0) => f.write_str("in place"),
            (down, right) => {
                write!(f, "{mirrored}{}shifted by ({down}, {right})", if self.mirrored { ", " } else { "" })
            }
        }
    }
}

/// Pictures that can be searched for likenesses.
pub struct Gallery {
    standard: Vec<Standard>,
    /// Of each picture, and of its mirror image.
    thumbnails: [Vec<f32>; 2],
    width: usize,
}

/// A picture without its mean and contrast.
struct Standard {
    height: usize,
    width: usize,
    channels: usize,
    /// Interleaved, as in [`Picture`].
    values: Vec<f32>,
}

impl Standard {
    fn new(picture: &Picture) -> Self {
        let shape = picture.shape;
        let n = picture.pixels.len().max(1) as f32;
        let mean = picture.pixels.iter().map(|&level| f32::from(level)).sum::<f32>() / n;
        let variance = picture.pixels.iter().map(|&level| (f32::from(level) - mean).powi(2)).sum::<f32>() / n;
        let scale = 1.0 / variance.sqrt().max(FLAT);
        let values = picture.pixels.iter().map(|&level| (f32::from(level) - mean) * scale).collect();
        Self { height: shape.height, width: shape.width, channels: shape.channels, values }
    }

    fn thumbnail(&self, mirrored: bool) -> Vec<f32> {
        let longest = self.height.max(self.width).max(1);
        let side = |side: usize| (side * THUMBNAIL).div_ceil(longest).clamp(1, side.max(1));
        let (height, width) = (side(self.height), side(self.width));
        let mut sums = vec![0.0; height * width * self.channels];
        for (at, row) in self.values.chunks_exact((self.width * self.channels).max(1)).enumerate() {
            for (x, pixel) in row.chunks_exact(self.channels).enumerate() {
                let x = if mirrored { self.width - 1 - x } else { x };
                let place = (at * height / self.height * width + x * width / self.width) * self.channels;
                sums[place..place + self.channels]
                    .iter_mut()
                    .zip(pixel)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        let area = (self.height * self.width) as f32 / (height * width) as f32;
        sums.iter().map(|sum| sum / area).collect()
    }

    /// Mean square difference where the two lie upon each other, `other` in `position`.
    fn difference(&self, other: &Self, position: Position) -> f64 {
        let rows = overlap(self.height, position.down);
        let columns = overlap(self.width, position.right);
        let (mut sum, mut count) = (0.0f64, 0usize);
        for y in rows {
            let theirs = (y as isize - position.down as isize) as usize;
            for x in columns.clone() {
                let moved = (x as isize - position.right as isize) as usize;
                let moved = if position.mirrored { self.width - 1 - moved } else { moved };
                let a = &self.values[(y * self.width + x) * self.channels..][..self.channels];
                let b = &other.values[(theirs * self.width + moved) * self.channels..][..self.channels];
                sum += f64::from(a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>());
                count += self.channels;
            }
        }
        sum / count.max(1) as f64
    }

    /// The smallest difference over all positions.
    fn best(&self, other: &Self) -> (f64, Position) {
        let first = (self.difference(other, Position::HERE), Position::HERE);
        Position::all().map(|position| (self.difference(other, position), position)).fold(
            first,
            |best, next| {
                if next.0 < best.0 { next } else { best }
            },
        )
    }
}

/// Places of one side that meet something when the other picture is moved by `by`.
fn overlap(side: usize, by: i8) -> std::ops::Range<usize> {
    let by = isize::from(by);
    by.max(0) as usize..(side as isize + by.min(0)).max(0) as usize
}

impl Gallery {
    /// A gallery of pictures of one shape.
    ///
    /// # Errors
    /// [`Error::Config`] if there are none, or they differ in shape.
    pub fn new(pictures: &[Picture]) -> Result<Self> {
        let Some(first) = pictures.first() else {
            return Err(Error::config("there are no pictures to look for copies in"));
        };
        if let Some(other) = pictures.iter().find(|picture| picture.shape != first.shape) {
            return Err(Error::config(format!(
                "pictures of {:?} and of {:?} can't be compared pixel by pixel: bring them to one size",
                first.shape, other.shape
            )));
        }
        let standard: Vec<Standard> = pictures.par_iter().map(Standard::new).collect();
        let thumbnails = [false, true].map(|mirrored| {
            standard.iter().flat_map(|picture| picture.thumbnail(mirrored)).collect::<Vec<f32>>()
        });
        let width = thumbnails[0].len() / standard.len();
        Ok(Self { standard, thumbnails, width })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.standard.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.standard.is_empty()
    }

    /// The most alike picture of the gallery for each picture of `queries`; with `among_themselves`
    /// the two are one gallery, and no picture is like itself.
    ///
    /// # Errors
    /// [`Error::Config`] if the pictures differ in shape.
    pub fn most_alike(&self, queries: &Self, among_themselves: bool) -> Result<Vec<Match>> {
        let same =
            |a: &Standard, b: &Standard| (a.height, a.width, a.channels) == (b.height, b.width, b.channels);
        if !self.standard.first().zip(queries.standard.first()).is_some_and(|(a, b)| same(a, b)) {
            return Err(Error::config("pictures of different sizes can't be compared pixel by pixel"));
        }
        if among_themselves && self.len() < 2 {
            return Err(Error::config("one picture has no other to be like"));
        }
        let asked = Rows::new(&queries.thumbnails[0], self.width)?;
        let k = (CANDIDATES + usize::from(among_themselves)).min(self.len());
        let found =
            [0, 1].map(|way| knn::neighbours(asked, Rows::new(&self.thumbnails[way], self.width)?, k));
        let [straight, mirrored] = found;
        let (straight, mirrored) = (straight?, mirrored?);
        let best = |(query, picture): (usize, &Standard)| {
            let candidates = straight[query].iter().chain(&mirrored[query]).map(|neighbour| neighbour.index);
            let mut candidates: Vec<usize> =
                candidates.filter(|&index| !(among_themselves && index == query)).collect();
            candidates.sort_unstable();
            candidates.dedup();
            let compared: Vec<(usize, f64, Position)> = candidates
                .into_iter()
                .map(|index| {
                    let (square, position) = picture.best(&self.standard[index]);
                    (index, square.sqrt(), position)
                })
                .collect();
            Match::of(compared)
        };
        Ok(queries.standard.par_iter().enumerate().filter_map(best).collect())
    }
}

impl Match {
    fn of(mut compared: Vec<(usize, f64, Position)>) -> Option<Self> {
        compared.sort_by(|a, b| a.1.total_cmp(&b.1));
        compared.truncate(CANDIDATES);
        let mean = compared.iter().map(|(_, distance, _)| distance).sum::<f64>() / compared.len() as f64;
        let &(index, distance, position) = compared.first()?;
        Some(Self { index, distance, ratio: if mean > 0.0 { distance / mean } else { 0.0 }, position })
    }
}
