//! Losses that are a sum over elements, each pass over memory once: forward the sum in f64, backward the gradient.

use crate::buffer::unwritten;
use crate::exp::{exp, ln_1p, sigmoid};
use crate::glue::{self, Array, Operation};
use crate::reduce::{self, Lanes};
use crate::simd::vectorised;
use crate::threads;
use burn::tensor::{Tensor, activation};
use std::ops::Range;

/// Elements that are worked on at a time, in the nearest cache.
const SHORT: usize = 1024;

/// What becomes of the losses of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

impl Reduction {
    /// What the sum over `count` is multiplied by.
    pub(crate) fn factor(self, count: usize) -> f64 {
        match self {
            Self::Sum => 1.0,
            Self::Mean => 1.0 / count as f64,
        }
    }
}

/// `(x - target)^2`, summed or averaged, `[1]`. Differentiable in both.
///
/// # Panics
/// If the shapes differ.
pub fn mse_loss<const D: usize>(x: Tensor<D>, target: Tensor<D>, reduction: Reduction) -> Tensor<1> {
    between(Term::Squared, x, target, reduction)
}

/// `|x - target|`, summed or averaged, `[1]`. Differentiable in both, with slope 0 where they are equal.
///
/// # Panics
/// If the shapes differ.
pub fn l1_loss<const D: usize>(x: Tensor<D>, target: Tensor<D>, reduction: Reduction) -> Tensor<1> {
    between(Term::Absolute, x, target, reduction)
}

/// The binary cross-entropy `ln(1 + e^x) - x target` of logits with one target for all of them, such as 1 for real
/// and 0 for generated, summed or averaged, `[1]`. Differentiable in `x`.
pub fn bce_with_logits<const D: usize>(x: Tensor<D>, target: f32, reduction: Reduction) -> Tensor<1> {
    let factor = reduction.factor(x.dims().iter().product());
    if glue::supported(&x) {
        return glue::apply1(Loss::<D> { term: Term::Logistic, factor, constant: target }, x);
    }
    let target = x.ones_like() * target;
    Term::Logistic.composite(x, target).sum() * factor
}

/// [`bce_with_logits`] with a target for each logit, from 0 to 1. Differentiable in both.
///
/// # Panics
/// If the shapes differ.
pub fn bce_with_logits_each<const D: usize>(
    x: Tensor<D>,
    target: Tensor<D>,
    reduction: Reduction,
) -> Tensor<1> {
    between(Term::Logistic, x, target, reduction)
}

/// `weight (x - target)^2` with a weight for each image, summed or averaged, `[1]`: `x` and `target` `[B, ..]`,
/// `weight [B]`. Differentiable in all three.
///
/// # Panics
/// If the shapes do not match.
pub fn weighted_mse_loss<const D: usize>(
    x: Tensor<D>,
    target: Tensor<D>,
    weight: Tensor<1>,
    reduction: Reduction,
) -> Tensor<1> {
    assert_eq!(x.dims(), target.dims(), "weighted_mse_loss: target");
    assert_eq!(weight.dims(), [x.dims()[0]], "weighted_mse_loss: weight");
    let factor = reduction.factor(x.dims().iter().product());
    if glue::supported(&x) && glue::supported(&target) && glue::supported(&weight) {
        return glue::apply3(Loss::<D> { term: Term::Squared, factor, constant: 0.0 }, x, target, weight);
    }
    let mut each = [1; D];
    each[0] = x.dims()[0];
    ((x - target).square() * weight.reshape(each)).sum() * factor
}

/// The divergence of a normal distribution with `mean` and variance `e^log_variance` from the standard one,
/// `(mean^2 + e^log_variance - 1 - log_variance) / 2`: Kingma and Welling 2014, "Auto-Encoding Variational Bayes",
/// arXiv:1312.6114, appendix B. Summed or averaged, `[1]`. Differentiable in both.
///
/// # Panics
/// If the shapes differ.
pub fn gaussian_kl<const D: usize>(
    mean: Tensor<D>,
    log_variance: Tensor<D>,
    reduction: Reduction,
) -> Tensor<1> {
    between(Term::Divergence, mean, log_variance, reduction)
}

fn between<const D: usize>(term: Term, x: Tensor<D>, target: Tensor<D>, reduction: Reduction) -> Tensor<1> {
    assert_eq!(x.dims(), target.dims(), "{term:?} loss: two shapes");
    let factor = reduction.factor(x.dims().iter().product());
    if glue::supported(&x) && glue::supported(&target) {
        glue::apply2(Loss::<D> { term, factor, constant: 0.0 }, x, target)
    } else {
        term.composite(x, target).sum() * factor
    }
}

/// The loss of an element x with its target t.
#[derive(Clone, Copy, Debug)]
enum Term {
    Squared,
    Absolute,
    Logistic,
    /// x is the mean and t the logarithm of the variance.
    Divergence,
}

impl Term {
    fn composite<const D: usize>(self, x: Tensor<D>, t: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Squared => (x - t).square(),
            Self::Absolute => (x - t).abs(),
            Self::Logistic => activation::softplus(x.clone(), 1.0) - x * t,
            Self::Divergence => (x.square() + t.clone().exp() - t - 1.0) * 0.5,
        }
    }

    #[inline(always)]
    fn value(self, x: f32, t: f32) -> f32 {
        match self {
            Self::Squared => (x - t) * (x - t),
            Self::Absolute => (x - t).abs(),
            Self::Logistic => (if x < 0.0 { 0.0 } else { x }) - x * t + ln_1p(exp(-x.abs())),
            Self::Divergence => 0.5 * (x * x + exp(t) - t - 1.0),
        }
    }

    #[inline(always)]
    fn by_x(self, x: f32, t: f32) -> f32 {
        match self {
            Self::Squared => 2.0 * (x - t),
            Self::Absolute => {
                let less = x - t;
                if less > 0.0 {
                    1.0
                } else if less < 0.0 {
                    -1.0
                } else {
                    less
                }
            }
            Self::Logistic => sigmoid(x) - t,
            Self::Divergence => x,
        }
    }

    #[inline(always)]
    fn by_target(self, x: f32, t: f32) -> f32 {
        match self {
            Self::Squared | Self::Absolute => -self.by_x(x, t),
            Self::Logistic => -x,
            Self::Divergence => 0.5 * (exp(t) - 1.0),
        }
    }
}

/// Compiles a `for` loop once for every [`Term`]; see [`crate::activation::for_kind`].
macro_rules! for_term {
    ($term:ident => $body:expr) => {
        match $term {
            Term::Squared => for_term!(@ $term, Term::Squared, $body),
            Term::Absolute => for_term!(@ $term, Term::Absolute, $body),
            Term::Logistic => for_term!(@ $term, Term::Logistic, $body),
            Term::Divergence => for_term!(@ $term, Term::Divergence, $body),
        }
    };
    (@ $term:ident, $kind:expr, $body:expr) => {{
        let $term = $kind;
        $body
    }};
}

/// The operation on x, the targets unless they are constant, and the weight of each image if there is one.
#[derive(Clone, Debug)]
struct Loss<const D: usize> {
    term: Term,
    factor: f64,
    constant: f32,
}

impl<const D: usize> Loss<D> {
    fn elements<'a>(&self, inputs: &'a [Array]) -> Elements<'a> {
        let [x, rest @ ..] = inputs else { unreachable!("a loss has inputs") };
        let images = x.dims::<D>()[0];
        Elements {
            term: self.term,
            x: x.data(),
            target: rest.first().map(Array::data),
            constant: self.constant,
            weight: rest.get(1).map(Array::data),
            image: x.data().len() / images.max(1),
        }
    }
}

impl<const D: usize> Operation for Loss<D> {
    fn forward(&self, inputs: &[Array]) -> Array {
        Array::new(vec![(self.elements(inputs).sum() * self.factor) as f32], [1])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>> {
        let factor = (f64::from(grad.data()[0]) * self.factor) as f32;
        let elements = self.elements(inputs);
        let grad =
            |n: usize| wanted[n].then(|| Array::new(elements.gradient(n, factor), inputs[n].dims::<D>()));
        let mut grads: Vec<_> = (0..inputs.len().min(2)).map(grad).collect();
        if let Some(weight) = inputs.get(2) {
            grads.push(wanted[2].then(|| Array::new(elements.by_weight(factor), weight.dims::<1>())));
        }
        grads
    }
}

struct Elements<'a> {
    term: Term,
    x: &'a [f32],
    target: Option<&'a [f32]>,
    /// The target where there is none of each element.
    constant: f32,
    weight: Option<&'a [f32]>,
    /// Elements of an image.
    image: usize,
}

impl Elements<'_> {
    fn sum(&self) -> f64 {
        threads::sum_chunks(self.x.len(), |range| {
            self.runs(range).map(|run| self.weight(&run) * sum_of_run(self, run)).sum()
        })
    }

    /// `factor` times the derivative in x (0) or in the target (1).
    fn gradient(&self, by: usize, factor: f32) -> Vec<f32> {
        let mut grad = unwritten(self.x.len());
        threads::for_each_chunk([&mut grad], |range, [grad]| {
            for run in self.runs(range.clone()) {
                let part = run.start - range.start..run.end - range.start;
                let factor = factor * self.weight(&run) as f32;
                gradient_of_run(self, by, factor, run, &mut grad[part]);
            }
        });
        grad
    }

    /// `factor` times the derivative in the weight of each image.
    fn by_weight(&self, factor: f32) -> Vec<f32> {
        let images = self.x.len() / self.image.max(1);
        threads::map(images, threads::pays(self.x.len()), |i| {
            factor * sum_of_run(self, i * self.image..(i + 1) * self.image) as f32
        })
    }

    /// The parts of `range`, each of one image if images have weights.
    fn runs(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let image = if self.weight.is_some() { self.image } else { usize::MAX };
        let mut start = range.start;
        std::iter::from_fn(move || {
            let run = start..range.end.min((start / image).saturating_add(1).saturating_mul(image));
            start = run.end;
            (!run.is_empty()).then_some(run)
        })
    }

    fn weight(&self, run: &Range<usize>) -> f64 {
        self.weight.map_or(1.0, |weight| f64::from(weight[run.start / self.image]))
    }

    /// The targets of a short part.
    fn targets<'a>(&'a self, part: Range<usize>, constant: &'a [f32; SHORT]) -> &'a [f32] {
        self.target.map_or(&constant[..part.len()], |target| &target[part])
    }
}

/// Consecutive short parts of `range`.
fn short(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(SHORT).map(move |start| start..end.min(start + SHORT))
}

vectorised! {
    fn sum_of_run(p: &Elements, run: Range<usize>) -> f64 {
        let (term, constant) = (p.term, [p.constant; SHORT]);
        let mut losses = [0.0_f32; SHORT];
        let mut sum = Lanes::default();
        for part in short(run) {
            let (x, losses) = (&p.x[part.clone()], &mut losses[..part.len()]);
            let targets = p.targets(part, &constant);
            for_term!(term => for ((loss, &x), &t) in losses.iter_mut().zip(x).zip(targets) {
                *loss = term.value(x, t);
            });
            sum.add([losses], |[loss]| loss);
        }
        sum.total()
    }

    fn gradient_of_run(p: &Elements, by: usize, factor: f32, run: Range<usize>, grad: &mut [f32]) {
        let (term, constant) = (p.term, [p.constant; SHORT]);
        for (part, grad) in short(run).zip(grad.chunks_mut(SHORT)) {
            let x = &p.x[part.clone()];
            let all = grad.iter_mut().zip(x).zip(p.targets(part, &constant));
            if by == 0 {
                for_term!(term => for ((grad, &x), &t) in all {
                    *grad = factor * term.by_x(x, t);
                });
            } else {
                for_term!(term => for ((grad, &x), &t) in all {
                    *grad = factor * term.by_target(x, t);
                });
            }
        }
    }
}

/// The sum of all elements, `[1]`, in f64. Differentiable.
pub fn sum_all<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    if glue::supported(&x) { glue::apply1(SumAll::<D>, x) } else { x.sum() }
}

#[derive(Clone, Debug)]
struct SumAll<const D: usize>;

impl<const D: usize> Operation for SumAll<D> {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        let x = inputs[0].data();
        Array::new(vec![threads::sum_chunks(x.len(), |range| reduce::sum(&x[range])) as f32], [1])
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let dims = inputs[0].dims::<D>();
        let mut dx = unwritten(dims.iter().product());
        threads::for_each_chunk([&mut dx], |_, [dx]| dx.fill(grad.data()[0]));
        vec![Some(Array::new(dx, dims))]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    fn value(term: Term, x: f64, t: f64) -> f64 {
        match term {
            Term::Squared => (x - t).powi(2),
            Term::Absolute => (x - t).abs(),
            Term::Logistic => (1.0 + x.exp()).ln() - x * t,
            Term::Divergence => (x * x + t.exp() - 1.0 - t) / 2.0,
        }
    }

    fn check(term: Term, dims: [usize; 2], kind: usize) {
        let [images, image] = dims;
        let x: Vec<f32> = numbers(images * image, 1).iter().map(|x| 5.0 * x).collect();
        let (t, weight) = (numbers(x.len(), 2), numbers(images, 3));
        let array = |x: &[f32], dims: &[usize]| Array::new(x.to_vec(), dims);
        let mut inputs = vec![array(&x, &dims), array(&t, &dims), array(&weight, &[images])];
        inputs.truncate(kind);
        let (factor, h) = (1.0 / 7.0, 1e-5);
        let (mut sum, mut by_x, mut by_target) = (0.0, Vec::new(), Vec::new());
        let mut by_weight = vec![0.0; images];
        for (i, &x) in x.iter().enumerate() {
            let (x, t) = (f64::from(x), if kind == 1 { 0.25 } else { f64::from(t[i]) });
            let weight = factor * if kind == 3 { f64::from(weight[i / image]) } else { 1.0 };
            sum += weight * value(term, x, t);
            by_weight[i / image] += 3.0 * factor * value(term, x, t);
            let [along_x, along_t] = match term {
                // A difference across its kink would be no slope.
                Term::Absolute => [(x - t).signum(), (t - x).signum()],
                _ => [[h, 0.0], [0.0, h]]
                    .map(|[a, b]| (value(term, x + a, t + b) - value(term, x - a, t - b)) / (2.0 * h)),
            };
            by_x.push(3.0 * weight * along_x);
            by_target.push(3.0 * weight * along_t);
        }
        let op = Loss::<2> { term, factor, constant: 0.25 };
        assert_close(op.forward(&inputs).data(), &[sum], 2e-6);
        let got = op.backward(&inputs, &Array::new(vec![3.0], [1]), &[true; 3]);
        assert_eq!(got.len(), kind);
        assert_close(got[0].as_ref().unwrap().data(), &by_x, 1e-6);
        if kind > 1 {
            assert_close(got[1].as_ref().unwrap().data(), &by_target, 1e-6);
        }
        if kind > 2 {
            assert_close(got[2].as_ref().unwrap().data(), &by_weight, 1e-6);
        }
    }

    #[test]
    fn equals_the_definition_forward_and_backward() {
        for dims in [[1, 1], [3, 35], [4, 20_011]] {
            for term in [Term::Squared, Term::Absolute, Term::Logistic, Term::Divergence] {
                (1..=3).for_each(|kind| check(term, dims, kind));
            }
        }
    }

    #[test]
    fn logits_far_from_zero_have_finite_losses() {
        for (x, t, want) in [(200.0, 1.0, 0.0), (200.0, 0.0, 200.0), (-200.0, 0.0, 0.0), (-200.0, 1.0, 200.0)]
        {
            assert_eq!(Term::Logistic.value(x, t), want);
        }
    }

    #[test]
    fn equal_numbers_have_slope_zero() {
        assert_eq!(Term::Absolute.by_x(0.5, 0.5), 0.0);
    }
}
