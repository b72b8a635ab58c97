//! Penalties on the slope of a discriminator, without a second derivative.
//!
//! The penalties need the derivative, by D's weights, of |grad_x D(x)|. With v = grad_x D / |grad_x D|
//! held fixed it is the derivative of the slope of D along v, exactly, because a unit vector's change is
//! perpendicular to it; and the slope along a fixed direction is what [`Dual`] numbers carry forward. A
//! difference quotient `[D(x + e v) - D(x - e v)] / 2e` would do for a smooth D, but where D is
//! piecewise linear its gradient has a spike of height 1 / e at every kink between the two ends.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Condition, Discriminator, Dual};
use crate::nn::Mode;

/// What is asked of the slope |grad_x D|.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalty {
    /// Nothing.
    None,
    /// `weight * E (|grad D| - 1)^2` between real and fake pictures: Gulrajani et al. 2017, eq. 3.
    Gp,
    /// `weight / 2 * E |grad D|^2` at real pictures: Mescheder et al. 2018, eq. 9.
    R1,
    /// `weight / 2 * E |grad D|^2` at fake pictures: Mescheder et al. 2018, eq. 10.
    R2,
    /// Both, as Huang et al. 2024 (R3GAN) have it.
    #[serde(rename = "r1+r2")]
    R1R2,
}

/// Smallest slope that is told from none.
const TINY: f64 = 1e-12;

impl Penalty {
    /// The penalty for pictures `[B, C, H, W]` without gradients; `mix` `[B]` in `[0, 1]` says how much
    /// of each real picture is in the point between real and fake.
    pub fn of<D: Discriminator>(
        self,
        discriminator: &D,
        weight: f64,
        real: Tensor<4>,
        fake: Tensor<4>,
        mix: Tensor<1>,
        condition: &Condition<'_>,
    ) -> Option<Tensor<1>> {
        let slopes = |x: Tensor<4>| slopes(discriminator, x, condition);
        Some(match self {
            Self::None => return None,
            Self::Gp => {
                let mix = mix.reshape([-1, 1, 1, 1]);
                let between = fake.clone() + (real - fake) * mix;
                (slopes(between) - 1.0).square().mean() * weight
            }
            Self::R1 => slopes(real).square().mean() * (weight / 2.0),
            Self::R2 => slopes(fake).square().mean() * (weight / 2.0),
            Self::R1R2 => (slopes(real).square().mean() + slopes(fake).square().mean()) * (weight / 2.0),
        })
    }
}

/// |grad_x D| at each of the pictures x `[B, C, H, W]`: `[B]`, with gradients for D's weights.
pub fn slopes<D: Discriminator>(discriminator: &D, x: Tensor<4>, condition: &Condition<'_>) -> Tensor<1> {
    let direction = steepest(discriminator, x.clone(), condition);
    let total = discriminator.judge(Dual::along(x, direction), condition, &Mode::Eval).total();
    total.tangent.unwrap_or_else(|| total.value.zeros_like())
}

/// The unit vectors along grad_x D at each of the pictures, held fixed; 0 where D is flat.
fn steepest<D: Discriminator>(discriminator: &D, x: Tensor<4>, condition: &Condition<'_>) -> Tensor<4> {
    let point = x.detach().require_grad();
    let frozen = discriminator.clone().no_grad();
    let verdict = frozen.judge(point.clone().into(), condition, &Mode::Eval);
    let gradients = verdict.total().value.sum().backward();
    let Some(gradient) = point.grad(&gradients) else { return point.zeros_like() };
    let square: Tensor<4> = gradient.clone().square().sum_dim(1).sum_dim(2).sum_dim(3);
    Tensor::from_inner(gradient / (square.sqrt() + TINY))
}
