//! Places of numbers in memory along one side of a matrix.

use std::ops::Range;

/// The places of the points of a side: those of a grid in row-major order, or a list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Axis<'a> {
    /// The point (a, b, c) lies at `start + a steps[0] + b steps[1] + c steps[2]`.
    Grid {
        start: usize,
        sizes: [usize; 3],
        steps: [usize; 3],
    },
    List(&'a [usize]),
}

impl Axis<'_> {
    /// `0, step, 2 step, ...`.
    pub(crate) fn line(count: usize, step: usize) -> Self {
        Self::grid([1, 1, count], [0, 0, step])
    }

    /// A grid that starts at 0.
    pub(crate) fn grid(sizes: [usize; 3], steps: [usize; 3]) -> Self {
        Self::Grid { start: 0, sizes, steps }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Grid { sizes, .. } => sizes.iter().product(),
            Self::List(places) => places.len(),
        }
    }

    /// The largest place, if there is one.
    pub(crate) fn largest(&self) -> Option<usize> {
        match self {
            Self::Grid { sizes, .. } if sizes.contains(&0) => None,
            Self::Grid { start, sizes, steps } => {
                Some(start + sizes.iter().zip(steps).map(|(size, step)| (size - 1) * step).sum::<usize>())
            }
            Self::List(places) => places.iter().max().copied(),
        }
    }

    /// Writes the places of the points from `first` on.
    pub(crate) fn places(&self, first: usize, out: &mut [usize]) {
        match self {
            Self::List(places) => out.copy_from_slice(&places[first..first + out.len()]),
            Self::Grid { .. } if out.is_empty() => {}
            Self::Grid { start, sizes: [_, n, m], steps } => {
                let (mut a, mut b, mut c) = (first / m / n, first / m % n, first % m);
                let mut rest = out;
                while !rest.is_empty() {
                    let (row, others) = rest.split_at_mut(rest.len().min(m - c));
                    let mut place = start + a * steps[0] + b * steps[1] + c * steps[2];
                    for out in row {
                        *out = place;
                        place += steps[2];
                    }
                    rest = others;
                    c = 0;
                    b += 1;
                    if b == *n {
                        (a, b) = (a + 1, 0);
                    }
                }
            }
        }
    }

    /// The places of a range of points.
    pub(crate) fn table(&self, range: Range<usize>) -> Vec<usize> {
        let mut table = vec![0; range.len()];
        self.places(range.start, &mut table);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_grid_in_row_major_order() {
        let (sizes, steps) = ([3, 2, 5], [100, 20, 3]);
        let axis = Axis::Grid { start: 7, sizes, steps };
        let mut want = Vec::new();
        for a in 0..3 {
            for b in 0..2 {
                want.extend((0..5).map(|c| 7 + a * 100 + b * 20 + c * 3));
            }
        }
        assert_eq!((axis.len(), axis.largest()), (30, want.iter().max().copied()));
        for range in [0..30, 4..5, 9..22, 30..30] {
            assert_eq!(axis.table(range.clone()), want[range.clone()]);
            assert_eq!(Axis::List(&want).table(range.clone()), want[range]);
        }
        assert_eq!(Axis::line(0, 4).largest(), None);
    }
}
