//! The learning rate over a run.

use crate::recipe::{Decay, TrainRecipe};

/// Factor on the learning rate at `step` of `steps`: rises in equal parts over the warm-up, then
/// falls as the recipe says and would reach 0 at `steps`. In (0, 1].
pub(super) fn rate(recipe: &TrainRecipe, step: u32, steps: u32) -> f64 {
    let warm = (f64::from(step) + 1.0) / f64::from(recipe.warmup.max(1));
    let rest = f64::from(steps.saturating_sub(recipe.warmup).max(1));
    let done = (f64::from(step.saturating_sub(recipe.warmup)) / rest).min(1.0);
    let fall = match recipe.decay {
        Decay::Constant => 1.0,
        Decay::Linear => 1.0 - done,
        Decay::Late => (2.0 - 2.0 * done).min(1.0),
        Decay::Cosine => (1.0 + (std::f64::consts::PI * done).cos()) / 2.0,
    };
    warm.min(1.0) * fall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_and_falls() {
        let recipe = |decay| TrainRecipe { warmup: 10, decay, ..TrainRecipe::default() };
        for decay in [Decay::Constant, Decay::Linear, Decay::Cosine, Decay::Late] {
            assert!((rate(&recipe(decay), 0, 110) - 0.1).abs() < 1e-12);
            assert!((rate(&recipe(decay), 9, 110) - 1.0).abs() < 1e-12);
            assert!((rate(&recipe(decay), 10, 110) - 1.0).abs() < 1e-12);
        }
        assert!((rate(&recipe(Decay::Constant), 109, 110) - 1.0).abs() < 1e-12);
        assert!((rate(&recipe(Decay::Linear), 60, 110) - 0.5).abs() < 1e-12);
        for (step, expected) in [(35, 1.0), (60, 1.0), (85, 0.5)] {
            assert!((rate(&recipe(Decay::Late), step, 110) - expected).abs() < 1e-12);
        }
        assert!((rate(&recipe(Decay::Cosine), 60, 110) - 0.5).abs() < 1e-12);
        assert!((rate(&recipe(Decay::Cosine), 35, 110) - 0.853_553_390_593).abs() < 1e-9);
        assert!(rate(&recipe(Decay::Cosine), 109, 110) > 0.0);
    }

    #[test]
    fn a_run_shorter_than_its_warm_up_still_learns() {
        let recipe = TrainRecipe { warmup: 100, ..TrainRecipe::default() };
        assert!((0..20).all(|step| rate(&recipe, step, 20) > 0.0));
    }
}
