//! Whether training is still sound: the judge of each step's losses.

use super::alarms::Alarms;
use crate::model::Losses;

/// How many times its running mean a loss may be before the step counts as bad.
const LIMIT: f64 = 20.0;
/// How many bad steps in a row are a divergence.
const PATIENCE: u32 = 5;
/// Steps before the mean is trusted.
const SETTLE: u32 = 50;

/// Remembers what losses were like; its state goes into checkpoints.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Health {
    mean: f64,
    seen: u32,
    bad: u32,
    /// The watch over a learner that asks for it.
    #[serde(default)]
    pub(super) alarms: Alarms,
}

impl Health {
    /// Takes in the losses of a step; only if `descends` is the size of the main one judged.
    ///
    /// # Errors
    /// A sentence that says what broke: a value that is no finite number, or a main loss far
    /// beyond its running mean for several steps in a row.
    pub(super) fn judge(&mut self, losses: &Losses, descends: bool) -> Result<(), String> {
        if let Some((name, value)) = losses.0.iter().find(|(_, value)| !value.is_finite()) {
            return Err(format!("{name} became {value}"));
        }
        if !descends {
            return Ok(());
        }
        let size = losses.main().abs();
        if self.seen >= SETTLE && size > LIMIT * self.mean {
            self.bad += 1;
            if self.bad >= PATIENCE {
                return Err(format!(
                    "the loss rose from about {:.3} to {size:.3} and stayed there",
                    self.mean
                ));
            }
            return Ok(()); // an outlier must not move the mean it is judged by
        }
        self.bad = 0;
        self.seen = self.seen.saturating_add(1);
        let weight = 1.0 / f64::from(self.seen.min(SETTLE));
        self.mean += weight * (size - self.mean);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn losses(value: f64) -> Losses {
        Losses(vec![("loss", value), ("grad_norm", 1.0)])
    }

    #[test]
    fn a_value_that_is_not_finite_is_a_divergence_at_once() {
        let mut health = Health::default();
        health.judge(&losses(1.0), true).unwrap();
        assert!(health.judge(&losses(f64::NAN), true).unwrap_err().contains("loss became NaN"));
        let norm = Losses(vec![("loss", 1.0), ("grad_norm", f64::INFINITY)]);
        assert!(health.judge(&norm, false).unwrap_err().contains("grad_norm became inf"));
    }

    #[test]
    fn one_outlier_is_forgiven_and_a_plateau_of_them_is_not() {
        let mut health = Health::default();
        for i in 0..100 {
            health.judge(&losses(1.0 + 0.5 * f64::from(i % 3)), true).unwrap();
        }
        health.judge(&losses(1e6), true).unwrap();
        health.judge(&losses(1.0), true).unwrap();
        for _ in 0..4 {
            health.judge(&losses(100.0), true).unwrap();
        }
        assert!(health.judge(&losses(100.0), true).unwrap_err().contains("rose from about 1"));
    }

    #[test]
    fn losses_of_a_game_may_rise() {
        let mut health = Health::default();
        (0..60).for_each(|_| health.judge(&losses(1.0), false).unwrap());
        (0..60).for_each(|_| health.judge(&losses(1e6), false).unwrap());
        assert!(health.judge(&losses(f64::NAN), false).is_err());
    }

    #[test]
    fn the_wild_first_steps_are_not_judged() {
        let mut health = Health::default();
        for i in 0..40 {
            health.judge(&losses(f64::from(1 << (i % 10))), true).unwrap();
        }
    }
}
