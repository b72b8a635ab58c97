//! Gaussians: over 8-bit values, as densities, and how far they are from one another.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::tensor::Tensor;

/// Half the distance of two of the 256 values in `[-1, 1]`.
const HALF_BIN: f64 = 1.0 / 255.0;

/// `-ln` of the probability that a Gaussian gives to the bin of the 8-bit value `x` in `[-1, 1]`
/// (Ho et al. 2020, eq. 13); the bins of -1 and 1 reach to infinity.
pub fn discretized_nats(x: f32, mean: f32, std: f64) -> f64 {
    let (x, distance) = (f64::from(x), f64::from(x) - f64::from(mean));
    let low = if x < -0.999 { f64::NEG_INFINITY } else { (distance - HALF_BIN) / std };
    let high = if x > 0.999 { f64::INFINITY } else { (distance + HALF_BIN) / std };
    -ln_mass(low, high)
}

/// `ln` of the density of each of `x` under `N(mean, exp(ln_var))`.
pub fn ln_density<const D: usize>(x: Tensor<D>, mean: Tensor<D>, ln_var: Tensor<D>) -> Tensor<D> {
    let square = (x - mean).square() * ln_var.clone().neg().exp();
    (square + ln_var).add_scalar((2.0 * PI).ln()).mul_scalar(-0.5)
}

/// `KL(N(mean, exp(ln_var)) || N(0, 1))` of each value (Kingma and Welling 2013, appendix B).
pub fn kl_to_standard<const D: usize>(mean: Tensor<D>, ln_var: Tensor<D>) -> Tensor<D> {
    (mean.square() + ln_var.clone().exp() - ln_var).sub_scalar(1.0).mul_scalar(0.5)
}

/// `ln(Phi(high) - Phi(low))` of the standard normal, also far out in its tails.
fn ln_mass(low: f64, high: f64) -> f64 {
    let (low, high) = if low > 0.0 { (-high, -low) } else { (low, high) }; // the tail where Phi is exact
    let mass = phi(high) - phi(low);
    if mass > 1e-290 {
        return mass.ln();
    }
    // Where even the tail underflows, the mass lies next to the inner end: Phi(-z) ~ pdf(z) / z.
    -0.5 * high * high - (-high * (2.0 * PI).sqrt()).ln()
}

/// The distribution function of the standard normal.
fn phi(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: SciPy 1.17, `norm.logcdf(b) + log1p(-exp(norm.logcdf(a) - norm.logcdf(b)))`.
    #[test]
    fn the_mass_is_that_of_scipy_also_in_the_tails() {
        for (low, high, expected) in [
            (-1.0, 1.0, -0.3817151463021261),
            (0.5, 0.75, -2.502131920409985),
            (6.0, 7.0, -20.738067003282474),
            (-30.5, -30.0, -454.32124422188514),
            (35.0, 36.0, -616.9751012619225),
            (40.0, f64::INFINITY, -804.6084420137539),
            (-50.0, -45.0, -1017.2260942419525),
        ] {
            let found = ln_mass(low, high);
            assert!((found - expected).abs() < 1e-6 * expected.abs(), "{low} {high}: {found}");
        }
    }

    #[test]
    fn the_256_bins_share_the_whole_mass() {
        for (mean, std) in [(0.0, 0.3), (0.9, 0.01), (-1.0, 0.002), (3.0, 0.5)] {
            let value = |k: i32| (f64::from(k) / 127.5 - 1.0) as f32;
            let total: f64 = (0..256).map(|k| (-discretized_nats(value(k), mean, std)).exp()).sum();
            assert!((total - 1.0).abs() < 1e-4, "{mean} {std}: {total}");
        }
    }
}
