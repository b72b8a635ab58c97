//! NumPy's `RandomState`, so that scores which draw subsets draw the ones of the published code.

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998) as `numpy.random.RandomState` seeds and
/// reads it.
///
/// Only for equality with published metric code: everything else draws from [`crate::rng`].
#[derive(Debug, Clone)]
pub struct RandomState {
    words: Vec<u32>,
    next: usize,
}

/// Words of state, `n` in the paper.
const N: usize = 624;
/// Distance of the word that is mixed in, `m` in the paper.
const M: usize = 397;

impl RandomState {
    /// `RandomState(seed)`: `init_genrand` of the 2002 reference code.
    pub fn new(seed: u32) -> Self {
        let mut words = vec![seed];
        for i in 1..N as u32 {
            let last = words.last().copied().unwrap_or(0);
            words.push((last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i));
        }
        Self { words, next: N }
    }

    /// 32 uniform bits.
    fn bits(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut word = self.words[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9D2C_5680;
        word ^= (word << 15) & 0xEFC6_0000;
        word ^ (word >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let joined = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % N] & 0x7FFF_FFFF);
            let odd = if joined & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.words[i] = self.words[(i + M) % N] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// Uniform in `0..=max`: the bits below the highest of `max`, drawn until they fit.
    fn at_most(&mut self, max: u32) -> u32 {
        let mask = u32::MAX.checked_shr(max.leading_zeros()).unwrap_or(0);
        loop {
            let value = self.bits() & mask;
            if value <= max {
                return value;
            }
        }
    }

    /// `permutation(n)`: a random order of `0..n`.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, self.at_most(i) as usize);
        }
        order
    }

    /// `choice(n, k, replace=False)`: `k` different ones of `0..n`, all of them if there are fewer.
    pub fn choice(&mut self, n: u32, k: usize) -> Vec<u32> {
        let mut order = self.permutation(n);
        order.truncate(k);
        order
    }

    /// Uniform in `[0, 1)`, 53 bits.
    fn uniform(&mut self) -> f64 {
        let (high, low) = (self.bits() >> 5, self.bits() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// `randn(n)`: standard normals by the polar method (Marsaglia and Bray 1964), of each pair the
    /// second first. `n` should be even: NumPy would keep the odd one for its next call.
    pub fn normals(&mut self, n: usize) -> Vec<f64> {
        let mut values = Vec::with_capacity(n + 1);
        while values.len() < n {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let r2 = x * x + y * y;
            if r2 < 1.0 && r2 != 0.0 {
                let f = (-2.0 * libm::log(r2) / r2).sqrt();
                values.extend([f * y, f * x]);
            }
        }
        values.truncate(n);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: NumPy 2.4.6.
    #[test]
    fn draws_are_numpys() {
        assert_eq!(RandomState::new(2020).permutation(10), [2, 4, 9, 1, 5, 7, 6, 3, 8, 0]);
        let mut state = RandomState::new(7);
        state.permutation(1000); // past the first twist
        assert_eq!(state.choice(5000, 4), [1342, 1646, 398, 2413]);
        let normals = RandomState::new(42).normals(4);
        let expected = [
            0.496_714_153_011_232_7,
            -0.138_264_301_171_184_66,
            0.647_688_538_100_692_5,
            1.523_029_856_408_025_4,
        ];
        for (normal, expected) in normals.iter().zip(expected) {
            assert!((normal - expected).abs() < 1e-15, "{normals:?}");
        }
        assert!(RandomState::new(1).permutation(0).is_empty());
    }
}
