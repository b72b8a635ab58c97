//! Copies of the columns of a tile side by side, in the order in which [`crate::tile`] reads them.

use crate::simd::{self, Level, vectorised};
use crate::tile::{HALF, NR};

/// Numbers that are copied at once.
const VECTOR: usize = 16;
/// Side of the squares that are transposed.
const SQUARE: usize = 8;
/// Numbers after the end of a panel that packing may overwrite.
pub(crate) const SLACK: usize = VECTOR;

/// The columns of a panel: where they start in the data of the right side.
pub(crate) struct Columns<'a> {
    data: &'a [f32],
    /// Columns that do not exist repeat the first one; their sums are never stored.
    starts: &'a [usize; NR],
    width: usize,
    /// The step of the columns that lie in runs, which vectors copy.
    step: Option<usize>,
    /// Column and start of each vector.
    vectors: [(usize, usize); MOST],
    count: usize,
}

/// Vectors of a panel whose columns are still said to lie in runs.
const MOST: usize = NR / 4 + 1;

impl<'a> Columns<'a> {
    /// The columns that start at the first `width` of `starts`.
    pub(crate) fn new(data: &'a [f32], starts: &'a mut [usize; NR], width: usize) -> Self {
        let first = starts[0];
        starts[width..].fill(first);
        let mut columns = Self { data, starts, width, step: None, vectors: [(0, 0); MOST], count: 0 };
        columns.step = [1, 2].into_iter().find(|&step| columns.find_runs(step));
        columns
    }

    /// Looks for the vectors that cover the columns; false if these do not lie in few runs of this step.
    fn find_runs(&mut self, step: usize) -> bool {
        let (mut begin, most) = (0, (self.width + 4) / 4);
        self.count = 0;
        for end in 1..=self.width {
            if end == self.width || self.starts[end] != self.starts[end - 1] + step {
                for column in (begin..end).step_by(VECTOR) {
                    if self.count == most.min(MOST) {
                        return false;
                    }
                    self.vectors[self.count] = (column, self.starts[column]);
                    self.count += 1;
                }
                begin = end;
            }
        }
        true
    }

    /// Copies the depths `ks`: `panel[k * NR + j]` of the column j.
    pub(crate) fn pack(&self, ks: &[usize], panel: &mut [f32]) {
        assert!(panel.len() >= ks.len() * NR + SLACK);
        match self.step {
            Some(1) => self.pack_runs::<1>(ks, panel),
            Some(_) => self.pack_runs::<2>(ks, panel),
            None => match simd::level() {
                // SAFETY: AVX-512 is there.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => unsafe { x86::transpose(self, ks, panel) },
                _ => pack_squares(self, ks, panel),
            },
        }
    }

    fn pack_runs<const STEP: usize>(&self, ks: &[usize], panel: &mut [f32]) {
        match self.count {
            1 => pack_vectors::<STEP, 1>(self, ks, panel),
            2 => pack_vectors::<STEP, 2>(self, ks, panel),
            3 => pack_vectors::<STEP, 3>(self, ks, panel),
            4 => pack_vectors::<STEP, 4>(self, ks, panel),
            _ => pack_vectors::<STEP, MOST>(self, ks, panel),
        }
    }

    /// Asks once whether every number that packing will read is there.
    fn check(&self, ks: &[usize]) {
        if let (Some(start), Some(k)) = (self.starts.iter().max(), ks.iter().max()) {
            assert!(start + k < self.data.len(), "place {start} + {k} of {} numbers", self.data.len());
        }
    }

    /// One depth.
    ///
    /// # Safety
    /// [`Columns::check`] was asked about it.
    #[inline(always)]
    unsafe fn pack_one(&self, k: usize, line: &mut [f32]) {
        for (x, start) in line.iter_mut().zip(self.starts) {
            // SAFETY: promised by the caller.
            *x = unsafe { *self.data.get_unchecked(start + k) };
        }
    }
}

/// Whether each place is the one before plus 1.
#[inline(always)]
pub(crate) fn consecutive(places: &[usize]) -> bool {
    places.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

vectorised! {
    /// Columns in runs at steps of `STEP`, which `COUNT` vectors cover; more vectors than there are repeat the last.
    /// A vector that is longer than what is left of its run writes numbers that the next run, or the next depth,
    /// overwrites.
    fn pack_vectors<const STEP: usize, const COUNT: usize>(columns: &Columns, ks: &[usize], panel: &mut [f32]) {
        let data = columns.data;
        let vectors: [(usize, usize); COUNT] =
            std::array::from_fn(|v| columns.vectors[v.min(columns.count - 1)]);
        let furthest = vectors.iter().fold(0, |furthest, &(_, start)| furthest.max(start));
        for (line, &k) in ks.iter().enumerate() {
            if furthest + k + VECTOR * STEP <= data.len() {
                for (column, start) in vectors {
                    // SAFETY: both ends are inside: of the data by the question above, of the panel by its slack.
                    unsafe {
                        let source = &*data.as_ptr().add(start + k).cast::<[[f32; STEP]; VECTOR]>();
                        let target = panel.as_mut_ptr().add(line * NR + column).cast::<[f32; VECTOR]>();
                        target.write(std::array::from_fn(|j| source[j][0]));
                    }
                }
            } else {
                for (column, start) in vectors {
                    let rest = data[start + k..].iter().step_by(STEP).take(VECTOR);
                    panel[line * NR + column..].iter_mut().zip(rest).for_each(|(x, y)| *x = *y);
                }
            }
        }
    }

    /// Columns that lie apart: squares are transposed where the depths lie side by side.
    fn pack_squares(columns: &Columns, ks: &[usize], panel: &mut [f32]) {
        columns.check(ks);
        let mut done = 0;
        while done < ks.len() {
            let next = &ks[done..ks.len().min(done + SQUARE)];
            if next.len() == SQUARE && consecutive(next) {
                let rows = &mut panel[done * NR..][..SQUARE * NR];
                for (square, starts) in columns.starts.as_chunks::<SQUARE>().0.iter().enumerate() {
                    let lines = starts.map(|start| {
                        let mut line = [0.0; SQUARE];
                        line.copy_from_slice(&columns.data[start + next[0]..][..SQUARE]);
                        line
                    });
                    for (k, row) in rows.as_chunks_mut::<NR>().0.iter_mut().enumerate() {
                        let row = &mut row[square * SQUARE..][..SQUARE];
                        (0..SQUARE).for_each(|j| row[j] = lines[j][k]);
                    }
                }
                done += SQUARE;
            } else {
                // SAFETY: asked above.
                unsafe { columns.pack_one(next[0], &mut panel[done * NR..][..NR]) };
                done += 1;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Columns, HALF, NR, VECTOR, consecutive};
    use std::arch::x86_64::*;

    /// Columns that lie apart, 16 of them by 16 depths at once.
    ///
    /// # Safety
    /// AVX-512 F is there.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn transpose(columns: &Columns, ks: &[usize], panel: &mut [f32]) {
        columns.check(ks);
        let groups = columns.width.div_ceil(HALF);
        let mut done = 0;
        while done < ks.len() {
            let line = &mut panel[done * NR..];
            // SAFETY: asked above; of depths side by side the last one was.
            unsafe {
                if ks.len() - done >= VECTOR && consecutive(&ks[done..done + VECTOR]) {
                    for group in 0..groups {
                        let starts = &columns.starts[group * HALF..];
                        square(
                            columns.data.as_ptr().add(ks[done]),
                            starts,
                            line[group * HALF..].as_mut_ptr(),
                        );
                    }
                    done += VECTOR;
                } else {
                    columns.pack_one(ks[done], &mut line[..NR]);
                    done += 1;
                }
            }
        }
    }

    /// `to[k * NR + j] = from[starts[j] + k]` for 16 columns and 16 depths.
    ///
    /// # Safety
    /// AVX-512 F is there and the places exist.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn square(from: *const f32, starts: &[usize], to: *mut f32) {
        // SAFETY: promised by the caller.
        let x: [__m512; 16] = std::array::from_fn(|j| unsafe { _mm512_loadu_ps(from.add(starts[j])) });
        // Numbers of two columns side by side, of four, then the four lanes of 128 bits exchanged twice.
        let pairs: [__m512; 16] = std::array::from_fn(|i| {
            let (a, b) = (x[i / 2 * 2], x[i / 2 * 2 + 1]);
            if i % 2 == 0 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
        });
        let fours: [__m512; 16] = std::array::from_fn(|i| {
            let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
            if i % 2 == 0 { _mm512_shuffle_ps::<0x44>(a, b) } else { _mm512_shuffle_ps::<0xee>(a, b) }
        });
        // fours[4 g + r] holds in its lane l the depth 4 l + r of the columns 4 g to 4 g + 3.
        for r in 0..4 {
            let low = _mm512_shuffle_f32x4::<0x88>(fours[r], fours[4 + r]);
            let high = _mm512_shuffle_f32x4::<0xdd>(fours[r], fours[4 + r]);
            let low2 = _mm512_shuffle_f32x4::<0x88>(fours[8 + r], fours[12 + r]);
            let high2 = _mm512_shuffle_f32x4::<0xdd>(fours[8 + r], fours[12 + r]);
            // SAFETY: promised by the caller.
            unsafe {
                _mm512_storeu_ps(to.add(r * NR), _mm512_shuffle_f32x4::<0x88>(low, low2));
                _mm512_storeu_ps(to.add((8 + r) * NR), _mm512_shuffle_f32x4::<0xdd>(low, low2));
                _mm512_storeu_ps(to.add((4 + r) * NR), _mm512_shuffle_f32x4::<0x88>(high, high2));
                _mm512_storeu_ps(to.add((12 + r) * NR), _mm512_shuffle_f32x4::<0xdd>(high, high2));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;

    #[test]
    fn panels_hold_their_columns_however_they_lie() {
        let data = numbers(5000, 1);
        let layouts: [fn(usize) -> usize; 6] = [
            |j| j,
            |j| j / 28 * 30 + j % 28,
            |j| j / 5 * 9 + j % 5,
            |j| 2 * j,
            |j| j / 8 * 40 + j % 8 * 2,
            |j| 97 * j,
        ];
        for place in layouts {
            for width in [1, 7, 16, 17, 32] {
                for ks in [(0..40).collect::<Vec<_>>(), (0..50).map(|k| k / 20 * 31 + k % 20).collect()] {
                    let mut starts = std::array::from_fn(place);
                    let data = &data[..place(width - 1) + ks[ks.len() - 1] + 1];
                    let columns = Columns::new(data, &mut starts, width);
                    let want: Vec<f32> = ks
                        .iter()
                        .flat_map(|k| (0..width).map(move |j| (j, k)))
                        .map(|(j, k)| data[place(j) + k])
                        .collect();
                    let got = |panel: &[f32]| {
                        panel[..ks.len() * NR]
                            .chunks(NR)
                            .flat_map(|line| line[..width].to_vec())
                            .collect::<Vec<_>>()
                    };
                    let mut panel = vec![0.0; ks.len() * NR + SLACK];
                    columns.pack(&ks, &mut panel);
                    assert_eq!(got(&panel), want);
                    panel.fill(0.0);
                    pack_squares(&columns, &ks, &mut panel);
                    assert_eq!(got(&panel), want);
                }
            }
        }
    }
}
