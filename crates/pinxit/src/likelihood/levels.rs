//! The grey levels of pictures, and how a density over real numbers becomes a probability of levels.

use burn::tensor::{Int, Tensor};

use crate::error::{Error, Result};

/// The evenly spaced values in `[-1, 1]` that a channel of a picture can have: 256 of 8-bit pictures,
/// 2 of binary ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels(u16);

impl Levels {
    /// All values of 8-bit pictures.
    pub const EIGHT_BITS: Self = Self(256);

    /// `count` levels.
    ///
    /// # Errors
    /// [`Error::Config`] unless `count` is 2 to 256.
    pub fn new(count: usize) -> Result<Self> {
        match u16::try_from(count) {
            Ok(count @ 2..=256) => Ok(Self(count)),
            _ => Err(Error::config(format!("model.levels is {count}; a picture has 2 to 256 grey levels"))),
        }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.0.into()
    }

    /// Half the distance of two neighbours.
    pub fn half_bin(self) -> f64 {
        1.0 / f64::from(self.0 - 1)
    }

    /// The value of level `index`, in `[-1, 1]`.
    pub fn value(self, index: usize) -> f32 {
        let last = f32::from(self.0 - 1);
        (2.0 * index as f32 - last) / last
    }

    /// The level nearest to `value`.
    pub fn nearest(self, value: f32) -> usize {
        let place = (f64::from(value) + 1.0) / (2.0 * self.half_bin());
        place.round().clamp(0.0, f64::from(self.0 - 1)) as usize
    }

    /// Which level is nearest to each value, as whole numbers.
    pub fn places<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        let last = f64::from(self.0 - 1);
        values.add_scalar(1.0).mul_scalar(0.5 * last).round().clamp(0.0, last)
    }

    /// The same as indices.
    pub fn indices<const D: usize>(self, values: Tensor<D>) -> Tensor<D, Int> {
        self.places(values).int()
    }

    /// The nearest level of each value, in `[-1, 1]`.
    pub fn rounded<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        let last = f64::from(self.0 - 1);
        self.places(values).mul_scalar(2.0).sub_scalar(last).div_scalar(last)
    }

    /// Uniform dequantisation (Uria et al. 2013; Theis et al. 2016, section 3.1): level k of n becomes
    /// `(k + u) / n`, scaled from `[0, 1)` to `[-1, 1)`, for `uniforms` u in `[0, 1)`.
    pub fn dequantised<const D: usize>(self, values: Tensor<D>, uniforms: Tensor<D>) -> Tensor<D> {
        let n = f64::from(self.0);
        (self.places(values) + uniforms).mul_scalar(2.0 / n).sub_scalar(1.0)
    }

    /// What to add to `-ln` of a density of [`dequantised`](Self::dequantised) values on `[-1, 1]` to
    /// bound the nats of a level: `ln(n / 2)`, the 7 bits of 256 levels.
    pub fn nats_of_density(self) -> f64 {
        (0.5 * f64::from(self.0)).ln()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::likelihood::{bits_per_dim, values};

    #[test]
    fn levels_are_told_from_their_values() {
        for n in [2, 17, 256] {
            let levels = Levels::new(n).unwrap();
            let all: Vec<f32> = (0..n).map(|k| levels.value(k)).collect();
            assert_eq!((all[0], all[n - 1]), (-1.0, 1.0));
            assert!((0..n).all(|k| levels.nearest(all[k]) == k));
            let tensor = Tensor::<1>::from_floats(all.as_slice(), &Device::flex());
            assert_eq!(values(levels.rounded(tensor.clone())).unwrap(), all);
            assert_eq!(values(levels.places(tensor)).unwrap(), (0..n).map(|k| k as f32).collect::<Vec<_>>());
        }
        assert!(Levels::new(1).is_err() && Levels::new(257).is_err());
    }

    /// Oracle: the ink of `builtin:digits`, 0 to 16, is stored as the nearest of 256 levels.
    #[test]
    fn seventeen_levels_survive_eight_bits() {
        let levels = Levels::new(17).unwrap();
        for ink in 0..=16u16 {
            let stored = (ink * 255 + 8) / 16;
            assert_eq!(levels.nearest(f32::from(stored) / 127.5 - 1.0), usize::from(ink));
        }
    }

    /// A uniform density on `[-1, 1]` is a uniform model: exactly 8 bits, of 256 levels.
    #[test]
    fn a_uniform_density_has_eight_bits() {
        let nats = Levels::EIGHT_BITS.nats_of_density() - 0.5f64.ln();
        assert_eq!(bits_per_dim(nats, 1), 8.0);
        assert_eq!(Levels::EIGHT_BITS.nats_of_density() / 2f64.ln(), 7.0);
    }

    #[test]
    fn dequantised_levels_tile_the_range() {
        let levels = Levels::new(4).unwrap();
        let x = Tensor::<1>::from_floats([-1.0, -1.0, 1.0, 1.0], &Device::flex());
        let u = Tensor::<1>::from_floats([0.0, 1.0, 0.0, 1.0], &Device::flex());
        assert_eq!(values(levels.dequantised(x, u)).unwrap(), [-1.0, -0.5, 0.5, 1.0]);
    }
}
