//! Nearest-neighbour upsampling by two.

use crate::buffer::unwritten;
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::threads;
use burn::tensor::Tensor;

/// Every pixel becomes a square of 2 x 2: `x [B, C, H, W]` gives `[B, C, 2H, 2W]`. Differentiable.
pub fn upsample_nearest2(x: Tensor<4>) -> Tensor<4> {
    if glue::supported(&x) {
        return glue::apply1(UpsampleNearest2, x);
    }
    let [b, c, h, w] = x.dims();
    x.reshape([b * c, h, 1, w, 1]).repeat(&[1, 1, 2, 1, 2]).reshape([b, c, 2 * h, 2 * w])
}

#[derive(Clone, Debug)]
struct UpsampleNearest2;

impl Operation for UpsampleNearest2 {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        let [b, c, h, w] = inputs[0].dims();
        Array::new(forward(inputs[0].data(), [h, w]), [b, c, 2 * h, 2 * w])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let dims @ [_, _, h, w] = inputs[0].dims();
        vec![Some(Array::new(backward(grad.data(), [h, w]), dims))]
    }
}

/// Each row of the planes of `h x w` pixels twice, each pixel twice.
fn forward(x: &[f32], [h, w]: [usize; 2]) -> Vec<f32> {
    let mut y = unwritten(4 * x.len());
    threads::for_each_block([&mut y], [4 * h * w], 4 * x.len(), |plane, [y]| {
        spread(&x[plane * h * w..][..h * w], w, y);
    });
    y
}

/// The sum of each square of 2 x 2, for planes of `h x w` squares.
fn backward(dy: &[f32], [h, w]: [usize; 2]) -> Vec<f32> {
    let mut dx = unwritten(dy.len() / 4);
    threads::for_each_block([&mut dx], [h * w], dy.len(), |plane, [dx]| {
        gather(&dy[plane * 4 * h * w..][..4 * h * w], w, dx);
    });
    dx
}

vectorised! {
    /// A plane of rows of `w` pixels to one of twice the rows and columns.
    fn spread(x: &[f32], w: usize, y: &mut [f32]) {
        for (x, y) in x.chunks_exact(w).zip(y.chunks_exact_mut(4 * w)) {
            let (top, bottom) = y.split_at_mut(2 * w);
            for (pair, &x) in top.as_chunks_mut::<2>().0.iter_mut().zip(x) {
                *pair = [x; 2];
            }
            bottom.copy_from_slice(top);
        }
    }

    /// The sums of the squares of a plane, `w` in a row.
    fn gather(dy: &[f32], w: usize, dx: &mut [f32]) {
        for (dy, dx) in dy.chunks_exact(4 * w).zip(dx.chunks_exact_mut(w)) {
            let (top, bottom) = dy.split_at(2 * w);
            let squares = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
            for (dx, ([a, b], [c, d])) in dx.iter_mut().zip(squares) {
                *dx = (a + b) + (c + d);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for (planes, h, w) in [(1, 1, 1), (3, 5, 7), (8, 32, 32)] {
            let (x, dy) = (numbers(planes * h * w, 1), numbers(planes * h * w * 4, 2));
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            for i in 0..y.len() {
                let (row, column) = (i / (2 * w), i % (2 * w));
                let from = (row / (2 * h) * h + row % (2 * h) / 2) * w + column / 2;
                y[i] = f64::from(x[from]);
                dx[from] += f64::from(dy[i]);
            }
            assert_close(&forward(&x, [h, w]), &y, 0.0);
            assert_close(&backward(&dy, [h, w]), &dx, 1e-6);
        }
    }
}
