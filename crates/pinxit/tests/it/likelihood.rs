//! Pixel distributions and variational bounds. Oracle: oracle/likelihood.py (PyTorch's distributions, f64).

use burn::tensor::{Device, Tensor};
use pinxit::likelihood::bound::{Posterior, free_bits, importance_weighted};
use pinxit::likelihood::levels::Levels;
use pinxit::likelihood::pixel::{Kind, PixelDistribution};

use crate::golden::{Golden, distance, values};

const TOLERANCE: f32 = 1e-4;

/// Holds nats and gradient of the case `name` to PyTorch's.
fn check(name: &str, distribution: PixelDistribution) {
    let golden = Golden::read("likelihood");
    let device = Device::flex();
    let array = |part: &str| golden.array(&format!("{name}/{part}")).values.clone();
    let parameters = golden.tensor::<4>(&format!("{name}/parameters"), &device);
    assert_eq!(parameters.dims()[1], distribution.parameters(), "{name}");
    let parameters = parameters.autodiff().require_grad();
    let x = golden.tensor::<4>(&format!("{name}/x"), &device);
    let nats = distribution.nats(parameters.clone(), x.autodiff());
    let count = nats.dims()[0];
    let weights: Vec<f32> = (0..count).map(|i| 0.5 + i as f32 / (count - 1) as f32).collect();
    let weights = Tensor::<1>::from_floats(weights.as_slice(), &device).autodiff();
    let gradients = (nats.clone() * weights).sum().backward();
    let gradient = parameters.grad(&gradients).unwrap();
    let far = distance(&values(nats.inner()), &array("nats"));
    assert!(far < TOLERANCE, "{name}: nats are off by {far}");
    let far = distance(&values(gradient), &array("gradient"));
    assert!(far < TOLERANCE, "{name}: the gradient is off by {far}");
}

fn distribution(kind: Kind, levels: usize, mixtures: usize, channels: usize) -> PixelDistribution {
    PixelDistribution { kind, levels: Levels::new(levels).unwrap(), mixtures, channels }
}

#[test]
fn nats_and_gradients_of_pixel_distributions_are_those_of_pytorch() {
    check("bernoulli", distribution(Kind::Bernoulli, 2, 0, 2));
    check("gaussian", distribution(Kind::Gaussian, 17, 0, 2));
    check("softmax_17", distribution(Kind::Softmax, 17, 0, 3));
    check("softmax_256", distribution(Kind::Softmax, 256, 0, 3));
    for (channels, mixtures, levels) in [(1, 4, 256), (3, 3, 256), (2, 2, 17), (1, 1, 256)] {
        let name = format!("logistic_{channels}_{mixtures}_{levels}");
        check(&name, distribution(Kind::Logistic, levels, mixtures, channels));
    }
}

#[test]
fn divergence_and_bounds_are_those_of_pytorch() {
    let golden = Golden::read("likelihood");
    let device = Device::flex();
    let leaf = |name: &str| golden.tensor::<2>(name, &device).autodiff().require_grad();
    let close = |found: Vec<f32>, name: &str| {
        let far = distance(&found, &golden.array(name).values);
        assert!(far < TOLERANCE, "{name} is off by {far}");
    };
    let posterior = Posterior { mean: leaf("kl/mean"), ln_var: leaf("kl/ln_var") };
    let kl = posterior.kl();
    let gradients = kl.clone().sum().backward();
    close(values(posterior.mean.grad(&gradients).unwrap()), "kl/gradient_mean");
    close(values(posterior.ln_var.grad(&gradients).unwrap()), "kl/gradient_ln_var");
    close(values(free_bits(kl.clone().inner(), 0.8)), "free_bits/rate");
    close(values(kl.inner()), "kl/kl");

    let posterior = Posterior { mean: leaf("kl/mean"), ln_var: leaf("kl/ln_var") };
    let noise = golden.tensor::<3>("iwae/noise", &device).autodiff();
    let [samples, batch, latents] = noise.dims();
    let each = posterior.repeated(samples);
    let z = each.sample(noise.reshape([samples * batch, latents]));
    let reconstruction = golden.tensor::<2>("iwae/reconstruction", &device).autodiff();
    let rate = each.ln_prior_over_posterior(z).reshape([samples, batch]);
    let nats = importance_weighted(reconstruction + rate);
    let gradients = nats.clone().sum().backward();
    close(values(posterior.mean.grad(&gradients).unwrap()), "iwae/gradient_mean");
    close(values(posterior.ln_var.grad(&gradients).unwrap()), "iwae/gradient_ln_var");
    close(values(nats.inner()), "iwae/nats");
}

/// A model that knows nothing has the bits of its levels: 8 of 256.
#[test]
fn uniform_parameters_are_a_uniform_model() {
    let device = Device::flex();
    for (levels, kind, bits) in
        [(256, Kind::Softmax, 8.0), (2, Kind::Softmax, 1.0), (2, Kind::Bernoulli, 1.0)]
    {
        let distribution = distribution(kind, levels, 0, 3);
        let x = distribution.levels.rounded(Tensor::<4>::random(
            [2, 3, 4, 5],
            burn::tensor::Distribution::Uniform(-1.0, 1.0),
            &device,
        ));
        let nats = distribution.nats(Tensor::zeros([2, distribution.parameters(), 4, 5], &device), x);
        for nats in values(nats) {
            let found = pinxit::likelihood::bits_per_dim(f64::from(nats), 60);
            assert!((found - bits).abs() < 1e-6 * bits, "{kind:?}: {found}");
        }
    }
}
