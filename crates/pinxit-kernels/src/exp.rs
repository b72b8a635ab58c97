//! The exponential function as plain arithmetic that the compiler turns into vector code.

/// `e^x` to within 2 units in the last place; 0 below -87.3 (where the result would be subnormal), clamped
/// to `e^88` above 88. NaN gives NaN.
///
/// With n the integer nearest to x / ln 2 and r = x - n ln 2, `e^x = 2^n e^r` and |r| <= ln(2) / 2, where the
/// Taylor polynomial of degree 7 of e^r errs by less than 2^-26 (Cody and Waite 1980, chapter 6, for the
/// reduction with ln 2 in two parts).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.0;
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
    p = p * r * r + r + 1.0;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x < LOWEST { 0.0 } else { p * power }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
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
