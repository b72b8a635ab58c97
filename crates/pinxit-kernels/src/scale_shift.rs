//! A slope and an intercept for each channel with the activation that follows: batch normalisation when it no
//! longer learns, and what an adaptive normalisation was told.

use crate::activation::Activation;
use crate::glue::{self, Array, Operation};
use crate::lines::{Line, Lines, Pull, Shape};
use burn::tensor::Tensor;

/// `activation(x * scale + shift)` for `x [B, C, H, W]` or `[B, C]`, `scale` and `shift` `[C]`, or `[B, C]` to be
/// different in each image. Differentiable in all three.
///
/// # Panics
/// If the shapes are others.
pub fn scale_shift<const D: usize, const G: usize>(
    x: Tensor<D>,
    scale: Tensor<G>,
    shift: Tensor<G>,
    activation: Activation,
) -> Tensor<D> {
    let dims = x.dims();
    assert!((D == 2 || D == 4) && (G == 1 || G == 2), "scale_shift: an input of shape {dims:?}");
    let line = &dims[..2][2 - G..];
    assert_eq!(scale.dims()[..], *line, "scale_shift: scale");
    assert_eq!(shift.dims()[..], *line, "scale_shift: shift");
    if glue::supported(&x) && glue::supported(&scale) && glue::supported(&shift) {
        return glue::apply3(ScaleShift::<D, G>(activation), x, scale, shift);
    }
    let each = |line: Tensor<G>| {
        let mut shape = [1; D];
        shape[2 - G..2].copy_from_slice(&line.dims());
        line.reshape(shape)
    };
    activation.composite(x * each(scale) + each(shift))
}

/// Each image times a number of its own: `x [B, ..]`, `scale [B]`. Differentiable in both.
///
/// # Panics
/// If `scale` does not have B elements.
pub fn scale_images<const D: usize>(x: Tensor<D>, scale: Tensor<1>) -> Tensor<D> {
    let images = x.dims()[0];
    assert_eq!(scale.dims(), [images], "scale_images: scale");
    if glue::supported(&x) && glue::supported(&scale) {
        return glue::apply2(ScaleImages::<D>, x, scale);
    }
    let mut shape = [1; D];
    shape[0] = images;
    x * scale.reshape(shape)
}

/// `x [B, C, ..]` with lines `[C]` or `[B, C]`.
#[derive(Clone, Debug)]
struct ScaleShift<const D: usize, const G: usize>(Activation);

impl<const D: usize, const G: usize> ScaleShift<D, G> {
    /// Lines of each image are those of the channels of one image that has all of them.
    fn shape(x: &Array) -> Shape {
        let dims = x.dims::<D>();
        let area = dims[2..].iter().product();
        match G {
            1 => Shape { images: dims[0], channels: dims[1], area },
            _ => Shape { images: 1, channels: dims[0] * dims[1], area },
        }
    }
}

impl<const D: usize, const G: usize> Operation for ScaleShift<D, G> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, scale, shift] = inputs else { unreachable!("scale_shift has three inputs") };
        let lines = lines(scale.data(), shift.data());
        let lines = Lines { shape: Self::shape(x), activation: self.0, lines: &lines, x: x.data() };
        Array::new(lines.forward(), x.dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let [x, scale, shift] = inputs else { unreachable!("scale_shift has three inputs") };
        let lines = lines(scale.data(), shift.data());
        let lines = Lines { shape: Self::shape(x), activation: self.0, lines: &lines, x: x.data() };
        let dx = || Array::new(backward_x(&lines, grad), x.dims::<D>());
        let dx = wanted[0].then(dx);
        if !wanted[1] && !wanted[2] {
            return vec![dx, None, None];
        }
        let [dscale, dshift] = sums(&lines, grad).map(|sums| Some(Array::new(sums, scale.dims::<G>())));
        vec![dx, dscale, dshift]
    }
}

#[derive(Clone, Debug)]
struct ScaleImages<const D: usize>;

impl<const D: usize> Operation for ScaleImages<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, scale] = inputs else { unreachable!("scale_images has two inputs") };
        let lines = lines(scale.data(), &vec![0.0; scale.data().len()]);
        Array::new(images::<D>(x, &lines).forward(), x.dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let [x, scale] = inputs else { unreachable!("scale_images has two inputs") };
        let lines = lines(scale.data(), &vec![0.0; scale.data().len()]);
        let lines = images::<D>(x, &lines);
        let dx = wanted[0].then(|| Array::new(backward_x(&lines, grad), x.dims::<D>()));
        let dscale = wanted[1].then(|| {
            let [dscale, _] = sums(&lines, grad);
            Array::new(dscale, scale.dims::<1>())
        });
        vec![dx, dscale]
    }
}

/// Images as the channels of one image.
fn images<'a, const D: usize>(x: &'a Array, lines: &'a [Line]) -> Lines<'a> {
    let area = x.dims::<D>()[1..].iter().product();
    let shape = Shape { images: 1, channels: lines.len(), area };
    Lines { shape, activation: Activation::None, lines, x: x.data() }
}

fn lines(scale: &[f32], shift: &[f32]) -> Vec<Line> {
    scale.iter().zip(shift).map(|(&slope, &intercept)| Line { slope, intercept }).collect()
}

fn backward_x(lines: &Lines, grad: &Array) -> Vec<f32> {
    lines.backward(grad.data(), &vec![Pull::default(); lines.lines.len()])
}

/// The gradients of the slopes and of the intercepts.
fn sums(lines: &Lines, grad: &Array) -> [Vec<f32>; 2] {
    let sums = lines.sums(grad.data(), &vec![0.0; lines.lines.len()]);
    [0, 1].map(|n| sums.iter().map(|sums| sums[n] as f32).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::activation::{ALL, twin};
    use crate::testing::{assert_close, numbers};

    fn check<const D: usize, const G: usize>(dims: [usize; D]) {
        let area: usize = dims[2..].iter().product();
        let width = if G == 1 { dims[1] } else { dims[0] * dims[1] };
        let line_dims = &dims[..2][2 - G..];
        for activation in ALL {
            let x = numbers(dims.iter().product(), 1);
            let (scale, shift, dy) = (numbers(width, 2), numbers(width, 3), numbers(x.len(), 4));
            let array = |x: &[f32], dims: &[usize]| Array::new(x.to_vec(), dims);
            let inputs = [array(&x, &dims), array(&scale, line_dims), array(&shift, line_dims)];
            let op = ScaleShift::<D, G>(activation);
            let (mut y, mut dx) = (Vec::new(), Vec::new());
            let mut sums = [vec![0.0; width], vec![0.0; width]];
            for (i, (&x, &dy)) in x.iter().zip(&dy).enumerate() {
                let at = i / area % width;
                let (x, slope) = (f64::from(x), f64::from(scale[at]));
                let n = slope * x + f64::from(shift[at]);
                let dn = f64::from(dy) * twin::derivative(activation, n);
                y.push(twin::value(activation, n));
                dx.push(dn * slope);
                sums[0][at] += dn * x;
                sums[1][at] += dn;
            }
            assert_close(op.forward(&inputs).data(), &y, 1e-6);
            let got = op.backward(&inputs, &array(&dy, &dims), &[true; 3]);
            assert_close(got[0].as_ref().unwrap().data(), &dx, 1e-5);
            assert_close(got[1].as_ref().unwrap().data(), &sums[0], 1e-5);
            assert_close(got[2].as_ref().unwrap().data(), &sums[1], 1e-5);
        }
    }

    #[test]
    fn equals_the_definition_forward_and_backward() {
        check::<4, 1>([3, 5, 7, 5]);
        check::<4, 2>([9, 3, 8, 8]);
        check::<2, 1>([11, 70]);
        check::<2, 2>([3, 33]);
    }
}
