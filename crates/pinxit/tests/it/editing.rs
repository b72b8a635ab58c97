//! Diffusion models on pictures that are there, held to Gaussian data, where everything is known.

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::data::ImageShape;
use pinxit::diffusion::edit::{Keeping, invert, repaint};
use pinxit::diffusion::noise::SeededNoise;
use pinxit::diffusion::precond::Preconditioning;
use pinxit::diffusion::samplers::Sampling;
use pinxit::diffusion::sampling::SampleKnobs;
use pinxit::diffusion::{Condition, Denoiser};
use pinxit::watch::Unwatched;

use crate::golden::values;

/// The exact denoiser of pictures of two pixels with mean 0, variance 1 and this correlation: along the eigenvectors
/// (1, 1) and (1, -1) of the covariance, whose eigenvalues are 1 + rho and 1 - rho.
struct Pair {
    correlation: f64,
}

impl Denoiser for Pair {
    fn denoise(&self, x: Tensor<4>, sigma: f64, _: &Condition) -> Tensor<4> {
        let (first, second) = (x.clone().narrow(3, 0, 1), x.narrow(3, 1, 1));
        let along = |value: Tensor<4>, variance: f64| value * (0.5 * variance / (variance + sigma * sigma));
        let sum = along(first.clone() + second.clone(), 1.0 + self.correlation);
        let difference = along(first - second, 1.0 - self.correlation);
        Tensor::cat(vec![sum.clone() + difference.clone(), sum - difference], 3)
    }
}

const RHO: f64 = 0.9;
const KNOWN: f32 = 1.5;

/// Mean and variance of the hidden pixel beside a known one.
fn hidden_pixel(resample: usize) -> (f64, f64) {
    let device = Device::flex();
    let count = 2000;
    let knobs = SampleKnobs {
        steps: Some(40),
        sampler: Some("heun".into()),
        resample: Some(resample),
        jump: Some(4),
        ..SampleKnobs::default()
    };
    let plan = knobs.plan(&Preconditioning::Edm { sigma_data: 1.0 }).unwrap();
    let seeds: Vec<u64> = (0..count).collect();
    let shape = ImageShape { channels: 1, height: 1, width: 2 };
    let noise = SeededNoise { seeds: &seeds, shape, device: &device };
    let pixel = |value: f32| Tensor::<4>::full([count as usize, 1, 1, 1], value, &device);
    let keeping = Keeping {
        denoiser: &Pair { correlation: RHO },
        known: Tensor::cat(vec![pixel(KNOWN), pixel(0.0)], 3),
        hidden: Tensor::cat(vec![pixel(0.0), pixel(1.0)], 3).greater_elem(0.5),
    };
    let sampling = Sampling {
        denoiser: &keeping,
        condition: &Condition::default(),
        sigmas: &plan.sigmas,
        noise: &noise,
        settings: plan.settings,
    };
    let begin = noise.start() * plan.sigmas[0];
    let edit = knobs.edit(40).unwrap();
    let made = values(repaint(&sampling, &plan, &edit, begin, &mut Unwatched).unwrap());
    assert!(made.iter().step_by(2).all(|value| (value - KNOWN).abs() < 1e-3), "the known pixel stays");
    let hidden: Vec<f64> = made.iter().skip(1).step_by(2).map(|&value| value.into()).collect();
    let mean = hidden.iter().sum::<f64>() / hidden.len() as f64;
    (mean, hidden.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / hidden.len() as f64)
}

/// Analytic case: given one of two Gaussian pixels, the other has mean rho x and variance 1 - rho^2. Going over each
/// stretch again is what comes near that (RePaint); once alone ends half-way. The figures are those of the same
/// algorithm in NumPy: 0.68 and 0.53 for once, 1.24 and 0.23 for ten times, of 1.35 and 0.19.
#[test]
fn what_is_painted_fits_what_is_known() {
    let (mean, variance) = hidden_pixel(10);
    assert!((mean - RHO * f64::from(KNOWN)).abs() < 0.15, "{mean}");
    assert!((variance - (1.0 - RHO * RHO)).abs() < 0.06, "{variance}");
    let (mean, variance) = hidden_pixel(1);
    assert!((mean - 0.675).abs() < 0.06 && (variance - 0.535).abs() < 0.06, "{mean} {variance}");
}

/// Analytic case: the way of a Gaussian pixel of variance s^2 up to sigma is x sqrt(1 + sigma^2 / s^2), and down again
/// it comes back. Euler's steps, so half of them make twice the error.
#[test]
fn an_inverted_picture_comes_back() {
    let device = Device::flex();
    let x0 = Tensor::<4>::from_data(TensorData::new(vec![0.8f32, -0.3], [1, 1, 1, 2]), &device);
    let errors = [200, 400].map(|steps| {
        let knobs =
            SampleKnobs { steps: Some(steps), sampler: Some("euler".into()), ..SampleKnobs::default() };
        let plan = knobs.plan(&Preconditioning::Edm { sigma_data: 1.0 }).unwrap();
        let begin = plan.sigmas.iter().position(|&sigma| sigma < 5.0).unwrap();
        let sigmas = &plan.sigmas[begin..];
        // Uncorrelated, so each pixel by itself.
        let denoiser = Pair { correlation: 0.0 };
        let condition = Condition::default();
        let up = invert(&denoiser, x0.clone(), sigmas, &condition);
        let grown = (1.0 + sigmas[0] * sigmas[0]).sqrt() as f32;
        for (found, start) in values(up.clone()).into_iter().zip(values(x0.clone())) {
            assert!((found / (start * grown) - 1.0).abs() < 0.1, "{found} {}", start * grown);
        }
        let seeds = [0];
        let noise = SeededNoise {
            seeds: &seeds,
            shape: ImageShape { channels: 1, height: 1, width: 2 },
            device: &device,
        };
        let sampling = Sampling {
            denoiser: &denoiser,
            condition: &condition,
            sigmas,
            noise: &noise,
            settings: plan.settings,
        };
        let back = values((plan.sampler.run)(&sampling, up, &mut Unwatched).unwrap());
        back.iter().zip(values(x0.clone())).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    });
    assert!(errors[0] < 0.1 && errors[1] < 0.65 * errors[0], "{errors:?}");
}

#[test]
fn repainting_without_a_mask_is_refused() {
    let knobs = |options: &str| toml::from_str::<SampleKnobs>(options).unwrap();
    for name in ["resample", "jump"] {
        let error = knobs(&format!("{name} = 2")).refuse_repainting().unwrap_err().to_string();
        assert!(error.contains(&format!("sample.{name}")) && error.contains("--mask"), "{error}");
        knobs(&format!("{name} = 2")).refuse_edits().unwrap_err();
    }
    knobs("strength = 0.5").refuse_repainting().unwrap();
    knobs("strength = 0.5").refuse_edits().unwrap_err();
}
