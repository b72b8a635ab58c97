//! The known failures of networks that play against each other, watched and named.
//!
//! Every few hundred steps the trainer looks at what the learner reported since the last look and at
//! samples of fixed seeds ([`Look`]). What stays wrong over several looks raises an alarm once, with the
//! advice that fits, and again only after it went away. Any learner can feed this: it reports the
//! measures below by name and says that it wants to be [watched](crate::model::Learner::watched).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Losses;

/// Share of real pictures that a discriminator took for real, 0 to 1.
pub(super) const RIGHT_REAL: &str = "d_right_real";
/// Share of fakes that it took for fakes.
pub(super) const RIGHT_FAKE: &str = "d_right_fake";
/// Norm of the gradient that the generator learns by.
pub(super) const GENERATOR_GRADIENT: &str = "g_grad_norm";

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Failure {
    ModeCollapse,
    DiscriminatorWins,
    VanishingGradients,
    Oscillation,
    Blur,
    Copying,
}

impl Failure {
    const ALL: [Self; 6] = [
        Self::ModeCollapse,
        Self::DiscriminatorWins,
        Self::VanishingGradients,
        Self::Oscillation,
        Self::Blur,
        Self::Copying,
    ];

    /// The name of the alarm, and what to do.
    pub(super) fn advice(self) -> (&'static str, &'static str) {
        match self {
            Self::ModeCollapse => (
                "mode collapse",
                "use a loss and a penalty that count every picture (family r3gan or wgan-gp), or more augmentation \
                 (model.augment, model.augment_strength)",
            ),
            Self::DiscriminatorWins => (
                "the discriminator wins",
                "lower its rate (model.d_lr), show it more augmentation (model.augment_strength) or noise \
                 (model.instance_noise), or bound its slope (model.d_norm = \"spectral\", model.penalty)",
            ),
            Self::VanishingGradients => (
                "vanishing gradients",
                "leave model.loss = \"minimax\" for \"non-saturating\" or \"hinge\", and lower the discriminator's \
                 rate (model.d_lr)",
            ),
            Self::Oscillation => (
                "oscillation",
                "lower both rates (train.lr, model.d_lr), take a penalty (model.penalty = \"r1\") or a longer average \
                 (train.ema)",
            ),
            Self::Blur => (
                "blur",
                "give the generator more channels (model.width) and more steps, or let the discriminator look closer \
                 (less model.instance_noise and model.augment_strength)",
            ),
            Self::Copying => (
                "copying",
                "train on more pictures, stop earlier, or take a smaller network (model.width); look at the pairs in the \
                 report",
            ),
        }
    }

    /// Looks in a row that make an alarm.
    fn patience(self) -> u32 {
        match self {
            Self::Oscillation => 3,
            _ => 2,
        }
    }

    /// Share of the run before which it is no failure yet: a generator begins with grey.
    fn grace(self) -> f64 {
        match self {
            Self::ModeCollapse => 0.2,
            Self::Blur => 0.5,
            Self::Oscillation | Self::Copying => 0.3,
            Self::DiscriminatorWins | Self::VanishingGradients => 0.0,
        }
    }
}

/// What samples of fixed seeds look like beside real pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Look {
    /// Mean distance between samples over that between real pictures; within the class where classes are asked for.
    pub(super) diversity: f64,
    /// Mean difference between neighbouring pixels over that of real pictures.
    pub(super) sharpness: f64,
    /// Share of samples nearer to a training picture than 19 in 20 of the held-out pictures are; `None` if too few
    /// were held out.
    pub(super) copies: Option<f64>,
    /// Share of samples of each kind: of each class where the data have some, else those nearest to each of a
    /// few real pictures.
    pub(super) kinds: Vec<f64>,
    /// Whether the kinds are asked for, so that they say nothing.
    pub(super) kinds_are_asked_for: bool,
}

impl Look {
    /// Its numbers by name, for the run's records.
    pub(super) fn values(&self) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::from([
            ("sample_diversity".to_string(), self.diversity),
            ("sample_sharpness".to_string(), self.sharpness),
        ]);
        values.extend(self.copies.map(|copies| ("sample_copies".to_string(), copies)));
        if !self.kinds_are_asked_for {
            let hit = self.kinds.iter().filter(|&&share| share > 0.0).count();
            values.insert("sample_kinds".into(), hit as f64 / self.kinds.len().max(1) as f64);
        }
        values
    }
}

/// What was seen so far; its state goes into checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Alarms {
    /// Sums of the learner's measures since the last look, and their number.
    sums: BTreeMap<String, (f64, u32)>,
    /// Mean gradient of the generator up to the first look.
    first_gradient: Option<f64>,
    /// Shares of the kinds at the last look.
    kinds: Vec<f64>,
    /// Looks in a row at which each failure was there.
    seen: BTreeMap<Failure, u32>,
}

impl Alarms {
    /// Takes in the measures of a step.
    pub(super) fn hear(&mut self, losses: &Losses) {
        for (name, value) in &losses.0 {
            if [RIGHT_REAL, RIGHT_FAKE, GENERATOR_GRADIENT].contains(name) {
                let (sum, count) = self.sums.entry((*name).into()).or_default();
                (*sum, *count) = (*sum + value, *count + 1);
            }
        }
    }

    /// Takes in a look at the samples when `done` (0 to 1) of the run is over, and gives the alarms that it raises, each a
    /// sentence that begins with the name and ends with advice.
    pub(super) fn look(&mut self, look: &Look, done: f64) -> Vec<String> {
        let sums = std::mem::take(&mut self.sums);
        let mean = |name: &str| sums.get(name).map(|(sum, count)| sum / f64::from((*count).max(1)));
        let mut raised = Vec::new();
        for failure in Failure::ALL {
            let found = if done < failure.grace() { None } else { self.find(failure, look, &mean) };
            let seen = self.seen.entry(failure).or_default();
            let Some(finding) = found else {
                *seen = 0;
                continue;
            };
            *seen += 1;
            if *seen == failure.patience() {
                let (name, advice) = failure.advice();
                raised.push(format!("{name}: {finding}; {advice}"));
            }
        }
        if self.first_gradient.is_none() {
            self.first_gradient = mean(GENERATOR_GRADIENT);
        }
        self.kinds.clone_from(&look.kinds);
        raised
    }

    /// What is wrong in the way of `failure`, if anything.
    fn find(&self, failure: Failure, look: &Look, mean: &impl Fn(&str) -> Option<f64>) -> Option<String> {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        match failure {
            Failure::ModeCollapse => {
                let most = if look.kinds_are_asked_for { 0.0 } else { largest(&look.kinds) };
                let usual = 1.0 / look.kinds.len().max(1) as f64;
                // Of a run that ended well (digits-sngan) it fell to 0.46 for some looks.
                if look.diversity < 0.4 {
                    return Some(format!(
                        "samples are {} as varied as real pictures",
                        percent(look.diversity)
                    ));
                }
                (most > (5.0 * usual).clamp(0.5, 0.9))
                    .then(|| format!("{} of samples are of one kind", percent(most)))
            }
            Failure::DiscriminatorWins => {
                let right = mean(RIGHT_REAL)?.min(mean(RIGHT_FAKE)?);
                (right > 0.985).then(|| format!("it was right on {} of pictures", percent(right)))
            }
            Failure::VanishingGradients => {
                let (first, now) = (self.first_gradient?, mean(GENERATOR_GRADIENT)?);
                (now < 0.01 * first)
                    .then(|| format!("the generator's gradient fell from {first:.2e} to {now:.2e}"))
            }
            Failure::Oscillation => {
                if look.kinds_are_asked_for || self.kinds.len() != look.kinds.len() {
                    return None;
                }
                let moved: f64 =
                    self.kinds.iter().zip(&look.kinds).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
                (moved > 0.35)
                    .then(|| format!("{} of samples changed their kind since the last look", percent(moved)))
            }
            Failure::Blur => (look.sharpness < 0.6)
                .then(|| format!("samples are {} as sharp as real pictures", percent(look.sharpness))),
            Failure::Copying => look.copies.filter(|&copies| copies > 0.5).map(|copies| {
                format!(
                    "{} of samples lie nearer to a training picture than 95 % of the held-out pictures do",
                    percent(copies)
                )
            }),
        }
    }
}

fn largest(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> (Look, Losses) {
        let look = Look {
            diversity: 0.95,
            sharpness: 1.05,
            copies: Some(0.06),
            kinds: vec![0.1, 0.12, 0.08, 0.1, 0.1, 0.11, 0.09, 0.1, 0.13, 0.07],
            kinds_are_asked_for: false,
        };
        (
            look,
            Losses(vec![("d_loss", 1.1), (RIGHT_REAL, 0.8), (RIGHT_FAKE, 0.85), (GENERATOR_GRADIENT, 0.4)]),
        )
    }

    /// The alarms of a run of ten looks, of which `spoil` changes what is seen.
    fn alarms(spoil: impl Fn(u32, &mut Look, &mut Losses)) -> Vec<String> {
        let mut alarms = Alarms::default();
        let mut raised = Vec::new();
        for i in 0..10 {
            let (mut look, mut losses) = healthy();
            spoil(i, &mut look, &mut losses);
            (0..50).for_each(|_| alarms.hear(&losses));
            let name = |message: String| message.split(':').next().unwrap_or_default().to_string();
            raised.extend(alarms.look(&look, f64::from(i + 1) / 10.0).into_iter().map(name));
        }
        raised
    }

    fn set(losses: &mut Losses, name: &str, value: f64) {
        losses.0.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, old)| *old = value);
    }

    #[test]
    fn a_healthy_run_raises_none() {
        assert_eq!(alarms(|_, _, _| ()), [""; 0]);
        // It begins grey and blurred, and D has an easy time for one look.
        let beginning = |i: u32, look: &mut Look, losses: &mut Losses| {
            if i == 0 {
                (look.diversity, look.sharpness) = (0.05, 0.1);
                set(losses, RIGHT_REAL, 1.0);
                set(losses, RIGHT_FAKE, 1.0);
            }
        };
        assert_eq!(alarms(beginning), [""; 0]);
    }

    #[test]
    fn each_failure_raises_its_own_alarm_once() {
        assert_eq!(alarms(|_, look, _| look.diversity = 0.3), ["mode collapse"]);
        assert_eq!(
            alarms(|i, look, _| if i > 4 {
                look.kinds = vec![0.9, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            }),
            ["mode collapse"]
        );
        let wins = |_, _: &mut Look, losses: &mut Losses| {
            set(losses, RIGHT_REAL, 1.0);
            set(losses, RIGHT_FAKE, 0.99);
        };
        assert_eq!(alarms(wins), ["the discriminator wins"]);
        let vanishes = |i: u32, _: &mut Look, losses: &mut Losses| {
            if i > 2 {
                set(losses, GENERATOR_GRADIENT, 1e-4)
            }
        };
        assert_eq!(alarms(vanishes), ["vanishing gradients"]);
        let swings = |i: u32, look: &mut Look, _: &mut Losses| look.kinds.rotate_left(i as usize % 10);
        assert_eq!(alarms(swings), [""; 0], "nearly equal shares change little");
        let jumps = |i: u32, look: &mut Look, _: &mut Losses| {
            look.kinds = vec![0.05; 10];
            look.kinds[i as usize % 10] = 0.3;
            look.kinds[(i as usize + 5) % 10] = 0.3;
        };
        assert_eq!(alarms(jumps), ["oscillation"]);
        assert_eq!(alarms(|_, look, _| look.sharpness = 0.4), ["blur"]);
        assert_eq!(alarms(|_, look, _| look.copies = Some(0.8)), ["copying"]);
    }

    #[test]
    fn an_alarm_comes_again_after_it_went_away() {
        let twice = |i: u32, look: &mut Look, _: &mut Losses| {
            if i != 5 {
                look.diversity = 0.3;
            }
        };
        assert_eq!(alarms(twice), ["mode collapse"; 2]);
    }

    #[test]
    fn kinds_that_were_asked_for_say_nothing() {
        let asked = |i: u32, look: &mut Look, _: &mut Losses| {
            look.kinds_are_asked_for = true;
            look.kinds = vec![0.0; 10];
            look.kinds[i as usize % 10] = 1.0;
        };
        assert_eq!(alarms(asked), [""; 0]);
    }

    #[test]
    fn the_state_survives_a_checkpoint() {
        let mut alarms = Alarms::default();
        let (look, losses) = healthy();
        alarms.hear(&losses);
        alarms.look(&look, 0.5);
        alarms.hear(&losses);
        let text = toml::to_string(&alarms).map_err(|e| e.to_string());
        let back = text.and_then(|text| toml::from_str::<Alarms>(&text).map_err(|e| e.to_string()));
        assert_eq!(back, Ok(alarms));
    }
}
