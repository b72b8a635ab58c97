//! Whether one set of numbers tends to be smaller than another: the test of Mann and Whitney.

/// Result of the test.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct RankTest {
    /// Standard score: below 0 where the first numbers are smaller.
    pub z: f64,
    /// Probability of so low a score if both were of one distribution.
    pub p_smaller: f64,
}

/// Mann and Whitney 1947, "On a test of whether one of two random variables is stochastically larger",
/// with ties sharing their ranks and the variance corrected for them; by the normal approximation,
/// which is good from about 20 numbers on either side. `None` if a side is empty or all are equal.
pub fn rank_test(first: &[f64], second: &[f64]) -> Option<RankTest> {
    let (m, n) = (first.len() as f64, second.len() as f64);
    let total = m + n;
    let mut all: Vec<(f64, bool)> = first.iter().map(|&value| (value, true)).collect();
    all.extend(second.iter().map(|&value| (value, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut before) = (0.0, 0.0, 0.0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let size = group.len() as f64;
        let of_first = group.iter().filter(|(_, is_first)| *is_first).count() as f64;
        rank_sum += of_first * (before + (size + 1.0) / 2.0);
        ties += size * size * size - size;
        before += size;
    }
    let u = rank_sum - m * (m + 1.0) / 2.0;
    let variance = m * n / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    let z = (u - m * n / 2.0) / variance.sqrt();
    z.is_finite().then(|| RankTest { z, p_smaller: 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Oracle: `scipy.stats.mannwhitneyu(a, b, use_continuity=False, alternative="less",
    /// method="asymptotic")` of SciPy 1.17.1.
    #[test]
    fn scores_are_scipys() {
        let a = [1.0, 2.0, 2.0, 3.5, 7.0, 9.0];
        let b = [2.0, 4.0, 5.0, 9.0, 9.0, 11.0, 12.0];
        let test = rank_test(&a, &b).unwrap();
        assert!((test.p_smaller - 0.0415087164802904).abs() < 1e-12, "{test:?}");
        assert!(rank_test(&b, &a).unwrap().z > 0.0);
        assert_eq!(rank_test(&[1.0], &[]), None);
        assert_eq!(rank_test(&[1.0], &[1.0]), None);
    }
}
