//! Discretised mixtures of logistics (Salimans et al. 2017, "PixelCNN++", section 2.1).
//!
//! A pixel of C channels has M mixtures with a logistic for every channel each. Within a mixture the
//! mean of channel i is moved by what channels j < i have become, `mean_i + sum_j c_ij x_j` (section
//! 2.2), so the network itself need not look at single channels.
//!
//! Parameters of a pixel, in this order: M logits; C M means; C M logarithms of scales; M for each
//! c_ij (10, 20, 21), before the tanh. That is 3 M for grey and 10 M for RGB, as in the paper.

use burn::tensor::{Tensor, activation};

use super::levels::Levels;
use super::{categorical, ln_sum_exp};
use crate::rng::Rng;

/// Logarithms of scales are cut here from below, as in the paper's code.
const LEAST_LN_SCALE: f64 = -7.0;

/// Number of parameters of a pixel.
pub fn parameters(mixtures: usize, channels: usize) -> usize {
    mixtures * (1 + 2 * channels + channels * channels.saturating_sub(1) / 2)
}

/// `ln` of the probability of each of the levels `x` under a logistic, exact also in the tails:
/// `F(b) - F(a) = F(b) F(-a) (1 - e^-(b - a))` for the distribution function `F(z) = 1 / (1 + e^-z)`,
/// where the paper's code falls back to the density. The bins of -1 and 1 reach to infinity.
pub fn ln_mass<const D: usize>(
    x: Tensor<D>,
    mean: Tensor<D>,
    ln_scale: Tensor<D>,
    levels: Levels,
) -> Tensor<D> {
    let half = levels.half_bin();
    let per_scale = ln_scale.clamp_min(LEAST_LN_SCALE).neg().exp();
    let distance = x.clone() - mean;
    let above = distance.clone().add_scalar(half) * per_scale.clone(); // b
    let below = distance.sub_scalar(half) * per_scale.clone(); // a
    let not_first = x.clone().greater_elem(-1.0 + half).float();
    let not_last = x.lower_elem(1.0 - half).float();
    let width = ln_one_minus_exp(per_scale.mul_scalar(2.0 * half));
    activation::log_sigmoid(above) * not_last.clone()
        + activation::log_sigmoid(below.neg()) * not_first.clone()
        + width * not_first * not_last
}

/// `ln(1 - e^-d)` for d > 0, by its series where the difference would cancel.
fn ln_one_minus_exp<const D: usize>(d: Tensor<D>) -> Tensor<D> {
    const SMALL: f64 = 0.1; // the next term of the series is then 3e-8
    let series = d.clone().log() - d.clone().mul_scalar(0.5) + d.clone().square().div_scalar(24.0);
    let plain = d.clone().clamp_min(SMALL).neg().exp().neg().log1p();
    plain.mask_where(d.lower_elem(SMALL), series)
}

/// The parameters of a mixture.
struct Mixture {
    /// `[B, M, H, W]`.
    logits: Tensor<4>,
    /// Each channel's mean, `[B, M, H, W]`.
    means: Vec<Tensor<4>>,
    /// Each channel's logarithm of its scale, `[B, M, H, W]`.
    ln_scales: Vec<Tensor<4>>,
    /// c_10, c_20, c_21, ..., `[B, M, H, W]` each.
    couplings: Vec<Tensor<4>>,
}

impl Mixture {
    /// Takes `[B, P, H, W]` apart.
    fn new(parameters: Tensor<4>, mixtures: usize, channels: usize) -> Self {
        let mut parts = parameters.split(mixtures, 1).into_iter();
        let mut take = |count: usize| -> Vec<Tensor<4>> { parts.by_ref().take(count).collect() };
        let mut logits = take(1);
        let (means, ln_scales) = (take(channels), take(channels));
        let couplings = take(channels * channels.saturating_sub(1) / 2);
        let couplings = couplings.into_iter().map(Tensor::tanh).collect();
        Self { logits: logits.remove(0), means, ln_scales, couplings }
    }

    /// The mean of `channel` given the channels before it in x `[B, C, H, W]`.
    fn mean(&self, channel: usize, x: &Tensor<4>) -> Tensor<4> {
        let first = channel * channel.saturating_sub(1) / 2;
        let before = self.couplings.iter().skip(first).take(channel).enumerate();
        before.fold(self.means[channel].clone(), |mean, (j, coupling)| {
            mean + coupling.clone() * x.clone().narrow(1, j, 1)
        })
    }
}

/// `-ln p(x)` of each picture: parameters `[B, P, H, W]`, x `[B, C, H, W]` of values of `levels` -> `[B]`.
pub fn nats(parameters: Tensor<4>, x: Tensor<4>, mixtures: usize, levels: Levels) -> Tensor<1> {
    let channels = x.dims()[1];
    let mixture = Mixture::new(parameters, mixtures, channels);
    let mut ln_joint = activation::log_softmax(mixture.logits.clone(), 1); // [B, M, H, W]
    for channel in 0..channels {
        let value = x.clone().narrow(1, channel, 1).repeat_dim(1, mixtures);
        let ln_scale = mixture.ln_scales[channel].clone();
        ln_joint = ln_joint + ln_mass(value, mixture.mean(channel, &x), ln_scale, levels);
    }
    ln_sum_exp(ln_joint, 1).sum_dims_squeeze::<1, _>(&[1, 2, 3]).neg()
}

/// The mean of each value, its channels before it being their means: `[B, P, H, W]` -> `[B, C, H, W]`,
/// cut to `[-1, 1]`.
pub fn mean(parameters: Tensor<4>, mixtures: usize, channels: usize) -> Tensor<4> {
    let mixture = Mixture::new(parameters, mixtures, channels);
    let weights = activation::softmax(mixture.logits.clone(), 1);
    let mut x = mixture.logits.zeros_like().narrow(1, 0, 1).repeat_dim(1, channels);
    let mut done: Vec<Tensor<4>> = Vec::with_capacity(channels);
    for channel in 0..channels {
        let mean = (weights.clone() * mixture.mean(channel, &x)).sum_dim(1).clamp(-1.0, 1.0);
        done.push(mean);
        let rest = channels - done.len();
        let mut parts = done.clone();
        if rest > 0 {
            parts.push(x.narrow(1, done.len(), rest));
        }
        x = Tensor::cat(parts, 1);
    }
    x
}

/// Draws a pixel from its parameters `[P]` into `out` `[C]`: a mixture, then every channel from its
/// logistic, rounded to the nearest level, which is the discretised distribution. The temperature
/// divides the logits and multiplies the scales.
pub fn draw(
    parameters: &[f32],
    mixtures: usize,
    levels: Levels,
    temperature: f64,
    rng: &mut Rng,
    out: &mut [f32],
) {
    let chosen = categorical::draw(&parameters[..mixtures], temperature, rng);
    let channels = out.len();
    let part = |number: usize| f64::from(parameters[(1 + number) * mixtures + chosen]);
    for channel in 0..channels {
        let first = 2 * channels + channel * channel.saturating_sub(1) / 2;
        let moved: f64 = (0..channel).map(|j| part(first + j).tanh() * f64::from(out[j])).sum();
        let scale = libm::exp(part(channels + channel).max(LEAST_LN_SCALE)) * temperature;
        let u = rng.uniform().clamp(1e-12, 1.0 - 1e-12);
        let value = part(channel) + moved + scale * (libm::log(u) - libm::log1p(-u));
        out[channel] = levels.value(levels.nearest(value.clamp(-1.0, 1.0) as f32));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::likelihood::values;
    use crate::rng::Purpose;

    fn pixel(values: &[f32]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, values.len(), 1, 1]), &Device::flex())
    }

    #[test]
    fn the_bins_share_the_whole_mass() {
        for n in [2, 17, 256] {
            let levels = Levels::new(n).unwrap();
            for (mean, ln_scale) in
                [(0.0, -1.0), (0.93, -4.0), (-1.2, -6.5), (3.0, 0.5), (0.1, 4.0), (0.0, -9.0)]
            {
                let x: Vec<f32> = (0..n).map(|k| levels.value(k)).collect();
                let x = Tensor::<1>::from_floats(x.as_slice(), &Device::flex());
                let full = |value: f64| x.clone().zeros_like().add_scalar(value);
                let masses = values(ln_mass(x.clone(), full(mean), full(ln_scale), levels).exp()).unwrap();
                let total: f64 = masses.iter().map(|&mass| f64::from(mass)).sum();
                assert!((total - 1.0).abs() < 1e-5, "{n} levels, {mean} {ln_scale}: {total}");
            }
        }
    }

    #[test]
    fn a_mixture_over_two_channels_sums_to_one() {
        let levels = Levels::new(5).unwrap();
        let parameters: Vec<f32> = (0..parameters(2, 2)).map(|i| (i as f32 * 1.7).sin()).collect();
        let total: f64 = (0..25)
            .map(|k| {
                let x = [levels.value(k / 5), levels.value(k % 5)];
                let nats = values(nats(pixel(&parameters), pixel(&x), 2, levels)).unwrap()[0];
                f64::from(-nats).exp()
            })
            .sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
    }

    #[test]
    fn pixels_are_drawn_as_often_as_they_are_probable() {
        let levels = Levels::new(3).unwrap();
        let parameters: Vec<f32> = (0..parameters(2, 2)).map(|i| (i as f32 * 2.3).cos()).collect();
        let mut counts = [0.0; 9];
        let mut rng = Rng::new(4, Purpose::SampleStep, 0, 0);
        for _ in 0..20_000 {
            let mut out = [0.0; 2];
            draw(&parameters, 2, levels, 1.0, &mut rng, &mut out);
            counts[levels.nearest(out[0]) * 3 + levels.nearest(out[1])] += 1.0 / 20_000.0;
        }
        for (k, count) in counts.iter().enumerate() {
            let x = [levels.value(k / 3), levels.value(k % 3)];
            let expected = (-values(nats(pixel(&parameters), pixel(&x), 2, levels)).unwrap()[0]).exp();
            assert!((count - f64::from(expected)).abs() < 0.015, "{k}: {count} is not {expected}");
        }
    }
}
