//! Scaled dot-product attention: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, equation
//! 1.
//!
//! The scores of a block of queries are kept at a time, keys down and queries across, so that the softmax of
//! many queries runs side by side. The backward pass computes them again (Dao et al. 2022, "FlashAttention",
//! arXiv:2205.14135, section 3.1 and appendix B.2 for the gradients).

use crate::axis::Axis;
use crate::buffer::unwritten;
use crate::exp::exp;
use crate::gemm::{Operand, Product, Target, gemm_alone};
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::store::End;
use crate::threads::{self, Shared};
use burn::tensor::{Tensor, activation};
use std::ops::Range;

/// Most queries of a block. The gradients of keys and values are summed over blocks in their order.
const QUERIES: usize = 64;
/// Scores that stay in the cache: a block of so many, unless its queries would be fewer than [`FEWEST`].
const SCORES: usize = 64 * 1024;
const FEWEST: usize = 16;

/// `softmax(scale q k^T) v` for each image and head.
///
/// `q [B, heads, N, d]`, `k [B, heads, M, d]`, `v [B, heads, M, e]` give `[B, heads, N, e]`. `scale` is `1 /
/// sqrt(d)` in the paper. Differentiable in `q`, `k` and `v`.
///
/// # Panics
/// If the sizes do not match.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64) -> Tensor<4> {
    let sizes = Sizes::new(q.dims(), k.dims(), v.dims());
    if [&q, &k, &v].into_iter().all(glue::supported) {
        return glue::apply3(Attention { sizes, scale: scale as f32, planes: false }, q, k, v);
    }
    activation::softmax(q.matmul(k.transpose()) * scale, 3).matmul(v)
}

/// [`attention`] between the pixels of pictures: `q`, `k`, `v` `[B, heads d, H, W]` give `[B, heads d, H, W]`,
/// where a head is `d` channels side by side.
///
/// # Panics
/// If the sizes differ, or `heads` does not divide the channels.
pub fn attention2d(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, heads: usize, scale: f64) -> Tensor<4> {
    let dims @ [b, c, h, w] = q.dims();
    assert!(k.dims() == dims && v.dims() == dims, "attention2d: sizes differ");
    assert!(heads > 0 && c.is_multiple_of(heads), "attention2d: {heads} heads of {c} channels");
    let tokens = [b, heads, h * w, c / heads];
    if [&q, &k, &v].into_iter().all(glue::supported) {
        let sizes = Sizes::new(tokens, tokens, tokens);
        return glue::apply3(Attention { sizes, scale: scale as f32, planes: true }, q, k, v);
    }
    let split = |x: Tensor<4>| x.reshape([b, heads, c / heads, h * w]).swap_dims(2, 3);
    attention(split(q), split(k), split(v), scale).swap_dims(2, 3).reshape(dims)
}

#[derive(Clone, Debug)]
struct Attention {
    sizes: Sizes,
    scale: f32,
    /// Whether a head is `[d, N]`, channel by channel, instead of `[N, d]`.
    planes: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    images: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
    value_width: usize,
}

impl Sizes {
    fn new(q: [usize; 4], k: [usize; 4], v: [usize; 4]) -> Self {
        let [images, heads, queries, width] = q;
        let [keys, value_width] = [k[2], v[3]];
        let fit = k == [images, heads, keys, width] && v == [images, heads, keys, value_width];
        assert!(fit && keys * width * value_width > 0, "attention: sizes {q:?}, {k:?}, {v:?}");
        Self { images, heads, queries, keys, width, value_width }
    }

    /// Elements of q, k, v and the output of one head.
    #[cfg(test)]
    fn lens(&self) -> [usize; 4] {
        let Self { queries, keys, width, value_width, .. } = *self;
        [queries * width, keys * width, keys * value_width, queries * value_width]
    }

    fn slabs(&self) -> usize {
        self.images * self.heads
    }

    /// Multiply-adds of the forward pass.
    fn work(&self) -> usize {
        self.slabs() * self.queries * self.keys * (self.width + self.value_width)
    }

    /// Queries of a block.
    fn block(&self) -> usize {
        (SCORES / self.keys).clamp(FEWEST, QUERIES)
    }
}

impl Operation for Attention {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [q, k, v] = inputs else { unreachable!("attention has three inputs") };
        let Sizes { images, heads, queries, value_width, .. } = self.sizes;
        let out = self.forward(q.data(), k.data(), v.data());
        if self.planes {
            return Array::new(out, q.dims::<4>());
        }
        Array::new(out, [images, heads, queries, value_width])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let [q, k, v] = inputs else { unreachable!("attention has three inputs") };
        let grads = self.backward(q.data(), k.data(), v.data(), grad.data());
        inputs.iter().zip(grads).map(|(input, grad)| Some(Array::new(grad, input.dims::<4>()))).collect()
    }
}

/// One side of a product: vector i of it has the elements `data[i * step + t * along]`.
#[derive(Clone, Copy)]
struct Side<'a> {
    data: &'a [f32],
    count: usize,
    step: usize,
    along: usize,
}

impl<'a> Side<'a> {
    /// The rows of a row-major matrix.
    fn rows(data: &'a [f32], columns: usize) -> Self {
        Self { data, count: data.len() / columns, step: columns, along: 1 }
    }

    /// The columns of a row-major matrix.
    fn columns(data: &'a [f32], columns: usize) -> Self {
        Self { data, count: columns, step: 1, along: columns }
    }

    /// `sum_t self[i, t] other[j, t]` over `depth` elements, row-major.
    fn times(self, other: Side, depth: usize) -> Vec<f32> {
        let mut out = unwritten(self.count * other.count);
        let to = Target { rows: Axis::line(self.count, other.count), cols: Axis::line(other.count, 1) };
        // SAFETY: the target is a row-major matrix.
        unsafe { self.times_to(other, depth, to, false, &Shared::new(&mut out)) };
        out
    }

    /// [`times`](Self::times) to other places, or added to what is there.
    ///
    /// # Safety
    /// The places are different, and nobody else touches them.
    unsafe fn times_to(self, other: Side, depth: usize, to: Target, add: bool, out: &Shared) {
        let product = Product {
            a: Operand::new(self.data, Axis::line(self.count, self.step), Axis::line(depth, self.along)),
            b: Operand::new(other.data, Axis::line(other.count, other.step), Axis::line(depth, other.along)),
            to,
            end: End { add, ..End::default() },
        };
        // SAFETY: promised by the caller.
        unsafe { gemm_alone(product, out) };
    }
}

/// The queries, keys, values or outputs of one head.
#[derive(Clone, Copy)]
struct Head<'a> {
    data: &'a [f32],
    tokens: usize,
    width: usize,
    planes: bool,
}

impl<'a> Head<'a> {
    /// Distances between tokens and between features.
    fn steps(&self) -> (usize, usize) {
        if self.planes { (1, self.tokens) } else { (self.width, 1) }
    }

    /// Token by token.
    fn tokens(self, range: Range<usize>) -> Side<'a> {
        let (step, along) = self.steps();
        Side { data: &self.data[range.start * step..], count: range.len(), step, along }
    }

    fn all(self) -> Side<'a> {
        self.tokens(0..self.tokens)
    }

    /// Feature by feature, of some tokens.
    fn features(self, range: Range<usize>) -> Side<'a> {
        let (along, step) = self.steps();
        Side { data: &self.data[range.start * along..], count: self.width, step, along }
    }
}

/// Where a product of some tokens and all features goes.
struct Place<'a> {
    /// The first of the tokens.
    first: usize,
    /// Whether it is added to what is there.
    add: bool,
    /// The numbers of the head.
    out: Shared<'a>,
}

impl Head<'_> {
    /// `sum_t tokens[i, t] features[j, t]` over `depth` elements to the place of token i and feature j in a head
    /// like this one.
    ///
    /// # Safety
    /// Nobody else touches these tokens.
    unsafe fn put(&self, tokens: Side, features: Side, depth: usize, place: &Place) {
        let (step, along) = self.steps();
        let sizes = [1, 1, tokens.count];
        let by_token = Axis::Grid { start: place.first * step, sizes, steps: [0, 0, step] };
        let by_feature = Axis::line(features.count, along);
        // SAFETY: promised by the caller; a head has different places.
        unsafe {
            // Neighbours in memory are columns.
            if self.planes {
                let to = Target { rows: by_feature, cols: by_token };
                features.times_to(tokens, depth, to, place.add, &place.out);
            } else {
                let to = Target { rows: by_token, cols: by_feature };
                tokens.times_to(features, depth, to, place.add, &place.out);
            }
        }
    }

    /// Multiplies the features of each token of `place` by its factor.
    ///
    /// # Safety
    /// Nobody else touches these tokens.
    unsafe fn scale(&self, factors: &[f32], place: &Place) {
        let (lines, step) = if self.planes { (self.width, self.tokens) } else { (factors.len(), self.width) };
        let (start, len) =
            if self.planes { (place.first, factors.len()) } else { (place.first * self.width, self.width) };
        for line in 0..lines {
            let at = start + line * step;
            // SAFETY: promised by the caller.
            let row = unsafe { place.out.part(at..at + len) };
            if self.planes {
                row.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
            } else {
                row.iter_mut().for_each(|x| *x *= factors[line]);
            }
        }
    }
}

impl Attention {
    fn head<'a>(&self, data: &'a [f32], slab: usize, [tokens, width]: [usize; 2]) -> Head<'a> {
        Head { data: &data[slab * tokens * width..][..tokens * width], tokens, width, planes: self.planes }
    }

    fn forward(&self, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let Sizes { queries, keys, width, value_width, .. } = self.sizes;
        let mut out = unwritten(self.sizes.slabs() * queries * value_width);
        let shared = Shared::new(&mut out);
        let blocks = queries.div_ceil(self.sizes.block());
        threads::for_each(self.sizes.slabs() * blocks, threads::pays(self.sizes.work()), |task| {
            let (slab, block) = (task / blocks, task % blocks);
            let range = self.range(block);
            let q = self.head(q, slab, [queries, width]);
            let (k, v) = (self.head(k, slab, [keys, width]), self.head(v, slab, [keys, value_width]));
            let (p, factors) = self.powers(q, k, range.clone());
            let like = Head { tokens: queries, ..v };
            let out = shared.slice(slab * queries * value_width..(slab + 1) * queries * value_width);
            let place = Place { first: range.start, add: false, out };
            // SAFETY: every task has a head or queries of its own.
            unsafe {
                like.put(Side::columns(&p, range.len()), v.features(0..keys), keys, &place);
                like.scale(&factors[..range.len()], &place);
            }
        });
        out
    }

    fn range(&self, block: usize) -> Range<usize> {
        let size = self.sizes.block();
        block * size..self.sizes.queries.min((block + 1) * size)
    }

    /// What becomes `softmax(scale k q^T)` for some queries of one head, keys down and queries across, when each
    /// query is multiplied by its factor.
    fn powers(&self, q: Head, k: Head, range: Range<usize>) -> (Vec<f32>, [f32; QUERIES]) {
        let queries = range.len();
        let mut p = k.all().times(q.tokens(range), k.width);
        let factors = powers(&mut p, queries, self.scale);
        (p, factors)
    }

    /// With `p = softmax(scale q k^T)` and `out = p v`: `dv = p^T dout`, `dp = dout v^T`,
    /// `ds = p (dp - sum over the row of p dp)`, `dq = scale ds k`, `dk = scale ds^T q`.
    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], dout: &[f32]) -> [Vec<f32>; 3] {
        let Sizes { queries, keys, width, value_width, .. } = self.sizes;
        let [mut dq, mut dk, mut dv] = [q, k, v].map(|x| unwritten(x.len()));
        let outs = [&mut dq, &mut dk, &mut dv].map(|out| Shared::new(out));
        threads::for_each(self.sizes.slabs(), threads::pays(2 * self.sizes.work()), |slab| {
            let (q, dout) =
                (self.head(q, slab, [queries, width]), self.head(dout, slab, [queries, value_width]));
            let (k, v) = (self.head(k, slab, [keys, width]), self.head(v, slab, [keys, value_width]));
            let head = |n: usize, len: usize| outs[n].slice(slab * len..(slab + 1) * len);
            for range in (0..queries.div_ceil(self.sizes.block())).map(|block| self.range(block)) {
                let (first, count) = (range.start, range.len());
                let (mut p, factors) = self.powers(q, k, range.clone());
                let mut ds = v.all().times(dout.tokens(range.clone()), value_width);
                softmax_backward(&mut p, &mut ds, &factors[..count], self.scale);
                let of_query = Place { first, add: false, out: head(0, q.data.len()) };
                let of_key = Place { first: 0, add: first > 0, out: head(1, k.data.len()) };
                let of_value = Place { out: head(2, v.data.len()), ..of_key };
                // SAFETY: every task has a head of its own.
                unsafe {
                    q.put(Side::columns(&ds, count), k.features(0..keys), keys, &of_query);
                    k.put(Side::rows(&ds, count), q.features(range.clone()), count, &of_key);
                    v.put(Side::rows(&p, count), dout.features(range), count, &of_value);
                }
            }
        });
        [dq, dk, dv]
    }
}

vectorised! {
    /// `e^(scale x - top)` of each of `count` columns, at most [`QUERIES`], where the top is the largest element of
    /// the column, so that nothing overflows; and 1 over the sum of each column, which makes it a softmax.
    fn powers(p: &mut [f32], count: usize, scale: f32) -> [f32; QUERIES] {
        let mut largest = [f32::NEG_INFINITY; QUERIES];
        for row in p.chunks_exact(count) {
            for (top, &x) in largest.iter_mut().zip(row) {
                let x = scale * x;
                *top = if x > *top { x } else { *top };
            }
        }
        let mut sums = Sums::default();
        for rows in p.chunks_mut(ROWS * count) {
            let mut short = [0.0_f32; QUERIES];
            for row in rows.chunks_exact_mut(count) {
                for ((x, top), sum) in row.iter_mut().zip(&largest).zip(&mut short) {
                    *x = exp(scale * *x - top);
                    *sum += *x;
                }
            }
            sums.add(&short);
        }
        sums.0.map(|sum| (1.0 / sum) as f32)
    }

    /// Turns the [`powers`] `p` into probabilities, and `d`, the gradient of these, into the one of the scores
    /// before `scale`.
    fn softmax_backward(p: &mut [f32], d: &mut [f32], factors: &[f32], scale: f32) {
        let count = factors.len();
        let mut sums = Sums::default();
        for (p, d) in p.chunks_mut(ROWS * count).zip(d.chunks(ROWS * count)) {
            let mut short = [0.0_f32; QUERIES];
            for (p, d) in p.chunks_exact_mut(count).zip(d.chunks_exact(count)) {
                for (((p, d), factor), sum) in p.iter_mut().zip(d).zip(factors).zip(&mut short) {
                    *p *= factor;
                    *sum += *p * d;
                }
            }
            sums.add(&short);
        }
        let along = sums.0.map(|sum| sum as f32);
        for (p, d) in p.chunks_exact(count).zip(d.chunks_exact_mut(count)) {
            for ((d, p), along) in d.iter_mut().zip(p).zip(&along) {
                *d = scale * p * (*d - along);
            }
        }
    }
}

/// Rows whose columns are summed in f32 before the sums go to f64: the rounding stays that of a short sum.
const ROWS: usize = 64;

/// Sums of columns.
struct Sums([f64; QUERIES]);

impl Default for Sums {
    fn default() -> Self {
        Self([0.0; QUERIES])
    }
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, short: &[f32; QUERIES]) {
        for (sum, &x) in self.0.iter_mut().zip(short) {
            *sum += f64::from(x);
        }
    }
}

/// The run of `len` elements of the piece `index`.
#[cfg(test)]
fn part(x: &[f32], index: usize, len: usize) -> &[f32] {
    &x[index * len..][..len]
}

/// The plain twin: the definition and its derivative in f64.
#[cfg(test)]
mod twin {
    use super::{Attention, part};

    /// `sum_t a[i, t] b[t, j]` for i < m, j < n, t < depth.
    fn product(m: usize, n: usize, depth: usize, f: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
        (0..m * n).map(|at| (0..depth).map(|t| f(at / n, at % n, t)).sum()).collect()
    }

    fn head(x: &[f32], index: usize, len: usize) -> Vec<f64> {
        part(x, index, len).iter().map(|&x| f64::from(x)).collect()
    }

    fn probabilities(op: &Attention, q: &[f64], k: &[f64]) -> Vec<f64> {
        let (n, m, d) = (op.sizes.queries, op.sizes.keys, op.sizes.width);
        let scores = product(n, m, d, |i, j, t| f64::from(op.scale) * q[i * d + t] * k[j * d + t]);
        let row = |row: &[f64]| {
            let sum: f64 = row.iter().map(|x| x.exp()).sum();
            row.iter().map(|x| x.exp() / sum).collect::<Vec<f64>>()
        };
        scores.chunks(m).flat_map(row).collect()
    }

    /// The output and the gradients of q, k and v.
    pub(super) fn run(op: &Attention, q: &[f32], k: &[f32], v: &[f32], dout: &[f32]) -> [Vec<f64>; 4] {
        let (n, m, d, e) = (op.sizes.queries, op.sizes.keys, op.sizes.width, op.sizes.value_width);
        let [q_len, k_len, v_len, out_len] = op.sizes.lens();
        let mut all: [Vec<f64>; 4] = Default::default();
        for index in 0..op.sizes.images * op.sizes.heads {
            let (q, k) = (head(q, index, q_len), head(k, index, k_len));
            let (v, dout) = (head(v, index, v_len), head(dout, index, out_len));
            let p = probabilities(op, &q, &k);
            let dp = product(n, m, e, |i, j, t| dout[i * e + t] * v[j * e + t]);
            let along: Vec<f64> =
                (0..n).map(|i| (0..m).map(|j| p[i * m + j] * dp[i * m + j]).sum()).collect();
            let ds = |i: usize, j: usize| f64::from(op.scale) * p[i * m + j] * (dp[i * m + j] - along[i]);
            all[0].extend(product(n, e, m, |i, j, t| p[i * m + t] * v[t * e + j]));
            all[1].extend(product(n, d, m, |i, j, t| ds(i, t) * k[t * d + j]));
            all[2].extend(product(m, d, n, |i, j, t| ds(t, i) * q[t * d + j]));
            all[3].extend(product(m, e, n, |i, j, t| p[t * m + i] * dout[t * e + j]));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for [images, heads, queries, keys, width, value_width] in [
            [1, 1, 1, 1, 1, 1],
            [2, 3, 5, 7, 4, 3],
            [3, 2, 64, 64, 32, 32],
            [1, 1, 33, 300, 8, 40],
            [1, 2, 70, 5000, 4, 4],
        ] {
            let sizes = Sizes { images, heads, queries, keys, width, value_width };
            let op = Attention { sizes, scale: 1.0 / (width as f32).sqrt(), planes: false };
            let [q_len, k_len, v_len, out_len] = sizes.lens().map(|len| len * images * heads);
            let (q, k, v) = (numbers(q_len, 1), numbers(k_len, 2), numbers(v_len, 3));
            let dout = numbers(out_len, 4);
            let [out, dq, dk, dv] = twin::run(&op, &q, &k, &v, &dout);
            assert_close(&op.forward(&q, &k, &v), &out, 1e-5);
            let grads = op.backward(&q, &k, &v, &dout);
            assert_close(&grads[0], &dq, 2e-5);
            assert_close(&grads[1], &dk, 2e-5);
            assert_close(&grads[2], &dv, 2e-5);
        }
    }

    /// Oracle: the same numbers, token by token.
    #[test]
    fn channel_by_channel_is_the_same_to_the_bit() {
        let [slabs, tokens, width] = [6, 77, 12];
        let sizes = Sizes { images: 2, heads: 3, queries: tokens, keys: tokens, width, value_width: width };
        let transposed = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            let at = |i: usize| (i / (rows * columns), i % (rows * columns));
            let from = |(slab, i): (usize, usize)| slab * rows * columns + i % rows * columns + i / rows;
            (0..x.len()).map(|i| x[from(at(i))]).collect()
        };
        let [q, k, v, dout] = [1, 2, 3, 4].map(|seed| numbers(slabs * tokens * width, seed));
        let op = |planes| Attention { sizes, scale: 0.3, planes };
        let planes = [&q, &k, &v, &dout].map(|x| transposed(x, tokens, width));
        let out = op(true).forward(&planes[0], &planes[1], &planes[2]);
        assert_eq!(transposed(&out, width, tokens), op(false).forward(&q, &k, &v));
        let grads = op(true).backward(&planes[0], &planes[1], &planes[2], &planes[3]);
        assert_eq!(grads.map(|grad| transposed(&grad, width, tokens)), op(false).backward(&q, &k, &v, &dout));
    }
}
