//! Outputs from inputs: the forward pass, and the gradient of the input, which is the forward pass of a
//! transposed convolution.
//!
//! With a stride of s the tap `s i + e` of the kernel belongs to phase e: the forward pass is the sum of s x s
//! convolutions of stride 1 over the phases of the input, and each of the s x s phases of the gradient of the
//! input is one convolution of stride 1 over the gradient of the output, with the taps of the phase reversed.

use super::product::{Batch, Product, multiply};
use super::tiles::{BLOCK, Canvas, Grid, Layout, PANEL, Pictures, Region, Window, gather, scatter};
use super::transform::Transform;
use super::weights::{Weights, transform_kernels};
use super::{Places, scratch};
use crate::geometry::Geometry;
use crate::simd::Level;
use crate::threads;

/// Numbers of the transformed input of a region: they stay in the second cache of a processor core.
const REGION: usize = 160 * 1024;
/// Fewest and most tiles of a region, if there are as many.
const TILES: [usize; 2] = [16, 64];
/// Transformed weights above which they are made where they are used instead of stored.
const STORED: usize = 2 << 20;
/// Channels whose kernels a task transforms.
const KERNELS: usize = 32;

/// One pass of a convolution.
pub(super) struct Pass {
    input: Pictures,
    output: Pictures,
    /// Distance of neighbouring pixels of a tile in the input and in the output; one of them is 1.
    steps: [usize; 2],
    /// Offsets of the phases in the input.
    offsets: Vec<[isize; 2]>,
    weights: Weights,
}

impl Pass {
    pub(super) fn forward(g: &Geometry) -> Self {
        let taps = g.kernel[0] * g.kernel[1];
        let phases = (0..g.stride * g.stride).map(|e| [e / g.stride, e % g.stride]);
        let place = |at: [usize; 2]| at.map(|at| at as isize - g.padding as isize);
        let kernel = |e: [usize; 2]| kernel_of_phase(g, |i| i, e);
        Self {
            input: input(g),
            output: output(g),
            steps: [g.stride, 1],
            offsets: phases.clone().map(place).collect(),
            weights: Weights {
                outputs: (g.out_channels, g.in_channels * taps),
                inputs: (g.in_channels, taps),
                kernel: taps,
                phases: phases.map(kernel).collect(),
            },
        }
    }

    /// The input pixel `s o + f` has the place `s q + e` in the padded picture and sees the outputs q - a
    /// through the taps `s a + e`.
    pub(super) fn backward_x(g: &Geometry) -> Self {
        let (taps, s) = (g.kernel[0] * g.kernel[1], g.stride);
        let last = g.kernel[0] / s - 1;
        let phases = (0..s * s).map(|f| [f / s, f % s]);
        let place = |f: [usize; 2]| f.map(|f| ((f + g.padding) / s) as isize - last as isize);
        let kernel = |f: [usize; 2]| kernel_of_phase(g, |i| last - i, f.map(|f| (f + g.padding) % s));
        Self {
            input: output(g),
            output: input(g),
            steps: [1, s],
            offsets: phases.clone().map(place).collect(),
            weights: Weights {
                outputs: (g.in_channels, taps),
                inputs: (g.out_channels, g.in_channels * taps),
                kernel: taps,
                phases: phases.map(kernel).collect(),
            },
        }
    }
}

pub(super) fn input(g: &Geometry) -> Pictures {
    Pictures { images: g.images, channels: g.in_channels, size: g.input }
}

pub(super) fn output(g: &Geometry) -> Pictures {
    Pictures { images: g.images, channels: g.out_channels, size: g.output }
}

/// The taps `s order(i) + e` of a square kernel, row by row.
fn kernel_of_phase(g: &Geometry, order: impl Fn(usize) -> usize, e: [usize; 2]) -> Vec<usize> {
    let taps = g.kernel[0] / g.stride;
    let tap = |i: usize, j: usize| (g.stride * order(i) + e[0]) * g.kernel[1] + g.stride * order(j) + e[1];
    (0..taps * taps).map(|at| tap(at / taps, at % taps)).collect()
}

/// Sizes of the buffers of a pass.
struct Sizes {
    grid: Grid,
    /// Convolutions with outputs of their own: the phases of the output.
    separate: usize,
    points: usize,
    /// Depth of the products: the channels of all phases of the input.
    depth: usize,
    values: Layout,
    kernels: Layout,
    products: Layout,
    strips: [usize; 2],
}

impl Sizes {
    fn new<T: Transform>(pass: &Pass) -> Self {
        let separate = pass.steps[1] * pass.steps[1];
        let stacked = pass.offsets.len() / separate;
        let points = T::POINTS * T::POINTS;
        let depth = stacked * pass.input.padded();
        let tile = depth + BLOCK;
        let most = (REGION / (separate * points * tile)).clamp(TILES[0], TILES[1]);
        let size = pass.output.size.map(|size| size.div_ceil(pass.steps[1]));
        let grid = Grid::new(pass.output.images, size, most);
        let tiles = grid.most();
        let (plane, kernel) = (tiles * tile + BLOCK, depth * PANEL + BLOCK);
        let phase = |stacked: usize, apart: usize| if separate == 1 { stacked } else { points * apart };
        let side = super::transform::OUTPUTS * pass.steps[1];
        Self {
            separate,
            points,
            depth,
            values: Layout { point: plane, phase: phase(pass.input.padded(), plane), tile },
            kernels: Layout { point: kernel, phase: phase(pass.input.padded() * PANEL, kernel), tile: 0 },
            products: Layout { point: PANEL, phase: tiles * points * PANEL, tile: points * PANEL },
            strips: [pass.window(&[]).strip::<T>(&grid), grid.most_of_image() * side * side * BLOCK],
            grid,
        }
    }

    /// Numbers of the transformed input of a region.
    fn values(&self) -> usize {
        self.separate * self.points * self.values.point
    }

    /// Numbers of the transformed weights of a panel.
    fn kernels(&self) -> usize {
        self.separate * self.points * self.kernels.point
    }

    /// Numbers of the products of a region and a panel.
    fn products(&self) -> usize {
        self.separate * self.products.phase
    }
}

impl Pass {
    pub(super) fn window<'a>(&'a self, data: &'a [f32]) -> Window<'a> {
        Window { pictures: self.input, data, step: self.steps[0], phases: &self.offsets, outputs: false }
    }

    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }

    fn panels(&self) -> usize {
        self.output.channels.div_ceil(PANEL)
    }

    fn blocks(&self) -> usize {
        self.input.channels.div_ceil(BLOCK)
    }

    pub(super) fn run<T: Transform>(
        &self,
        level: Level,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Vec<f32> {
        let job = Job { pass: self, level, sizes: Sizes::new::<T>(self), x, weight, bias };
        let mut y = Vec::with_capacity(self.output.len());
        let to = Places(y.as_mut_ptr());
        let regions = job.sizes.grid.regions();
        let stored = self.panels() * job.sizes.kernels();
        if stored > STORED || regions < 2 * threads::count() {
            job.by_panels::<T>(to);
        } else {
            job.by_regions::<T>(to);
        }
        // SAFETY: every pixel of every channel lies in a tile of a region, and all of them were written.
        unsafe { y.set_len(self.output.len()) };
        y
    }
}

/// A pass over its arguments.
struct Job<'a> {
    pass: &'a Pass,
    level: Level,
    sizes: Sizes,
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
}

impl Job<'_> {
    /// The weights first, then region after region with all of its channels: for many tiles.
    fn by_regions<T: Transform>(&self, to: Places) {
        let s = &self.sizes;
        let parts = self.pass.input.padded().div_ceil(KERNELS);
        scratch::with(self.pass.panels() * s.kernels(), |kernels| {
            let places = Places(kernels.as_mut_ptr());
            threads::for_each(self.pass.panels() * parts, true, |task| {
                let (panel, part) = (task / parts, task % parts);
                let inputs = part * KERNELS..self.pass.input.padded().min((part + 1) * KERNELS);
                self.kernels::<T>(panel, inputs, places.at(panel * s.kernels()));
            });
            let kernels = &*kernels;
            threads::for_each(s.grid.regions(), true, |index| {
                let region = s.grid.region(index);
                let sizes = [s.values(), s.strips[0], s.products() + s.strips[1]];
                scratch::with(sizes.iter().sum(), |memory| {
                    let (values, memory) = memory.split_at_mut(sizes[0]);
                    let (strip, memory) = memory.split_at_mut(sizes[1]);
                    for block in 0..self.pass.blocks() {
                        self.read::<T>(&region, block, strip, Places(values.as_mut_ptr()));
                    }
                    for (panel, kernels) in kernels.chunks_exact(s.kernels()).enumerate() {
                        self.write::<T>(&region, panel, values, kernels, memory, to);
                    }
                });
            });
        });
    }

    /// All of the input first, then panel after panel of output channels with their weights: for few tiles or
    /// many weights.
    fn by_panels<T: Transform>(&self, to: Places) {
        let s = &self.sizes;
        let (regions, blocks) = (s.grid.regions(), self.pass.blocks());
        scratch::with(regions * s.values(), |values| {
            let places = Places(values.as_mut_ptr());
            threads::for_each(regions * blocks, true, |task| {
                let (region, block) = (task / blocks, task % blocks);
                scratch::with(s.strips[0], |strip| {
                    self.read::<T>(&s.grid.region(region), block, strip, places.at(region * s.values()));
                });
            });
            let values = &*values;
            threads::for_each(self.pass.panels(), true, |panel| {
                scratch::with(s.kernels() + s.products() + s.strips[1], |memory| {
                    let (kernels, memory) = memory.split_at_mut(s.kernels());
                    self.kernels::<T>(panel, 0..self.pass.input.padded(), Places(kernels.as_mut_ptr()));
                    for (region, values) in values.chunks_exact(s.values()).enumerate() {
                        self.write::<T>(&s.grid.region(region), panel, values, kernels, memory, to);
                    }
                });
            });
        });
    }

    /// Transforms the kernels of a panel for `inputs`.
    fn kernels<T: Transform>(&self, panel: usize, inputs: std::ops::Range<usize>, to: Places) {
        for input in inputs {
            let to = to.at(input * PANEL).0;
            // SAFETY: the buffer has the size of its layout, and this task alone writes to these inputs.
            unsafe {
                let (weights, layout) = (&self.pass.weights, self.sizes.kernels);
                transform_kernels::<T>(self.level, weights, self.weight, panel * PANEL, input, to, layout);
            }
        }
    }

    /// Transforms the tiles of a region for a block of channels.
    fn read<T: Transform>(&self, region: &Region, block: usize, strip: &mut [f32], to: Places) {
        let (window, channel) = (self.pass.window(self.x), block * BLOCK);
        let to = to.at(channel).0;
        // SAFETY: the buffer has the size of its layout, and this task alone writes to these channels.
        unsafe { gather::<T>(self.level, &window, region, channel, strip, to, self.sizes.values) };
    }

    /// Multiplies a region with a panel and writes the outputs.
    fn write<T: Transform>(
        &self,
        region: &Region,
        panel: usize,
        values: &[f32],
        kernels: &[f32],
        memory: &mut [f32],
        to: Places,
    ) {
        let s = &self.sizes;
        let (products, strip) = memory.split_at_mut(s.products());
        for phase in 0..s.separate {
            let apart = phase * s.points;
            let product = Product {
                a: values[apart * s.values.point..].as_ptr(),
                a_row: s.values.tile,
                a_depth: 1,
                b: kernels[apart * s.kernels.point..].as_ptr(),
                b_depth: PANEL,
                out: products[phase * s.products.phase..].as_mut_ptr(),
                out_row: s.products.tile,
                rows: region.tiles(),
                depth: s.depth,
                more: false,
            };
            let batch =
                Batch { count: s.points, a: s.values.point, b: s.kernels.point, out: s.products.point };
            // SAFETY: the buffers have the sizes of their layouts.
            unsafe { multiply::<T>(self.level, product, batch) };
        }
        let canvas = Canvas { pictures: self.pass.output, step: self.pass.steps[1], bias: self.bias, to };
        // SAFETY: tasks have different regions or panels, so different pixels or channels.
        unsafe { scatter::<T>(self.level, &canvas, products, s.products, region, panel * PANEL, strip) };
    }
}
