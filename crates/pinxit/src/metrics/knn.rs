//! Nearest neighbours in pixels (or any features): a classifier that needs no training, and the
//! nearest real picture beside a painted one.
//!
//! Cover and Hart 1967, "Nearest neighbor pattern classification". The search is exact: candidates
//! are sieved in single precision with a bound on its rounding error, and what passes is measured
//! in double precision.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::rng::{Purpose, Rng};

/// Vectors of equal length, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Rows<'a> {
    /// `values` as rows of `width`, such as pictures of `C * H * W` pixels.
    ///
    /// # Errors
    /// [`Error::Config`] if `width` is 0 or does not divide the number of values.
    pub fn new(values: &'a [f32], width: usize) -> Result<Self> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Error::config(format!("{} values do not make rows of {width}", values.len())));
        }
        Ok(Self { values, width })
    }

    /// Number of rows.
    pub fn len(self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.values.is_empty()
    }

    /// Values of a row.
    pub fn width(self) -> usize {
        self.width
    }

    /// All values, row after row.
    pub fn values(self) -> &'a [f32] {
        self.values
    }

    /// Row `index`.
    pub(super) fn row(self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// The rows in order.
    pub fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.width)
    }

    /// The rows in a random order, the same for every set of as many: parts of a set that is sorted by
    /// class, or goes through the classes in turn, would otherwise hold different classes.
    pub(super) fn shuffled(self) -> Vec<f32> {
        order(self.len()).into_iter().flat_map(|row| self.row(row)).copied().collect()
    }

    /// Refuses features that are no finite numbers; `first` is the number of the first row.
    ///
    /// # Errors
    /// [`Error::Config`] naming the row.
    pub(super) fn check_finite(self, first: usize) -> Result<()> {
        match self.iter().position(|row| row.iter().any(|value| !value.is_finite())) {
            None => Ok(()),
            Some(row) => Err(Error::config(format!(
                "the features of picture {} are not finite numbers: the extractor's weights are damaged, or \
                 the picture holds values that are none",
                first + row
            ))),
        }
    }
}

/// The order of [`Rows::shuffled`].
pub(super) fn order(count: usize) -> Vec<usize> {
    let order = Rng::new(0, Purpose::Shuffle, 0, 0).permutation(count as u32);
    order.into_iter().map(|index| index as usize).collect()
}

/// A row that is near to a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Number of the row.
    pub index: usize,
    /// Euclidean distance to the query.
    pub distance: f64,
}

/// The nearest reference of each query; of equally near ones the first.
///
/// # Errors
/// [`Error::Config`] if there are no references, or if their width is not that of the queries.
pub fn nearest(queries: Rows, references: Rows) -> Result<Vec<Neighbour>> {
    Ok(neighbours(queries, references, 1)?.into_iter().flatten().collect())
}

/// The `k` nearest references of each query, nearest first; of equally near ones the first.
///
/// # Errors
/// [`Error::Config`] if `k` is 0 or more than there are references, or if the widths differ.
pub fn neighbours(queries: Rows, references: Rows, k: usize) -> Result<Vec<Vec<Neighbour>>> {
    if queries.width != references.width {
        let (q, r) = (queries.width, references.width);
        return Err(Error::config(format!(
            "queries have {q} values and references {r}; make them the same shape"
        )));
    }
    check_count(k, references)?;
    let search = |block: &[f32]| search_block(block, references, k);
    Ok(queries.values.par_chunks(QUERIES_PER_BLOCK * queries.width).flat_map(search).collect())
}

fn check_count(k: usize, references: Rows) -> Result<()> {
    match references.len() {
        0 => Err(Error::config("there are no pictures to look for neighbours in")),
        count if k == 0 || k > count => Err(Error::config(format!(
            "{k} neighbours can't be had of {count} pictures; ask for 1 to {count}"
        ))),
        _ => Ok(()),
    }
}

/// A reference row is fetched from memory once for so many queries.
const QUERIES_PER_BLOCK: usize = 16;

fn search_block(queries: &[f32], references: Rows, k: usize) -> Vec<Vec<Neighbour>> {
    let width = references.width;
    let slack = slack(width);
    let mut found = vec![Nearest::new(k); queries.len() / width];
    for (index, reference) in references.values.chunks_exact(width).enumerate() {
        for (query, nearest) in queries.chunks_exact(width).zip(&mut found) {
            if may_be_within(query, reference, nearest.reach * slack * slack) {
                nearest.offer(index, squared_distance(query, reference));
            }
        }
    }
    found.into_iter().map(Nearest::into_neighbours).collect()
}

/// The nearest rows so far.
#[derive(Debug, Clone)]
struct Nearest {
    k: usize,
    /// Squared distances, smallest first.
    rows: Vec<(usize, f64)>,
    /// What a row must not exceed to be taken, as a squared distance.
    reach: f32,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { k, rows: Vec::with_capacity(k + 1), reach: f32::INFINITY }
    }

    /// Takes row `index` if it is nearer than the farthest; rows come in ascending order.
    fn offer(&mut self, index: usize, squared: f64) {
        let place = self.rows.partition_point(|(_, other)| other.total_cmp(&squared).is_le());
        self.rows.insert(place, (index, squared));
        self.rows.truncate(self.k);
        if let (Some((_, farthest)), true) = (self.rows.last(), self.rows.len() == self.k) {
            self.reach = *farthest as f32;
        }
    }

    fn into_neighbours(self) -> Vec<Neighbour> {
        let neighbour = |(index, squared): (usize, f64)| Neighbour { index, distance: squared.sqrt() };
        self.rows.into_iter().map(neighbour).collect()
    }
}

/// Partial sums that the compiler keeps in vector registers.
const LANES: usize = 16;

/// Values after which a sum that is already too large is given up.
const STRIDE: usize = 16 * LANES;

/// Whether the squared distance in single precision is at most `reach`.
fn may_be_within(a: &[f32], b: &[f32], reach: f32) -> bool {
    let mut sum = 0.0;
    for (a, b) in a.chunks(STRIDE).zip(b.chunks(STRIDE)) {
        let mut lanes = [0.0f32; LANES];
        let (a, b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.0.iter().zip(b.0) {
            for lane in 0..LANES {
                lanes[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
            }
        }
        sum += lanes.iter().sum::<f32>();
        sum += a.1.iter().zip(b.1).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        if sum > reach {
            return false;
        }
    }
    true
}

/// Whether two rows are at most `radius` apart.
pub(super) fn is_within(a: &[f32], b: &[f32], radius: f64) -> bool {
    may_be_within(a, b, reach(radius, a.len())) && distance(a, b) <= radius
}

/// Whether two rows are less than `radius` apart.
pub(super) fn is_nearer(a: &[f32], b: &[f32], radius: f64) -> bool {
    may_be_within(a, b, reach(radius, a.len())) && distance(a, b) < radius
}

/// The squared radius with room for the rounding error of single precision.
fn reach(radius: f64, width: usize) -> f32 {
    (radius * radius) as f32 * slack(width) * slack(width)
}

/// Relative rounding error of a sum of non-negative squares in [`LANES`] partial sums.
fn slack(width: usize) -> f32 {
    1.0 + (width / LANES + LANES + 4) as f32 * f32::EPSILON
}

/// Euclidean distance of two rows.
pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
    squared_distance(a, b).sqrt()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

/// A k-nearest-neighbour classifier.
#[derive(Debug, Clone, Copy)]
pub struct Classifier<'a> {
    references: Rows<'a>,
    labels: &'a [u32],
    k: usize,
}

impl<'a> Classifier<'a> {
    /// Votes of the `k` nearest `references`, whose classes are `labels`.
    ///
    /// # Errors
    /// [`Error::Config`] if there is not one label a row, or if `k` is 0 or more than there are rows.
    pub fn new(references: Rows<'a>, labels: &'a [u32], k: usize) -> Result<Self> {
        if labels.len() != references.len() {
            let (labels, rows) = (labels.len(), references.len());
            return Err(Error::config(format!("{labels} labels for {rows} pictures; give one each")));
        }
        check_count(k, references)?;
        Ok(Self { references, labels, k })
    }

    /// The class of each query: the one with most of the `k` neighbours, and of those that have
    /// equally many the one with the nearest.
    ///
    /// # Errors
    /// [`Error::Config`] if the width of the queries is not that of the references.
    pub fn classify(&self, queries: Rows) -> Result<Vec<u32>> {
        let found = neighbours(queries, self.references, self.k)?;
        Ok(found.iter().map(|neighbours| self.vote(neighbours)).collect())
    }

    /// Share of the queries, 0 to 1, whose class is the one in `labels`.
    ///
    /// # Errors
    /// [`Error::Config`] if there are no queries, not one label each, or if the widths differ.
    pub fn accuracy(&self, queries: Rows, labels: &[u32]) -> Result<f64> {
        if labels.is_empty() || labels.len() != queries.len() {
            let (labels, rows) = (labels.len(), queries.len());
            return Err(Error::config(format!(
                "{labels} labels for {rows} pictures; give one each, and at least one"
            )));
        }
        let classes = self.classify(queries)?;
        let correct = classes.iter().zip(labels).filter(|(class, label)| class == label).count();
        Ok(correct as f64 / labels.len() as f64)
    }

    fn vote(&self, neighbours: &[Neighbour]) -> u32 {
        // At most k classes, in the order of their nearest member.
        let mut votes: Vec<(u32, usize)> = Vec::new();
        for neighbour in neighbours {
            let class = self.labels[neighbour.index];
            match votes.iter_mut().find(|(other, _)| *other == class) {
                Some((_, count)) => *count += 1,
                None => votes.push((class, 1)),
            }
        }
        // `max_by_key` takes the last of equals.
        votes.iter().rev().max_by_key(|(_, count)| count).map_or(0, |&(class, _)| class)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn random(count: usize, levels: u32, stream: u32) -> Vec<f32> {
        let mut rng = Rng::new(5, Purpose::Picture, stream, 0);
        (0..count).map(|_| rng.below(levels) as f32 / levels as f32).collect()
    }

    /// Oracle: sorting all distances in double precision. Few levels make many exact ties, and the
    /// widths cover rows shorter than a lane, longer than a stride and neither multiple.
    #[test]
    fn neighbours_are_those_of_brute_force() {
        for (width, levels) in [(3, 4), (64, 17), (300, 3), (700, 1 << 24)] {
            let (queries, references) = (random(37 * width, levels, 1), random(211 * width, levels, 2));
            let found =
                neighbours(Rows::new(&queries, width).unwrap(), Rows::new(&references, width).unwrap(), 5)
                    .unwrap();
            assert_eq!(found.len(), 37);
            for (query, found) in queries.chunks(width).zip(&found) {
                let squared = |row: &[f32]| -> f64 {
                    row.iter().zip(query).map(|(r, q)| (f64::from(*r) - f64::from(*q)).powi(2)).sum()
                };
                let mut all: Vec<_> = references.chunks(width).map(squared).enumerate().collect();
                all.sort_by(|a, b| a.1.total_cmp(&b.1));
                let nearest =
                    all[..5].iter().map(|&(index, squared)| Neighbour { index, distance: squared.sqrt() });
                assert!(nearest.eq(found.iter().copied()), "width {width}, {levels} levels");
            }
        }
    }

    /// Oracle: the votes by hand.
    #[test]
    fn most_votes_win_and_ties_go_to_the_nearer() {
        let references = [0.0, 1.0, 2.0, 10.0, 11.0];
        let labels = [7, 8, 8, 9, 7];
        let classify = |k, query: f32| {
            let rows = Rows::new(&references, 1).unwrap();
            Classifier::new(rows, &labels, k).unwrap().classify(Rows::new(&[query], 1).unwrap()).unwrap()[0]
        };
        assert_eq!(classify(1, 0.1), 7);
        assert_eq!(classify(2, 0.1), 7);
        assert_eq!(classify(3, 0.1), 8);
        assert_eq!(classify(3, 9.0), 9);
        assert_eq!(classify(5, 10.4), 7);
    }

    #[test]
    fn what_cannot_be_searched_is_refused() {
        let rows = |values, width| Rows::new(values, width).unwrap();
        assert!(Rows::new(&[1.0; 5], 2).is_err());
        assert!(Rows::new(&[], 0).is_err());
        assert!(nearest(rows(&[1.0; 4], 2), rows(&[1.0; 3], 3)).is_err());
        assert!(nearest(rows(&[1.0; 4], 2), rows(&[], 2)).is_err());
        assert!(neighbours(rows(&[1.0; 4], 2), rows(&[1.0; 4], 2), 3).is_err());
        assert!(Classifier::new(rows(&[1.0; 4], 2), &[1], 1).is_err());
        assert!(nearest(rows(&[], 2), rows(&[1.0; 4], 2)).unwrap().is_empty());
    }
}
