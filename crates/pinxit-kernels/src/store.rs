//! The end of a matrix product: its tiles go to their places, with bias and activation on the way.

use crate::activation::{Activation, along};
use crate::pack::consecutive;
use crate::simd::vectorised;
use crate::threads::Shared;
use crate::tile::{MR, NR, Tile};

/// What is done to each sum before it is stored: `activation(sum + bias[row])`.
#[derive(Clone, Copy, Default)]
pub(crate) struct End<'a> {
    /// Whether the sum is added to what is there.
    pub(crate) add: bool,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) activation: Activation,
}

impl<'a> End<'a> {
    /// The bias alone.
    pub(crate) fn bias(bias: Option<&'a [f32]>) -> Self {
        Self { bias, ..Self::default() }
    }

    /// The end of one sum of a row.
    pub(crate) fn of(&self, row: usize, sum: f32) -> f32 {
        self.activation.value(sum + self.bias.map_or(0.0, |bias| bias[row]))
    }
}

/// A block of the depth among those that are summed one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// Where a tile goes: (i, j) to `rows[i] + cols[j]`.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub(crate) rows: &'a [usize],
    pub(crate) cols: &'a [usize],
}

impl Spot<'_> {
    /// Fetches the lines that the tile will go to, if its columns lie side by side.
    #[inline(always)]
    pub(crate) fn prefetch(&self, out: &Shared) {
        if self.cols.len() == NR && self.cols[NR - 1] == self.cols[0] + NR - 1 {
            self.rows.iter().for_each(|row| out.prefetch(row + self.cols[0]));
        }
    }

    /// Stores a tile, or adds it to what is there if this is not the first block of the depth. `first_row` is
    /// the row of the product that the tile begins with.
    ///
    /// # Safety
    /// The places exist, are different, and nobody else touches them.
    pub(crate) unsafe fn put(
        &self,
        tile: &mut Tile,
        first_row: usize,
        stage: Stage,
        end: &End,
        out: &Shared,
    ) {
        if let (true, Some(bias)) = (stage.first, end.bias) {
            add_rows(tile, &bias[first_row..first_row + self.rows.len()]);
        }
        let ends = stage.last && end.activation != Activation::None;
        let alone = stage.first && !end.add;
        if ends && !alone {
            self.each(|at, i| {
                // SAFETY: promised by the caller.
                tile.0[i] += unsafe { out.part(at..at + 1)[0] };
            });
        }
        if ends {
            activate(end.activation, tile);
        }
        // SAFETY: promised by the caller.
        unsafe { if alone || ends { write::<0>(self, tile, out) } else { write::<1>(self, tile, out) } }
    }

    /// Calls `f` with the place of each element and its number in the tile.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(usize, usize)) {
        for (i, row) in self.rows.iter().enumerate() {
            self.cols.iter().enumerate().for_each(|(j, col)| f(row + col, i * NR + j));
        }
    }
}

/// `y = x`, or `y += x` if `ADD` is 1.
#[inline(always)]
fn set<const ADD: usize>(y: &mut f32, x: f32) {
    *y = if ADD == 1 { *y + x } else { x };
}

vectorised! {
    fn add_rows(tile: &mut Tile, bias: &[f32]) {
        for (row, bias) in tile.0.as_chunks_mut::<NR>().0.iter_mut().zip(bias) {
            row.iter_mut().for_each(|x| *x += bias);
        }
    }

    fn activate(activation: Activation, tile: &mut Tile) {
        let sums = tile.0;
        along(activation, (1.0, 0.0), &sums, &mut tile.0);
    }

    /// Rows of columns that lie side by side, columns of rows that do, or element by element.
    [unsafe] fn write<const ADD: usize>(spot: &Spot, tile: &Tile, out: &Shared) {
        let Spot { rows, cols } = *spot;
        if consecutive(cols) {
            for (row, sums) in rows.iter().zip(tile.0.as_chunks::<NR>().0) {
                let start = row + cols[0];
                // SAFETY: promised by the caller.
                let part = unsafe { out.part(start..start + cols.len()) };
                if let Some(part) = part.first_chunk_mut::<NR>() {
                    (0..NR).for_each(|j| set::<ADD>(&mut part[j], sums[j]));
                } else {
                    part.iter_mut().zip(sums).for_each(|(y, &sum)| set::<ADD>(y, sum));
                }
            }
        } else if rows.len() == MR && consecutive(rows) {
            for (j, col) in cols.iter().enumerate() {
                let start = rows[0] + col;
                // SAFETY: promised by the caller.
                let part = unsafe { out.part(start..start + MR) };
                if let Some(part) = part.first_chunk_mut::<MR>() {
                    (0..MR).for_each(|i| set::<ADD>(&mut part[i], tile.0[i * NR + j]));
                }
            }
        } else {
            spot.each(|at, i| {
                // SAFETY: promised by the caller.
                set::<ADD>(unsafe { &mut out.part(at..at + 1)[0] }, tile.0[i]);
            });
        }
    }
}
