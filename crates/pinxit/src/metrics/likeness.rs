//! Whether one picture is a copy of another, whatever was done to it on the way: shifted by a pixel,
//! mirrored, recompressed, made brighter or paler.
//!
//! Pictures are compared after their mean and contrast are taken out, in the best of 18 positions: as
//! they are and mirrored, each shifted by up to one pixel. Candidates are found by thumbnails. The difference that counts is that of the tile where two pictures differ most: noise is
//! spread over a copy, while two pictures of one kind differ in some place, an eye or a stroke.

use rayon::prelude::*;

use super::knn::{self, Rows};
use crate::error::{Error, Result};
use crate::image_io::Picture;

/// Longest side of a thumbnail, in pixels.
const THUMBNAIL: usize = 8;
/// Candidates of each position that are compared pixel by pixel.
const CANDIDATES: usize = 50;
/// Contrast below which a picture counts as flat, in levels of 0 to 255: noise is not blown up.
const FLAT: f32 = 4.0;
/// Tiles along the longer side of a picture; those of small pictures are 4 pixels and fewer.
const TILES: usize = 4;

/// A picture that is like another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Number of the other picture.
    pub index: usize,
    /// Root mean square difference in the tile where the two differ most (Carlini et al. 2023,
    /// "Extracting training data from diffusion models", section 4.2), of pictures that have mean 0 and
    /// contrast 1 where they overlap: 0 for a copy, above 1.4 for pictures that have nothing in common.
    pub distance: f64,
    /// The distance over the mean distance of the [`CANDIDATES`] most alike (section 5.1 there).
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

/// Pixels, down and right, by which a picture may be moved upon another; of equally good ones the first is taken.
const SHIFTS: [(i8, i8); 9] = [(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)];

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
    thumbnails: Vec<f32>,
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

    /// Means of the blocks of the picture moved by so many pixels; what comes in at a side repeats it.
    fn thumbnail(&self, (down, right): (i8, i8)) -> Vec<f32> {
        let longest = self.height.max(self.width).max(1);
        let side = |side: usize| (side * THUMBNAIL).div_ceil(longest).clamp(1, side.max(1));
        let (height, width) = (side(self.height), side(self.width));
        let from =
            |at: usize, by: i8, side: usize| (at as isize - isize::from(by)).clamp(0, side as isize - 1);
        let mut sums = vec![0.0; height * width * self.channels];
        for y in 0..self.height {
            let row = from(y, down, self.height) as usize * self.width;
            for x in 0..self.width {
                let pixel = (row + from(x, right, self.width) as usize) * self.channels;
                let place = (y * height / self.height * width + x * width / self.width) * self.channels;
                for channel in 0..self.channels {
                    sums[place + channel] += self.values[pixel + channel];
                }
            }
        }
        let area = (self.height * self.width) as f32 / (height * width) as f32;
        sums.iter().map(|sum| sum / area).collect()
    }

    fn mirrored(&self) -> Self {
        let rows = self.values.chunks_exact((self.width * self.channels).max(1));
        let values = rows.flat_map(|row| row.chunks_exact(self.channels).rev().flatten().copied()).collect();
        Self { values, ..*self }
    }

    /// The rows of the two that lie upon each other, `other` moved by so many pixels, each with its place
    /// in `self`.
    fn overlapping<'a>(
        &'a self,
        other: &'a Self,
        (down, right): (i8, i8),
    ) -> impl Iterator<Item = (usize, &'a [f32], &'a [f32])> {
        let columns = overlap(self.width, right);
        let theirs = (columns.start as isize - isize::from(right)) as usize;
        let length = columns.len() * self.channels;
        overlap(self.height, down).map(move |y| {
            let row =
                |of: &'a Self, y: usize, x: usize| &of.values[(y * of.width + x) * of.channels..][..length];
            let down = (y as isize - isize::from(down)) as usize;
            (y, row(self, y, columns.start), row(other, down, theirs))
        })
    }

    /// Mean square difference where the two lie upon each other.
    fn difference(&self, other: &Self, shift: (i8, i8)) -> f64 {
        let (mut sum, mut count) = (0.0f64, 0usize);
        for (_, a, b) in self.overlapping(other, shift) {
            sum += f64::from(squares(a, b));
            count += a.len();
        }
        sum / count.max(1) as f64
    }

    /// Root mean square difference in the tile where it is largest, of the parts that lie upon each other
    /// without their means and contrasts.
    fn worst_tile(&self, other: &Self, shift: (i8, i8)) -> f64 {
        let tile = self.height.max(self.width).div_ceil(TILES).max(4);
        let mut tiles: Vec<Sums> = Vec::new();
        let across = self.width.div_ceil(tile);
        tiles.resize(across * self.height.div_ceil(tile), Sums::default());
        let first = overlap(self.width, shift.1).start;
        for (y, a, b) in self.overlapping(other, shift) {
            for (x, (a, b)) in a.chunks_exact(self.channels).zip(b.chunks_exact(self.channels)).enumerate() {
                let sums = &mut tiles[y / tile * across + (first + x) / tile];
                a.iter().zip(b).for_each(|(&a, &b)| sums.add(f64::from(a), f64::from(b)));
            }
        }
        let whole = tiles.iter().fold(Sums::default(), |whole, sums| whole.plus(sums));
        let squares = tiles.iter().filter(|sums| sums.count > 0.0).map(|sums| sums.difference(&whole));
        squares.fold(0.0, f64::max).sqrt()
    }
}

/// Sums over the pixels of two pictures that lie upon each other.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
    ab: f64,
}

impl Sums {
    fn add(&mut self, a: f64, b: f64) {
        *self = self.plus(&Self { count: 1.0, a, b, aa: a * a, bb: b * b, ab: a * b });
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            a: self.a + other.a,
            b: self.b + other.b,
            aa: self.aa + other.aa,
            bb: self.bb + other.bb,
            ab: self.ab + other.ab,
        }
    }

    /// Mean square of `(a - mean of a) / contrast of a - (b - mean of b) / contrast of b` over these
    /// pixels, with the means and contrasts of `whole`.
    fn difference(&self, whole: &Self) -> f64 {
        let scale = |sum: f64, squares: f64| {
            let mean = sum / whole.count;
            (mean, 1.0 / (squares / whole.count - mean * mean).max(f64::from(FAINT).powi(2)).sqrt())
        };
        let ((a, p), (b, q)) = (scale(whole.a, whole.aa), scale(whole.b, whole.bb));
        let n = self.count;
        let spread_a = self.aa - 2.0 * a * self.a + n * a * a;
        let spread_b = self.bb - 2.0 * b * self.b + n * b * b;
        let both = self.ab - a * self.b - b * self.a + n * a * b;
        ((p * p * spread_a + q * q * spread_b - 2.0 * p * q * both) / n).max(0.0)
    }
}

/// Contrast, of the whole picture's, below which the part that overlaps counts as flat.
const FAINT: f32 = 0.1;

/// Sum of squared differences, in partial sums that the compiler keeps in vector registers.
fn squares(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (a, b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.0.iter().zip(b.0) {
        for lane in 0..LANES {
            lanes[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    lanes.iter().sum::<f32>() + a.1.iter().zip(b.1).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
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
        let thumbnails: Vec<Vec<f32>> =
            standard.par_iter().map(|picture| picture.thumbnail((0, 0))).collect();
        let width = thumbnails[0].len();
        Ok(Self { standard, thumbnails: thumbnails.concat(), width })
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
        let most = (CANDIDATES + usize::from(among_themselves)).min(self.len());
        let best = |(query, picture): (usize, &Standard)| {
            let itself = among_themselves.then_some(query);
            // A mirrored picture is found by turning what it is compared with: rows run in one direction.
            let ways = [(false, picture), (true, &picture.mirrored())];
            let mut found = Vec::new();
            for (mirrored, picture) in ways {
                found.extend(match among_themselves {
                    false => self.candidates(picture, mirrored, most)?,
                    true => self.unshifted_candidates(picture, mirrored, most)?,
                });
            }
            found.retain(|candidate| Some(candidate.index) != itself);
            let measure = |candidate: &Candidate| {
                let (_, picture) = ways[usize::from(candidate.mirrored)];
                (picture.worst_tile(&self.standard[candidate.index], candidate.shift), *candidate)
            };
            Ok(Match::of(nearest(found).iter().map(measure).collect()))
        };
        let found: Vec<Option<Match>> =
            queries.standard.par_iter().enumerate().map(best).collect::<Result<_>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The `most` pictures of each shift whose thumbnails are nearest to that of `picture`.
    fn candidates(&self, picture: &Standard, mirrored: bool, most: usize) -> Result<Vec<Candidate>> {
        // To move the others there is to move this one back.
        let moved = SHIFTS.iter().flat_map(|&(down, right)| picture.thumbnail((-down, -right)));
        let moved: Vec<f32> = moved.collect();
        let near = self.near(&moved, most)?.into_iter().zip(SHIFTS);
        let at = |(near, shift): (Vec<usize>, _)| self.compare(picture, mirrored, near, &[shift]);
        Ok(near.flat_map(at).collect())
    }

    /// The same by the thumbnail of the picture in its place alone: an eighth of the time, for galleries
    /// that are searched for doubles, where every picture is looked for.
    fn unshifted_candidates(
        &self,
        picture: &Standard,
        mirrored: bool,
        most: usize,
    ) -> Result<Vec<Candidate>> {
        let near = self.near(&picture.thumbnail((0, 0)), most)?.concat();
        Ok(self.compare(picture, mirrored, near, &SHIFTS))
    }

    fn near(&self, thumbnails: &[f32], most: usize) -> Result<Vec<Vec<usize>>> {
        let [asked, known] = [thumbnails, &self.thumbnails].map(|values| Rows::new(values, self.width));
        let found = knn::neighbours(asked?, known?, most)?;
        Ok(found.iter().map(|near| near.iter().map(|neighbour| neighbour.index).collect()).collect())
    }

    fn compare(
        &self,
        picture: &Standard,
        mirrored: bool,
        with: Vec<usize>,
        shifts: &[(i8, i8)],
    ) -> Vec<Candidate> {
        let candidate = |(index, shift): (usize, (i8, i8))| {
            let difference = picture.difference(&self.standard[index], shift);
            Candidate { index, difference, mirrored, shift }
        };
        with.into_iter()
            .flat_map(|index| shifts.iter().map(move |&shift| (index, shift)))
            .map(candidate)
            .collect()
    }
}

/// A picture in one of its positions.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    index: usize,
    /// Mean square.
    difference: f64,
    mirrored: bool,
    /// How it is moved upon the other picture, or upon the mirror image of the other.
    shift: (i8, i8),
}

/// The [`CANDIDATES`] pictures that differ least, each in its best position.
fn nearest(mut found: Vec<Candidate>) -> Vec<Candidate> {
    found.sort_by(|a, b| a.index.cmp(&b.index).then(a.difference.total_cmp(&b.difference)));
    found.dedup_by_key(|candidate| candidate.index);
    found.sort_by(|a, b| a.difference.total_cmp(&b.difference));
    found.truncate(CANDIDATES);
    found
}

impl Match {
    /// The best of candidates and their distances.
    fn of(mut compared: Vec<(f64, Candidate)>) -> Option<Self> {
        compared.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mean = compared.iter().map(|(distance, _)| distance).sum::<f64>() / compared.len() as f64;
        let &(distance, Candidate { index, mirrored, shift: (down, right), .. }) = compared.first()?;
        let position = Position { mirrored, down, right: if mirrored { -right } else { right } };
        Some(Self { index, distance, ratio: if mean > 0.0 { distance / mean } else { 0.0 }, position })
    }
}
