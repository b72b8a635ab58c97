//! Normalisation over neighbouring channels of one image, with the line and the activation that follow it.
//!
//! A *row* is the `area` pixels of one channel of one image, and a *set* is the neighbouring rows that share a mean
//! and a variance. A task passes over one set after the other while each stays in the cache, so that memory is
//! read once and written once, and no sum crosses a task.

use crate::activation::{self, Activation};
use crate::buffer::unwritten;
use crate::reduce::{self, Lanes};
use crate::simd::vectorised;
use crate::threads::{self, Shared};
use burn::tensor::Tensor;
use std::ops::Range;

/// Elements of a task, unless a set has more.
const TASK: usize = 8192;

/// How the rows of `[B, C, area]` are divided into sets of `channels` rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sets {
    count: usize,
    channels: usize,
    area: usize,
}

impl Sets {
    /// `groups` sets in each image.
    pub(crate) fn new([b, c, h, w]: [usize; 4], groups: usize) -> Self {
        Self { count: b * groups, channels: c / groups, area: h * w }
    }

    /// Number of elements in a set.
    fn len(&self) -> usize {
        self.channels * self.area
    }

    /// How many sets a task works on: a task should not be too small to hand out.
    fn some(&self) -> usize {
        (TASK / self.len().max(1)).max(1)
    }

    /// The rows of a set.
    fn rows(&self, set: usize) -> Range<usize> {
        set * self.channels..(set + 1) * self.channels
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
        let (len, some) = (self.sets.len(), self.sets.some());
        let sizes = [some * len, some * 2];
        threads::for_each_block([&mut y, &mut moments], sizes, self.x.len(), |task, [y, moments]| {
            let sets = y.chunks_exact_mut(len).zip(moments.chunks_exact_mut(2));
            for (set, (y, moments)) in (task * some..).zip(sets) {
                moments.copy_from_slice(&self::moments(self, set));
                forward_set(self, set, moments, y);
            }
        });
        (y, moments)
    }

    /// The gradients, given the one of the output and what [`forward`](Self::forward) found.
    pub(crate) fn backward(&self, moments: &[f32], dy: &[f32]) -> Gradients {
        let (mut dx, mut dshift) = (unwritten(self.x.len()), unwritten(self.shift.map_or(0, <[f32]>::len)));
        let (len, some, channels) = (self.sets.len(), self.sets.some(), self.sets.channels);
        let mut sums = unwritten(2 * self.sets.count * channels);
        let dshift_of = (!dshift.is_empty()).then(|| Shared::new(&mut dshift));
        let sizes = [some * len, some * 2 * channels];
        threads::for_each_block([&mut dx, &mut sums], sizes, self.x.len(), |task, [dx, sums]| {
            let sets = dx.chunks_exact_mut(len).zip(sums.chunks_exact_mut(2 * channels));
            for (set, (dx, sums)) in (task * some..).zip(sets) {
                backward_set(self, set, &moments[2 * set..][..2], &dy[set * len..][..len], dx, sums);
                if let Some(dshift) = &dshift_of {
                    // SAFETY: a row is in one set only, and a set in one task.
                    let dshift = unsafe { dshift.part(self.sets.rows(set)) };
                    for (dshift, dx) in dshift.iter_mut().zip(dx.chunks(self.sets.area)) {
                        *dshift = reduce::sum(dx) as f32;
                    }
                }
            }
        });
        let sums = reduce::sum_rows(&sums, 2 * self.gamma.len());
        let (gamma, beta) = sums.as_chunks::<2>().0.iter().map(|&[g, b]| (g, b)).unzip();
        Gradients { x: dx, shift: self.shift.map(|_| dshift), gamma, beta }
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

vectorised! {
    /// Mean and variance of a set.
    fn moments(p: &Norm, set: usize) -> [f32; 2] {
        let (sets, count) = (&p.sets, p.sets.len() as f64);
        let x = &p.x[set * sets.len()..][..sets.len()];
        let mut sum = reduce::fold([x], |[x]| x);
        if p.shift.is_none() {
            let mean = (sum / count) as f32;
            let squares = reduce::fold([x], |[x]| (x - mean) * (x - mean));
            return [mean, (squares / count) as f32];
        }
        for row in sets.rows(set) {
            sum += f64::from(p.shift(row)) * sets.area as f64;
        }
        let (mean, mut squares) = ((sum / count) as f32, Lanes::default());
        for row in sets.rows(set) {
            let centre = mean - p.shift(row);
            squares.add([&p.x[sets.elements(row)]], |[x]| (x - centre) * (x - centre));
        }
        [mean, (squares.total() / count) as f32]
    }

    fn forward_set(p: &Norm, set: usize, moments: &[f32], y: &mut [f32]) {
        let (mean, scale) = (moments[0], p.scale(moments[1]));
        for (row, y) in p.sets.rows(set).zip(y.chunks_exact_mut(p.sets.area)) {
            activation::along(p.activation, p.line(row, mean, scale), &p.x[p.sets.elements(row)], y);
        }
    }

    /// With x' = (x + shift - mean) scale, n = gamma x' + beta and dn = dy activation'(n):
    /// `dx = scale (gamma dn - mean(gamma dn) - x' mean(gamma dn x'))`, the means over the set. `sums` gets the
    /// sums of dn x' and of dn for each row.
    fn backward_set(p: &Norm, set: usize, moments: &[f32], dy: &[f32], dx: &mut [f32], sums: &mut [f32]) {
        let (mean, scale, area) = (moments[0], p.scale(moments[1]), p.sets.area);
        let plain = p.activation == Activation::None;
        let (mut means, share) = ([0.0_f64; 2], 1.0 / p.sets.len() as f64);
        for (at, row) in p.sets.rows(set).enumerate() {
            let (x, dy) = (&p.x[p.sets.elements(row)], &dy[at * area..][..area]);
            let centre = mean - p.shift(row);
            let mut dn = dy;
            if !plain {
                let dx = &mut dx[at * area..][..area];
                activation::along_derivative(p.activation, p.line(row, mean, scale), [x, dy], dx);
                dn = dx;
            }
            let with_x = reduce::fold([x, dn], |[x, dn]| dn * (x - centre)) * f64::from(scale);
            let found = [with_x, reduce::fold([dn], |[dn]| dn)];
            let gamma = p.gamma[row % p.gamma.len()];
            for n in 0..2 {
                sums[2 * at + n] = found[n] as f32;
                means[n] += found[n] * f64::from(gamma) * share;
            }
        }
        let (by_x, constant) = (means[0] as f32 * scale * scale, means[1] as f32 * scale);
        for (at, row) in p.sets.rows(set).enumerate() {
            let ((slope, _), centre) = (p.line(row, mean, scale), mean - p.shift(row));
            let (x, dx) = (&p.x[p.sets.elements(row)], &mut dx[at * area..][..area]);
            if plain {
                for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(&dy[at * area..][..area]) {
                    *dx = dy * slope - constant - (x - centre) * by_x;
                }
            } else {
                for (dx, &x) in dx.iter_mut().zip(x) {
                    *dx = *dx * slope - constant - (x - centre) * by_x;
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

/// The plain twin of every normalisation: the definition in f64, with the gradients as the chain rule gives them.
#[cfg(test)]
pub(crate) mod twin {
    use crate::activation::{Activation, twin as activation};

    /// What is normalised, where `set_of` gives the set of each element and `line_of` its place in gamma and beta.
    pub(crate) struct Twin<'a> {
        pub(crate) x: &'a [f32],
        /// Added to x.
        pub(crate) shift: Vec<f32>,
        pub(crate) gamma: &'a [f32],
        pub(crate) beta: &'a [f32],
        pub(crate) eps: f64,
        pub(crate) activation: Activation,
        pub(crate) set_of: fn(usize, [usize; 3]) -> usize,
        pub(crate) line_of: fn(usize, [usize; 3]) -> usize,
        /// Images, channels and area, or whatever the two functions need.
        pub(crate) sizes: [usize; 3],
    }

    impl Twin<'_> {
        fn x(&self, i: usize) -> f64 {
            f64::from(self.x[i]) + self.shift.get(i).map_or(0.0, |&shift| f64::from(shift))
        }

        /// The elements of each set.
        fn sets(&self) -> Vec<Vec<usize>> {
            let mut sets = vec![Vec::new(); self.x.len()];
            (0..self.x.len()).for_each(|i| sets[(self.set_of)(i, self.sizes)].push(i));
            sets.retain(|set| !set.is_empty());
            sets
        }

        /// The normalised x and 1 / sqrt(variance + eps) of each element's set.
        fn normalise(&self) -> (Vec<f64>, Vec<f64>) {
            let (mut normal, mut scales) = (vec![0.0; self.x.len()], vec![0.0; self.x.len()]);
            for set in self.sets() {
                let n = set.len() as f64;
                let mean = set.iter().map(|&i| self.x(i)).sum::<f64>() / n;
                let variance = set.iter().map(|&i| (self.x(i) - mean).powi(2)).sum::<f64>() / n;
                for i in set {
                    scales[i] = 1.0 / (variance + self.eps).sqrt();
                    normal[i] = (self.x(i) - mean) * scales[i];
                }
            }
            (normal, scales)
        }

        fn line(&self, i: usize) -> [f64; 2] {
            [self.gamma, self.beta].map(|of| f64::from(of[(self.line_of)(i, self.sizes)]))
        }

        fn before_activation(&self) -> Vec<f64> {
            let normal = self.normalise().0.into_iter().enumerate();
            normal.map(|(i, x)| x * self.line(i)[0] + self.line(i)[1]).collect()
        }

        pub(crate) fn forward(&self) -> Vec<f64> {
            self.before_activation().into_iter().map(|n| activation::value(self.activation, n)).collect()
        }

        /// The gradients of x, gamma and beta.
        pub(crate) fn backward(&self, dy: &[f32]) -> [Vec<f64>; 3] {
            let (normal, scales) = self.normalise();
            let slope = |n: &f64| activation::derivative(self.activation, *n);
            let dn: Vec<f64> =
                self.before_activation().iter().zip(dy).map(|(n, &dy)| f64::from(dy) * slope(n)).collect();
            let mut line = [vec![0.0; self.gamma.len()], vec![0.0; self.gamma.len()]];
            let mut dx = vec![0.0; dn.len()];
            for i in 0..dn.len() {
                line[0][(self.line_of)(i, self.sizes)] += dn[i] * normal[i];
                line[1][(self.line_of)(i, self.sizes)] += dn[i];
            }
            for set in self.sets() {
                let n = set.len() as f64;
                let inner = |i: usize| dn[i] * self.line(i)[0];
                let mean = set.iter().map(|&i| inner(i)).sum::<f64>() / n;
                let along = set.iter().map(|&i| inner(i) * normal[i]).sum::<f64>() / n;
                set.iter().for_each(|&i| dx[i] = scales[i] * (inner(i) - mean - normal[i] * along));
            }
            let [dgamma, dbeta] = line;
            [dx, dgamma, dbeta]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::twin::Twin;
    use super::*;
    use crate::activation::ALL;
    use crate::testing::{assert_close, numbers};

    fn check(dims: [usize; 4], groups: usize, [shifted, by_image]: [bool; 2]) {
        let [b, c, h, w] = dims;
        let area = h * w;
        for activation in ALL {
            let x: Vec<f32> = numbers(dims.iter().product(), 1).iter().map(|x| 3.0 * x + 1.0).collect();
            let (shift, width) = (numbers(b * c, 5), if by_image { b * c } else { c });
            let (gamma, beta, dy) = (numbers(width, 2), numbers(width, 3), numbers(x.len(), 4));
            let p = Norm {
                sets: Sets::new(dims, groups),
                eps: 1e-5,
                activation,
                x: &x,
                shift: shifted.then_some(&shift[..]),
                gamma: &gamma,
                beta: &beta,
            };
            let twin = Twin {
                x: &x,
                shift: if shifted { (0..x.len()).map(|i| shift[i / area]).collect() } else { Vec::new() },
                gamma: &gamma,
                beta: &beta,
                eps: 1e-5,
                activation,
                set_of: |i, [set, ..]| i / set,
                line_of: |i, [_, area, width]| i / area % width,
                sizes: [c / groups * area, area, width],
            };
            let (y, moments) = p.forward();
            assert_close(&y, &twin.forward(), 1e-5);
            let got = p.backward(&moments, &dy);
            let [dx, dgamma, dbeta] = twin.backward(&dy);
            assert_close(&got.x, &dx, 2e-5);
            assert_close(&got.gamma, &dgamma, 2e-5);
            assert_close(&got.beta, &dbeta, 2e-5);
            let largest = dx.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
            for (got, dx) in got.shift.iter().flatten().zip(dx.chunks(area)) {
                // A sum that cancels is as exact as its terms.
                assert!((f64::from(*got) - dx.iter().sum::<f64>()).abs() < 1e-4 * largest);
            }
        }
    }

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for (b, groups, channels, [h, w]) in
            [(1, 1, 1, [3, 3]), (3, 2, 3, [5, 7]), (2, 4, 1, [4, 4]), (5, 8, 4, [8, 8]), (2, 2, 5, [30, 30])]
        {
            for options in [[false; 2], [true, false], [false, true], [true; 2]] {
                check([b, groups * channels, h, w], groups, options);
            }
        }
    }
}
