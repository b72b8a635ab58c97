//! The gradient of the weights: the adjoint of the forward pass in its weights,
//! `dW = G^T [sum over tiles of (A dY A^T) . (B^T x B)] G`.
//!
//! Tiles are summed region after region, and in their order within a region. The regions depend on the shapes
//! alone, and each sum belongs to one task, so that the result depends neither on threads nor on luck.

use super::pass::{Pass, output};
use super::product::{Batch, Product, multiply};
use super::tiles::{BLOCK, Grid, Layout, PANEL, Window, gather};
use super::transform::Transform;
use super::weights::kernel_grads;
use super::{Places, scratch};
use crate::geometry::Geometry;
use crate::simd::Level;
use crate::threads;

/// Numbers of the transformed pictures of a region: they stay in the last cache.
const REGION: usize = 2 << 20;
/// Fewest and most tiles of a region, if there are as many: enough that the sums are loaded and stored rarely.
const TILES: [usize; 2] = [64, 256];
/// Output channels of a task.
const ROWS: usize = 32;

/// `dw` of the convolution `g`.
pub(super) fn run<T: Transform>(level: Level, g: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let pass = Pass::forward(g);
    let inputs = pass.window(x);
    let outputs = Window { pictures: output(g), data: dy, step: 1, phases: &[[0, 0]], outputs: true };
    let points = T::POINTS * T::POINTS;
    let stacked = inputs.pictures.padded();
    let width = (inputs.phases.len() * stacked).next_multiple_of(PANEL);
    let rows = [width + BLOCK, outputs.pictures.padded() + BLOCK];
    let most = (REGION / (points * (rows[0] + rows[1]))).clamp(TILES[0], TILES[1]);
    let grid = Grid::new(g.images, g.output, most);
    let layouts =
        [0, 1].map(|i| Layout { point: grid.most() * rows[i] + BLOCK, phase: stacked, tile: rows[i] });
    let blocks = [inputs, outputs].map(|window| window.pictures.channels.div_ceil(BLOCK));
    let sums = Layout { point: g.out_channels * width + BLOCK, phase: stacked, tile: width };
    let sizes = [points * layouts[0].point, points * layouts[1].point, points * sums.point];
    let strip = inputs.strip::<T>(&grid).max(outputs.strip::<T>(&grid));
    let parts = g.out_channels.div_ceil(ROWS);
    let kernel = pass.weights().kernel;
    let mut dw = vec![0.0; g.out_channels * g.in_channels * kernel];
    scratch::with(sizes.iter().sum(), |memory| {
        let places = Places(memory.as_mut_ptr());
        let values = [places, places.at(sizes[0])];
        let totals = places.at(sizes[0] + sizes[1]);
        for index in 0..grid.regions() {
            let region = grid.region(index);
            threads::for_each(blocks[0] + blocks[1], true, |task| {
                let (i, block) = if task < blocks[0] { (0, task) } else { (1, task - blocks[0]) };
                let window = if i == 0 { &inputs } else { &outputs };
                let to = values[i].at(block * BLOCK).0;
                // SAFETY: the buffers have the sizes of their layouts, and tasks write different channels.
                scratch::with(strip, |strip| unsafe {
                    gather::<T>(level, window, &region, block * BLOCK, strip, to, layouts[i]);
                });
            });
            threads::for_each(points * parts, true, |task| {
                let (point, first) = (task / parts, task % parts * ROWS);
                let product = Product {
                    a: values[1].at(point * layouts[1].point + first).0,
                    a_row: 1,
                    a_depth: rows[1],
                    b: values[0].at(point * layouts[0].point).0,
                    b_depth: rows[0],
                    out: totals.at(point * sums.point + first * width).0,
                    out_row: width,
                    rows: ROWS.min(g.out_channels - first),
                    depth: region.tiles(),
                    more: index > 0,
                };
                let batch = Batch { count: width / PANEL, a: 0, b: PANEL, out: PANEL };
                // SAFETY: as above; tasks write different points or rows.
                unsafe { multiply::<T>(level, product, batch) };
            });
        }
        let size = g.in_channels * kernel;
        threads::for_each_block([&mut dw], [size], g.out_channels * width * points, |output, [dw]| {
            for (block, grads) in dw.chunks_mut(BLOCK * kernel).enumerate() {
                let from = totals.at(output * width + block * BLOCK).0;
                // SAFETY: the sums have the size of their layout.
                unsafe { kernel_grads::<T>(level, pass.weights(), from, sums, grads) };
            }
        });
    });
    dw
}
