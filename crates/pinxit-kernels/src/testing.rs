//! What the tests of the kernels share.

/// `count` numbers in [-1, 1), the same for the same `seed`.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let next = || {
        // A linear congruential generator (Knuth's MMIX); its upper bits are random enough for tests.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Fails unless every number is within `tolerance` of the wanted one, relative to the largest wanted.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "numbers");
    let scale = want.iter().fold(1e-30_f64, |scale, x| scale.max(x.abs()));
    for (i, (&x, &y)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(x) - y).abs() / scale;
        assert!(error <= tolerance, "number {i}: {x} instead of {y} (error {error:.2e} of the largest)");
    }
}
