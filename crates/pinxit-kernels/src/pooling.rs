//! Pooling: the mean or the largest of each window of pixels.

use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use std::ops::Range;

use crate::buffer::unwritten;
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::threads;

/// Squares of `size` x `size` pixels, `stride` apart, over a picture with `padding` pixels around it, which count
/// for nothing. `padding` is less than `size`, and the picture with it is no smaller than a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Rows and columns of a window.
    pub size: usize,
    /// Pixels from one window to the next, at least 1.
    pub stride: usize,
    /// Rows and columns of nothing on each side.
    pub padding: usize,
}

impl Windows {
    /// Windows side by side; an odd last row or column is left out.
    pub const fn tiles(size: usize) -> Self {
        Self { size, stride: size, padding: 0 }
    }

    /// Windows along a side of `length` pixels.
    fn along(self, length: usize) -> usize {
        (length + 2 * self.padding - self.size) / self.stride + 1
    }

    /// The pixels of a side of `length` that window `i` covers.
    #[inline(always)]
    fn covered(self, i: usize, length: usize) -> Range<usize> {
        let start = i * self.stride;
        start.saturating_sub(self.padding)..(start + self.size - self.padding).min(length)
    }
}

/// The mean of each window's pixels: `x [B, C, H, W]` gives `[B, C, H', W']`. Differentiable.
pub fn avg_pool2d(x: Tensor<4>, windows: Windows) -> Tensor<4> {
    if glue::supported(&x) {
        return glue::apply1(AvgPool(windows), x);
    }
    let Windows { size, stride, padding } = windows;
    let options = AvgPoolOptions {
        kernel_size: [size; 2],
        stride: [stride; 2],
        padding: [(padding, padding); 2],
        count_include_pad: false,
        ceil_mode: false,
    };
    module::avg_pool2d(x, options)
}

/// The largest of each window's pixels, NaN if one is: `x [B, C, H, W]` gives `[B, C, H', W']`. Differentiable; of equal
/// pixels the first, by rows, has the gradient.
pub fn max_pool2d(x: Tensor<4>, windows: Windows) -> Tensor<4> {
    if glue::supported(&x) {
        return glue::apply1(MaxPool(windows), x);
    }
    let Windows { size, stride, padding } = windows;
    let options = MaxPoolOptions {
        kernel_size: [size; 2],
        stride: [stride; 2],
        padding: [(padding, padding); 2],
        dilation: [1; 2],
        ceil_mode: false,
    };
    module::max_pool2d(x, options)
}

#[derive(Clone, Debug)]
struct AvgPool(Windows);

impl Operation for AvgPool {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        let dims = inputs[0].dims();
        let plane = Plane::new(self.0, dims);
        plane.array(dims, plane.pool(inputs[0].data(), means))
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let dims = inputs[0].dims();
        let plane = Plane::new(self.0, dims);
        let mut dx = unwritten(dims.iter().product());
        threads::for_each_block([&mut dx], [plane.pixels()], grad.data().len() * plane.area(), |i, [dx]| {
            spread(&plane, &grad.data()[i * plane.windows()..][..plane.windows()], dx);
        });
        vec![Some(Array::new(dx, dims))]
    }
}

#[derive(Clone, Debug)]
struct MaxPool(Windows);

impl Operation for MaxPool {
    fn forward(&self, inputs: &[Array]) -> Array {
        let dims = inputs[0].dims();
        let plane = Plane::new(self.0, dims);
        plane.array(dims, plane.pool(inputs[0].data(), maxima))
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let dims = inputs[0].dims();
        let plane = Plane::new(self.0, dims);
        let (x, mut dx) = (inputs[0].data(), unwritten(inputs[0].data().len()));
        threads::for_each_block([&mut dx], [plane.pixels()], grad.data().len() * plane.area(), |i, [dx]| {
            let dy = &grad.data()[i * plane.windows()..][..plane.windows()];
            hand_to_largest(&plane, &x[i * plane.pixels()..][..plane.pixels()], dy, dx);
        });
        vec![Some(Array::new(dx, dims))]
    }
}

/// One channel of one picture and the windows over it.
struct Plane {
    over: Windows,
    h: usize,
    w: usize,
    rows: usize,
    columns: usize,
}

impl Plane {
    fn new(over: Windows, [_, _, h, w]: [usize; 4]) -> Self {
        Self { over, h, w, rows: over.along(h), columns: over.along(w) }
    }

    fn pixels(&self) -> usize {
        self.h * self.w
    }

    fn windows(&self) -> usize {
        self.rows * self.columns
    }

    fn area(&self) -> usize {
        self.over.size * self.over.size
    }

    /// What came of pictures of the shape `dims`.
    fn array(&self, [b, c, _, _]: [usize; 4], y: Vec<f32>) -> Array {
        Array::new(y, [b, c, self.rows, self.columns])
    }

    /// `pool` on each plane of `x`.
    fn pool(&self, x: &[f32], pool: fn(&Self, &[f32], &mut [f32])) -> Vec<f32> {
        let planes = if x.is_empty() { 0 } else { x.len() / self.pixels() };
        let mut y = unwritten(planes * self.windows());
        threads::for_each_block([&mut y], [self.windows()], x.len() * self.area(), |i, [y]| {
            pool(self, &x[i * self.pixels()..][..self.pixels()], y);
        });
        y
    }

    /// Folds each window by rows, from `first`: the pixels of a row of windows that lie alike are taken at once.
    #[inline(always)]
    fn fold(&self, x: &[f32], y: &mut [f32], first: f32, join: impl Fn(f32, f32) -> f32) {
        let Windows { size, stride, padding } = self.over;
        let mut line = vec![first; self.w + 2 * padding];
        for (i, y) in y.chunks_exact_mut(self.columns).enumerate() {
            y.fill(first);
            for row in self.over.covered(i, self.h) {
                line[padding..][..self.w].copy_from_slice(&x[row * self.w..][..self.w]);
                for line in (0..size).map(|column| &line[column..]) {
                    let join = |(y, &x): (&mut f32, &f32)| *y = join(*y, x);
                    match stride {
                        1 => y.iter_mut().zip(line).for_each(join),
                        _ => y.iter_mut().zip(line.iter().step_by(stride)).for_each(join),
                    }
                }
            }
        }
    }

    /// Pixels within the picture of each window of a row of them that covers `rows` rows.
    #[inline(always)]
    fn counts(&self, rows: usize) -> impl Iterator<Item = f32> {
        (0..self.columns).map(move |j| (rows * self.over.covered(j, self.w).len()) as f32)
    }
}

vectorised! {
    /// The mean of each window.
    fn means(plane: &Plane, x: &[f32], y: &mut [f32]) {
        plane.fold(x, y, 0.0, |sum, x| sum + x);
        for (i, y) in y.chunks_exact_mut(plane.columns).enumerate() {
            let counts = plane.counts(plane.over.covered(i, plane.h).len());
            y.iter_mut().zip(counts).for_each(|(y, count)| *y /= count);
        }
    }

    /// The largest of each window.
    fn maxima(plane: &Plane, x: &[f32], y: &mut [f32]) {
        plane.fold(x, y, f32::NEG_INFINITY, |y, x| if x > y || x.is_nan() { x } else { y });
    }

    /// To each pixel its share of the gradients of the windows that it is in.
    fn spread(plane: &Plane, dy: &[f32], dx: &mut [f32]) {
        let Windows { size, stride, padding } = plane.over;
        dx.fill(0.0);
        let mut line = vec![0.0; plane.w + 2 * padding];
        for (i, dy) in dy.chunks_exact(plane.columns).enumerate() {
            let rows = plane.over.covered(i, plane.h);
            line.fill(0.0);
            for column in 0..size {
                let shares = dy.iter().zip(plane.counts(rows.len())).map(|(dy, count)| dy / count);
                line[column..].iter_mut().step_by(stride).zip(shares).for_each(|(x, share)| *x += share);
            }
            for row in rows {
                let dx = &mut dx[row * plane.w..][..plane.w];
                dx.iter_mut().zip(&line[padding..]).for_each(|(dx, share)| *dx += share);
            }
        }
    }

    /// To the first of the largest pixels of each window its gradient.
    fn hand_to_largest(plane: &Plane, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        dx.fill(0.0);
        for (window, dy) in dy.iter().enumerate() {
            let rows = plane.over.covered(window / plane.columns, plane.h);
            let columns = plane.over.covered(window % plane.columns, plane.w);
            let mut largest = (rows.start * plane.w + columns.start, f32::NEG_INFINITY);
            for row in rows {
                let start = row * plane.w + columns.start;
                for (at, &x) in (start..).zip(&x[start..][..columns.len()]) {
                    if x > largest.1 || x.is_nan() {
                        largest = (at, x);
                    }
                }
            }
            dx[largest.0] += dy;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    /// Shapes that reach every case: whole tiles, a left-over row, overlaps, padding, one window.
    const CASES: [(usize, [usize; 2], Windows); 6] = [
        (3, [8, 12], Windows::tiles(2)),
        (2, [7, 5], Windows::tiles(2)),
        (2, [17, 9], Windows { size: 3, stride: 2, padding: 0 }),
        (2, [6, 35], Windows { size: 3, stride: 1, padding: 1 }),
        (1, [4, 5], Windows { size: 3, stride: 2, padding: 2 }),
        (40, [1, 1], Windows { size: 3, stride: 1, padding: 1 }),
    ];

    /// Where the pixels of each window lie in the plane, by rows.
    fn windows(plane: &Plane) -> Vec<Vec<usize>> {
        let Windows { size, stride, padding } = plane.over;
        let inside = |i: usize, k: usize, length: usize| {
            (i * stride + k).checked_sub(padding).filter(|&at| at < length)
        };
        let pixels = |i: usize, j: usize| {
            let rows = (0..size).filter_map(move |k| inside(i, k, plane.h));
            rows.flat_map(move |row| {
                (0..size).filter_map(move |k| Some(row * plane.w + inside(j, k, plane.w)?))
            })
        };
        (0..plane.rows).flat_map(|i| (0..plane.columns).map(move |j| pixels(i, j).collect())).collect()
    }

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for (planes, [h, w], over) in CASES {
            let dims = [1, planes, h, w];
            let plane = Plane::new(over, dims);
            // Coarse, so that some pixels are equal.
            let x: Vec<f32> = numbers(planes * h * w, 1).iter().map(|x| (x * 8.0).round()).collect();
            let dy = numbers(planes * plane.windows(), 2);
            let [mut means, mut maxima] = [vec![0.0; dy.len()], vec![0.0; dy.len()]];
            let [mut of_means, mut of_maxima] = [vec![0.0; x.len()], vec![0.0; x.len()]];
            for (i, &dy) in dy.iter().enumerate() {
                let start = i / plane.windows() * h * w;
                let pixels = &windows(&plane)[i % plane.windows()];
                let value = |at: usize| f64::from(x[start + at]);
                means[i] = pixels.iter().map(|&at| value(at)).sum::<f64>() / pixels.len() as f64;
                maxima[i] = pixels.iter().map(|&at| value(at)).fold(f64::MIN, f64::max);
                for &at in pixels {
                    of_means[start + at] += f64::from(dy) / pixels.len() as f64;
                }
                let first = pixels.iter().find(|&&at| value(at) == maxima[i]).unwrap();
                of_maxima[start + first] += f64::from(dy);
            }
            let [x, dy] = [Array::new(x, dims), Array::new(dy, [1, planes, plane.rows, plane.columns])];
            let gradient = |op: &dyn Fn() -> Vec<Option<Array>>| op().remove(0).unwrap();
            let inputs = &[x];
            assert_close(AvgPool(over).forward(inputs).data(), &means, 1e-6);
            assert_close(MaxPool(over).forward(inputs).data(), &maxima, 0.0);
            let [avg, max] = [
                gradient(&|| AvgPool(over).backward(inputs, &dy, &[true])),
                gradient(&|| MaxPool(over).backward(inputs, &dy, &[true])),
            ];
            assert_close(avg.data(), &of_means, 1e-6);
            assert_close(max.data(), &of_maxima, 1e-6);
        }
    }

    #[test]
    fn a_pixel_that_is_no_number_is_not_hidden() {
        for at in 0..4 {
            let mut x = vec![1.0, 2.0, 3.0, 4.0];
            x[at] = f32::NAN;
            let y = MaxPool(Windows::tiles(2)).forward(&[Array::new(x, [1, 1, 2, 2])]);
            assert!(y.data()[0].is_nan(), "pixel {at}");
        }
    }
}
