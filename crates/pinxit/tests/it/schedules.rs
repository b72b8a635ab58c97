//! Oracle: oracle/schedules.py (diffusers 0.42.1, f32), and the papers' formulas.

use pinxit::diffusion::schedule::{Betas, DiscreteLevels, FLOW_SIGMA_MAX, Spacing, karras, rectified_flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    alpha_bar: AlphaBar,
    spacings: Vec<SpacingCase>,
    karras: Vec<KarrasCase>,
    flow: Vec<FlowCase>,
}

#[derive(Deserialize)]
struct AlphaBar {
    steps: Vec<usize>,
    linear: Vec<f64>,
    cosine: Vec<f64>,
}

#[derive(Deserialize)]
struct SpacingCase {
    spacing: Spacing,
    steps: usize,
    sigmas: Vec<f64>,
}

#[derive(Deserialize)]
struct KarrasCase {
    steps: usize,
    rho: f64,
    sigmas: Vec<f64>,
}

#[derive(Deserialize)]
struct FlowCase {
    steps: usize,
    shift: f64,
    times: Vec<f64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden/schedules.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_close(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= tolerance * theirs.abs(), "{ours} is not {theirs}");
    }
}

#[test]
fn alpha_bar_is_that_of_diffusers() {
    let AlphaBar { steps, linear, cosine } = golden().alpha_bar;
    for (betas, theirs) in [(Betas::Linear, linear), (Betas::Cosine, cosine)] {
        let levels = DiscreteLevels::new(betas, 1000).unwrap();
        let ours: Vec<_> = steps.iter().map(|&t| levels.alpha_bar(t)).collect();
        assert_close(&ours, &theirs, 2e-4); // theirs multiplies 1000 factors in f32
    }
}

#[test]
fn spacings_are_those_of_diffusers() {
    let levels = DiscreteLevels::new(Betas::Linear, 1000).unwrap();
    for case in golden().spacings {
        assert_close(&levels.schedule(case.spacing, case.steps).unwrap(), &case.sigmas, 1e-4);
    }
}

#[test]
fn karras_levels_are_those_of_diffusers() {
    for case in golden().karras {
        assert_close(&karras(case.steps, 0.002, 80.0, case.rho).unwrap(), &case.sigmas, 1e-5);
    }
}

#[test]
fn flow_times_are_those_of_diffusers() {
    for case in golden().flow {
        let sigmas = rectified_flow(case.steps, case.shift).unwrap();
        let times: Vec<_> = sigmas.iter().map(|sigma| sigma / (1.0 + sigma)).collect();
        assert_close(&times, &case.times, 2e-5); // ours starts at t = 1 - 1e-5
    }
}

#[test]
fn every_schedule_falls_and_ends_in_zero() {
    let levels = DiscreteLevels::new(Betas::Cosine, 1000).unwrap();
    let mut schedules = vec![karras(20, 0.002, 80.0, 7.0).unwrap(), rectified_flow(20, 3.0).unwrap()];
    for spacing in [Spacing::Leading, Spacing::Trailing, Spacing::Linspace, Spacing::Multistep] {
        schedules.extend([1, 2, 20, 999].map(|steps| levels.schedule(spacing, steps).unwrap()));
    }
    for sigmas in schedules {
        assert_eq!(sigmas.last(), Some(&0.0));
        assert!(sigmas.windows(2).all(|pair| pair[0] > pair[1]), "{} steps", sigmas.len() - 1);
        assert!(sigmas[0] <= FLOW_SIGMA_MAX);
    }
}

#[test]
fn a_level_and_its_step_are_inverse() {
    for betas in [Betas::Linear, Betas::Cosine] {
        let levels = DiscreteLevels::new(betas, 1000).unwrap();
        for t in [0.0, 0.25, 1.0, 17.5, 499.75, 998.5, 999.0] {
            assert!((levels.step_of(levels.sigma_at(t)) - t).abs() < 1e-6, "{t}");
        }
        assert_eq!(levels.step_of(1e9), 999.0);
        assert_eq!(levels.step_of(1e-9), 0.0);
    }
}

#[test]
fn what_makes_no_schedule_is_refused() {
    let levels = DiscreteLevels::new(Betas::Linear, 10).unwrap();
    assert!(DiscreteLevels::new(Betas::Linear, 1).is_err());
    assert!(levels.schedule(Spacing::Leading, 0).is_err());
    assert!(levels.schedule(Spacing::Trailing, 10).is_ok());
    assert!(levels.schedule(Spacing::Trailing, 11).is_err());
    assert!(levels.schedule(Spacing::Multistep, 10).is_err());
    assert!(karras(0, 0.002, 80.0, 7.0).is_err());
    assert!(karras(5, 80.0, 0.002, 7.0).is_err());
    assert!(karras(5, 0.002, f64::NAN, 7.0).is_err());
    assert!(rectified_flow(5, 0.0).is_err());
    assert!(rectified_flow(5, f64::NAN).is_err());
}
