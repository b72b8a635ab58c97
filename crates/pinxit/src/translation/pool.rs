//! Fakes of earlier steps, so that a discriminator does not forget what it has seen through.

use burn::tensor::{Tensor, TensorData};

use crate::checkpoint::{Array, Snapshot};
use crate::error::{Error, Result};
use crate::nn::rows;
use crate::rng::Rng;

/// The last fakes (Shrivastava et al. 2017, section 2.3; Zhu et al. 2017, section 4: 50 of them).
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    size: usize,
    pictures: Vec<Vec<f32>>,
}

impl Pool {
    /// An empty pool for `size` pictures; 0 hands on what it is given.
    pub fn new(size: usize) -> Self {
        Self { size, pictures: Vec::new() }
    }

    /// For each fake `[B, C, H, W]` the one that is shown: until the pool is full itself, then half of the time
    /// itself and half of the time one from the pool, whose place it takes. Stream i decides on fake i.
    ///
    /// # Errors
    /// If the fakes can't be read from their device.
    pub fn exchange(&mut self, fakes: Tensor<4>, streams: impl Iterator<Item = Rng>) -> Result<Tensor<4>> {
        if self.size == 0 {
            return Ok(fakes);
        }
        let (dims, device) = (fakes.dims(), fakes.device());
        let mut shown = Vec::with_capacity(dims.iter().product());
        for (fake, mut stream) in rows(fakes.flatten(1, 3))?.into_iter().zip(streams) {
            if self.pictures.len() < self.size {
                shown.extend_from_slice(&fake);
                self.pictures.push(fake);
            } else if stream.chance(0.5) {
                let place = stream.below(self.size as u32) as usize;
                shown.extend(std::mem::replace(&mut self.pictures[place], fake));
            } else {
                shown.extend(fake);
            }
        }
        Ok(Tensor::from_data(TensorData::new(shown, dims), &device))
    }

    /// Writes the pictures.
    pub fn save(&self, name: &str, to: &mut Snapshot) {
        let width = self.pictures.first().map_or(0, Vec::len);
        let array = Array { shape: vec![self.pictures.len(), width], values: self.pictures.concat() };
        to.tensors.insert(name.into(), array);
    }

    /// The pool that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If it is missing, or holds more than this one can.
    pub fn loaded(&self, name: &str, from: &Snapshot) -> Result<Self> {
        match from.tensors.get(name) {
            Some(Array { shape, values }) if shape.len() == 2 && shape[0] <= self.size => {
                let pictures = values.chunks_exact(shape[1].max(1)).map(<[f32]>::to_vec).collect();
                Ok(Self { pictures, ..*self })
            }
            _ => Err(Error::config(format!("{name} is missing or holds more than {} pictures", self.size))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::rng::Purpose;

    /// Analytic case: what goes in is in the pool or comes out, and half of what comes out is old.
    #[test]
    fn nothing_is_lost_and_half_is_old() {
        let mut pool = Pool::new(50);
        let mut seen = Vec::new();
        for step in 0..1000u32 {
            let fake = Tensor::<4>::full([1, 1, 1, 2], step, &Device::flex());
            let streams = std::iter::once(Rng::new(3, Purpose::Pool, step, 0));
            let shown = pool.exchange(fake, streams).unwrap().into_data().try_into_vec::<f32>().unwrap();
            assert_eq!(shown[0], shown[1]);
            seen.push(shown[0]);
        }
        assert!(seen.iter().take(50).enumerate().all(|(i, &value)| value == i as f32));
        let old = seen.iter().enumerate().skip(50).filter(|&(i, &value)| value != i as f32).count();
        assert!((425..525).contains(&old), "{old} of 950");
        let mut all: Vec<f32> = pool.pictures.iter().map(|picture| picture[0]).chain(seen).collect();
        all.sort_by(f32::total_cmp);
        all.dedup();
        assert_eq!(all.len(), 1000);

        let mut snapshot = Snapshot::default();
        pool.save("pool", &mut snapshot);
        assert_eq!(Pool::new(50).loaded("pool", &snapshot).unwrap(), pool);
        assert!(Pool::new(49).loaded("pool", &snapshot).is_err());
    }
}
