//! Normalisation with the line and the activation that follow it, over whatever is normalised together.
//!
//! A *row* is the `area` pixels of one channel of one image, and a *set* is the rows that share a mean and a
//! variance: neighbouring channels of one image ([`Sets::of_channels`], group and instance normalisation) or one
//! channel of all images ([`Sets::of_images`], batch normalisation). A set is one task that passes over it while
//! it stays in the cache, so that memory is read once and written once, and no sum crosses a task.

use crate::activation::{self, Activation};
use crate::buffer::unwritten;
use crate::reduce::{self, Lanes};
use crate::simd::vectorised;
use crate::threads::{self, Shared};
use burn::tensor::Tensor;
use std::ops::Range;

/// How the rows of `[B, C, area]` are divided into sets of `channels x images` rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sets {
    count: usize,
    channels: usize,
    images: usize,
    /// Rows between one image of a set and the next.
    step: usize,
    area: usize,
}

impl Sets {
    /// `groups` sets in each image, of neighbouring channels.
    pub(crate) fn of_channels([b, c, h, w]: [usize; 4], groups: usize) -> Self {
        Self { count: b * groups, channels: c / groups, images: 1, step: 0, area: h * w }
    }

    /// One set for each channel, of all images.
    pub(crate) fn of_images([b, c, h, w]: [usize; 4]) -> Self {
        Self { count: c, channels: 1, images: b, step: c, area: h * w }
    }

    /// Number of elements in a set.
    fn len(&self) -> usize {
        self.channels * self.images * self.area
    }

    fn row(&self, set: usize, channel: usize, image: usize) -> usize {
        set * self.channels + channel + image * self.step
    }

    fn elements(&self, row: usize) -> Range<usize> {
        row * self.area..(row + 1) * self.area
    }
}

/// `activation((x + shift - mean) / sqrt(variance + eps) * gamma + beta)` with mean and (biased) variance of
/// x + shift in each set.
pub(crate) struct Norm<'a> {
    pub(crate) sets: Sets,
    pub(crate) eps: f64,
    pub(crate) activation: Activation,
    pub(crate) x: &'a [f32],
    /// Of each row.
    pub(crate) shift: Option<&'a [f32]>,
    /// Of each channel, or of each row.
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
}

/// What [`Norm::backward`] gives.
pub(crate) struct Gradients {
    pub(crate) x: Vec<f32>,
    pub(crate) shift: Option<Vec<f32>>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

impl Norm<'_> {
    /// The output, and mean and variance of each set in turn.
    pub(crate) fn forward(&self) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut moments) = (unwritten(self.x.len()), unwritten(2 * self.sets.count));
        let y_rows = Shared::new(&mut y);
        threads::for_each_block([&mut moments], [2], self.x.len(), |set, [moments]| {
            moments.copy_from_slice(&self::moments(self, set));
            forward_set(self, set, moments, &y_rows);
        });
        (y, moments)
    }

    /// The gradients, given the one of the output and what [`forward`](Self::forward) found.
    pub(crate) fn backward(&self, moments: &[f32], dy: &[f32]) -> Gradients {
        let mut dx = unwritten(self.x.len());
        let mut dshift = self.shift.map(|shift| unwritten(shift.len()));
        let mut sums = unwritten(2 * self.sets.count * self.sets.channels);
        let out = Out { dx: Shared::new(&mut dx), dshift: dshift.as_deref_mut().map(Shared::new) };
        threads::for_each_block([&mut sums], [2 * self.sets.channels], self.x.len(), |set, [sums]| {
            backward_set(self, set, &moments[2 * set..][..2], dy, &out, sums);
        });
        let sums = reduce::sum_rows(&sums, 2 * self.gamma.len());
        let (gamma, beta) = sums.as_chunks::<2>().0.iter().map(|&[g, b]| (g, b)).unzip();
        Gradients { x: dx, shift: dshift, gamma, beta }
    }

    fn shift(&self, row: usize) -> f32 {
        self.shift.map_or(0.0, |shift| shift[row])
    }

    /// 1 / sqrt(variance + eps).
    fn scale(&self, variance: f32) -> f32 {
        (1.0 / (f64::from(variance) + self.eps).sqrt()) as f32
    }

    /// Slope and intercept of a row: `slope x + intercept` is what the activation gets.
    fn line(&self, row: usize, mean: f32, scale: f32) -> (f32, f32) {
        let at = row % self.gamma.len();
        let slope = self.gamma[at] * scale;
        (slope, self.beta[at] + (self.shift(row) - mean) * slope)
    }
}

/// What the tasks of the backward pass write, each its own rows.
struct Out<'a> {
    dx: Shared<'a>,
    dshift: Option<Shared<'a>>,
}

vectorised! {
    /// Mean and variance of a set.
    fn moments(p: &Norm, set: usize) -> [f32; 2] {
        let (sets, count) = (&p.sets, p.sets.len() as f64);
        let (mut sum, mut shifts) = (Lanes::default(), 0.0);
        for channel in 0..sets.channels {
            for image in 0..sets.images {
                let row = sets.row(set, channel, image);
                sum.add([&p.x[sets.elements(row)]], |[x]| x);
                shifts += f64::from(p.shift(row));
            }
        }
        let mean = ((sum.total() + shifts * sets.area as f64) / count) as f32;
        let mut squares = Lanes::default();
        for channel in 0..sets.channels {
            for image in 0..sets.images {
                let row = sets.row(set, channel, image);
                let mean = mean - p.shift(row);
                squares.add([&p.x[sets.elements(row)]], |[x]| (x - mean) * (x - mean));
            }
        }
        [mean, (squares.total() / count) as f32]
    }

    fn forward_set(p: &Norm, set: usize, moments: &[f32], y: &Shared) {
        let sets = &p.sets;
        let (mean, scale) = (moments[0], p.scale(moments[1]));
        for channel in 0..sets.channels {
            for image in 0..sets.images {
                let row = sets.row(set, channel, image);
                let line = p.line(row, mean, scale);
                // SAFETY: a row is in one set only, and sets are tasks.
                let y = unsafe { y.part(sets.elements(row)) };
                activation::along(p.activation, line, &p.x[sets.elements(row)], y);
            }
        }
    }

    /// With x' = (x + shift - mean) scale, n = gamma x' + beta and dn = dy activation'(n):
    /// `dx = scale (gamma dn - mean(gamma dn) - x' mean(gamma dn x'))`, the means over the set, and the gradient
    /// of the shift is the sum of dx over the row. `sums` gets the sums of dn x' and of dn for each channel.
    fn backward_set(p: &Norm, set: usize, moments: &[f32], dy: &[f32], out: &Out, sums: &mut [f32]) {
        let sets = &p.sets;
        let (mean, scale) = (moments[0], p.scale(moments[1]));
        let mut means = [0.0_f64; 2];
        for (channel, sums) in sums.chunks_exact_mut(2).enumerate() {
            let mut lanes = [Lanes::default(); 2];
            for image in 0..sets.images {
                let row = sets.row(set, channel, image);
                let (elements, centre) = (sets.elements(row), mean - p.shift(row));
                let (x, mut dn) = (&p.x[elements.clone()], &dy[elements.clone()]);
                if p.activation != Activation::None {
                    // SAFETY: a row is in one set only, and sets are tasks.
                    let out = unsafe { out.dx.part(elements) };
                    activation::along_derivative(p.activation, p.line(row, mean, scale), [x, dn], out);
                    dn = out;
                }
                lanes[0].add([x, dn], |[x, dn]| dn * (x - centre));
                lanes[1].add([dn], |[dn]| dn);
            }
            let found = [lanes[0].total() * f64::from(scale), lanes[1].total()];
            let gamma = p.gamma[sets.row(set, channel, 0) % p.gamma.len()];
            for n in 0..2 {
                sums[n] = found[n] as f32;
                means[n] += found[n] * f64::from(gamma) / sets.len() as f64;
            }
        }
        let by_x = means[0] as f32 * scale * scale;
        let constant = means[1] as f32 * scale;
        for channel in 0..sets.channels {
            for image in 0..sets.images {
                let row = sets.row(set, channel, image);
                let (slope, _) = p.line(row, mean, scale);
                let centre = mean - p.shift(row);
                let dx_of = |dn: f32, x: f32| dn * slope - constant - (x - centre) * by_x;
                let x = &p.x[sets.elements(row)];
                // SAFETY: a row is in one set only, and sets are tasks.
                let dx = unsafe { out.dx.part(sets.elements(row)) };
                if p.activation == Activation::None {
                    for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(&dy[sets.elements(row)]) {
                        *dx = dx_of(dy, x);
                    }
                } else {
                    dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = dx_of(*dx, x));
                }
                if let Some(dshift) = &out.dshift {
                    // SAFETY: as above.
                    let dshift = unsafe { dshift.part(row..row + 1) };
                    dshift[0] = reduce::fold([&*dx], |[dx]| dx) as f32;
                }
            }
        }
    }
}

/// The same as a composition of Burn's operations, for x `[sets, elements of a set]`: mean, variance and
/// `(x - mean) / sqrt(variance + eps)`.
pub(crate) fn composite(x: Tensor<2>, eps: f64) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
    let mean = x.clone().mean_dim(1);
    let centred = x - mean.clone();
    let variance = centred.clone().square().mean_dim(1);
    let normal = centred / (variance.clone() + eps).sqrt();
    (mean, variance, normal)
}

/// The plain twin: the definition in f64, with the gradients as the chain rule gives them.
#[cfg(test)]
pub(crate) mod twin {
    use super::Norm;
    use crate::activation::twin as activation;

    /// The normalised x and 1 / sqrt(variance + eps) of each element's set.
    fn normalise(p: &Norm) -> (Vec<f64>, Vec<f64>) {
        let (mut normal, mut scales) = (vec![0.0; p.x.len()], vec![0.0; p.x.len()]);
        let x = |i: usize| f64::from(p.x[i]) + f64::from(p.shift(i / p.sets.area));
        for set in sets(p) {
            let n = set.len() as f64;
            let mean = set.iter().map(|&i| x(i)).sum::<f64>() / n;
            let variance = set.iter().map(|&i| (x(i) - mean).powi(2)).sum::<f64>() / n;
            for i in set {
                scales[i] = 1.0 / (variance + p.eps).sqrt();
                normal[i] = (x(i) - mean) * scales[i];
            }
        }
        (normal, scales)
    }

    /// The elements of each set.
    fn sets(p: &Norm) -> Vec<Vec<usize>> {
        let mut sets = vec![Vec::new(); p.sets.count];
        for i in 0..p.x.len() {
            let row = i / p.sets.area;
            let set = if p.sets.step == 0 { row / p.sets.channels } else { row % p.sets.count };
            sets[set].push(i);
        }
        sets
    }

    fn channel(p: &Norm, i: usize) -> usize {
        i / p.sets.area % p.gamma.len()
    }

    fn before_activation(p: &Norm, normal: &[f64]) -> Vec<f64> {
        let line =
            |(i, x): (usize, &f64)| x * f64::from(p.gamma[channel(p, i)]) + f64::from(p.beta[channel(p, i)]);
        normal.iter().enumerate().map(line).collect()
    }

    pub(crate) fn forward(p: &Norm) -> Vec<f64> {
        let n = before_activation(p, &normalise(p).0).into_iter();
        n.map(|n| activation::value(p.activation, n)).collect()
    }

    /// The gradients of x, shift, gamma and beta.
    pub(crate) fn backward(p: &Norm, dy: &[f32]) -> [Vec<f64>; 4] {
        let (normal, scales) = normalise(p);
        let slope = |n: &f64| activation::derivative(p.activation, *n);
        let dn: Vec<f64> =
            before_activation(p, &normal).iter().zip(dy).map(|(n, &dy)| f64::from(dy) * slope(n)).collect();
        let (mut dgamma, mut dbeta) = (vec![0.0; p.gamma.len()], vec![0.0; p.gamma.len()]);
        for i in 0..dn.len() {
            dgamma[channel(p, i)] += dn[i] * normal[i];
            dbeta[channel(p, i)] += dn[i];
        }
        let mut dx = vec![0.0; dn.len()];
        for set in sets(p) {
            let n = set.len() as f64;
            let inner = |i: usize| dn[i] * f64::from(p.gamma[channel(p, i)]);
            let mean = set.iter().map(|&i| inner(i)).sum::<f64>() / n;
            let along = set.iter().map(|&i| inner(i) * normal[i]).sum::<f64>() / n;
            set.iter().for_each(|&i| dx[i] = scales[i] * (inner(i) - mean - normal[i] * along));
        }
        let dshift =
            p.shift.map_or(Vec::new(), |_| dx.chunks(p.sets.area).map(|row| row.iter().sum()).collect());
        [dx, dshift, dgamma, dbeta]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::ALL;
    use crate::testing::{assert_close, numbers};

    fn check(dims: [usize; 4], sets: Sets, [shifted, by_image]: [bool; 2]) {
        let [b, c, ..] = dims;
        for activation in ALL {
            let x: Vec<f32> = numbers(dims.iter().product(), 1).iter().map(|x| 3.0 * x + 1.0).collect();
            let (shift, width) = (numbers(b * c, 5), if by_image { b * c } else { c });
            let (gamma, beta, dy) = (numbers(width, 2), numbers(width, 3), numbers(x.len(), 4));
            let shift = shifted.then_some(&shift[..]);
            let p = Norm { sets, eps: 1e-5, activation, x: &x, shift, gamma: &gamma, beta: &beta };
            let (y, moments) = p.forward();
            assert_close(&y, &twin::forward(&p), 1e-5);
            let got = p.backward(&moments, &dy);
            let got = [got.x, got.shift.unwrap_or_default(), got.gamma, got.beta];
            let want = twin::backward(&p, &dy);
            let largest = want[0].iter().fold(0.0_f64, |a, x| a.max(x.abs()));
            for (n, (got, want)) in got.iter().zip(&want).enumerate() {
                if n == 1 {
                    // Sums that cancel are as exact as their terms.
                    let error = |(&got, &want): (&f32, &f64)| (f64::from(got) - want).abs();
                    assert!(got.iter().zip(want).map(error).fold(0.0, f64::max) < 1e-4 * largest);
                } else {
                    assert_close(got, want, 2e-5);
                }
            }
        }
    }

    #[test]
    fn groups_of_channels_equal_the_definition_forward_and_backward() {
        for (b, groups, channels, [h, w]) in
            [(1, 1, 1, [3, 3]), (3, 2, 3, [5, 7]), (2, 4, 1, [4, 4]), (5, 8, 4, [8, 8]), (2, 2, 5, [30, 30])]
        {
            let dims = [b, groups * channels, h, w];
            for options in [[false; 2], [true, false], [false, true], [true; 2]] {
                check(dims, Sets::of_channels(dims, groups), options);
            }
        }
    }

    #[test]
    fn channels_of_all_images_equal_the_definition_forward_and_backward() {
        for dims in [[9, 1, 1, 1], [3, 5, 5, 7], [16, 20, 4, 4], [2, 3, 35, 33]] {
            check(dims, Sets::of_images(dims), [false; 2]);
        }
    }
}
