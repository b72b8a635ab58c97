//! What is settled before the first step: data, open settings of the recipe, estimates.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;

use super::judging::{self, Cadence, Pictured};
use crate::data::{self, DataFacts, Dataset, Loader, ScanReport};
use crate::error::{Error, Result};
use crate::families::{self, Budget, Cost, Family};
use crate::machine::{self, Machine};
use crate::model::{Learner, Step};
use crate::recipe::Recipe;
use crate::watch::Watch;

/// Minutes to train for when a recipe says neither steps nor minutes.
const DEFAULT_MINUTES: f64 = 20.0;
/// Share of `minutes` kept for sample sheets and checkpoints.
const RESERVE: f64 = 0.15;
/// Seconds that measuring the speed may take.
const PROBE_SECONDS: f64 = 3.0;
/// Looks at the samples of a run that is watched, at most, and the fewest steps between two.
const LOOKS: u32 = 40;
const FEWEST_STEPS_BETWEEN_LOOKS: u32 = 100;
/// Runs of so few steps are not worth measuring.
const SHORT: u32 = 20;
/// Multiply-adds a second and core that a batch is sized by. Only the order of magnitude matters.
const MACS_PER_CORE: f64 = 3e10;

/// What a run is about to do, for the user to read before it starts.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Preflight {
    /// The family.
    pub family: &'static str,
    /// Shape, classes and number of the training pictures.
    pub facts: DataFacts,
    /// Pictures kept away from training.
    pub held_out: usize,
    /// What was found where the pictures come from.
    pub data: ScanReport,
    /// Size of the model.
    pub cost: Cost,
    /// Pictures a step.
    pub batch: usize,
    /// Steps of the whole run.
    pub steps: u32,
    /// Seconds a step, measured; `None` when a run is resumed or very short.
    pub seconds_per_step: Option<f64>,
    /// How often the run is judged; `None` for never.
    pub verdicts: Option<Cadence>,
    /// Bytes of memory that training takes, measured if the system tells, else estimated.
    pub memory: u64,
    /// The machine.
    pub machine: Machine,
}

/// Everything ready for the first step.
pub(super) struct Prepared {
    pub recipe: Recipe,
    pub family: &'static Family,
    pub facts: DataFacts,
    pub loader: Loader,
    /// The pictures that the run is judged by.
    pub pictured: Pictured,
    /// Identifies the training pictures and their labels.
    pub fingerprint: String,
    pub preflight: Preflight,
}

impl Prepared {
    /// A learner for a checkpoint to be loaded into.
    pub(super) fn blank(&self, device: &Device) -> Result<Box<dyn Learner>> {
        (self.family.learner)(&self.recipe, &self.facts, device)
    }

    /// A learner before its first step.
    pub(super) fn learner(&self, device: &Device, watch: &mut dyn Watch) -> Result<Box<dyn Learner>> {
        let mut learner = self.blank(device)?;
        learner.begin(self.loader.dataset(), watch)?;
        Ok(learner)
    }

    /// Seconds of one step, taken for its time alone.
    pub(super) fn take_step(&self, learner: &mut dyn Learner, number: u32) -> Result<f64> {
        let begin = Instant::now();
        let train = &self.recipe.train;
        let step = Step { number, seed: train.seed, rate: 1e-3, accumulate: train.accumulate };
        learner.step(&self.loader.batch(number), &step)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

/// Where a session begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Start {
    /// At the first step.
    New,
    /// At a checkpoint: the recipe is complete already.
    Resumed {
        /// What a step took so far, if it was recorded.
        seconds_per_step: Option<f64>,
    },
}

/// Opens the data and settles what the recipe leaves open.
pub(super) fn prepare(
    mut recipe: Recipe,
    device: &Device,
    start: Start,
    watch: &mut dyn Watch,
) -> Result<Prepared> {
    let family = families::find(&recipe.family)?;
    check(&recipe)?;
    family.material.settle(&mut recipe.data)?;
    let opened = data::open(&recipe.data, &data::default_cache_dir(), watch)?;
    let all: Arc<dyn Dataset> = opened.dataset.into();
    let shape = all.shape();
    if recipe.data.crop.is_none() {
        recipe.data.size = Some([shape.height, shape.width]);
    }
    recipe.data.channels = Some(shape.channels);
    let pictured = Pictured::new(all.clone(), recipe.data.holdout)?;
    let train = pictured.train.clone();
    let facts = DataFacts::of(&*train);
    let fingerprint = data::fingerprint(train.as_ref());
    let machine = Machine::look();
    let budget = budget(&recipe, &machine);
    (family.resolve)(&mut recipe, &facts, budget)?;
    let cost = (family.cost)(&recipe, &facts)?;
    let batch = *recipe
        .train
        .batch
        .get_or_insert_with(|| choose_batch(&cost, &facts, &machine).max(recipe.train.accumulate));
    let memory = estimate_memory(&cost, batch.div_ceil(recipe.train.accumulate));
    refuse_beyond(&machine, memory)?;
    let loader = Loader::new(train, &recipe.data, batch, recipe.train.seed, device)?;

    let mut prepared = Prepared {
        preflight: Preflight {
            family: family.name,
            held_out: all.len() - facts.count,
            facts: facts.clone(),
            data: opened.report,
            cost,
            batch,
            steps: recipe.train.steps.unwrap_or(0),
            seconds_per_step: None,
            verdicts: None,
            memory,
            machine,
        },
        recipe,
        family,
        facts,
        loader,
        pictured,
        fingerprint,
    };
    settle(&mut prepared, start, device, watch)?;
    Ok(prepared)
}

/// Measures what a new run or its judge takes, and settles what follows from that.
fn settle(prepared: &mut Prepared, start: Start, device: &Device, watch: &mut dyn Watch) -> Result<()> {
    let is_short = prepared.recipe.train.steps.is_some_and(|steps| steps <= SHORT);
    let seconds = match start {
        Start::New if is_short => None,
        Start::New => Some(probe(prepared, device, watch)?),
        Start::Resumed { seconds_per_step } => seconds_per_step,
    };
    if start == Start::New {
        prepared.preflight.seconds_per_step = seconds;
        settle_steps(&mut prepared.recipe, seconds);
    }
    let is_open = prepared.recipe.train.judge_every.is_none() && !is_short && seconds.is_some();
    let costs = if is_open { judging::probe(prepared, device, watch)? } else { None };
    prepared.preflight.verdicts = judging::settle(&mut prepared.recipe.train, seconds, costs)?;
    if seconds.is_some() {
        prepared.preflight.memory = machine::resident_memory().unwrap_or(prepared.preflight.memory);
    }
    prepared.preflight.steps = prepared.recipe.train.steps.unwrap_or(0);
    Ok(())
}

/// Refuses settings that no run can have.
fn check(recipe: &Recipe) -> Result<()> {
    let train = &recipe.train;
    let refuse = |key: &str, why: &str| Err(Error::config(format!("train.{key} {why}")));
    match train {
        _ if train.steps == Some(0) => refuse("steps", "must be at least 1"),
        _ if train.batch == Some(0) => refuse("batch", "must be at least 1"),
        _ if train.accumulate == 0 => refuse("accumulate", "must be at least 1"),
        _ if train.batch.is_some_and(|batch| train.accumulate > batch) => {
            refuse("accumulate", "can't be more than train.batch")
        }
        _ if train.minutes.is_some_and(|m| !(m > 0.0 && m.is_finite())) => {
            refuse("minutes", "must be above 0")
        }
        _ if train.lr.is_some_and(|lr| !(lr > 0.0 && lr.is_finite())) => refuse("lr", "must be above 0"),
        _ if !(0.0..1.0).contains(&train.ema) => refuse("ema", "must be at least 0 and below 1"),
        _ if !(train.clip >= 0.0 && train.weight_decay >= 0.0) => {
            refuse("clip and train.weight_decay", "can't be negative")
        }
        _ if train.log_every == 0 || train.sample_every == Some(0) || train.checkpoint_every == Some(0) => {
            refuse("log_every, train.sample_every and train.checkpoint_every", "must be at least 1")
        }
        _ if train.look_every == Some(0) => refuse("look_every", "must be at least 1"),
        _ => Ok(()),
    }
}

/// A power of two from 8 to 128 with which a step takes about a second on this machine's CPU and
/// activations stay below a quarter of the memory, and that is no more than the pictures there are.
fn choose_batch(cost: &Cost, facts: &DataFacts, machine: &Machine) -> usize {
    let macs = 3.0 * cost.forward_macs.max(1) as f64; // forward, and two products backward
    let in_a_second = MACS_PER_CORE * machine.threads as f64 / macs;
    let in_memory = machine.memory as f64 / 4.0 / cost.activation_bytes.max(1) as f64;
    let most = in_a_second.min(in_memory).clamp(8.0, 128.0) as usize;
    let batch = 1 << most.ilog2();
    batch.min(facts.count.next_power_of_two()).max(1)
}

/// Weights, gradients, two moments of Adam and the moving average, and what one part of a batch
/// keeps for the backward pass.
fn estimate_memory(cost: &Cost, pictures: usize) -> u64 {
    let weights = cost.parameters.saturating_mul(4 * 5);
    weights.saturating_add(cost.activation_bytes.saturating_mul(pictures as u64))
}

/// Refuses a run that can't fit, before anything is allocated.
fn refuse_beyond(machine: &Machine, memory: u64) -> Result<()> {
    if memory <= machine.memory {
        return Ok(());
    }
    let gigabytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    Err(Error::config(format!(
        "training would take about {:.1} GiB of memory and this machine has {:.1}: take a smaller train.batch, a \
         larger train.accumulate, a smaller network (model.width) or smaller pictures (--size)",
        gigabytes(memory),
        gigabytes(machine.memory)
    )))
}

/// What the machine can do in the time that a run has.
fn budget(recipe: &Recipe, machine: &Machine) -> Budget {
    let minutes = recipe.train.minutes.unwrap_or(DEFAULT_MINUTES);
    recipe.train.steps.is_none().then_some(60.0 * minutes * MACS_PER_CORE * machine.threads as f64)
}

/// Seconds of one step, measured on a learner that is then thrown away, so that measuring leaves
/// no trace in the run.
fn probe(prepared: &Prepared, device: &Device, watch: &mut dyn Watch) -> Result<f64> {
    let mut learner = prepared.learner(device, watch)?;
    let mut take = |number| prepared.take_step(learner.as_mut(), number);
    take(0)?; // the first step warms caches and pools
    let mut times = Vec::new();
    while times.iter().sum::<f64>() < PROBE_SECONDS && times.len() < 50 {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        let percent = 100.0 * times.iter().sum::<f64>() / PROBE_SECONDS;
        watch.progress("measuring the speed", percent as u64, 100);
        times.push(take(1 + times.len() as u32)?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Turns minutes into a number of steps, which is what makes a run repeatable, and settles how
/// often to show and to save.
fn settle_steps(recipe: &mut Recipe, seconds_per_step: Option<f64>) {
    let train = &mut recipe.train;
    let steps = *train.steps.get_or_insert_with(|| {
        let seconds = 60.0 * *train.minutes.get_or_insert(DEFAULT_MINUTES) * (1.0 - RESERVE);
        (seconds / seconds_per_step.unwrap_or(1.0).max(1e-6)).clamp(1.0, 1e9) as u32
    });
    train.sample_every.get_or_insert(steps.div_ceil(10));
    train.checkpoint_every.get_or_insert(steps.div_ceil(20));
    let look_every = steps.div_ceil(LOOKS).max(FEWEST_STEPS_BETWEEN_LOOKS);
    train.look_every.get_or_insert(look_every.next_multiple_of(train.log_every));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;

    fn facts(count: usize) -> DataFacts {
        DataFacts {
            shape: ImageShape { channels: 3, height: 32, width: 32 },
            classes: vec![],
            count,
            inputs: None,
        }
    }

    fn machine(memory: u64) -> Machine {
        Machine { threads: 2, memory, ..Machine::look() }
    }

    #[test]
    fn the_batch_follows_work_memory_and_data() {
        let small = Cost { parameters: 1000, forward_macs: 1_000_000, activation_bytes: 1000 };
        assert_eq!(choose_batch(&small, &facts(50_000), &machine(8 << 30)), 128);
        assert_eq!(choose_batch(&small, &facts(20), &machine(8 << 30)), 32);
        let heavy = Cost { forward_macs: 600_000_000, ..small };
        assert_eq!(choose_batch(&heavy, &facts(50_000), &machine(8 << 30)), 32);
        let large = Cost { activation_bytes: 100 << 20, ..small };
        assert_eq!(choose_batch(&large, &facts(50_000), &machine(8 << 30)), 16);
    }

    #[test]
    fn minutes_become_steps_once() {
        let mut recipe = Recipe::default();
        recipe.train.minutes = Some(2.0);
        settle_steps(&mut recipe, Some(0.1));
        assert_eq!(recipe.train.steps, Some(1020));
        assert_eq!(recipe.train.checkpoint_every, Some(51));
        settle_steps(&mut recipe, Some(10.0));
        assert_eq!(recipe.train.steps, Some(1020));
    }
}
