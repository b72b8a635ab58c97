//! Shapes on the 32x32 grid, as sets of pixels.
//!
//! Positions and radii are in half-pixels: the canvas is 64x64 half-pixels, the middle of pixel
//! (x, y) is (2x + 1, 2y + 1), and the axis of symmetry is x = 32. All arithmetic is on integers,
//! so that every machine draws the same sprite.

use std::ops::{BitAnd, BitOr, Sub};

/// Pixels on a side.
pub(super) const SIDE: usize = 32;
/// The axis of symmetry, in half-pixels.
pub(super) const AXIS: i32 = 32;

/// A set of pixels; bit x of row y is the pixel in column x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask {
    rows: [u32; SIDE],
}

impl Mask {
    /// No pixel.
    pub(super) const EMPTY: Self = Self { rows: [0; SIDE] };

    /// The pixels whose middle fulfils `inside`, looked for between rows `top` and `bottom`.
    fn where_inside(top: i32, bottom: i32, inside: impl Fn(i32, i32) -> bool) -> Self {
        let mut mask = Self::EMPTY;
        for (y, row) in (0i32..).zip(&mut mask.rows) {
            let y = 2 * y + 1;
            if (top..=bottom).contains(&y) {
                *row = (0..SIDE as i32).filter(|x| inside(2 * x + 1, y)).fold(0, |row, x| row | 1 << x);
            }
        }
        mask
    }

    /// An ellipse about (cx, cy).
    pub(super) fn ellipse(cx: i32, cy: i32, rx: i32, ry: i32) -> Self {
        let (rx2, ry2) = (rx * rx, ry * ry);
        Self::where_inside(cy - ry, cy + ry, |x, y| {
            (x - cx) * (x - cx) * ry2 + (y - cy) * (y - cy) * rx2 <= rx2 * ry2
        })
    }

    /// The rectangle from (left, top) to (right, bottom).
    pub(super) fn rectangle(left: i32, top: i32, right: i32, bottom: i32) -> Self {
        Self::where_inside(top, bottom, |x, _| (left..=right).contains(&x))
    }

    /// The rectangle about the axis that reaches `half_width` to both sides, corners cut by `corner`.
    pub(super) fn plate(half_width: i32, top: i32, bottom: i32, corner: i32) -> Self {
        Self::where_inside(top, bottom, |x, y| {
            let aside = (x - AXIS).abs() - (half_width - corner);
            let above = (top + corner - y).max(y - (bottom - corner));
            aside <= corner && aside.max(0) + above.max(0) <= corner
        })
    }

    /// The triangle with these corners.
    pub(super) fn triangle(a: (i32, i32), b: (i32, i32), c: (i32, i32)) -> Self {
        let turn = |p: (i32, i32), q: (i32, i32), x, y| (q.0 - p.0) * (y - p.1) - (q.1 - p.1) * (x - p.0);
        let (top, bottom) = (a.1.min(b.1).min(c.1), a.1.max(b.1).max(c.1));
        Self::where_inside(top, bottom, |x, y| {
            let turns = [turn(a, b, x, y), turn(b, c, x, y), turn(c, a, x, y)];
            turns.iter().all(|&t| t >= 0) || turns.iter().all(|&t| t <= 0)
        })
    }

    /// The pixels, given in whole pixels, for which `member` holds.
    pub(super) fn from_fn(member: impl Fn(usize, usize) -> bool) -> Self {
        let row = |y| (0..SIDE).filter(|&x| member(x, y)).fold(0, |row, x| row | 1 << x);
        Self { rows: std::array::from_fn(row) }
    }

    /// Single pixels, given in whole pixels.
    pub(super) fn pixels(pixels: &[(usize, usize)]) -> Self {
        let mut mask = Self::EMPTY;
        pixels.iter().for_each(|&(x, y)| mask.rows[y] |= 1 << x);
        mask
    }

    /// The rows above half-pixel `y`.
    pub(super) fn above(self, y: i32) -> Self {
        self & Self::rectangle(0, 0, 2 * SIDE as i32, y - 1)
    }

    /// This and its mirror image.
    pub(super) fn twice(self) -> Self {
        self | Self { rows: self.rows.map(u32::reverse_bits) }
    }

    /// Moved by whole pixels; what leaves the canvas is lost.
    pub(super) fn moved(self, right: i32, down: i32) -> Self {
        let shift = |row: u32| {
            if right >= 0 { row << right } else { row >> -right }
        };
        let from = |y: usize| y.checked_add_signed(-down as isize).and_then(|y| self.rows.get(y));
        Self { rows: std::array::from_fn(|y| from(y).copied().map_or(0, shift)) }
    }

    /// This and the four neighbours of every pixel.
    pub(super) fn grown(self) -> Self {
        self | self.moved(1, 0) | self.moved(-1, 0) | self.moved(0, 1) | self.moved(0, -1)
    }

    /// Without the pixels that have a neighbour outside.
    pub(super) fn shrunk(self) -> Self {
        self & self.moved(1, 0) & self.moved(-1, 0) & self.moved(0, 1) & self.moved(0, -1)
    }

    /// Whether pixel (x, y) is a member, in whole pixels.
    pub(super) fn has(self, x: usize, y: usize) -> bool {
        self.rows[y] >> x & 1 == 1
    }

    /// The members, row by row, as (x, y) in whole pixels.
    pub(super) fn iter(self) -> impl Iterator<Item = (usize, usize)> {
        let without_lowest_bit = |row: &u32| Some(row & row.wrapping_sub(1));
        self.rows.into_iter().enumerate().flat_map(move |(y, row)| {
            let rest = std::iter::successors(Some(row), without_lowest_bit);
            rest.take_while(|&row| row != 0).map(move |row| (row.trailing_zeros() as usize, y))
        })
    }

    /// Smallest box around the members, (left, top, right, bottom) in half-pixels.
    pub(super) fn bounds(self) -> (i32, i32, i32, i32) {
        let columns = self.rows.iter().fold(0, |columns, row| columns | row);
        let top = self.rows.iter().position(|&row| row != 0).unwrap_or(0);
        let bottom = self.rows.iter().rposition(|&row| row != 0).map_or(0, |y| y + 1);
        let (left, right) = (columns.trailing_zeros().min(31), 32 - columns.leading_zeros());
        (2 * left as i32, 2 * top as i32, 2 * right as i32, 2 * bottom as i32)
    }
}

impl BitOr for Mask {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self { rows: std::array::from_fn(|y| self.rows[y] | other.rows[y]) }
    }
}

impl BitAnd for Mask {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self { rows: std::array::from_fn(|y| self.rows[y] & other.rows[y]) }
    }
}

/// Set difference.
impl Sub for Mask {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { rows: std::array::from_fn(|y| self.rows[y] & !other.rows[y]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_about_the_axis_are_their_own_mirror_image() {
        for mask in [Mask::ellipse(AXIS, 30, 17, 12), Mask::plate(15, 10, 40, 4)] {
            assert_ne!(mask, Mask::EMPTY);
            assert_eq!(mask, mask.twice());
        }
    }

    #[test]
    fn shapes_have_the_size_that_was_asked_for() {
        assert_eq!(Mask::ellipse(32, 32, 10, 6).bounds(), (22, 26, 42, 38));
        assert_eq!(Mask::rectangle(4, 8, 12, 20).bounds(), (4, 8, 12, 20));
        assert_eq!(Mask::triangle((0, 0), (20, 0), (0, 20)).iter().count(), 55);
        assert_eq!(Mask::rectangle(4, 8, 12, 20).moved(-1, 2).bounds(), (2, 12, 10, 24));
    }
}
