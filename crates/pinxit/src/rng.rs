//! Counter-based random numbers keyed by (seed, purpose, step, index).
//!
//! Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the n-th
//! number of a stream is a pure function of the key and n, so nothing has to be saved in a
//! checkpoint, and neither batch size nor thread count can change what image i receives.
//! Logarithm and cosine come from the `libm` crate, so that every machine draws the same normals.

use burn::tensor::{Device, Tensor, TensorData};

/// What a random number is for. Two purposes never share a stream.
///
/// The discriminants are part of the reproducibility of runs: never renumber, only append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial weights; index = number of the parameter.
    Init = 0,
    /// Order of the pictures in an epoch; step = epoch.
    Shuffle = 1,
    /// Augmentation; step, index = place in the batch.
    Augment = 2,
    /// Noise added to training images; step, index = place in the batch.
    TrainNoise = 3,
    /// Noise level of a training image; step, index = place in the batch.
    TrainLevel = 4,
    /// Dropping of the label for classifier-free guidance; step, index = place in the batch.
    LabelDrop = 5,
    /// Dropout masks; step, index = number of the dropout layer and place in the batch.
    Dropout = 6,
    /// The first noise of a sample; the seed is the image's own.
    SampleStart = 7,
    /// Noise that a sampler adds on its way; the seed is the image's own, step = sampler step.
    SampleStep = 8,
    /// Procedural pictures; index = number of the picture.
    Picture = 9,
    /// Choice of a class where none is asked for; the seed is the image's own.
    SampleClass = 10,
    /// Estimates over noise levels (variational bound); step = level, index = picture.
    Estimate = 11,
    /// Latent vectors of a generator in training; step, index = player and place in the batch.
    TrainLatent = 12,
    /// Augmentation of what a discriminator sees; step, index = player and place in the batch.
    DiffAugment = 13,
    /// Noise on what a discriminator sees; step, index = player and place in the batch.
    InstanceNoise = 14,
    /// Points between, and cuts of, real and fake pictures; step, index = place in the batch.
    Mix = 15,
    /// Grey levels made real numbers or black and white; step, index = place in the batch.
    Dequantise = 16,
    /// Where codes begin again; step.
    Codebook = 17,
    /// Which part of a training picture is seen; step, index = place in the batch.
    Crop = 18,
    /// Order of the pictures that go in, where they belong to none that come out; step = epoch.
    ShuffleInputs = 19,
    /// Which part of the same is seen; step, index = place in the batch.
    CropInputs = 20,
    /// Augmentation of the same; step, index = place in the batch.
    AugmentInputs = 21,
    /// What a made pair hides; the seed is the picture's content.
    MadePair = 22,
    /// Exchange of pictures with the pool of fakes; step, index = domain and place in the batch.
    Pool = 23,
    /// The seed of a tile of a picture; index = number of the tile.
    Tile = 24,
    /// Degradation of the pictures that go into super-resolution; step, index = place in the batch.
    Degrade = 25,
}

/// A tensor `[B, ...]` of which picture i is filled from stream i.
pub fn tensor<const D: usize>(
    streams: impl ExactSizeIterator<Item = Rng>,
    dims: [usize; D],
    device: &Device,
    fill: impl Fn(&mut Rng, &mut [f32]),
) -> Tensor<D> {
    let picture = dims.iter().skip(1).product::<usize>().max(1);
    let mut values = vec![0.0; dims.iter().product()];
    for (mut stream, out) in streams.zip(values.chunks_mut(picture)) {
        fill(&mut stream, out);
    }
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// A stream of random numbers. Cheap to make: make one where it is needed.
#[derive(Debug, Clone)]
pub struct Rng {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
    spare: Option<f32>,
}

impl Rng {
    /// The stream of `(seed, purpose, step, index)`.
    pub fn new(seed: u64, purpose: Purpose, step: u32, index: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, purpose as u32, step, index],
            block: [0; 4],
            used: 4,
            spare: None,
        }
    }

    /// 32 uniform bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (u64::from(self.bits()), u64::from(self.bits()));
        ((high << 21) ^ (low >> 11)) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in `0..n` without bias (Lemire 2019); 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let threshold = n.wrapping_neg().checked_rem(n).unwrap_or(0);
        loop {
            let product = u64::from(self.bits()) * u64::from(n);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Standard normal (Box and Muller 1958), |value| < 6.7.
    pub fn normal(&mut self) -> f32 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let scale = 1.0 / 4_294_967_296.0_f32;
        let u = (self.bits() as f32 + 0.5).min(4_294_967_040.0) * scale; // (0, 1)
        let angle = self.bits() as f32 * scale * std::f32::consts::TAU;
        let radius = (-2.0 * libm::logf(u)).sqrt();
        self.spare = Some(radius * libm::sinf(angle));
        radius * libm::cosf(angle)
    }

    /// Fills `out` with standard normals.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        out.fill_with(|| self.normal());
    }

    /// A uniformly random order of `0..n` (Fisher and Yates).
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, self.below(i + 1) as usize);
        }
        order
    }
}

/// The Philox4x32 bijection with 10 rounds (Salmon et al. 2011, section 3.3).
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIER: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let p0 = MULTIPLIER[0] * u64::from(counter[0]);
        let p1 = MULTIPLIER[1] * u64::from(counter[2]);
        counter = [
            (p1 >> 32) as u32 ^ counter[1] ^ key[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ counter[3] ^ key[1],
            p0 as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: the known-answer vectors of Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let mut rng = Rng::new(1, Purpose::TrainNoise, 2, 3);
        let n = 200_000;
        let mut sums = [0.0f64; 4];
        for _ in 0..n {
            let x = f64::from(rng.normal());
            for (power, sum) in sums.iter_mut().enumerate() {
                *sum += x.powi(power as i32 + 1);
            }
        }
        let [m1, m2, m3, m4] = sums.map(|s| s / f64::from(n));
        assert!(m1.abs() < 0.01 && (m2 - 1.0).abs() < 0.02, "{m1} {m2}");
        assert!(m3.abs() < 0.04 && (m4 - 3.0).abs() < 0.1, "{m3} {m4}");
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut rng = Rng::new(9, Purpose::Shuffle, 0, 0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_600..10_400).contains(&c)), "{counts:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Rng::new(3, Purpose::Shuffle, 1, 0).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &x)| i as u32 == x));
    }

    #[test]
    fn streams_differ_by_every_part_of_the_key() {
        let first = |seed, purpose, step, index| Rng::new(seed, purpose, step, index).bits();
        let base = first(1, Purpose::Init, 1, 1);
        assert_ne!(base, first(2, Purpose::Init, 1, 1));
        assert_ne!(base, first(1, Purpose::Shuffle, 1, 1));
        assert_ne!(base, first(1, Purpose::Init, 2, 1));
        assert_ne!(base, first(1, Purpose::Init, 1, 2));
        assert_ne!(base, first(1 + (1 << 32), Purpose::Init, 1, 1));
    }
}
