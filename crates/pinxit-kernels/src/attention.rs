//! Scaled dot-product attention: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, equation
//! 1.
//!
//! One (image, head) is one piece of work, which keeps the scores of a block of queries at a time. The
//! backward pass computes them again (Dao et al. 2022, "FlashAttention", arXiv:2205.14135, section 3.1 and
//! appendix B.2 for the gradients).

use crate::axis::Axis;
use crate::exp::exp;
use crate::gemm::{Operand, Product, Target, gemm};
use crate::glue::{self, Array, Operation};
use crate::simd::vectorised;
use crate::store::End;
use crate::{reduce, threads};
use burn::tensor::{Tensor, activation};

/// Queries whose scores are kept at a time: they stay in the cache, and the gradients of the keys and values
/// are summed over blocks of so many queries in their order.
const QUERIES: usize = 64;

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
        return glue::apply3(Attention { sizes, scale: scale as f32 }, q, k, v);
    }
    activation::softmax(q.matmul(k.transpose()) * scale, 3).matmul(v)
}

#[derive(Clone, Debug)]
struct Attention {
    sizes: Sizes,
    scale: f32,
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
    fn lens(&self) -> [usize; 4] {
        let Self { queries, keys, width, value_width, .. } = *self;
        [queries * width, keys * width, keys * value_width, queries * value_width]
    }

    /// Multiply-adds of the forward pass.
    fn work(&self) -> usize {
        self.images * self.heads * self.queries * self.keys * (self.width + self.value_width)
    }
}

impl Operation for Attention {
    fn forward(&self, inputs: &[Array]) -> Array {
        let [q, k, v] = inputs else { unreachable!("attention has three inputs") };
        let Sizes { images, heads, queries, value_width, .. } = self.sizes;
        Array::new(self.forward(q.data(), k.data(), v.data()), [images, heads, queries, value_width])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let [q, k, v] = inputs else { unreachable!("attention has three inputs") };
        let grads = self.backward(q.data(), k.data(), v.data(), grad.data());
        inputs.iter().zip(grads).map(|(input, grad)| Some(Array::new(grad, input.dims::<4>()))).collect()
    }
}

/// A row-major matrix of `columns` columns, or its transpose.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    data: &'a [f32],
    columns: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    fn new(data: &'a [f32], columns: usize) -> Self {
        Self { data, columns, transposed: false }
    }

    fn transpose(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Places of the rows and of the columns.
    fn axes(&self) -> (Axis<'static>, Axis<'static>) {
        let long = Axis::line(self.data.len() / self.columns.max(1), self.columns);
        let short = Axis::line(self.columns, 1);
        if self.transposed { (short, long) } else { (long, short) }
    }

    /// `out += self other`, row-major.
    fn times(self, other: Matrix, out: &mut [f32]) {
        let (rows, inner) = self.axes();
        let (other_inner, columns) = other.axes();
        let product = Product {
            a: Operand::new(self.data, rows, inner),
            b: Operand::new(other.data, columns, other_inner),
            to: Target { rows: Axis::line(rows.len(), columns.len()), cols: Axis::line(columns.len(), 1) },
            end: End { add: true, ..End::default() },
        };
        // SAFETY: the target is a row-major matrix.
        unsafe { gemm(product, out) };
    }
}

impl Attention {
    fn forward(&self, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let Sizes { images, heads, keys, width, value_width, .. } = self.sizes;
        let [q_len, k_len, v_len, out_len] = self.sizes.lens();
        let mut out = vec![0.0; images * heads * out_len];
        threads::for_each_block([&mut out], [out_len], self.sizes.work(), |head, [out]| {
            let (k, v) = (part(k, head, k_len), Matrix::new(part(v, head, v_len), value_width));
            let queries = part(q, head, q_len).chunks(QUERIES * width);
            for (q, out) in queries.zip(out.chunks_mut(QUERIES * value_width)) {
                let p = self.probabilities(q, k);
                Matrix::new(&p, keys).times(v, out);
            }
        });
        out
    }

    /// `softmax(scale q k^T)` for some queries of one head.
    fn probabilities(&self, q: &[f32], k: &[f32]) -> Vec<f32> {
        let Sizes { keys, width, .. } = self.sizes;
        let mut p = vec![0.0; q.len() / width * keys];
        Matrix::new(q, width).times(Matrix::new(k, width).transpose(), &mut p);
        softmax(&mut p, keys, self.scale);
        p
    }

    /// With `p = softmax(scale q k^T)` and `out = p v`: `dv = p^T dout`, `dp = dout v^T`,
    /// `ds = p (dp - sum over the row of p dp)`, `dq = scale ds k`, `dk = scale ds^T q`.
    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], dout: &[f32]) -> [Vec<f32>; 3] {
        let Sizes { keys, width, value_width, .. } = self.sizes;
        let [q_len, k_len, v_len, out_len] = self.sizes.lens();
        let [mut dq, mut dk, mut dv] = [q, k, v].map(|x| vec![0.0; x.len()]);
        let outs = [&mut dq[..], &mut dk, &mut dv];
        threads::for_each_block(outs, [q_len, k_len, v_len], 2 * self.sizes.work(), |head, [dq, dk, dv]| {
            let (k, v) = (part(k, head, k_len), part(v, head, v_len));
            let queries = part(q, head, q_len).chunks(QUERIES * width);
            let douts = part(dout, head, out_len).chunks(QUERIES * value_width);
            for ((q, dout), dq) in queries.zip(douts).zip(dq.chunks_mut(QUERIES * width)) {
                let p = self.probabilities(q, k);
                let dout = Matrix::new(dout, value_width);
                Matrix::new(&p, keys).transpose().times(dout, dv);
                let mut ds = vec![0.0; p.len()];
                dout.times(Matrix::new(v, value_width).transpose(), &mut ds);
                softmax_backward(&p, &mut ds, keys, self.scale);
                let ds = Matrix::new(&ds, keys);
                ds.times(Matrix::new(k, width), dq);
                ds.transpose().times(Matrix::new(q, width), dk);
            }
        });
        [dq, dk, dv]
    }
}

/// The run of `len` elements of the piece `index`.
fn part(x: &[f32], index: usize, len: usize) -> &[f32] {
    &x[index * len..][..len]
}

vectorised! {
    /// `softmax(scale row)` of every row, shifted by the largest element so that nothing overflows.
    fn softmax(p: &mut [f32], keys: usize, scale: f32) {
        for row in p.chunks_exact_mut(keys) {
            row.iter_mut().for_each(|x| *x *= scale);
            let largest = reduce::largest(row);
            row.iter_mut().for_each(|x| *x = exp(*x - largest));
            let factor = (1.0 / reduce::fold([&*row], |[x]| x)) as f32;
            row.iter_mut().for_each(|x| *x *= factor);
        }
    }

    /// Turns `d`, the gradient of the probabilities `p`, into the one of the scores before `scale`.
    fn softmax_backward(p: &[f32], d: &mut [f32], keys: usize, scale: f32) {
        for (p, d) in p.chunks_exact(keys).zip(d.chunks_exact_mut(keys)) {
            let along = reduce::fold([p, &*d], |[p, d]| p * d) as f32;
            d.iter_mut().zip(p).for_each(|(d, &p)| *d = scale * p * (*d - along));
        }
    }
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
        for [images, heads, queries, keys, width, value_width] in
            [[1, 1, 1, 1, 1, 1], [2, 3, 5, 7, 4, 3], [3, 2, 64, 64, 32, 32], [1, 1, 33, 300, 8, 40]]
        {
            let sizes = Sizes { images, heads, queries, keys, width, value_width };
            let op = Attention { sizes, scale: 1.0 / (width as f32).sqrt() };
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
}
