//! Between pictures, whose numbers lie pixel beside pixel, and tiles, whose numbers lie channel beside channel.
//!
//! A strip is a part of one picture for [`BLOCK`] channels as `[row][column][channel]`. Squares of a picture are
//! transposed into it once, borders of zeros included; a tile is then read at any step and offset with whole
//! vectors, so that strides, phases and ragged edges cost nothing more. The way back goes through a strip too.

use super::Places;
use super::lanes::{Lanes, at_level};
use super::transform::{self, OUTPUTS, Transform};
use std::ops::Range;

/// Channels of a strip.
pub(super) const BLOCK: usize = 16;
/// Channels of a panel of outputs.
pub(super) const PANEL: usize = 2 * BLOCK;

/// A batch of pictures `[images, channels, height, width]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pictures {
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
}

impl Pictures {
    pub(super) fn len(&self) -> usize {
        self.images * self.channels * self.area()
    }

    fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Place of the row `y` of a channel.
    fn row(&self, image: usize, channel: usize, y: usize) -> usize {
        ((image * self.channels + channel) * self.size[0] + y) * self.size[1]
    }

    /// Channels in whole blocks.
    pub(super) fn padded(&self) -> usize {
        self.channels.next_multiple_of(BLOCK)
    }
}

/// Tiles that are handled together: a rectangle of those of one picture, or all of some pictures.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) images: Range<usize>,
    rows: Range<usize>,
    cols: Range<usize>,
}

impl Region {
    pub(super) fn tiles(&self) -> usize {
        self.images.len() * self.tiles_of_image()
    }

    fn tiles_of_image(&self) -> usize {
        self.rows.len() * self.cols.len()
    }

    /// Places of the tiles of a picture, from its first tile of the region on, row by row.
    fn places(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [rows, cols] = [self.rows.len(), self.cols.len()];
        (0..rows).flat_map(move |u| (0..cols).map(move |v| [u, v]))
    }
}

/// The tiles of a batch, cut into regions.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    images: usize,
    tiles: [usize; 2],
    /// Tiles of a region in a picture.
    block: [usize; 2],
    /// Pictures of a region.
    together: usize,
}

impl Grid {
    /// Regions of about `most` tiles over pictures of `size` outputs.
    pub(super) fn new(images: usize, size: [usize; 2], most: usize) -> Self {
        let tiles = size.map(|size| size.div_ceil(OUTPUTS));
        let even = |count: usize, most: usize| count.div_ceil(count.div_ceil(most.max(1)).max(1)).max(1);
        if tiles[0] * tiles[1] <= most {
            let together = even(images, most / (tiles[0] * tiles[1]).max(1));
            return Self { images, tiles, block: tiles, together };
        }
        // Nearly square regions share the fewest pixels with their neighbours.
        let side = (1..).take_while(|side| side * side <= most).last().unwrap_or(1);
        let width = even(tiles[1], side.max(most / tiles[0].max(1)));
        let height = even(tiles[0], most / width);
        Self { images, tiles, block: [height, width], together: 1 }
    }

    fn blocks(&self) -> [usize; 2] {
        [0, 1].map(|d| self.tiles[d].div_ceil(self.block[d]))
    }

    pub(super) fn regions(&self) -> usize {
        let [rows, cols] = self.blocks();
        self.images.div_ceil(self.together) * rows * cols
    }

    /// Tiles of the largest region.
    pub(super) fn most(&self) -> usize {
        self.together * self.block[0] * self.block[1]
    }

    /// Tiles of the largest region in one picture.
    pub(super) fn most_of_image(&self) -> usize {
        self.block[0] * self.block[1]
    }

    pub(super) fn region(&self, index: usize) -> Region {
        let [rows, cols] = self.blocks();
        let part =
            |index: usize, size: usize, all: usize| (index * size).min(all)..((index + 1) * size).min(all);
        Region {
            images: part(index / (rows * cols), self.together, self.images),
            rows: part(index / cols % rows, self.block[0], self.tiles[0]),
            cols: part(index % cols, self.block[1], self.tiles[1]),
        }
    }
}

/// How tiles are read: the pixel (i, j) of tile (u, v) lies at `(4 u + i) step + offset`, and likewise across.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) pictures: Pictures,
    pub(super) data: &'a [f32],
    pub(super) step: usize,
    /// Offsets of the phases.
    pub(super) phases: &'a [[isize; 2]],
    /// Whether the numbers are gradients of outputs, `A y A^T`, instead of inputs, `B^T d B`.
    pub(super) outputs: bool,
}

/// Where the values of tiles at the points lie: point p of the phase f of the tile t at
/// `p * point + f * phase + t * tile`, channel beside channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) point: usize,
    pub(super) phase: usize,
    pub(super) tile: usize,
}

/// How tiles are written: the pixel (i, j) of tile (u, v) of the phase (f, g) goes to `(4 u + i) step + f`, and
/// likewise across.
pub(super) struct Canvas<'a> {
    pub(super) pictures: Pictures,
    pub(super) step: usize,
    /// Added to each channel.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) to: Places,
}

/// A rectangle of pixels, which may reach beyond the picture.
struct Rectangle {
    top: isize,
    left: isize,
    size: [usize; 2],
}

impl Window<'_> {
    fn reach(&self, points: usize) -> usize {
        if self.outputs { OUTPUTS } else { points }
    }

    /// The least offset of a phase.
    fn least(&self) -> [isize; 2] {
        [0, 1].map(|d| self.phases.iter().map(|phase| phase[d]).min().unwrap_or(0))
    }

    /// The pixels of a region.
    fn rectangle(&self, region: &Region, points: usize) -> Rectangle {
        let side = |d: usize, tiles: &Range<usize>| {
            let least = self.least()[d];
            let most = self.phases.iter().map(|phase| phase[d]).max().unwrap_or(least);
            let first = (tiles.start * OUTPUTS * self.step) as isize + least;
            let steps = (tiles.len().max(1) - 1) * OUTPUTS + self.reach(points) - 1;
            (first, steps * self.step + (most - least) as usize + 1)
        };
        let ((top, height), (left, width)) = (side(0, &region.rows), side(1, &region.cols));
        Rectangle { top, left, size: [height, width] }
    }

    /// Numbers of the strip that [`gather`] needs.
    pub(super) fn strip<T: Transform>(&self, grid: &Grid) -> usize {
        let region = Region { images: 0..1, rows: 0..grid.block[0], cols: 0..grid.block[1] };
        let [height, width] = self.rectangle(&region, T::POINTS).size;
        height * width * BLOCK
    }
}

at_level! {
    /// Transforms the tiles of `region` for the channels from `channel` on, a block of them, and writes them at
    /// `values`, whose first number belongs to the first tile of the region and to `channel`.
    ///
    /// # Safety
    /// The processor has the level, and nobody else touches the places of `layout` behind `values`, all of which
    /// exist.
    pub(super) unsafe fn gather<T, L>(
        level,
        window: &Window,
        region: &Region,
        channel: usize,
        strip: &mut [f32],
        values: *mut f32,
        layout: Layout,
    ) {
        let rectangle = window.rectangle(region, T::POINTS);
        let [height, width] = rectangle.size;
        assert!(window.data.len() == window.pictures.len() && strip.len() >= height * width * BLOCK);
        let (reach, least) = (window.reach(T::POINTS), window.least());
        for (index, image) in region.images.clone().enumerate() {
            // SAFETY: the sizes are asserted above.
            unsafe { fill::<L>(window, image, channel, &rectangle, strip.as_mut_ptr()) };
            let first = index * region.tiles_of_image();
            for (tile, [u, v]) in (first..).zip(region.places()) {
                for (phase, offset) in window.phases.iter().enumerate() {
                    let y = (u * OUTPUTS * window.step) as isize + offset[0] - least[0];
                    let x = (v * OUTPUTS * window.step) as isize + offset[1] - least[1];
                    let from = (y as usize * width + x as usize) * BLOCK;
                    let (down, across) = (window.step * width * BLOCK, window.step * BLOCK);
                    let to = tile * layout.tile + phase * layout.phase;
                    for part in (0..BLOCK).step_by(L::COUNT) {
                        // SAFETY: the rectangle holds every pixel of the tile, the caller promises the rest.
                        unsafe {
                            let from = strip.as_ptr().add(from + part);
                            let square = transform::load::<L>(from, reach, down, across);
                            let square = if window.outputs {
                                transform::output_adjoint::<T, L>(square)
                            } else {
                                transform::input::<T, L>(square)
                            };
                            let to = values.add(to + part);
                            let down = T::POINTS * layout.point;
                            transform::store(square, to, T::POINTS, down, layout.point);
                        }
                    }
                }
            }
        }
    }

    /// Transforms the products of `region` for a panel of channels from `channel` on back into pixels and
    /// writes them on the canvas.
    ///
    /// # Safety
    /// The processor has the level, and nobody else touches the pixels of the region, all of which exist.
    pub(super) unsafe fn scatter<T, L>(
        level,
        canvas: &Canvas,
        products: &[f32],
        layout: Layout,
        region: &Region,
        channel: usize,
        strip: &mut [f32],
    ) {
        let (pictures, step) = (canvas.pictures, canvas.step);
        let side = OUTPUTS * step;
        let [rows, width] = [region.rows.len() * side, region.cols.len() * side];
        let phases = step * step;
        let last = (phases - 1) * layout.phase + (region.tiles().max(1) - 1) * layout.tile;
        let last = last + (T::POINTS * T::POINTS - 1) * layout.point + PANEL;
        assert!(strip.len() >= rows * width * BLOCK && products.len() >= last);
        for (index, image) in region.images.clone().enumerate() {
            for channel in (channel..pictures.channels.min(channel + PANEL)).step_by(BLOCK) {
                let lane = channel % PANEL;
                let mut shift = [0.0; BLOCK];
                if let Some(bias) = canvas.bias {
                    let bias = &bias[channel..pictures.channels.min(channel + BLOCK)];
                    shift[..bias.len()].copy_from_slice(bias);
                }
                for phase in 0..phases {
                    let first = index * region.tiles_of_image();
                    for (tile, [u, v]) in (first..).zip(region.places()) {
                        let from = tile * layout.tile + phase * layout.phase + lane;
                        let place = ((u * side + phase / step) * width + v * side + phase % step) * BLOCK;
                        for part in (0..BLOCK).step_by(L::COUNT) {
                            // SAFETY: the sizes are asserted above.
                            unsafe {
                                let from = products.as_ptr().add(from + part);
                                let down = T::POINTS * layout.point;
                                let square = transform::load::<L>(from, T::POINTS, down, layout.point);
                                let square = transform::output::<T, L>(square);
                                let square = transform::shifted(square, L::load(shift.as_ptr().add(part)));
                                let to = strip.as_mut_ptr().add(place + part);
                                transform::store(square, to, OUTPUTS, step * width * BLOCK, step * BLOCK);
                            }
                        }
                    }
                }
                let corner = [region.rows.start * side, region.cols.start * side];
                // SAFETY: the strip has the pixels of the region, the caller promises their places.
                unsafe { empty::<L>(strip.as_ptr(), corner, [rows, width], canvas, image, channel) };
            }
        }
    }
}

/// Fills a strip with the pixels of `rectangle`, with zeros for pixels and channels that do not exist.
///
/// # Safety
/// The window has the numbers of its pictures, `strip` room for the rectangle.
#[inline(always)]
unsafe fn fill<L: Lanes>(
    window: &Window,
    image: usize,
    channel: usize,
    rectangle: &Rectangle,
    strip: *mut f32,
) {
    let (pictures, [height, width]) = (window.pictures, rectangle.size);
    let [rows, cols] = pictures.size;
    let lanes = BLOCK.min(pictures.channels - channel);
    let first = rectangle.left.clamp(0, cols as isize);
    let end = (rectangle.left + width as isize).clamp(first, cols as isize);
    let (left, inside) = ((first - rectangle.left) as usize, (end - first) as usize);
    for index in 0..height {
        let y = rectangle.top + index as isize;
        // SAFETY: the strip has the row, the pictures have the pixels inside.
        unsafe {
            let line = strip.add(index * width * BLOCK);
            if y < 0 || y >= rows as isize || inside == 0 {
                line.write_bytes(0, width * BLOCK);
                continue;
            }
            line.write_bytes(0, left * BLOCK);
            line.add((left + inside) * BLOCK).write_bytes(0, (width - left - inside) * BLOCK);
            let from = window.data.as_ptr().add(pictures.row(image, channel, y as usize) + first as usize);
            let line = line.add(left * BLOCK);
            if lanes == BLOCK && inside >= 4 {
                let whole = inside / BLOCK * BLOCK;
                for x in (0..whole).step_by(BLOCK) {
                    L::transpose(from.add(x), pictures.area(), line.add(x * BLOCK), BLOCK);
                }
                for x in (whole..inside).step_by(4) {
                    // The last four pixels may overlap those before.
                    let x = x.min(inside - 4);
                    for part in (0..BLOCK).step_by(L::COUNT) {
                        let pixels = L::gather4(from.add(part * pictures.area() + x), pictures.area());
                        for i in 0..4 {
                            pixels[i].store(line.add((x + i) * BLOCK + part));
                        }
                    }
                }
            } else {
                line.write_bytes(0, inside * BLOCK);
                for x in 0..inside {
                    for lane in 0..lanes {
                        *line.add(x * BLOCK + lane) = *from.add(lane * pictures.area() + x);
                    }
                }
            }
        }
    }
}

/// Writes the pixels of a strip of the size `size` at `corner` that lie in the picture.
///
/// # Safety
/// The strip has the pixels, the picture the places.
#[inline(always)]
unsafe fn empty<L: Lanes>(
    strip: *const f32,
    corner: [usize; 2],
    size: [usize; 2],
    canvas: &Canvas,
    image: usize,
    channel: usize,
) {
    let (pictures, width) = (canvas.pictures, size[1]);
    let lanes = BLOCK.min(pictures.channels - channel);
    let rows = size[0].min(pictures.size[0].saturating_sub(corner[0]));
    let cols = size[1].min(pictures.size[1].saturating_sub(corner[1]));
    // Whole rows lie behind each other in both.
    let (rows, cols) = if [cols, width] == [pictures.size[1]; 2] { (1, rows * cols) } else { (rows, cols) };
    for y in 0..rows {
        // SAFETY: promised by the caller.
        unsafe {
            let line = strip.add(y * width * BLOCK);
            let to = canvas.to.at(pictures.row(image, channel, corner[0] + y) + corner[1]).0;
            if lanes == BLOCK && cols >= 4 {
                let whole = cols / BLOCK * BLOCK;
                for x in (0..whole).step_by(BLOCK) {
                    L::transpose(line.add(x * BLOCK), BLOCK, to.add(x), pictures.area());
                }
                for x in (whole..cols).step_by(4) {
                    let x = x.min(cols - 4);
                    for part in (0..BLOCK).step_by(L::COUNT) {
                        let from = line.add(x * BLOCK + part);
                        let pixels = [
                            L::load(from),
                            L::load(from.add(BLOCK)),
                            L::load(from.add(2 * BLOCK)),
                            L::load(from.add(3 * BLOCK)),
                        ];
                        L::scatter4(pixels, to.add(part * pictures.area() + x), pictures.area());
                    }
                }
            } else {
                for x in 0..cols {
                    for lane in 0..lanes {
                        *to.add(lane * pictures.area() + x) = *line.add(x * BLOCK + lane);
                    }
                }
            }
        }
    }
}
