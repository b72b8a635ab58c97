//! Group normalisation: Wu and He 2018, "Group Normalization", arXiv:1803.08494, equations 1, 2 and 7; instance
//! normalisation, which is the same with one channel a group: Ulyanov et al. 2016, "Instance Normalization",
//! arXiv:1607.08022; and what U-Nets put before and after it.

use crate::activation::Activation;
use crate::glue::{self, Array, Operation};
use crate::norm::{self, Norm, Sets};
use burn::tensor::Tensor;
use std::sync::OnceLock;

/// `activation((x - mean) / sqrt(variance + eps) * gamma + beta)`.
///
/// `x [B, C, H, W]`, `gamma` and `beta` `[C]` give `[B, C, H, W]`. Mean and (biased) variance are those of the
/// `C / groups` channels of a group in one image. `gamma` and `beta` may be `[B, C]`, different in each image:
/// Dhariwal and Nichol 2021, "Diffusion Models Beat GANs", arXiv:2105.05233, equation 1. Differentiable in
/// `x`, `gamma` and `beta`.
///
/// # Panics
/// If `groups` is 0 or does not divide C, or `gamma` or `beta` have another shape.
pub fn group_norm<const G: usize>(
    x: Tensor<4>,
    gamma: Tensor<G>,
    beta: Tensor<G>,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    check(&x, &gamma, &beta, groups);
    if glue::supported(&x) && glue::supported(&gamma) && glue::supported(&beta) {
        glue::apply3(GroupNorm::<G>::new(groups, eps, activation), x, gamma, beta)
    } else {
        composite(x, gamma, beta, groups, eps, activation)
    }
}

/// [`group_norm`] of `x + shift` with a shift `[B, C]`, such as what a network was told of the time.
/// Differentiable in `shift` too.
///
/// # Panics
/// As [`group_norm`], and if `shift` has another shape.
pub fn shifted_group_norm<const G: usize>(
    x: Tensor<4>,
    shift: Tensor<2>,
    gamma: Tensor<G>,
    beta: Tensor<G>,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    check(&x, &gamma, &beta, groups);
    let [b, c, ..] = x.dims();
    assert_eq!(shift.dims(), [b, c], "shifted_group_norm: shift");
    let supported = glue::supported(&x) && glue::supported(&shift);
    if supported && glue::supported(&gamma) && glue::supported(&beta) {
        glue::apply4(GroupNorm::<G>::new(groups, eps, activation), (x, shift), (gamma, beta))
    } else {
        composite(x + shift.reshape([b, c, 1, 1]), gamma, beta, groups, eps, activation)
    }
}

/// `activation((x - mean) / sqrt(variance + eps) * gamma + beta)` with mean and (biased) variance of each channel
/// of each image of `x [B, C, H, W]`, and `gamma` and `beta` `[C]`, or 1 and 0 if there is no `line`.
///
/// # Panics
/// If `gamma` or `beta` have another shape.
pub fn instance_norm(
    x: Tensor<4>,
    line: Option<(Tensor<1>, Tensor<1>)>,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let channels = x.dims()[1];
    let flat = || (Tensor::ones([channels], &x.device()), Tensor::zeros([channels], &x.device()));
    let (gamma, beta) = line.unwrap_or_else(flat);
    group_norm(x, gamma, beta, channels, eps, activation)
}

fn check<const G: usize>(x: &Tensor<4>, gamma: &Tensor<G>, beta: &Tensor<G>, groups: usize) {
    let dims @ [_, channels, ..] = x.dims();
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "group_norm: {groups} groups of {channels} channels"
    );
    let line = &dims[..2][2 - G..];
    assert_eq!(gamma.dims()[..], *line, "group_norm: gamma");
    assert_eq!(beta.dims()[..], *line, "group_norm: beta");
}

/// The same as a composition of Burn's operations.
fn composite<const G: usize>(
    x: Tensor<4>,
    gamma: Tensor<G>,
    beta: Tensor<G>,
    groups: usize,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let dims @ [b, c, h, w] = x.dims();
    let (_, _, normal) = norm::composite(x.reshape([b * groups, c / groups * h * w]), eps);
    let images = gamma.dims().iter().product::<usize>() / c;
    let each = |line: Tensor<G>| line.reshape([images, c, 1, 1]);
    activation.composite(normal.reshape(dims) * each(gamma) + each(beta))
}

/// The operation; its inputs are x, the shift if there is one, gamma and beta.
#[derive(Clone, Debug)]
struct GroupNorm<const G: usize> {
    groups: usize,
    eps: f64,
    activation: Activation,
    /// Mean and variance of each group, found by the forward pass.
    moments: OnceLock<Vec<f32>>,
}

impl<const G: usize> GroupNorm<G> {
    fn new(groups: usize, eps: f64, activation: Activation) -> Self {
        Self { groups, eps, activation, moments: OnceLock::new() }
    }

    fn norm<'a>(&self, inputs: &'a [Array]) -> Norm<'a> {
        let [x, shift @ .., gamma, beta] = inputs else {
            unreachable!("group_norm has three inputs or four")
        };
        Norm {
            sets: Sets::of_channels(x.dims(), self.groups),
            eps: self.eps,
            activation: self.activation,
            x: x.data(),
            shift: shift.first().map(Array::data),
            gamma: gamma.data(),
            beta: beta.data(),
        }
    }
}

impl<const G: usize> Operation for GroupNorm<G> {
    fn forward(&self, inputs: &[Array]) -> Array {
        let (y, moments) = self.norm(inputs).forward();
        self.moments.get_or_init(|| moments);
        Array::new(y, inputs[0].dims::<4>())
    }

    fn backward(&self, inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        let (norm, line) = (self.norm(inputs), inputs[inputs.len() - 1].dims::<G>());
        let moments = self.moments.get_or_init(|| norm.forward().1);
        let found = norm.backward(moments, grad.data());
        let shift = found.shift.map(|shift| Array::new(shift, inputs[1].dims::<2>()));
        let (x, gamma) = (Array::new(found.x, inputs[0].dims::<4>()), Array::new(found.gamma, line));
        [Some(x), shift, Some(gamma), Some(Array::new(found.beta, line))]
            .into_iter()
            .filter(Option::is_some)
            .collect()
    }
}
