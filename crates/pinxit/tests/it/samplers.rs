//! Oracle: oracle/samplers.py (diffusers 0.42.1 and EDM's algorithms in NumPy).

use std::cell::RefCell;
use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::diffusion::noise::NoiseSource;
use pinxit::diffusion::precond::{Network, Preconditioned, Preconditioning, Prediction};
use pinxit::diffusion::samplers::{Churn, SAMPLERS, Sampling, Settings, find};
use pinxit::diffusion::sampling::SampleKnobs;
use pinxit::diffusion::schedule::{Betas, DiscreteLevels, Spacing, karras, rectified_flow};
use pinxit::diffusion::{Clamped, Condition, Denoiser};
use pinxit::watch::{Unwatched, Watch};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    shape: [usize; 4],
    start: Vec<f32>,
    noise: Vec<Vec<f32>>,
    #[serde(flatten)]
    trajectories: HashMap<String, Vec<Vec<f64>>>,
}

impl Golden {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden/samplers.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn tensor(&self, values: &[f32]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), self.shape), &Device::flex())
    }

    fn steps(&self) -> usize {
        self.noise.len()
    }
}

/// The oracle's noise instead of a seed's.
impl NoiseSource for Golden {
    fn step(&self, number: u32) -> Tensor<4> {
        self.tensor(&self.noise[number as usize])
    }
}

/// The oracle's linear network.
pub(crate) struct Linear;

impl Network for Linear {
    fn predict(&self, x: Tensor<4>, noise: Tensor<1>, _: &[u32]) -> Tensor<4> {
        let mirrored = x.clone().flip([3]);
        x.mul_scalar(0.8) + mirrored.mul_scalar(0.15) + noise.mul_scalar(0.0001).reshape([-1, 1, 1, 1])
    }
}

/// Writes down every x and sigma that a sampler asks about.
struct Recorded<'a> {
    denoiser: &'a dyn Denoiser,
    asked: RefCell<Vec<(Tensor<4>, f64)>>,
}

impl Denoiser for Recorded<'_> {
    fn denoise(&self, x: Tensor<4>, sigma: f64, condition: &Condition) -> Tensor<4> {
        self.asked.borrow_mut().push((x.clone(), sigma));
        self.denoiser.denoise(x, sigma, condition)
    }
}

/// How the oracle scales its states at a noise level.
type Scale = fn(f64) -> f64;
const VARIANCE_PRESERVING: Scale = |sigma| 1.0 / sigma.hypot(1.0);
const FLOW: Scale = |sigma| 1.0 / (1.0 + sigma);
const VARIANCE_EXPLODING: Scale = |_| 1.0;

struct Case<'a> {
    golden: &'a str,
    sampler: &'a str,
    preconditioning: Preconditioning,
    sigmas: Vec<f64>,
    /// The oracle's first state is this times its first noise.
    start: f64,
    scale: Scale,
    settings: Settings,
    clamp: bool,
}

/// Compares all states that were asked about (of a sampler with one evaluation a step) or those
/// at the schedule's levels (the corrected states of Heun), and the final picture.
fn check(case: &Case) {
    let golden = Golden::read();
    let network = Preconditioned { network: &Linear, preconditioning: &case.preconditioning };
    let clamped = Clamped(&network);
    let denoiser: &dyn Denoiser = if case.clamp { &clamped } else { &network };
    let recorded = Recorded { denoiser, asked: RefCell::default() };
    let condition = Condition::default();
    let sampling = Sampling {
        denoiser: &recorded,
        condition: &condition,
        sigmas: &case.sigmas,
        noise: &golden,
        settings: case.settings,
    };
    let start = golden.tensor(&golden.start).mul_scalar(case.start / (case.scale)(case.sigmas[0]));
    let last = (find(case.sampler).unwrap().run)(&sampling, start, &mut Unwatched).unwrap();

    let asked = recorded.asked.into_inner();
    let theirs = &golden.trajectories[case.golden];
    assert_eq!(theirs.len(), golden.steps() + 1);
    let evaluations = if case.sampler.starts_with("heun") { 2 } else { 1 };
    let ours = asked.into_iter().step_by(evaluations).chain([(last, 0.0)]);
    let added = case.settings.churn.amount > 0.0 && case.sampler == "heun-churn";
    for (number, ((x, sigma), theirs)) in ours.zip(theirs).enumerate() {
        if added && number < golden.steps() {
            continue; // asked about the state after noise was added, which the oracle doesn't list
        }
        let ours: Vec<f32> = x.mul_scalar((case.scale)(sigma)).into_data().try_into_vec().unwrap();
        let size = theirs.iter().fold(0.0f64, |size, v| size.max(v.abs()));
        for (&ours, &theirs) in ours.iter().zip(theirs) {
            let error = (f64::from(ours) - theirs).abs() / size;
            assert!(error <= 1e-4, "{}, state {number}: {ours} is not {theirs}", case.golden);
        }
    }
}

fn ddpm_levels(betas: Betas) -> DiscreteLevels {
    DiscreteLevels::new(betas, 1000).unwrap()
}

fn variance_preserving<'a>(golden: &'a str, sampler: &'a str, spacing: Spacing) -> Case<'a> {
    let levels = ddpm_levels(Betas::Linear);
    Case {
        golden,
        sampler,
        sigmas: levels.schedule(spacing, 8).unwrap(),
        preconditioning: Preconditioning::VariancePreserving { levels, prediction: Prediction::Epsilon },
        start: 1.0,
        scale: VARIANCE_PRESERVING,
        settings: Settings::default(),
        clamp: false,
    }
}

#[test]
fn ddpm_walks_as_diffusers() {
    check(&variance_preserving("ddpm", "ddpm", Spacing::Leading));
    check(&Case { clamp: true, ..variance_preserving("ddpm_clamped", "ddpm", Spacing::Leading) });
}

#[test]
fn ddim_walks_as_diffusers() {
    check(&variance_preserving("ddim_0", "ddim", Spacing::Leading));
    let settings = Settings { eta: 0.5, ..Settings::default() };
    check(&Case { settings, ..variance_preserving("ddim_half", "ddim", Spacing::Leading) });
}

#[test]
fn ddim_walks_as_diffusers_for_other_predictions() {
    let levels = ddpm_levels(Betas::Linear);
    let preconditioning = Preconditioning::VariancePreserving { levels, prediction: Prediction::V };
    check(&Case { preconditioning, ..variance_preserving("ddim_v", "ddim", Spacing::Trailing) });
    let levels = ddpm_levels(Betas::Cosine);
    check(&Case {
        sigmas: levels.schedule(Spacing::Leading, 8).unwrap(),
        preconditioning: Preconditioning::VariancePreserving { levels, prediction: Prediction::X0 },
        ..variance_preserving("ddim_x0", "ddim", Spacing::Leading)
    });
}

#[test]
fn euler_walks_as_diffusers() {
    let case = variance_preserving("euler", "euler", Spacing::Linspace);
    check(&Case { start: case.sigmas[0], scale: VARIANCE_EXPLODING, ..case });
}

#[test]
fn dpm_solver_walks_as_diffusers() {
    check(&variance_preserving("dpmpp_2m", "dpmpp-2m", Spacing::Multistep));
}

#[test]
fn a_flow_walks_as_diffusers() {
    for (golden, shift) in [("flow_1", 1.0), ("flow_3", 3.0)] {
        check(&Case {
            golden,
            sampler: "euler",
            preconditioning: Preconditioning::Flow,
            sigmas: rectified_flow(8, shift).unwrap(),
            start: 1.0,
            scale: FLOW,
            settings: Settings::default(),
            clamp: false,
        });
    }
}

#[test]
fn heun_walks_as_edm() {
    for (golden, sampler, amount) in [("edm_heun", "heun", 0.0), ("edm_churn", "heun-churn", 4.0)] {
        check(&Case {
            golden,
            sampler,
            preconditioning: Preconditioning::Edm { sigma_data: 0.5 },
            sigmas: karras(8, 0.002, 80.0, 7.0).unwrap(),
            start: 80.0,
            scale: VARIANCE_EXPLODING,
            settings: Settings {
                churn: Churn { amount, above: 0.05, below: 50.0, noise: 1.003 },
                ..Settings::default()
            },
            clamp: false,
        });
    }
}

#[test]
fn a_sampler_stops_when_asked_and_tells_its_progress() {
    struct Stop(Vec<(u64, u64)>);
    impl Watch for Stop {
        fn progress(&mut self, _: &str, done: u64, total: u64) {
            self.0.push((done, total));
        }
        fn stopped(&self) -> bool {
            self.0.len() == 3
        }
    }
    let golden = Golden::read();
    let network = Preconditioned { network: &Linear, preconditioning: &Preconditioning::Flow };
    let condition = Condition::default();
    for sampler in SAMPLERS {
        let sigmas = karras(8, 0.002, 80.0, 7.0).unwrap();
        let settings = Settings::default();
        let sampling =
            Sampling { denoiser: &network, condition: &condition, sigmas: &sigmas, noise: &golden, settings };
        let mut watch = Stop(Vec::new());
        let stopped = (sampler.run)(&sampling, golden.tensor(&golden.start), &mut watch);
        assert!(matches!(stopped, Err(pinxit::Error::Interrupted)), "{}", sampler.name);
        assert_eq!(watch.0, [(1, 8), (2, 8), (3, 8)]);
    }
}

#[test]
fn an_unknown_sampler_is_refused_with_the_known_names() {
    let message = find("heunn").err().unwrap().to_string();
    assert!(message.contains("heunn") && message.contains("dpmpp-2m"), "{message}");
}

#[test]
fn the_help_names_every_sampler() {
    let knob = SampleKnobs::KNOBS.iter().find(|knob| knob.name == "sampler").unwrap();
    for sampler in SAMPLERS {
        assert!(knob.about.contains(&format!("`{}`", sampler.name)), "{}", sampler.name);
    }
}
