//! Gates: one half of the channels decides how much of the other half passes.

use crate::activation::{self, Activation};
use crate::buffer::unwritten;
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::threads::{self, Shared};
use burn::tensor::Tensor;
use std::ops::Range;

/// Elements that are worked on at a time, in the nearest cache.
const SHORT: usize = 1024;

/// `f(a) * g(b)` of the two halves a and b of the channels.
///
/// `x [B, 2C, ..]` gives `[B, C, ..]`. The gate of PixelCNN is `[Tanh, Sigmoid]` (van den Oord et al. 2016,
/// "Conditional Image Generation with PixelCNN Decoders", arXiv:1606.05328, equation 2), GEGLU is `[None, Gelu]`
/// and SwiGLU `[None, Silu]` (Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202, equation 5) with
/// the gate in the second half. Differentiable.
///
/// # Panics
/// If `x` has one dimension or an odd number of channels.
pub fn gated<const D: usize>(x: Tensor<D>, [f, g]: [Activation; 2]) -> Tensor<D> {
    let dims = x.dims();
    assert!(D > 1 && dims[1].is_multiple_of(2), "gated: the halves of the channels of {dims:?}");
    if glue::supported(&x) {
        return glue::apply1(Gated::<D>([f, g]), x);
    }
    let half = dims[1] / 2;
    f.composite(x.clone().narrow(1, 0, half)) * g.composite(x.narrow(1, half, half))
}

#[derive(Clone, Debug)]
struct Gated<const D: usize>([Activation; 2]);

impl<const D: usize> Operation for Gated<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let mut dims = inputs[0].dims::<D>();
        dims[1] /= 2;
        let half = dims[1..].iter().product();
        Array::new(forward(self.0, half, inputs[0].data()), dims)
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let dims = inputs[0].dims::<D>();
        let half = dims[1..].iter().product::<usize>() / 2;
        vec![Some(Array::new(backward(self.0, half, inputs[0].data(), grad.data()), dims))]
    }
}

/// The parts of `range`, elements of the output, that are short and of one image: each as a range of the output
/// and the places of its halves in the input.
fn runs(range: Range<usize>, half: usize) -> impl Iterator<Item = (Range<usize>, [Range<usize>; 2])> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let image = start / half.max(1);
        let end = range.end.min((image + 1) * half).min(start + SHORT);
        let run = start..end;
        start = end;
        let at = |shift: usize| run.start + shift..run.end + shift;
        (!run.is_empty()).then(|| (run.clone(), [at(image * half), at((image + 1) * half)]))
    })
}

fn forward(kinds: [Activation; 2], half: usize, x: &[f32]) -> Vec<f32> {
    let mut y = unwritten(x.len() / 2);
    threads::for_each_chunk([&mut y], |range, [y]| {
        for (run, [a, b]) in runs(range.clone(), half) {
            values(kinds, &x[a], &x[b], &mut y[run.start - range.start..run.end - range.start]);
        }
    });
    y
}

fn backward(kinds: [Activation; 2], half: usize, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dx = unwritten(x.len());
    let out = Shared::new(&mut dx);
    threads::for_each_range(dy.len(), |range| {
        for (run, [a, b]) in runs(range, half) {
            // SAFETY: runs do not overlap, so neither do the places of their halves.
            let halves = unsafe { [out.part(a.clone()), out.part(b.clone())] };
            derivatives(kinds, [&x[a], &x[b]], &dy[run], halves);
        }
    });
    dx
}

vectorised! {
    fn values(kinds: [Activation; 2], a: &[f32], b: &[f32], y: &mut [f32]) {
        let mut gate = [0.0_f32; SHORT];
        let gate = &mut gate[..b.len()];
        activation::along(kinds[1], (1.0, 0.0), b, gate);
        activation::along(kinds[0], (1.0, 0.0), a, y);
        for (y, &gate) in y.iter_mut().zip(&*gate) {
            *y *= gate;
        }
    }

    /// `da = dy g(b) f'(a)`, `db = dy f(a) g'(b)`.
    fn derivatives(kinds: [Activation; 2], halves: [&[f32]; 2], dy: &[f32], out: [&mut [f32]; 2]) {
        let mut passed = [0.0_f32; SHORT];
        let passed = &mut passed[..dy.len()];
        let [da, db] = out;
        for (n, out) in [da, db].into_iter().enumerate() {
            activation::along(kinds[1 - n], (1.0, 0.0), halves[1 - n], passed);
            for (passed, &dy) in passed.iter_mut().zip(dy) {
                *passed *= dy;
            }
            activation::along_derivative(kinds[n], (1.0, 0.0), [halves[n], passed], out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::twin::{derivative, value};
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        use Activation::{Gelu, None, Sigmoid, Silu, Tanh};
        for kinds in [[Tanh, Sigmoid], [None, Gelu], [None, Silu]] {
            for (images, half) in [(1, 1), (3, 35), (5, 1500), (2, 33_000)] {
                let x: Vec<f32> = numbers(2 * images * half, 1).iter().map(|x| 4.0 * x).collect();
                let dy = numbers(images * half, 2);
                let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                for i in 0..dy.len() {
                    let a = i / half * 2 * half + i % half;
                    let (fa, gb) = (f64::from(x[a]), f64::from(x[a + half]));
                    y[i] = value(kinds[0], fa) * value(kinds[1], gb);
                    dx[a] = f64::from(dy[i]) * derivative(kinds[0], fa) * value(kinds[1], gb);
                    dx[a + half] = f64::from(dy[i]) * value(kinds[0], fa) * derivative(kinds[1], gb);
                }
                assert_close(&forward(kinds, half, &x), &y, 1e-6);
                assert_close(&backward(kinds, half, &x, &dy), &dx, 1e-6);
            }
        }
    }
}
