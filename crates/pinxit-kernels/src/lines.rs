//! A line and an activation for each channel, `activation(slope x + intercept)`, and the sums over a batch that
//! its gradients and batch normalisation need.
//!
//! A tensor is `[images, channels, area]`, a *row* the `area` elements of one channel of one image; where rows are
//! short, vectors run along several of them. Sums are taken over parts of [`PART`] images and blocks of
//! neighbouring channels, which are tasks, and then over the parts in their order.

use crate::activation::{self, Activation, for_kind};
use crate::buffer::unwritten;
use crate::reduce::Lanes;
use crate::simd::vectorised;
use crate::threads::{self, Shared};
use std::ops::Range;

/// Images that a task sums over.
const PART: usize = 8;
/// Elements of one image, at least, that a task works on if there are as many.
const BLOCK: usize = 4096;
/// Elements that are worked on at a time, in the nearest cache.
const STRIP: usize = 1024;
/// Rows below this length are short.
const SHORT: usize = 64;

/// How a tensor is divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) images: usize,
    pub(crate) channels: usize,
    pub(crate) area: usize,
}

/// `slope x + intercept`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) slope: f32,
    pub(crate) intercept: f32,
}

/// What batch normalisation takes from a gradient: `constant + (x - centre) by_x`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pull {
    pub(crate) constant: f32,
    pub(crate) by_x: f32,
    pub(crate) centre: f32,
}

/// `activation(slope x + intercept)` with one line for each channel.
pub(crate) struct Lines<'a> {
    pub(crate) shape: Shape,
    pub(crate) activation: Activation,
    pub(crate) lines: &'a [Line],
    pub(crate) x: &'a [f32],
}

impl Shape {
    fn len(&self) -> usize {
        self.images * self.channels * self.area
    }

    /// Channels in a block.
    fn block(&self) -> usize {
        (BLOCK / self.area.max(1)).clamp(1, self.channels.max(1))
    }

    /// What `task(images, channels)` gives for every channel, part after part.
    fn parts<R: Send>(
        &self,
        task: impl Fn(Range<usize>, Range<usize>) -> Vec<R> + Sync + Send,
    ) -> Vec<Vec<Vec<R>>> {
        let blocks = self.channels.div_ceil(self.block());
        let parts = self.images.div_ceil(PART);
        let mut found = threads::map(parts * blocks, threads::pays(self.len()), |i| {
            let (images, channels) = (i / blocks * PART, i % blocks * self.block());
            task(images..self.images.min(images + PART), channels..self.channels.min(channels + self.block()))
        })
        .into_iter();
        (0..parts).map(|_| found.by_ref().take(blocks).collect()).collect()
    }

    /// Channels with short rows, a strip at a time.
    fn strips(self, channels: Range<usize>, found: &mut [[f64; 2]]) -> impl Iterator<Item = Strip<'_>> {
        let size = STRIP / self.area.max(1);
        channels.step_by(size).zip(found.chunks_mut(size)).map(move |(first, found)| Strip {
            shape: self,
            channels: first..first + found.len(),
            found,
        })
    }

    fn row(&self, image: usize, channel: usize) -> Range<usize> {
        let start = (image * self.channels + channel) * self.area;
        start..start + self.area
    }
}

/// Neighbouring channels with short rows, which make a strip in each image, and what is found of them.
struct Strip<'a> {
    shape: Shape,
    channels: Range<usize>,
    found: &'a mut [[f64; 2]],
}

impl Strip<'_> {
    /// The elements of the strip in an image.
    #[inline(always)]
    fn of<'a>(&self, image: usize, x: &'a [f32]) -> &'a [f32] {
        let start = image * self.shape.channels * self.shape.area;
        &x[start + self.channels.start * self.shape.area..start + self.channels.end * self.shape.area]
    }

    /// The sum of each row of the strip.
    #[inline(always)]
    fn totals<'a>(&self, sums: &'a [f32; STRIP]) -> impl Iterator<Item = f64> + use<'a> {
        let (area, count) = (self.shape.area, self.channels.len());
        sums.chunks_exact(area).take(count).map(|row| row.iter().map(|&x| f64::from(x)).sum())
    }
}

/// Mean and (biased) variance of each channel, by the formula of Chan et al. 1979 for the union of parts.
pub(crate) fn moments(shape: Shape, x: &[f32]) -> Vec<[f64; 2]> {
    let parts = shape.parts(|images, channels| {
        let mut found = vec![[0.0; 2]; channels.len()];
        moments_of_part(shape, x, (images, channels), &mut found);
        found
    });
    let sizes = (0..shape.images).step_by(PART).map(|i| (PART.min(shape.images - i) * shape.area) as f64);
    let parts: Vec<(f64, Vec<[f64; 2]>)> = sizes.zip(parts.into_iter().map(|part| part.concat())).collect();
    let count = (shape.images * shape.area) as f64;
    let union = |channel: usize| {
        let mean = parts.iter().map(|(n, found)| n * found[channel][0]).sum::<f64>() / count;
        let squares = parts.iter().map(|(n, found)| {
            let [part, squares] = found[channel];
            squares + n * (part - mean) * (part - mean)
        });
        [mean, squares.sum::<f64>() / count]
    };
    (0..shape.channels).map(union).collect()
}

impl Lines<'_> {
    pub(crate) fn forward(&self) -> Vec<f32> {
        let mut y = unwritten(self.x.len());
        self.for_each_block(&mut y, |p, start, y| forward_block(p, start, y));
        y
    }

    /// The sums of `dn (x - centre)` and of `dn` over each channel, where `dn = dy activation'(slope x + intercept)`.
    pub(crate) fn sums(&self, dy: &[f32], centres: &[f32]) -> Vec<[f64; 2]> {
        let parts = self.shape.parts(|images, channels| {
            let mut found = vec![[0.0; 2]; channels.len()];
            sums_of_part(self, dy, centres, (images, channels), &mut found);
            found
        });
        let mut sums = vec![[0.0; 2]; self.shape.channels];
        for part in parts {
            for (sum, found) in sums.iter_mut().zip(part.concat()) {
                *sum = [sum[0] + found[0], sum[1] + found[1]];
            }
        }
        sums
    }

    /// `dx = slope dn - pull`.
    pub(crate) fn backward(&self, dy: &[f32], pulls: &[Pull]) -> Vec<f32> {
        let mut dx = unwritten(self.x.len());
        self.for_each_block(&mut dx, |p, start, dx| backward_block(p, start, dy, pulls, dx));
        dx
    }

    /// Whole rows, or whole images where the area is 1, from the element `start` on. The last come first: they are
    /// what a sum over all has left in the cache.
    fn for_each_block(&self, out: &mut [f32], task: impl Fn(&Self, usize, &mut [f32]) + Sync + Send) {
        let unit = if self.shape.area == 1 { self.shape.channels } else { self.shape.area };
        let size = (unit * (BLOCK / unit.max(1)).max(1)).max(1);
        let (len, out) = (out.len(), Shared::new(out));
        let blocks = len.div_ceil(size);
        threads::for_each(blocks, threads::pays(len), |i| {
            let start = (blocks - 1 - i) * size;
            // SAFETY: blocks do not overlap.
            task(self, start, unsafe { out.part(start..len.min(start + size)) });
        });
    }
}

vectorised! {
    /// Mean and sum of squared distances from it, for each channel in the part.
    fn moments_of_part(
        shape: Shape,
        x: &[f32],
        part: (Range<usize>, Range<usize>),
        found: &mut [[f64; 2]],
    ) {
        let (images, channels) = part;
        let count = (images.len() * shape.area) as f64;
        if shape.area < SHORT {
            for strip in shape.strips(channels, found) {
                let (mut sums, mut means, mut squares) = ([0.0; STRIP], [0.0; STRIP], [0.0; STRIP]);
                for image in images.clone() {
                    for (sum, &x) in sums.iter_mut().zip(strip.of(image, x)) {
                        *sum += x;
                    }
                }
                let totals = strip.totals(&sums).map(|sum| (sum / count) as f32);
                for (means, mean) in means.chunks_exact_mut(shape.area).zip(totals) {
                    means.fill(mean);
                }
                for image in images.clone() {
                    for ((square, &mean), &x) in squares.iter_mut().zip(&means).zip(strip.of(image, x)) {
                        *square += (x - mean) * (x - mean);
                    }
                }
                let squares = strip.totals(&squares);
                for ((found, mean), square) in strip.found.iter_mut().zip(means.chunks_exact(shape.area)).zip(squares) {
                    *found = [f64::from(mean[0]), square];
                }
            }
            return;
        }
        for (channel, found) in channels.zip(found) {
            let mut sum = Lanes::default();
            for image in images.clone() {
                sum.add([&x[shape.row(image, channel)]], |[x]| x);
            }
            let mean = (sum.total() / count) as f32;
            let mut squares = Lanes::default();
            for image in images.clone() {
                squares.add([&x[shape.row(image, channel)]], |[x]| (x - mean) * (x - mean));
            }
            *found = [f64::from(mean), squares.total()];
        }
    }

    fn forward_block(p: &Lines, start: usize, y: &mut [f32]) {
        let (area, activation, x) = (p.shape.area, p.activation, &p.x[start..]);
        if area == 1 {
            for (x, y) in x.chunks(p.shape.channels).zip(y.chunks_mut(p.shape.channels)) {
                for_kind!(activation => for ((y, &x), line) in y.iter_mut().zip(x).zip(p.lines) {
                    *y = activation.value(line.slope * x + line.intercept);
                });
            }
            return;
        }
        for (row, (x, y)) in (start / area..).zip(x.chunks(area).zip(y.chunks_mut(area))) {
            let line = p.lines[row % p.shape.channels];
            activation::along(activation, (line.slope, line.intercept), x, y);
        }
    }

    fn sums_of_part(
        p: &Lines,
        dy: &[f32],
        centres: &[f32],
        part: (Range<usize>, Range<usize>),
        found: &mut [[f64; 2]],
    ) {
        let ((images, channels), activation) = (part, p.activation);
        let mut dn = [0.0_f32; STRIP];
        if p.shape.area < SHORT {
            for strip in p.shape.strips(channels, found) {
                let (mut sums, mut lines) = ([[0.0_f32; STRIP]; 2], [[0.0_f32; STRIP]; 3]);
                let [slopes, intercepts, means] = &mut lines;
                for (at, channel) in strip.channels.clone().enumerate() {
                    let row = at * p.shape.area..(at + 1) * p.shape.area;
                    slopes[row.clone()].fill(p.lines[channel].slope);
                    intercepts[row.clone()].fill(p.lines[channel].intercept);
                    means[row].fill(centres[channel]);
                }
                for image in images.clone() {
                    let (x, dy) = (strip.of(image, p.x), strip.of(image, dy));
                    let lines = slopes.iter().zip(&*intercepts);
                    for_kind!(activation => for (((dn, (&slope, &intercept)), &x), &dy) in dn.iter_mut().zip(lines).zip(x).zip(dy) {
                        *dn = dy * activation.derivative(slope * x + intercept);
                    });
                    let [with_x, alone] = &mut sums;
                    for ((((with_x, alone), &dn), &x), &mean) in with_x.iter_mut().zip(alone).zip(&dn).zip(x).zip(&*means) {
                        *with_x += dn * (x - mean);
                        *alone += dn;
                    }
                }
                let [with_x, alone] = &sums;
                let totals = strip.totals(with_x).zip(strip.totals(alone));
                for (found, (with_x, alone)) in strip.found.iter_mut().zip(totals) {
                    *found = [with_x, alone];
                }
            }
            return;
        }
        for (channel, found) in channels.zip(found) {
            let (Line { slope, intercept }, centre) = (p.lines[channel], centres[channel]);
            let mut sums = [Lanes::default(), Lanes::default()];
            for image in images.clone() {
                let row = p.shape.row(image, channel);
                for (x, dy) in p.x[row.clone()].chunks(STRIP).zip(dy[row].chunks(STRIP)) {
                    let dn = if activation == Activation::None {
                        dy
                    } else {
                        activation::along_derivative(activation, (slope, intercept), [x, dy], &mut dn[..x.len()]);
                        &dn[..x.len()]
                    };
                    sums[0].add([x, dn], |[x, dn]| dn * (x - centre));
                    sums[1].add([dn], |[dn]| dn);
                }
            }
            *found = [sums[0].total(), sums[1].total()];
        }
    }

    fn backward_block(p: &Lines, start: usize, dy: &[f32], pulls: &[Pull], dx: &mut [f32]) {
        let (area, activation, x, dy) = (p.shape.area, p.activation, &p.x[start..], &dy[start..]);
        if area == 1 {
            let width = p.shape.channels;
            for ((x, dy), dx) in x.chunks(width).zip(dy.chunks(width)).zip(dx.chunks_mut(width)) {
                let all = dx.iter_mut().zip(x).zip(dy).zip(p.lines).zip(pulls);
                for_kind!(activation => for ((((dx, &x), &dy), line), pull) in all {
                    let dn = dy * activation.derivative(line.slope * x + line.intercept);
                    *dx = dn * line.slope - pull.constant - (x - pull.centre) * pull.by_x;
                });
            }
            return;
        }
        let rows = x.chunks(area).zip(dy.chunks(area)).zip(dx.chunks_mut(area));
        for (row, ((x, dy), dx)) in (start / area..).zip(rows) {
            let (Line { slope, intercept }, pull) = (p.lines[row % p.shape.channels], pulls[row % p.shape.channels]);
            for_kind!(activation => for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
                let dn = dy * activation.derivative(slope * x + intercept);
                *dx = dn * slope - pull.constant - (x - pull.centre) * pull.by_x;
            });
        }
    }
}
