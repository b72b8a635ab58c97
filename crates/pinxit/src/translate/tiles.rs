//! Large pictures in parts that overlap, put together without a seam.

use crate::error::{Error, Result};
use crate::watch::{Part, Watch};

/// A picture, planar `[C, H, W]` in `[-1, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its channels.
    pub channels: usize,
    /// Its rows.
    pub height: usize,
    /// Its columns.
    pub width: usize,
    /// `channels * height * width` of them.
    pub values: Vec<f32>,
}

/// How pictures are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Rows and columns of a tile.
    pub tile: [usize; 2],
    /// Rows and columns by which two tiles overlap at least; at most half of a tile.
    pub overlap: usize,
    /// The sides of what goes in must divide by this; tiles do.
    pub multiple: usize,
    /// Times that a picture grows.
    pub scale: usize,
    /// Whether what goes in always has the sides of a tile.
    pub fixed: bool,
}

/// A tile along one direction.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    /// Where it begins in what goes in.
    start: usize,
    /// How much of it is in each pixel of what comes out.
    weights: Vec<f32>,
}

impl Tiling {
    /// Has `work` make the tiles, told the number of each, and puts what comes out together.
    ///
    /// Near the edge of a tile the picture is that of its neighbour and further in it crosses over, so that neither
    /// what a network makes of a tile's border shows, nor a seam.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Config`] if the picture is empty or `work` gives another size than it should.
    pub fn translate(
        &self,
        image: &Image,
        mut work: impl FnMut(Image, usize, &mut dyn Watch) -> Result<Image>,
        watch: &mut dyn Watch,
    ) -> Result<Image> {
        if image.values.is_empty() {
            return Err(Error::config("a picture without pixels can't be translated"));
        }
        let sides = [image.height, image.width];
        let [rows, columns] = [0, 1].map(|axis| self.spans(sides[axis], self.tile[axis]));
        let [tile_height, tile_width] = [0, 1].map(|axis| self.tile_side(sides[axis], self.tile[axis]));
        let total = rows.len() * columns.len();
        let mut whole: Option<Image> = None;
        let places = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
        for (place, (row, column)) in places.enumerate() {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let tile = image.cut([row.start, column.start], [tile_height, tile_width]);
            let mut part = Part { watch, before: place as u64, len: 1, total: total as u64 };
            let made = work(tile, place, &mut part)?;
            if [made.height, made.width] != [tile_height * self.scale, tile_width * self.scale] {
                return Err(Error::config("the model made a tile of a size that it should not have"));
            }
            let whole = whole.get_or_insert_with(|| {
                let (height, width) = (image.height * self.scale, image.width * self.scale);
                let values = vec![0.0; made.channels * height * width];
                Image { channels: made.channels, height, width, values }
            });
            whole.add(&made, [row, column].map(|span| (span.start * self.scale, span.weights.as_slice())));
        }
        whole.ok_or_else(|| Error::config("a picture without pixels can't be translated"))
    }

    /// The side of the tiles of a picture: that of the picture where it is smaller than a tile.
    fn tile_side(&self, size: usize, tile: usize) -> usize {
        if self.fixed {
            return tile;
        }
        size.next_multiple_of(self.multiple).clamp((2 * self.multiple).min(tile), tile)
    }

    /// The tiles along a side of `size` pixels, evenly spread.
    fn spans(&self, size: usize, tile: usize) -> Vec<Span> {
        let tile = self.tile_side(size, tile);
        let free = size.next_multiple_of(self.multiple).saturating_sub(tile);
        let gaps = free.div_ceil((tile - self.overlap).max(1));
        // On multiples, so that a network halves every tile's pixels as it would the whole picture's.
        let start = |i: usize| free * i / gaps.max(1) / self.multiple * self.multiple;
        let starts: Vec<usize> = (0..=gaps).map(start).collect();
        let scale = self.scale;
        let crossing = |pair: &[usize]| (pair[1] * scale, (pair[0] + tile) * scale);
        let crossings: Vec<(usize, usize)> = starts.windows(2).map(crossing).collect();
        let weight = |i: usize, at: usize| {
            let rises = if i == 0 { 1.0 } else { crossed(crossings[i - 1], at) };
            let falls = crossings.get(i).map_or(1.0, |&crossing| 1.0 - crossed(crossing, at));
            rises * falls
        };
        let end = |start: usize| ((start + tile) * scale).min(size * scale);
        let mut sums = vec![0.0; size * scale];
        for (i, &start) in starts.iter().enumerate() {
            (start * scale..end(start)).for_each(|at| sums[at] += weight(i, at));
        }
        // The sum is 1 but where three tiles meet.
        let span = |(i, &start): (usize, &usize)| {
            let weights = (start * scale..end(start)).map(|at| (weight(i, at) / sums[at]) as f32);
            Span { start, weights: weights.collect() }
        };
        starts.iter().enumerate().map(span).collect()
    }
}

/// How far pixel `at` has crossed from one tile to the next, 0 to 1, where both lie from `begin` to before
/// `end`: a straight line over the middle half.
fn crossed((begin, end): (usize, usize), at: usize) -> f64 {
    let length = end as f64 - begin as f64;
    let along = (at as f64 + 0.5 - begin as f64) / length.max(1.0);
    ((along - 0.25) * 2.0).clamp(0.0, 1.0)
}

/// The place in a row of `size` values of what lies at `at` if the row is mirrored at its ends without end.
fn mirrored(at: usize, size: usize) -> usize {
    if size == 1 {
        return 0;
    }
    let period = 2 * (size - 1);
    let at = at % period;
    if at < size { at } else { period - at }
}

impl Image {
    /// The part that begins at `start`; what lies beyond the picture is its mirror image.
    fn cut(&self, [top, left]: [usize; 2], [height, width]: [usize; 2]) -> Self {
        let mut values = Vec::with_capacity(self.channels * height * width);
        for plane in self.values.chunks_exact(self.height * self.width) {
            for y in top..top + height {
                let row = &plane[mirrored(y, self.height) * self.width..][..self.width];
                values.extend((left..left + width).map(|x| row[mirrored(x, self.width)]));
            }
        }
        Self { channels: self.channels, height, width, values }
    }

    /// The picture with `margin` pixels of its mirror image on every side.
    pub(super) fn framed(&self, margin: usize) -> Self {
        let period = |size: usize| 2 * (size - 1).max(1);
        // A whole number of periods further on is the same place.
        let start = |size: usize| margin.next_multiple_of(period(size)) - margin;
        let sides = [self.height + 2 * margin, self.width + 2 * margin];
        self.cut([start(self.height), start(self.width)], sides)
    }

    /// Adds a tile times its weights; `rows` and `columns` say where it begins, and with how much.
    fn add(&mut self, tile: &Self, [(top, rows), (left, columns)]: [(usize, &[f32]); 2]) {
        let planes = self.values.chunks_exact_mut(self.height * self.width);
        for (plane, tile_plane) in planes.zip(tile.values.chunks_exact(tile.height * tile.width)) {
            for ((y, row_weight), tile_row) in
                rows.iter().enumerate().zip(tile_plane.chunks_exact(tile.width))
            {
                let row = &mut plane[(top + y) * self.width + left..][..columns.len()];
                for ((value, made), column_weight) in row.iter_mut().zip(tile_row).zip(columns) {
                    *value += row_weight * column_weight * made;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::watch::Unwatched;

    fn picture(channels: usize, height: usize, width: usize) -> Image {
        let values = (0..channels * height * width).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
        Image { channels, height, width, values }
    }

    fn furthest(a: &Image, b: &Image) -> f32 {
        assert_eq!((a.channels, a.height, a.width), (b.channels, b.height, b.width));
        a.values.iter().zip(&b.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    const TILING: Tiling = Tiling { tile: [16, 24], overlap: 6, multiple: 4, scale: 1, fixed: false };

    /// Analytic case: a model that changes nothing gives the picture back, however it is cut.
    #[test]
    fn tiles_of_a_model_that_changes_nothing_are_the_picture() {
        let sizes = [(1, 1), (3, 7), (16, 24), (17, 24), (50, 100), (64, 25)];
        for (height, width) in sizes {
            for tiling in [TILING, Tiling { fixed: true, ..TILING }, Tiling { overlap: 0, ..TILING }] {
                let image = picture(2, height, width);
                let same = |tile: Image, _: usize, _: &mut dyn Watch| {
                    assert!(tile.height.is_multiple_of(4) && tile.width.is_multiple_of(4));
                    assert!(!tiling.fixed || [tile.height, tile.width] == tiling.tile);
                    Ok(tile)
                };
                let made = tiling.translate(&image, same, &mut Unwatched).unwrap();
                assert!(furthest(&image, &made) < 1e-6, "{height}x{width} {tiling:?}");
            }
        }
    }

    /// Analytic case: a model that repeats every pixel.
    #[test]
    fn tiles_of_a_model_that_enlarges_lie_where_they_should() {
        let enlarge = |image: &Image| {
            let mut large = picture(image.channels, 3 * image.height, 3 * image.width);
            for (i, value) in large.values.iter_mut().enumerate() {
                let (channel, y, x) =
                    (i / (9 * image.height * image.width), i / (3 * image.width), i % (3 * image.width));
                *value = image.values[(channel * image.height + y / 3 % image.height) * image.width + x / 3];
            }
            large
        };
        let image = picture(3, 33, 45);
        let tiling = Tiling { scale: 3, multiple: 1, ..TILING };
        let made = tiling.translate(&image, |tile, _, _| Ok(enlarge(&tile)), &mut Unwatched).unwrap();
        assert!(furthest(&enlarge(&image), &made) < 1e-6);
    }

    /// What a model makes of the border of a tile doesn't show but at the border of the picture: a border of a
    /// quarter of the overlap that is all wrong leaves no trace inside.
    #[test]
    fn borders_of_tiles_leave_no_trace() {
        let tiling = Tiling { tile: [32, 32], overlap: 16, multiple: 1, scale: 1, fixed: true };
        let image = picture(1, 100, 80);
        let spoil = |mut tile: Image, _: usize, _: &mut dyn Watch| {
            let side = tile.width;
            for (i, value) in tile.values.iter_mut().enumerate() {
                if [i / side, i % side].iter().any(|&at| at < 4 || at >= side - 4) {
                    *value = 99.0;
                }
            }
            Ok(tile)
        };
        let made = tiling.translate(&image, spoil, &mut Unwatched).unwrap();
        for y in 4..96 {
            for x in 4..76 {
                let (a, b) = (image.values[y * 80 + x], made.values[y * 80 + x]);
                assert!((a - b).abs() < 1e-5, "{y} {x}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_model_that_makes_another_size_is_found_out() {
        let tiling = Tiling { scale: 2, ..TILING };
        let made = tiling.translate(&picture(1, 20, 20), |tile, _, _| Ok(tile), &mut Unwatched);
        assert!(made.unwrap_err().to_string().contains("size"));
        let none = Image { channels: 1, height: 0, width: 5, values: vec![] };
        assert!(TILING.translate(&none, |tile, _, _| Ok(tile), &mut Unwatched).is_err());
    }
}
