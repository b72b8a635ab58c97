//! Softmax cross-entropy over the channels.

use crate::buffer::unwritten;
use crate::exp::exp;
use crate::glue::{self, Array, Operation};
use crate::losses::Reduction;
use crate::simd::vectorised;
use crate::{reduce, threads};
use burn::tensor::{Int, Tensor, activation};
use std::sync::{Arc, OnceLock};

/// Pixels that are worked on at a time: their channels stay in the second cache.
const STRIP: usize = 256;

/// `ln(sum over k of e^x_k) - x_class` at every pixel, summed or averaged over images and pixels, `[1]`.
///
/// `x [B, K, H, W]` or `[B, K]` are logits, `classes [B H W]` the class of each pixel of each image in turn, below
/// K. Differentiable in `x`.
///
/// # Panics
/// If `classes` has another length, or a class that is not there.
pub fn cross_entropy<const D: usize>(
    x: Tensor<D>,
    classes: Tensor<1, Int>,
    reduction: Reduction,
) -> Tensor<1> {
    let dims = x.dims();
    assert!(D >= 2, "cross_entropy: logits of shape {dims:?}");
    let (images, kinds, area) = (dims[0], dims[1], dims[2..].iter().product::<usize>());
    assert_eq!(classes.dims(), [images * area], "cross_entropy: classes");
    let factor = reduction.factor(images * area);
    if !glue::supported(&x) {
        let x = activation::log_softmax(x.reshape([images, kinds, area]), 1);
        return x.gather(1, classes.reshape([images, 1, area])).sum() * -factor;
    }
    let classes: Vec<u32> = classes.into_data().iter::<u32>().collect();
    assert!(
        classes.iter().all(|&class| (class as usize) < kinds),
        "cross_entropy: a class of {kinds} or more"
    );
    let op = CrossEntropy::<D> { factor, classes: classes.into(), norms: OnceLock::new() };
    glue::apply1(op, x)
}

#[derive(Clone, Debug)]
struct CrossEntropy<const D: usize> {
    factor: f64,
    classes: Arc<[u32]>,
    /// The logarithm of the sum over the channels of e^x at every pixel, found by the forward pass.
    norms: OnceLock<Vec<f32>>,
}

impl<const D: usize> CrossEntropy<D> {
    fn logits<'a>(&'a self, x: &'a Array) -> Logits<'a> {
        let dims = x.dims::<D>();
        Logits { kinds: dims[1], area: dims[2..].iter().product(), x: x.data(), classes: &self.classes }
    }
}

impl<const D: usize> Operation for CrossEntropy<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let logits = self.logits(&inputs[0]);
        let norms = self.norms.get_or_init(|| logits.norms());
        Array::new(vec![(logits.loss(norms) * self.factor) as f32], [1])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let logits = self.logits(&inputs[0]);
        let norms = self.norms.get_or_init(|| logits.norms());
        let factor = (f64::from(grad.data()[0]) * self.factor) as f32;
        vec![Some(Array::new(logits.gradient(norms, factor), inputs[0].dims::<D>()))]
    }
}

/// `x [images, kinds, area]`, `classes [images, area]`.
struct Logits<'a> {
    kinds: usize,
    area: usize,
    x: &'a [f32],
    classes: &'a [u32],
}

impl Logits<'_> {
    fn norms(&self) -> Vec<f32> {
        let mut norms = unwritten(self.classes.len());
        threads::for_each_block([&mut norms], [self.block()], self.x.len(), |i, [norms]| {
            norms_of_block(self, i * self.block(), norms);
        });
        norms
    }

    /// Pixels of a task: a strip of one image, or images of one pixel.
    fn block(&self) -> usize {
        if self.area == 1 { 16 } else { self.area }
    }

    fn loss(&self, norms: &[f32]) -> f64 {
        let losses = self.classes.iter().zip(norms).enumerate();
        losses.map(|(pixel, (&class, &norm))| f64::from(norm - self.x[self.place(pixel, class)])).sum()
    }

    /// Where the logit of a class at a pixel is.
    fn place(&self, pixel: usize, class: u32) -> usize {
        let (image, pixel) = (pixel / self.area, pixel % self.area);
        (image * self.kinds + class as usize) * self.area + pixel
    }

    /// `factor (softmax(x) - [class])`.
    fn gradient(&self, norms: &[f32], factor: f32) -> Vec<f32> {
        let mut dx = unwritten(self.x.len());
        let size = self.block() * self.kinds;
        threads::for_each_block([&mut dx], [size], self.x.len(), |i, [dx]| {
            softmax_block(self, i * size, norms, factor, dx);
            for pixel in i * self.block()..(i * size + dx.len()) / self.kinds {
                dx[self.place(pixel, self.classes[pixel]) - i * size] -= factor;
            }
        });
        dx
    }
}

vectorised! {
    /// The norms of the pixels from `start` on.
    fn norms_of_block(p: &Logits, start: usize, norms: &mut [f32]) {
        let (kinds, area) = (p.kinds, p.area);
        if area == 1 {
            for (row, norm) in (start..).zip(norms) {
                *norm = norm_of_row(&p.x[row * kinds..][..kinds]);
            }
            return;
        }
        let image = &p.x[start * kinds..][..kinds * area];
        for (strip, norms) in norms.chunks_mut(STRIP).enumerate() {
            let row = |kind: usize| &image[kind * area + strip * STRIP..][..norms.len()];
            let (mut largest, mut sums) = ([f32::NEG_INFINITY; STRIP], [0.0_f32; STRIP]);
            for kind in 0..kinds {
                for (largest, &x) in largest.iter_mut().zip(row(kind)) {
                    *largest = if x > *largest { x } else { *largest };
                }
            }
            for kind in 0..kinds {
                for ((sum, &largest), &x) in sums.iter_mut().zip(&largest).zip(row(kind)) {
                    *sum += exp(x - largest);
                }
            }
            for ((norm, &largest), &sum) in norms.iter_mut().zip(&largest).zip(&sums) {
                *norm = largest + sum.ln();
            }
        }
    }

    /// `factor e^(x - norm)` from the element `start` on.
    fn softmax_block(p: &Logits, start: usize, norms: &[f32], factor: f32, dx: &mut [f32]) {
        let (kinds, area, x) = (p.kinds, p.area, &p.x[start..]);
        let norms = &norms[start / kinds..];
        if area == 1 {
            for ((x, dx), &norm) in x.chunks_exact(kinds).zip(dx.chunks_exact_mut(kinds)).zip(norms) {
                for (dx, &x) in dx.iter_mut().zip(x) {
                    *dx = factor * exp(x - norm);
                }
            }
            return;
        }
        for (x, dx) in x.chunks_exact(area).zip(dx.chunks_exact_mut(area)) {
            for ((dx, &x), &norm) in dx.iter_mut().zip(x).zip(norms) {
                *dx = factor * exp(x - norm);
            }
        }
    }
}

#[inline(always)]
fn norm_of_row(x: &[f32]) -> f32 {
    let largest = reduce::largest(x);
    let mut powers = [0.0_f32; STRIP];
    let mut sum = 0.0;
    for x in x.chunks(STRIP) {
        for (power, &x) in powers.iter_mut().zip(x) {
            *power = exp(x - largest);
        }
        sum += reduce::fold([&powers[..x.len()]], |[power]| power);
    }
    largest + (sum as f32).ln()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for dims in [[1, 1, 1], [3, 10, 1], [70, 300, 1], [2, 5, 9], [3, 256, 300]] {
            let [images, kinds, area] = dims;
            let x: Vec<f32> = numbers(dims.iter().product(), 1).iter().map(|x| 6.0 * x).collect();
            let classes: Vec<u32> = (0..images * area).map(|i| (i * i * 7 % kinds) as u32).collect();
            let (mut loss, mut dx) = (0.0, vec![0.0; x.len()]);
            for (pixel, &class) in classes.iter().enumerate() {
                let at = |kind: usize| (pixel / area * kinds + kind) * area + pixel % area;
                let sum: f64 = (0..kinds).map(|kind| f64::from(x[at(kind)]).exp()).sum();
                loss += 0.1 * (sum.ln() - f64::from(x[at(class as usize)]));
                for kind in 0..kinds {
                    dx[at(kind)] = 0.3
                        * (f64::from(x[at(kind)]).exp() / sum - f64::from(u8::from(kind == class as usize)));
                }
            }
            let op = CrossEntropy::<3> { factor: 0.1, classes: classes.into(), norms: OnceLock::new() };
            let inputs = [Array::new(x, dims)];
            assert_close(op.forward(&inputs).data(), &[loss], if kinds == 1 { 1e24 } else { 2e-6 });
            let got = op.backward(&inputs, &Array::new(vec![3.0], [1]), &[true]);
            assert_close(got[0].as_ref().unwrap().data(), &dx, if kinds == 1 { 1e24 } else { 1e-6 });
        }
    }
}
