//! When a run is judged while it trains, and what that may cost.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;

use super::preflight::Prepared;
use crate::data::split::{self, Split};
use crate::data::{Dataset, View};
use crate::error::{Error, Result};
use crate::metrics::pictures::Pictures;
use crate::metrics::verdict::{Judge, Judgement, Verdict, verdict};
use crate::model::Model;
use crate::recipe::{Stop, TrainRecipe};
use crate::run::{Judged, Record};
use crate::watch::Watch;

/// Share of the training time that judgements may take.
const SHARE: f64 = 0.05;
/// Pictures of a judgement, the most first, and the fewest judgements worth having with so many.
const COUNTS: [(usize, u32); 3] = [(128, 10), (64, 10), (32, 5)];

/// The pictures that a run is judged by.
pub(super) struct Pictured {
    pub train: Arc<dyn Dataset>,
    pub validation: View,
}

impl Pictured {
    pub(super) fn new(all: Arc<dyn Dataset>, holdout: f64) -> Result<Self> {
        let train = Arc::new(split::view(all.clone(), Split::Train, holdout)?);
        Ok(Self { train, validation: split::view(all, Split::Validation, holdout)? })
    }

    pub(super) fn judge(&self, device: &Device) -> Result<Judge> {
        Judge::new(&*self.train, &self.validation, device)
    }
}

/// The judge of a run and what it has said so far.
pub(super) struct Bench {
    judge: Judge,
    every: u32,
    count: usize,
    stop: Stop,
    history: Vec<Judgement>,
}

impl Bench {
    /// The bench of a run that stands at `step` with these records; `None` if it is never judged.
    pub(super) fn new(
        prepared: &Prepared,
        records: &[Record],
        step: u32,
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(Cadence { every, count }) = prepared.preflight.verdicts else { return Ok(None) };
        let mut bench = Self {
            judge: prepared.pictured.judge(device)?,
            every,
            count,
            stop: prepared.recipe.train.stop,
            history: Vec::new(),
        };
        for record in records {
            if let Record::Judged(judged) = record {
                bench.rewind(judged.judgement.step.saturating_sub(1));
                bench.history.push(judged.judgement);
            }
        }
        bench.rewind(step);
        Ok(Some(bench))
    }

    /// Forgets what was said after `step`.
    pub(super) fn rewind(&mut self, step: u32) {
        self.history.retain(|judgement| judgement.step <= step);
    }

    pub(super) fn every(&self) -> u32 {
        self.every
    }

    /// Judges the model after `step` steps.
    pub(super) fn judge(
        &mut self,
        model: &dyn Model,
        options: &toml::Table,
        step: u32,
        seconds: f64,
    ) -> Result<Option<Judged>> {
        let pictures = Judge::paint(model, self.count, options)?;
        if pictures.is_empty() {
            return Ok(None);
        }
        self.rewind(step - 1);
        let judgement = self.judge.judge(&pictures, step, seconds)?;
        self.history.push(judgement);
        Ok(self.verdict().map(|verdict| Judged { judgement, verdict }))
    }

    pub(super) fn verdict(&self) -> Option<Verdict> {
        verdict(&self.history)
    }

    /// The verdict that ends the run, if there is one and the recipe lets it.
    pub(super) fn ends(&self) -> Option<Verdict> {
        self.verdict().filter(|verdict| self.stop == Stop::WhenDone && verdict.done)
    }
}

/// How often a run is judged, and by how many pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Cadence {
    /// Steps between two judgements.
    pub every: u32,
    /// Pictures of each.
    pub count: usize,
}

/// Settles how often to judge and by how many pictures, so that it takes at most [`SHARE`] of the
/// time; `None` for never.
///
/// What was measured is written into the recipe only if the verdict may end the run: otherwise it
/// changes nothing that a run learns, and equal recipes stay equal.
///
/// # Errors
/// [`Error::Config`] if the recipe wants judgements where there are no checkpoints.
pub(super) fn settle(
    train: &mut TrainRecipe,
    seconds_per_step: Option<f64>,
    costs: Option<Costs>,
) -> Result<Option<Cadence>> {
    let (steps, checkpoint_every) = (train.steps.unwrap_or(0), train.checkpoint_every.unwrap_or(1));
    if let Some(every) = train.judge_every {
        if !every.is_multiple_of(checkpoint_every) {
            return Err(Error::config(format!(
                "train.judge_every = {every}: must be a multiple of train.checkpoint_every ({checkpoint_every}), so \
                 that the best step can be kept"
            )));
        }
        return Ok((every > 0).then(|| Cadence { every, count: train.judge_count.unwrap_or(COUNTS[1].0) }));
    }
    let counts = COUNTS.iter().filter(|(count, _)| train.judge_count.is_none_or(|wanted| wanted == *count));
    let fitting = seconds_per_step.zip(costs).and_then(|(seconds, costs)| {
        // The judge is made twice: to be measured, and to judge.
        let budget = SHARE * seconds * f64::from(steps) - 2.0 * costs.once;
        counts.copied().find_map(|(count, fewest)| {
            let most = (budget / (costs.picture * count as f64)) as u32;
            (most >= fewest).then_some((count, most))
        })
    });
    // Who wants a run to end by its verdict gets one, whatever it takes.
    let fewest = COUNTS[COUNTS.len() - 1];
    let wanted = (train.stop == Stop::WhenDone && costs.is_some()).then_some((fewest.0, fewest.1 * 2));
    let Some((count, most)) = fitting.or(wanted) else { return Ok(None) };
    let every = checkpoint_every * steps.div_ceil(checkpoint_every).div_ceil(most);
    if train.stop == Stop::WhenDone {
        (train.judge_every, train.judge_count) = (Some(every), Some(count));
    }
    Ok(Some(Cadence { every, count }))
}

/// Seconds that judging takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    /// Before the first judgement.
    pub once: f64,
    /// For each picture of a judgement.
    pub picture: f64,
}

/// Measures what judging takes; `None` if the model paints nothing from seeds.
pub(super) fn probe(prepared: &Prepared, device: &Device, watch: &mut dyn Watch) -> Result<Option<Costs>> {
    /// Real pictures that stand in for painted ones.
    const STAND_INS: usize = 16;
    let learner = prepared.blank(device)?;
    let train = &prepared.pictured.train;
    if learner.model().generate().is_none() || train.len() < STAND_INS {
        return Ok(None);
    }
    watch.progress("measuring the verdict", 0, 1);
    let begin = Instant::now();
    let judge = prepared.pictured.judge(device)?;
    let once = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    Judge::paint(learner.model(), 1, &prepared.recipe.sample)?;
    let painting = begin.elapsed().as_secs_f64();
    let pictures: Vec<_> = (0..STAND_INS).map(|index| train.picture(index)).collect::<Result<_>>()?;
    let begin = Instant::now();
    judge.judge(&pictures, 0, 0.0)?;
    let judging = begin.elapsed().as_secs_f64() / STAND_INS as f64;
    watch.progress("measuring the verdict", 1, 1);
    Ok(Some(Costs { once, picture: painting + judging }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settled(steps: u32, seconds: f64, picture: f64) -> Option<(u32, usize)> {
        let mut train =
            TrainRecipe { steps: Some(steps), checkpoint_every: Some(steps / 20), ..TrainRecipe::default() };
        let before = train.clone();
        let cadence = settle(&mut train, Some(seconds), Some(Costs { once: 1.0, picture })).unwrap();
        assert_eq!(train, before, "what was measured stays out of the recipe");
        cadence.map(|Cadence { every, count }| (every, count))
    }

    /// Analytic: 1000 steps of 1 s leave 50 s, of which 2 are gone.
    #[test]
    fn judgements_keep_within_their_share() {
        assert_eq!(settled(1000, 1.0, 0.001), Some((50, 128)));
        assert_eq!(settled(1000, 1.0, 0.03), Some((100, 128))); // 12 of 3.84 s
        assert_eq!(settled(1000, 1.0, 0.07), Some((100, 64))); // 10 of 4.48 s
        assert_eq!(settled(1000, 1.0, 0.2), Some((150, 32))); // 7 of 6.4 s
        assert_eq!(settled(1000, 1.0, 5.0), None);
        assert_eq!(settled(1000, 0.01, 0.001), None, "a short run has no time for it");
    }

    #[test]
    fn judgements_come_with_checkpoints_and_a_run_that_they_may_end_has_them() {
        let train = |judge_every, stop| TrainRecipe {
            steps: Some(100),
            checkpoint_every: Some(10),
            judge_every,
            stop,
            ..TrainRecipe::default()
        };
        let settled =
            |train: &mut TrainRecipe| settle(train, Some(1e-3), Some(Costs { once: 1.0, picture: 1.0 }));
        assert_eq!(
            settled(&mut train(Some(20), Stop::Never)).unwrap(),
            Some(Cadence { every: 20, count: 64 })
        );
        assert_eq!(settled(&mut train(Some(0), Stop::Never)).unwrap(), None);
        let refused = settled(&mut train(Some(25), Stop::Never)).unwrap_err().to_string();
        assert!(refused.contains("checkpoint_every"), "{refused}");
        let mut ending = train(None, Stop::WhenDone);
        assert_eq!(settled(&mut ending).unwrap(), Some(Cadence { every: 10, count: 32 }));
        assert_eq!((ending.judge_every, ending.judge_count), (Some(10), Some(32)));
    }
}
