//! A codebook: vectors for which the nearest one stands in.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use super::{Buffer, Init, ops, params};
use crate::error::Result;
use crate::rng::{Purpose, Rng};

/// Codes that are the moving averages of the vectors that they stand for (van den Oord et al. 2017,
/// "Neural Discrete Representation Learning", appendix A.1); a code that is hardly used any more begins
/// again at a vector of the batch (Dhariwal et al. 2020, "Jukebox", section 3.1).
#[derive(Module, Debug)]
pub struct Codebook {
    /// The vectors `[K, D]`.
    pub codes: Buffer<2>,
    /// How many vectors of a batch each code stands for, on average, `[K]`.
    counts: Buffer<1>,
    /// Their sum, on average, `[K, D]`.
    sums: Buffer<2>,
    decay: f64,
}

/// A code is given up below this share of an even use.
const DEAD: f32 = 0.03;

impl Codebook {
    /// `count` codes of `dim` values; `decay` of the averages, 0 to below 1.
    pub fn new(count: usize, dim: usize, decay: f64, init: &mut Init) -> Self {
        let codes = init.normal([count, dim]).val().inner();
        Self {
            codes: Buffer::new(codes.clone()),
            counts: Buffer::new(Tensor::zeros([count], &codes.device())),
            sums: Buffer::new(codes.zeros_like()),
            decay,
        }
    }

    /// The nearest code of each of x `[N, D]` (without autodiff), `[N]`.
    pub fn nearest(&self, x: Tensor<2>) -> Tensor<1, Int> {
        let codes = self.codes.value();
        // |x - e|^2 = |x|^2 - 2 x e + |e|^2, of which the first is the same for every code.
        let squares = codes.clone().square().sum_dim(1).swap_dims(0, 1); // [1, K]
        let products = ops::linear(x, codes, None); // [N, K]
        (squares - products.mul_scalar(2.0)).argmin(1).squeeze_dim(1)
    }

    /// The vectors `[N, D]` of codes `[N]`.
    pub fn look_up(&self, indices: Tensor<1, Int>) -> Tensor<2> {
        self.codes.value().select(0, indices)
    }

    /// Moves the codes on by a batch of x `[N, D]` (without autodiff) with their nearest codes `[N]`. What a
    /// dead code begins again at is drawn for `seed` and `step`.
    ///
    /// Sums run over the vectors in their order, so the result depends on nothing else.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    pub fn learn(&self, x: Tensor<2>, nearest: &[u32], seed: u64, step: u32) -> Result<()> {
        let ([batch, dim], codes) = (x.dims(), self.codes.value());
        let count = codes.dims()[0];
        let vectors = params::values(x.flatten::<1>(0, 1))?;
        let mut counts = params::values(self.counts.value())?;
        let mut sums = params::values(self.sums.value().flatten::<1>(0, 1))?;
        let mut values = params::values(codes.clone().flatten::<1>(0, 1))?;
        let decay = if step == 0 { 0.0 } else { self.decay as f32 };
        counts.iter_mut().for_each(|count| *count *= decay);
        sums.iter_mut().for_each(|sum| *sum *= decay);
        for (vector, &code) in vectors.chunks(dim).zip(nearest) {
            let code = code as usize;
            counts[code] += 1.0 - decay;
            for (sum, value) in sums[code * dim..(code + 1) * dim].iter_mut().zip(vector) {
                *sum += (1.0 - decay) * value;
            }
        }
        let least = DEAD * batch as f32 / count as f32;
        let mut rng = Rng::new(seed, Purpose::Codebook, step, 0);
        for (code, share) in counts.iter_mut().enumerate() {
            let place = code * dim..(code + 1) * dim;
            if *share < least {
                let chosen = rng.below(batch as u32) as usize;
                // As if it had stood for its share of vectors like this one.
                *share = batch as f32 / count as f32;
                let vector = &vectors[chosen * dim..(chosen + 1) * dim];
                for (sum, value) in sums[place.clone()].iter_mut().zip(vector) {
                    *sum = *share * value;
                }
            }
            for (value, sum) in values[place.clone()].iter_mut().zip(&sums[place]) {
                *value = sum / *share;
            }
        }
        let device = codes.device();
        self.codes.set(Tensor::from_data(TensorData::new(values, [count, dim]), &device));
        self.counts.set(Tensor::from_data(TensorData::new(counts, [count]), &device));
        self.sums.set(Tensor::from_data(TensorData::new(sums, [count, dim]), &device));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn vectors(values: &[f32]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / 2, 2]), &Device::flex())
    }

    fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// Oracle: k-means, of which this is the running form: two clumps, their means.
    #[test]
    fn codes_settle_at_the_means_of_what_they_stand_for_and_none_is_left_over() {
        let codebook = Codebook::new(2, 2, 0.5, &mut Init::new(0, &Device::flex()));
        codebook.codes.set(vectors(&[9.0, 9.0, 50.0, 50.0])); // the second one is nobody's nearest
        let x = vectors(&[0.0, 1.0, 2.0, 1.0, 10.0, 10.0, 12.0, 10.0]);
        for step in 0..60 {
            let nearest: Vec<u32> = codebook.nearest(x.clone()).into_data().iter::<u32>().collect();
            codebook.learn(x.clone(), &nearest, 1, step).unwrap();
        }
        let mut codes: Vec<Vec<f32>> = read(codebook.codes.value()).chunks(2).map(<[f32]>::to_vec).collect();
        codes.sort_by(|a, b| a[0].total_cmp(&b[0]));
        for (code, expected) in codes.iter().zip([[1.0, 1.0], [11.0, 10.0]]) {
            assert!(
                (code[0] - expected[0]).abs() < 1e-3 && (code[1] - expected[1]).abs() < 1e-3,
                "{codes:?}"
            );
        }
        let found = codebook.look_up(codebook.nearest(x));
        assert_eq!(read(found).len(), 8);
    }
}
