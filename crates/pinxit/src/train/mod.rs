//! The training loop: it knows learners, never a family.
//!
//! The run is a pure function of its resolved recipe and its pictures: every random number is keyed
//! by seed and step, so a run that was killed and resumed equals one that never stopped, to the bit
//! on the CPU. What a learner can't know lives here: the learning rate over time, checkpoints,
//! sample sheets, records, and the rescue of a run whose loss broke.

mod alarms;
mod health;
mod judging;
mod meter;
mod observer;
mod preflight;
mod schedule;
mod sheet;
mod speed;
#[cfg(test)]
mod tests;

use std::path::Path;

use burn::tensor::Device;

use crate::checkpoint::Snapshot;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::image_io::{self, Overwrite};
use crate::model::{Learner, Step};
use crate::recipe::Recipe;
use crate::run::{Event, Judged, Record, Run};
use crate::tensorboard::EventFile;
use crate::watch::Watch;

use health::Health;
use judging::Bench;
pub use judging::Cadence;
use meter::Meter;
pub use meter::StepReport;
use observer::Observer;
pub use preflight::Preflight;
use preflight::{Prepared, Start};
pub use speed::{Painting, Speed, speed};

pub use sheet::SHEET_ROWS;
/// How often a broken run is rescued before it is given up.
const RESCUES: u32 = 5;
/// Factor on the learning rate after each rescue.
const BACKOFF: f64 = 0.5;

/// Sees a run train.
pub trait TrainWatch: Watch {
    /// What is about to happen; called once.
    fn preflight(&mut self, preflight: &Preflight) {
        let _ = preflight;
    }

    /// A step is done.
    fn step(&mut self, report: &StepReport<'_>) {
        let _ = report;
    }

    /// Something happened that goes into the run's records.
    fn event(&mut self, event: &Event) {
        let _ = event;
    }

    /// The model was judged.
    fn judged(&mut self, judged: &Judged) {
        let _ = judged;
    }

    /// A sheet of fixed-seed samples was written.
    fn sheet(&mut self, step: u32, path: &Path) {
        let _ = (step, path);
    }
}

/// How a training session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// The verdict ended it: going on is of no use.
    Done {
        /// Steps done.
        step: u32,
        /// The step whose checkpoint is best.
        best: u32,
    },
    /// The watcher stopped it; a checkpoint of this step holds everything.
    Stopped {
        /// Steps done.
        step: u32,
    },
}

/// Trains a run from where it stands to its last step.
///
/// # Errors
/// [`Error::Diverged`] when the loss breaks again and again; [`Error::Checkpoint`] if the run's
/// checkpoint is damaged, its pictures have changed, or another process trains it;
/// [`Error::Interrupted`] if it is stopped before the first step; errors of the recipe, the data
/// and the disk.
pub fn train(run: &Run, device: &Device, watch: &mut dyn TrainWatch) -> Result<Outcome> {
    let _lock = run.lock()?;
    run.remove_leftovers();
    let recipe = run.recipe()?;
    let complete = recipe.train.steps.is_some() && recipe.train.checkpoint_every.is_some();
    let begun = complete && !run.checkpoints()?.is_empty();
    crate::device::set_exact(recipe.train.exact);
    let start = match begun {
        true => Start::Resumed { seconds_per_step: seconds_per_step(&run.records()?) },
        false => Start::New,
    };
    let prepared = preflight::prepare(recipe, device, start, watch)?;
    run.write_recipe(&prepared.recipe)?;
    watch.preflight(&prepared.preflight);
    Session::begin(run, prepared, device, watch)?.work()
}

/// What a step has taken on average, if that was recorded.
fn seconds_per_step(records: &[Record]) -> Option<f64> {
    records.iter().rev().find_map(|record| match record {
        Record::Measures(measures) if measures.step > 0 => Some(measures.seconds / f64::from(measures.step)),
        _ => None,
    })
}

/// One process's part of a run.
struct Session<'a> {
    run: &'a Run,
    device: &'a Device,
    watch: &'a mut dyn TrainWatch,
    prepared: Prepared,
    learner: Box<dyn Learner>,
    health: Health,
    /// Looks at the samples of a learner that asks for it.
    observer: Option<Observer>,
    /// What rescues took off the learning rate.
    backoff: f64,
    rescues: u32,
    /// Steps done.
    step: u32,
    meter: Meter,
    /// The judge, if the run has one.
    bench: Option<Bench>,
    /// Event files for TensorBoard, if the recipe asks for them.
    tensorboard: Option<EventFile>,
}

impl<'a> Session<'a> {
    /// A session at the run's newest checkpoint, or at its start.
    fn begin(
        run: &'a Run,
        prepared: Prepared,
        device: &'a Device,
        watch: &'a mut dyn TrainWatch,
    ) -> Result<Self> {
        let saved = run.read_checkpoint(None)?;
        let learner = match saved {
            Some(_) => prepared.blank(device)?,
            None => prepared.learner(device, watch)?,
        };
        let meter = Meter::new(0.0);
        let health = Health::default();
        let observer = match learner.watched() && prepared.recipe.train.look_every.is_some() {
            true => Some(Observer::new(prepared.loader.dataset(), &prepared.pictured.validation)?),
            false => None,
        };
        let (backoff, rescues, step, bench, tensorboard) = (1.0, 0, 0, None, None);
        let mut session = Self {
            run,
            device,
            watch,
            prepared,
            learner,
            health,
            observer,
            backoff,
            rescues,
            step,
            meter,
            bench,
            tensorboard,
        };
        if let Some((step, snapshot)) = saved {
            session.restore(step, &snapshot)?;
        }
        run.rewind_records(session.step)?;
        let records = run.records()?;
        let before = records.iter().rev().find_map(|record| match record {
            Record::Measures(measures) => Some(measures.seconds),
            _ => None,
        });
        session.bench = Bench::new(&session.prepared, &records, session.step, device)?;
        session.meter = Meter::new(before.unwrap_or(0.0));
        if session.prepared.recipe.train.tensorboard {
            session.tensorboard = Some(EventFile::create(&run.folder().join("tensorboard"), session.step)?);
        }
        if session.step > 0 {
            session.tell("resume", format!("going on from step {}", session.step))?;
        }
        Ok(session)
    }

    fn steps(&self) -> u32 {
        self.prepared.recipe.train.steps.unwrap_or(0)
    }

    /// Whether something that is due every so many steps is due now.
    fn is_due(&self, every: Option<u32>) -> bool {
        self.step == self.steps() || every.is_some_and(|every| self.step.is_multiple_of(every))
    }

    fn work(mut self) -> Result<Outcome> {
        if self.step == 0 {
            self.paint_sheet()?;
        }
        self.meter = Meter::new(self.meter.seconds());
        while self.step < self.steps() {
            if self.watch.stopped() {
                self.save()?;
                self.tell("stop", format!("stopped at step {} of {}", self.step, self.steps()))?;
                return Ok(Outcome::Stopped { step: self.step });
            }
            if let Some(verdict) = self.bench.as_ref().and_then(Bench::ends) {
                self.tell(
                    "done",
                    format!("ended at step {} of {}: {}", self.step, self.steps(), verdict.sentence),
                )?;
                return Ok(Outcome::Done { step: self.step, best: verdict.best });
            }
            self.learn()?;
        }
        Ok(Outcome::Finished)
    }

    /// One step and what is due after it.
    fn learn(&mut self) -> Result<()> {
        let train = &self.prepared.recipe.train;
        let step = Step {
            number: self.step,
            seed: train.seed,
            rate: schedule::rate(train, self.step, self.steps()) * self.backoff,
            accumulate: train.accumulate,
        };
        let (log_every, sample_every, checkpoint_every) =
            (train.log_every, train.sample_every, train.checkpoint_every);
        let look_every = train.look_every;
        let batch = self.prepared.loader.batch(self.step);
        let losses = self.learner.step(&batch, &step)?;
        if let Err(why) = self.health.judge(&losses, self.learner.descends()) {
            return self.rescue(&why);
        }
        self.step += 1;
        self.meter.add(&losses, batch.len());
        self.watch.step(&self.meter.report(self.step, self.steps(), &losses));
        self.health.alarms.hear(&losses);
        if look_every.is_some_and(|every| self.step.is_multiple_of(every)) {
            self.look()?;
        }
        if self.is_due(Some(log_every)) {
            let record = Record::Measures(self.meter.measures(self.step, step.rate));
            self.run.record(&record)?;
            self.tensorboard.as_mut().map_or(Ok(()), |events| events.record(&record))?;
        }
        if self.is_due(sample_every) {
            self.paint_sheet()?;
        }
        if self.is_due(checkpoint_every) {
            self.judge()?;
            self.save()?;
            self.prune()?;
        }
        Ok(())
    }

    /// What the model is worth now, if that is due.
    fn judge(&mut self) -> Result<()> {
        let is_due = self.bench.as_ref().is_some_and(|bench| self.is_due(Some(bench.every())));
        let Some(bench) = self.bench.as_mut().filter(|_| is_due) else { return Ok(()) };
        let options = &self.prepared.recipe.sample;
        let Some(judged) = bench.judge(self.learner.model(), options, self.step, self.meter.seconds())?
        else {
            return Ok(());
        };
        self.watch.judged(&judged);
        let record = Record::Judged(judged);
        self.run.record(&record)?;
        self.tensorboard.as_mut().map_or(Ok(()), |events| events.record(&record))
    }

    /// Goes back to the last good checkpoint and on at a lower rate.
    fn rescue(&mut self, why: &str) -> Result<()> {
        let broken = self.step;
        if self.rescues == RESCUES {
            let message = format!(
                "{why}; went back {RESCUES} times to a good checkpoint and on at a lower rate, in vain. Start again \
                 with a lower --set train.lr, a longer train.warmup or a smaller train.clip"
            );
            return Err(Error::Diverged { step: broken, message });
        }
        // Only checkpoints of the schedule count, so that a run that was stopped in between goes
        // the same way as one that was not.
        let every = self.prepared.recipe.train.checkpoint_every.unwrap_or(1);
        let scheduled =
            self.run.checkpoints()?.into_iter().filter(|s| s.is_multiple_of(every) && *s <= broken);
        let (backoff, rescues) = (self.backoff * BACKOFF, self.rescues + 1);
        match scheduled.max() {
            Some(step) => {
                if let Some((step, snapshot)) = self.run.read_checkpoint(Some(step))? {
                    self.restore(step, &snapshot)?;
                }
            }
            None => {
                self.learner = self.prepared.learner(self.device, self.watch)?;
                (self.step, self.health) = (0, Health::default());
            }
        }
        (self.backoff, self.rescues) = (backoff, rescues);
        if let Some(bench) = &mut self.bench {
            bench.rewind(self.step);
        }
        for later in self.run.checkpoints()?.into_iter().filter(|&s| s > self.step) {
            let path = self.run.checkpoint_path(later);
            std::fs::remove_file(&path)
                .map_err(Error::io(&path, "removing a checkpoint of the broken run"))?;
        }
        let message = format!(
            "{why} at step {broken}: back to step {} and on at {backoff} of the learning rate",
            self.step
        );
        self.tell("rollback", message)
    }

    /// Looks at samples beside real pictures and tells of what has gone wrong.
    fn look(&mut self) -> Result<()> {
        let Some(observer) = &self.observer else { return Ok(()) };
        let options = &self.prepared.recipe.sample;
        let Some(look) = observer.look(self.learner.model(), options)? else { return Ok(()) };
        self.meter.note(look.values());
        let done = f64::from(self.step) / f64::from(self.steps().max(1));
        for message in self.health.alarms.look(&look, done) {
            self.tell("alarm", message)?;
        }
        Ok(())
    }

    fn tell(&mut self, event: &str, message: String) -> Result<()> {
        let event = Event { step: self.step, event: event.into(), message };
        self.watch.event(&event);
        self.run.record(&Record::Event(event))
    }

    /// Pictures by which progress can be seen at a glance.
    fn paint_sheet(&mut self) -> Result<()> {
        let options = &self.prepared.recipe.sample;
        let training = self.prepared.loader.dataset();
        let held_out: &dyn Dataset = &self.prepared.pictured.validation;
        let Some(sheet) = sheet::paint(self.learner.model(), options, [held_out, training])? else {
            return Ok(());
        };
        let path = self.run.sheet_path(self.step);
        image_io::save_png(&path, &sheet, &[], Overwrite::Allow)?;
        if let Some(events) = &mut self.tensorboard {
            events.picture(self.step, "samples", &sheet)?;
        }
        self.watch.sheet(self.step, &path);
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let mut snapshot = Snapshot::default();
        self.learner.save(&mut snapshot)?;
        let path = self.run.checkpoint_path(self.step);
        let json =
            |value: serde_json::Result<String>| value.map_err(|e| Error::checkpoint(&path, e.to_string()));
        snapshot.notes.extend([
            ("recipe".into(), self.prepared.recipe.to_toml()?),
            ("facts".into(), json(serde_json::to_string(&self.prepared.facts))?),
            ("data".into(), self.prepared.fingerprint.clone()),
            (
                "health".into(),
                toml::to_string(&self.health).map_err(|e| Error::checkpoint(&path, e.to_string()))?,
            ),
            ("backoff".into(), self.backoff.to_string()),
            ("rescues".into(), self.rescues.to_string()),
            ("pinxit".into(), env!("CARGO_PKG_VERSION").into()),
        ]);
        snapshot.write(&path)
    }

    fn restore(&mut self, step: u32, snapshot: &Snapshot) -> Result<()> {
        let path = self.run.checkpoint_path(step);
        let mut then = Recipe::from_toml(snapshot.note("recipe", &path)?, &path.display().to_string())?;
        // What an earlier version had no setting for was as that setting usually is.
        (self.prepared.family.resolve)(&mut then, &self.prepared.facts, None)?;
        let changed = then.differences(&self.prepared.recipe)?;
        if !changed.is_empty() {
            return Err(Error::checkpoint(
                self.run.folder(),
                format!(
                    "its recipe.toml has changed since the run began ({}); put it back, or start a new run with \
                     --recipe {}",
                    changed.join(", "),
                    self.run.folder().join("recipe.toml").display()
                ),
            ));
        }
        let unreadable = |name: &str| Error::checkpoint(&path, format!("its note \"{name}\" can't be read"));
        let now = &self.prepared.fingerprint;
        let then = snapshot.note("data", &path)?;
        if now != then {
            return Err(Error::data(
                &self.prepared.recipe.data.source,
                format!(
                    "the pictures have changed since the run began (then {then}, now {now}); bring them back, or \
                     start a new run"
                ),
            ));
        }
        self.health = toml::from_str(snapshot.note("health", &path)?).map_err(|_| unreadable("health"))?;
        self.backoff = snapshot.note("backoff", &path)?.parse().map_err(|_| unreadable("backoff"))?;
        self.rescues = snapshot.note("rescues", &path)?.parse().map_err(|_| unreadable("rescues"))?;
        self.learner.load(snapshot).map_err(|e| match e {
            Error::Config(message) => Error::checkpoint(&path, message),
            other => other,
        })?;
        self.step = step;
        Ok(())
    }

    /// Keeps the two newest checkpoints of the schedule, the best one, and whatever is newer.
    fn prune(&self) -> Result<()> {
        let every = self.prepared.recipe.train.checkpoint_every.unwrap_or(1);
        let steps = self.run.checkpoints()?;
        let is_kept_by_schedule = |step: u32| step.is_multiple_of(every) || step == self.steps();
        let scheduled: Vec<u32> = steps.iter().copied().filter(|&step| is_kept_by_schedule(step)).collect();
        let best = self.bench.as_ref().and_then(Bench::verdict).map(|verdict| verdict.best);
        let oldest = scheduled.iter().rev().nth(1).copied().unwrap_or(0);
        for step in steps
            .into_iter()
            .filter(|&step| Some(step) != best)
            .filter(|&step| step < oldest || (!is_kept_by_schedule(step) && step < self.step))
        {
            let path = self.run.checkpoint_path(step);
            std::fs::remove_file(&path).map_err(Error::io(&path, "removing an old checkpoint"))?;
        }
        Ok(())
    }
}
