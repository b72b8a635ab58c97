//! The step of a GAN (Goodfellow et al. 2014, algorithm 1, with the non-saturating loss of section 3).

use burn::module::Module;
use burn::tensor::Tensor;
use pinxit::nn::{add_gradients, ops, params};

use crate::{Trained, Workload, hash, number};

/// A network from tensors to tensors of as many dimensions.
pub(crate) trait Network<const D: usize>: Module {
    fn forward(&self, x: Tensor<D>) -> Tensor<D>;
}

pub(crate) struct Gan<G, D, const N: usize> {
    generator: Trained<G>,
    discriminator: Trained<D>,
    real: Tensor<N>,
    noise: Tensor<N>,
}

impl<G: Network<N>, D: Network<N>, const N: usize> Gan<G, D, N> {
    pub(crate) fn new(generator: G, discriminator: D, real: [usize; N], noise: [usize; N]) -> Self {
        Self {
            generator: Trained::new(hash::fill(generator, 1000)),
            discriminator: Trained::new(hash::fill(discriminator, 2000)),
            real: hash::tensor(real, 1, 1.0, 0.0),
            noise: hash::tensor(noise, 2, 1.0, 0.0),
        }
    }
}

impl<G: Network<N>, D: Network<N>, const N: usize> Workload for Gan<G, D, N> {
    fn step(&mut self, mut sums: Option<&mut Vec<f64>>) -> Vec<f64> {
        let d = &self.discriminator.network;
        let real = ops::bce_with_logits(d.forward(self.real.clone()), 1.0);
        let mut gradients = real.backward();
        let painted = self.generator.network.forward(self.noise.clone());
        let fake = ops::bce_with_logits(d.forward(painted.clone().detach()), 0.0);
        add_gradients(d, &mut gradients, fake.backward());
        self.discriminator.step(gradients, sums.as_deref_mut());

        // Only the generator's gradient is wanted.
        let fooled = params::frozen(&self.discriminator.network).forward(painted);
        let loss = ops::bce_with_logits(fooled, 1.0);
        self.generator.step(loss.backward(), sums);
        vec![number(&real) + number(&fake), number(&loss)]
    }
}
