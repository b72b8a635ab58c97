//! Small operations between the layers, each one pass over memory on all threads.

use crate::buffer::unwritten;
use crate::exp::exp;
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::{reduce, threads};
use burn::tensor::Tensor;

/// `x + y`: what a residual connection ends with. Differentiable.
///
/// # Panics
/// If the shapes differ.
pub fn add<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
    assert_eq!(x.dims(), y.dims(), "add: two shapes");
    if glue::supported(&x) && glue::supported(&y) { glue::apply2(Add::<D>, x, y) } else { x + y }
}

/// The channels of `x [B, C, ..]`, then those of `y [B, D, ..]`: `[B, C + D, ..]`. Differentiable.
///
/// # Panics
/// If the shapes differ in another dimension.
pub fn concat_channels<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
    let (a, b) = (x.dims(), y.dims());
    assert!(D > 1 && a[0] == b[0] && a[2..] == b[2..], "concat_channels: {a:?} and {b:?}");
    if glue::supported(&x) && glue::supported(&y) {
        glue::apply2(ConcatChannels::<D>, x, y)
    } else {
        Tensor::cat(vec![x, y], 1)
    }
}

/// The sum of the pixels of each channel: `x [B, C, H, W]` gives `[B, C]`. Differentiable.
pub fn sum_pixels(x: Tensor<4>) -> Tensor<2> {
    let [b, c, h, w] = x.dims();
    if glue::supported(&x) {
        glue::apply1(SumPixels, x)
    } else {
        x.reshape([b, c, h * w]).sum_dim(2).reshape([b, c])
    }
}

/// A draw from the normal distribution with `mean` and variance `e^log_variance`, given `noise` from the standard
/// one: `mean + e^(log_variance / 2) noise` (Kingma and Welling 2014, arXiv:1312.6114, section 2.4).
/// Differentiable in all three.
///
/// # Panics
/// If the shapes differ.
pub fn reparameterise<const D: usize>(
    mean: Tensor<D>,
    log_variance: Tensor<D>,
    noise: Tensor<D>,
) -> Tensor<D> {
    assert_eq!(mean.dims(), log_variance.dims(), "reparameterise: log_variance");
    assert_eq!(mean.dims(), noise.dims(), "reparameterise: noise");
    if [&mean, &log_variance, &noise].into_iter().all(glue::supported) {
        glue::apply3(Reparameterise::<D>, mean, log_variance, noise)
    } else {
        mean + (log_variance * 0.5).exp() * noise
    }
}

/// Two batches mixed, each image of each with a factor of its own: `x s + y t` for `x` and `y` `[B, ..]`, `s` and
/// `t` `[B]`. Differentiable in all four.
///
/// # Panics
/// If the shapes do not match.
pub fn mix_images<const D: usize>(
    (x, s): (Tensor<D>, Tensor<1>),
    (y, t): (Tensor<D>, Tensor<1>),
) -> Tensor<D> {
    assert_eq!(x.dims(), y.dims(), "mix_images: two shapes");
    assert_eq!([s.dims(), t.dims()], [[x.dims()[0]]; 2], "mix_images: factors");
    let supported = glue::supported(&x) && glue::supported(&y);
    if supported && glue::supported(&s) && glue::supported(&t) {
        return glue::apply4(MixImages::<D>, (x, y), (s, t));
    }
    let mut each = [1; D];
    each[0] = x.dims()[0];
    x * s.reshape(each) + y * t.reshape(each)
}

#[derive(Clone, Debug)]
struct Add<const D: usize>;

impl<const D: usize> Operation for Add<D> {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, y] = inputs else { unreachable!("add has two inputs") };
        let mut sum = unwritten(x.data().len());
        threads::for_each_chunk([&mut sum], |range, [sum]| {
            add_chunk(&x.data()[range.clone()], &y.data()[range], sum);
        });
        Array::new(sum, x.dims::<D>())
    }

    fn backward(&self, _inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        vec![Some(grad.clone()), Some(grad.clone())]
    }
}

#[derive(Clone, Debug)]
struct ConcatChannels<const D: usize>;

impl<const D: usize> Operation for ConcatChannels<D> {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, y] = inputs else { unreachable!("concat_channels has two inputs") };
        let mut dims = x.dims::<D>();
        let sizes = inputs.iter().map(image::<D>).collect::<Vec<_>>();
        let mut all = unwritten(x.data().len() + y.data().len());
        let work = all.len();
        threads::for_each_block([&mut all], [(sizes[0] + sizes[1]).max(1)], work, |i, [all]| {
            let (first, second) = all.split_at_mut(sizes[0]);
            first.copy_from_slice(&x.data()[i * sizes[0]..][..sizes[0]]);
            second.copy_from_slice(&y.data()[i * sizes[1]..][..sizes[1]]);
        });
        dims[1] += y.dims::<D>()[1];
        Array::new(all, dims)
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let sizes = [image::<D>(&inputs[0]), image::<D>(&inputs[1])];
        let part = |n: usize| {
            let mut part = unwritten(inputs[n].dims::<D>().iter().product());
            let work = part.len();
            threads::for_each_block([&mut part], [sizes[n].max(1)], work, |i, [part]| {
                part.copy_from_slice(&grad.data()[i * (sizes[0] + sizes[1]) + n * sizes[0]..][..sizes[n]]);
            });
            Array::new(part, inputs[n].dims::<D>())
        };
        (0..2).map(|n| wanted[n].then(|| part(n))).collect()
    }
}

/// Elements of an image.
fn image<const D: usize>(x: &Array) -> usize {
    x.dims::<D>()[1..].iter().product()
}

#[derive(Clone, Debug)]
struct SumPixels;

impl Operation for SumPixels {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        let [b, c, h, w] = inputs[0].dims();
        let (x, area) = (inputs[0].data(), h * w);
        let mut sums = vec![0.0; b * c];
        threads::for_each_block([&mut sums], [16], x.len(), |i, [sums]| {
            for (sum, x) in sums.iter_mut().zip(x[i * 16 * area..].chunks_exact(area.max(1))) {
                *sum = reduce::sum(x) as f32;
            }
        });
        Array::new(sums, [b, c])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let dims @ [_, _, h, w] = inputs[0].dims();
        let mut dx = unwritten(dims.iter().product());
        let work = dx.len();
        threads::for_each_block([&mut dx], [(h * w).max(1)], work, |row, [dx]| dx.fill(grad.data()[row]));
        vec![Some(Array::new(dx, dims))]
    }
}

#[derive(Clone, Debug)]
struct Reparameterise<const D: usize>;

impl<const D: usize> Operation for Reparameterise<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [mean, log_variance, noise] = inputs else { unreachable!("reparameterise has three inputs") };
        let mut z = unwritten(mean.data().len());
        threads::for_each_chunk([&mut z], |range, [z]| {
            deviations(&log_variance.data()[range.clone()], &noise.data()[range.clone()], z);
            add_to_chunk(z, &mean.data()[range]);
        });
        Array::new(z, mean.dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let [mean, log_variance, noise] = inputs else { unreachable!("reparameterise has three inputs") };
        // e^(log_variance / 2) times `by` times a factor times the gradient.
        let scaled = |by: Option<&Array>, factor: f32| {
            let mut out = unwritten(mean.data().len());
            threads::for_each_chunk([&mut out], |range, [out]| {
                deviations(&log_variance.data()[range.clone()], &grad.data()[range.clone()], out);
                if let Some(by) = by {
                    multiply_chunk(out, &by.data()[range], factor);
                }
            });
            Array::new(out, mean.dims::<D>())
        };
        vec![
            Some(grad.clone()),
            wanted[1].then(|| scaled(Some(noise), 0.5)),
            wanted[2].then(|| scaled(None, 1.0)),
        ]
    }
}

/// Its inputs are x, y and their factors.
#[derive(Clone, Debug)]
struct MixImages<const D: usize>;

impl<const D: usize> Operation for MixImages<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [x, y, s, t] = inputs else { unreachable!("mix_images has four inputs") };
        let mut z = unwritten(x.data().len());
        let (image, work) = (image::<D>(x).max(1), z.len());
        threads::for_each_block([&mut z], [image], work, |i, [z]| {
            let part = i * image..i * image + z.len();
            mix_chunk(&x.data()[part.clone()], s.data()[i], &y.data()[part], t.data()[i], z);
        });
        Array::new(z, x.dims::<D>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let [x, y, s, t] = inputs else { unreachable!("mix_images has four inputs") };
        let image = image::<D>(x).max(1);
        let along = |x: &Array| {
            let sums = threads::map(s.data().len(), threads::pays(x.data().len()), |i| {
                let part = i * image..(i + 1) * image;
                products(&grad.data()[part.clone()], &x.data()[part]) as f32
            });
            Array::new(sums, s.dims::<1>())
        };
        let scaled = |factors: &Array| {
            let mut out = unwritten(x.data().len());
            let work = out.len();
            threads::for_each_block([&mut out], [image], work, |i, [out]| {
                let dz = &grad.data()[i * image..][..out.len()];
                mix_chunk(dz, factors.data()[i], dz, 0.0, out);
            });
            Array::new(out, x.dims::<D>())
        };
        vec![
            wanted[0].then(|| scaled(s)),
            wanted[1].then(|| scaled(t)),
            wanted[2].then(|| along(x)),
            wanted[3].then(|| along(y)),
        ]
    }
}

vectorised! {
    fn add_chunk(x: &[f32], y: &[f32], sum: &mut [f32]) {
        for ((sum, &x), &y) in sum.iter_mut().zip(x).zip(y) {
            *sum = x + y;
        }
    }

    fn add_to_chunk(sum: &mut [f32], x: &[f32]) {
        for (sum, &x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }

    fn multiply_chunk(x: &mut [f32], by: &[f32], factor: f32) {
        for (x, &by) in x.iter_mut().zip(by) {
            *x *= by * factor;
        }
    }

    fn mix_chunk(x: &[f32], s: f32, y: &[f32], t: f32, z: &mut [f32]) {
        for ((z, &x), &y) in z.iter_mut().zip(x).zip(y) {
            *z = x * s + y * t;
        }
    }

    /// The sum of the products of two slices.
    fn products(x: &[f32], y: &[f32]) -> f64 {
        reduce::fold([x, y], |[x, y]| x * y)
    }

    /// `e^(log_variance / 2) noise`.
    fn deviations(log_variance: &[f32], noise: &[f32], out: &mut [f32]) {
        for ((out, &log_variance), &noise) in out.iter_mut().zip(log_variance).zip(noise) {
            *out = exp(0.5 * log_variance) * noise;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    const DIMS: [[usize; 4]; 3] = [[1, 1, 1, 1], [3, 4, 5, 7], [5, 9, 31, 30]];

    /// An input of the shape `dims` and its numbers in f64.
    fn input(dims: &[usize], seed: u64) -> (Array, Vec<f64>) {
        let x = numbers(dims.iter().product(), seed);
        (Array::new(x.clone(), dims), x.iter().map(|&x| f64::from(x)).collect())
    }

    fn backward(op: &impl Operation, inputs: &[Array], grad: &Array) -> Vec<Option<Array>> {
        op.backward(inputs, grad, &[true; 4])
    }

    #[test]
    fn sums_equal_the_definition_forward_and_backward() {
        for dims in DIMS {
            let ([(x, wx), (y, wy)], (dy, wdy)) = ([input(&dims, 1), input(&dims, 2)], input(&dims, 3));
            let inputs = [x, y];
            let want: Vec<f64> = wx.iter().zip(&wy).map(|(x, y)| x + y).collect();
            assert_close(Add::<4>.forward(&inputs).data(), &want, 1e-7);
            for grad in backward(&Add::<4>, &inputs, &dy) {
                assert_close(grad.unwrap().data(), &wdy, 0.0);
            }
        }
    }

    #[test]
    fn channels_come_one_after_the_other_forward_and_backward() {
        for dims @ [b, c, h, w] in DIMS {
            let other = [b, c + 2, h, w];
            let inputs = [input(&dims, 1).0, input(&other, 2).0];
            let all = ConcatChannels::<4>.forward(&inputs);
            assert_eq!(all.dims::<4>(), [b, 2 * c + 2, h, w]);
            let part = |image: usize, n: usize| {
                let size = inputs[n].data().len() / b;
                inputs[n].data()[image * size..][..size].to_vec()
            };
            let want: Vec<f32> = (0..b).flat_map(|i| [part(i, 0), part(i, 1)].concat()).collect();
            assert_eq!(all.data(), want);
            // The way back takes apart what the way there put together.
            for (grad, input) in backward(&ConcatChannels::<4>, &inputs, &all).iter().zip(&inputs) {
                assert_eq!(grad.as_ref().unwrap().data(), input.data());
            }
        }
    }

    #[test]
    fn sums_of_pixels_equal_the_definition_forward_and_backward() {
        for dims @ [b, c, h, w] in DIMS {
            let ((x, wide), (dy, wdy)) = (input(&dims, 1), input(&[b, c], 2));
            let want: Vec<f64> = wide.chunks(h * w).map(|x| x.iter().sum()).collect();
            let inputs = [x];
            assert_close(SumPixels.forward(&inputs).data(), &want, 1e-5);
            let want: Vec<f64> = (0..wide.len()).map(|i| wdy[i / (h * w)]).collect();
            assert_close(backward(&SumPixels, &inputs, &dy)[0].as_ref().unwrap().data(), &want, 0.0);
        }
    }

    #[test]
    fn draws_equal_the_definition_forward_and_backward() {
        for dims in DIMS {
            let [(mean, wm), (variance, wv), (noise, wn)] = [1, 2, 3].map(|seed| input(&dims, seed));
            let (dy, wdy) = input(&dims, 4);
            let inputs = [mean, variance, noise];
            let each = |f: &dyn Fn(usize) -> f64| (0..wm.len()).map(f).collect::<Vec<f64>>();
            let want = each(&|i| wm[i] + (wv[i] / 2.0).exp() * wn[i]);
            assert_close(Reparameterise::<4>.forward(&inputs).data(), &want, 1e-6);
            let want = [
                wdy.clone(),
                each(&|i| wdy[i] * (wv[i] / 2.0).exp() * wn[i] / 2.0),
                each(&|i| wdy[i] * (wv[i] / 2.0).exp()),
            ];
            for (got, want) in backward(&Reparameterise::<4>, &inputs, &dy).iter().zip(want) {
                assert_close(got.as_ref().unwrap().data(), &want, 1e-6);
            }
        }
    }

    #[test]
    fn mixtures_equal_the_definition_forward_and_backward() {
        for dims @ [b, c, h, w] in DIMS {
            let [(x, wx), (y, wy), (dz, wdz)] = [1, 2, 3].map(|seed| input(&dims, seed));
            let [(s, ws), (t, wt)] = [4, 5].map(|seed| input(&[b], seed));
            let (inputs, size) = ([x, y, s, t], c * h * w);
            let each = |f: &dyn Fn(usize) -> f64| (0..wx.len()).map(f).collect::<Vec<f64>>();
            let want = each(&|i| wx[i] * ws[i / size] + wy[i] * wt[i / size]);
            assert_close(MixImages::<4>.forward(&inputs).data(), &want, 1e-6);
            let along = |x: &[f64]| {
                let products: Vec<f64> = wdz.iter().zip(x).map(|(dz, x)| dz * x).collect();
                products.chunks(size).map(|products| products.iter().sum()).collect()
            };
            let want =
                [each(&|i| wdz[i] * ws[i / size]), each(&|i| wdz[i] * wt[i / size]), along(&wx), along(&wy)];
            for (got, want) in backward(&MixImages::<4>, &inputs, &dz).iter().zip(want) {
                assert_close(got.as_ref().unwrap().data(), &want, 1e-5);
            }
        }
    }
}
