//! The exponential function, and what is made of it, as plain arithmetic that the compiler turns into vector
//! code.

/// Below it `e^x` would be subnormal.
const LOWEST: f32 = -87.3;
/// Above it `e^x` is soon infinite.
const HIGHEST: f32 = 88.0;

/// `e^x` to within 2 units in the last place; 0 below -87.3 (where the result would be subnormal), clamped
/// to `e^88` above 88. NaN gives NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (m, power) = parts(x);
    if x < LOWEST { 0.0 } else { (m + 1.0) * power }
}

/// `m` and `2^n` with `e^x = 2^n (1 + m)`, x clamped to between -87.3 and 88.
///
/// With n the integer nearest to x / ln 2 and r = x - n ln 2, `e^x = 2^n e^r` and |r| <= ln(2) / 2, where the
/// Taylor polynomial of degree 7 of e^r errs by less than 2^-26 (Cody and Waite 1980, chapter 6, for the
/// reduction with ln 2 in two parts).
#[inline(always)]
fn parts(x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 rounds to an integer, which then sits in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons, not min and max, so that NaN passes.
    let clamped = if x > HIGHEST { HIGHEST } else { x };
    let clamped = if clamped < LOWEST { LOWEST } else { clamped };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r, power)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent to within 3 units in the last place: `(e^2|x| - 1) / (e^2|x| + 1)` with the sign of x.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // From here on the nearest number is 1.
    const ONE: f32 = 9.1;
    let size = x.abs();
    let size = if size > ONE { ONE } else { size };
    let (m, power) = parts(2.0 * size);
    // e^2x - 1 without taking 1 from a number near it.
    let less_one = m * power + (power - 1.0);
    (less_one / (less_one + 2.0)).copysign(x)
}

/// The normal distribution: probability to be below x, and density at x.
///
/// The tail beyond |x| is `e^(-x^2 / 2) t P(t)` with `t = 1 / (1 + 0.3 |x|)` and a polynomial P fitted to it on
/// 0 to 13.3 with a relative error below 1.3e-7. The probability errs by less than 2e-7; below 0 by less than
/// `1e-6 (1 + x^2 / 10)` of itself, until it is 0 below -13.2.
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    const FRAC_1_SQRT_2PI: f32 = 0.398_942_3;
    let falling = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.3 * x.abs());
    let mut p = 0.036_036_454;
    p = p * t - 0.158_714_19;
    p = p * t + 0.208_965_51;
    p = p * t - 0.056_096_643;
    p = p * t + 0.129_843_77;
    p = p * t + 0.099_522_96;
    p = p * t + 0.120_816_91;
    p = p * t + 0.119_625_166;
    let tail = falling * t * p;
    (if x < 0.0 { tail } else { 1.0 - tail }, falling * FRAC_1_SQRT_2PI)
}

/// The plain twins in f64.
#[cfg(test)]
pub(crate) mod twin {
    /// The probability that a normal number is below x: Marsaglia 2004, "Evaluating the normal distribution",
    /// equation 3.
    pub(crate) fn normal(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..400 {
            term *= x * x / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 + sum * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(got: f32, want: f64) -> f64 {
        let unit = f64::from((want as f32).next_up()) - f64::from(want as f32);
        (f64::from(got) - want).abs() / unit
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let worst = (-8_730..8_800)
            .flat_map(|i| (0..40).map(move |j| i as f32 * 0.01 + j as f32 * 0.000_251))
            .filter(|&x| (-87.3..=88.0).contains(&x))
            .map(|x| ulps(exp(x), f64::from(x).exp()))
            .fold(0.0, f64::max);
        assert!(worst < 2.0, "{worst} units");
    }

    #[test]
    fn tanh_is_within_three_units_in_the_last_place() {
        let points = (0..2000).flat_map(|i| [i as f32 * 0.005_013, (i as f32 * -0.02).exp()]);
        let worst = points
            .map(|x| {
                assert_eq!(tanh(-x), -tanh(x));
                ulps(tanh(x), f64::from(x).tanh())
            })
            .fold(0.0, f64::max);
        assert!(worst < 3.0, "{worst} units");
        assert_eq!([0.0, 9.5, f32::INFINITY].map(tanh), [0.0, 1.0, 1.0]);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn normal_distribution_errs_by_less_than_its_bounds() {
        for x in (-4000..4000).map(|i| i as f32 * 0.001_503) {
            let (wide, (below, density)) = (f64::from(x), normal(x));
            let error = (f64::from(below) - twin::normal(wide)).abs();
            let bound = if x < 0.0 { 1e-6 * (1.0 + wide * wide / 10.0) * twin::normal(wide) } else { 2e-7 };
            assert!(error < bound.min(2e-7), "{x}: {error:.2e}, bound {bound:.2e}");
            let want = (-wide * wide / 2.0).exp() / std::f64::consts::TAU.sqrt();
            assert!((f64::from(density) / want - 1.0).abs() < 3e-6, "density at {x}");
        }
        assert_eq!(normal(f32::NEG_INFINITY), (0.0, 0.0));
        assert_eq!(normal(f32::INFINITY), (1.0, 0.0));
        assert!(normal(f32::NAN).0.is_nan());
    }

    #[test]
    fn exp_at_the_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), exp(88.0));
        assert!(exp(f32::NAN).is_nan());
        assert!(sigmoid(f32::NAN).is_nan());
        assert_eq!(sigmoid(100.0), 1.0);
        assert!(sigmoid(-100.0) < 1e-37);
    }
}
