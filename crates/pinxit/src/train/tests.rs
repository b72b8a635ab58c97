//! The loop around a learner that breaks on purpose.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::checkpoint::Array;
use crate::data::{Batch, DataFacts, Dataset, ImageShape, Loader, ScanReport, builtin};
use crate::families::{Cost, Family, Material};
use crate::machine::Machine;
use crate::model::{Losses, Model};
use crate::recipe::Recipe;

/// Sums the rates of its steps; its loss is NaN at step 7 while the rate is above `breaks_above`.
struct Fragile {
    sum: f32,
    breaks_above: f64,
}

impl Learner for Fragile {
    fn step(&mut self, _: &Batch, step: &Step) -> Result<Losses> {
        self.sum += step.rate as f32;
        let breaks = step.number == 7 && step.rate > self.breaks_above;
        Ok(Losses(vec![("loss", if breaks { f64::NAN } else { 1.0 })]))
    }

    fn model(&self) -> &dyn Model {
        self
    }

    fn parameters(&self) -> usize {
        1
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        to.tensors.insert("model/sum".into(), Array { shape: vec![1], values: vec![self.sum] });
        Ok(())
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        self.sum = from.tensors["model/sum"].values[0];
        Ok(())
    }
}

impl Model for Fragile {
    fn shape(&self) -> ImageShape {
        ImageShape { channels: 1, height: 8, width: 8 }
    }

    fn classes(&self) -> &[String] {
        &[]
    }
}

const fn family(learner: fn(&Recipe, &DataFacts, &Device) -> Result<Box<dyn Learner>>) -> Family {
    Family {
        name: "fragile",
        about: "",
        paper: "",
        material: Material::Pictures,
        model_knobs: &[],
        sample_knobs: &[],
        resolve: |_, _, _| Ok(()),
        cost: |_, _| Ok(Cost::default()),
        learner,
        model: |_, _, _, _| Err(Error::config("never opened")),
    }
}

/// Breaks until the rate has been halved twice.
static MENDABLE: Family = family(|_, _, _| Ok(Box::new(Fragile { sum: 0.0, breaks_above: 0.3 })));
/// Breaks at any rate.
static HOPELESS: Family = family(|_, _, _| Ok(Box::new(Fragile { sum: 0.0, breaks_above: 0.0 })));

/// Trains ten steps at the full rate with a checkpoint every `every`.
fn train_fragile(family: &'static Family, every: u32) -> (tempfile::TempDir, Run, Result<Outcome>) {
    struct Silent;
    impl Watch for Silent {}
    impl TrainWatch for Silent {}

    let mut recipe = Recipe::default();
    recipe.data.source = "builtin:digits".into();
    recipe.train.steps = Some(10);
    recipe.train.warmup = 0;
    recipe.train.decay = crate::recipe::Decay::Constant;
    recipe.train.checkpoint_every = Some(every);
    let folder = tempfile::tempdir().unwrap();
    let run = Run::create(&folder.path().join("run"), &recipe).unwrap();
    let device = Device::flex();
    let dataset: Arc<dyn Dataset> = builtin::open("digits", &recipe.data).unwrap().into();
    let facts = DataFacts { classes: vec![], ..DataFacts::of(&*dataset) };
    let preflight = Preflight {
        family: family.name,
        facts: facts.clone(),
        held_out: 0,
        data: ScanReport::of(&*dataset, "builtin:digits"),
        cost: Cost::default(),
        batch: 2,
        steps: 10,
        seconds_per_step: None,
        verdicts: None,
        memory: 0,
        machine: Machine::look(),
    };
    let pictured = judging::Pictured::new(dataset.clone(), 0.1).unwrap();
    let loader = Loader::new(dataset, &recipe.data, 2, 0, &device).unwrap();
    let prepared =
        Prepared { recipe, family, facts, loader, pictured, fingerprint: "digits".into(), preflight };
    let outcome = Session::begin(&run, prepared, &device, &mut Silent).and_then(Session::work);
    (folder, run, outcome)
}

fn rollbacks(run: &Run) -> Vec<(u32, String)> {
    let records = run.records().unwrap().into_iter();
    records
        .filter_map(|record| match record {
            Record::Event(event) if event.event == "rollback" => Some((event.step, event.message)),
            _ => None,
        })
        .collect()
}

/// Analytic: steps 0 to 4 at rate 1, then from the checkpoint of step 5 on at 1/2, which breaks again, and at 1/4.
#[test]
fn a_run_that_breaks_goes_back_to_its_checkpoint_and_on_at_half_the_rate() {
    let (_folder, run, outcome) = train_fragile(&MENDABLE, 5);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let told = rollbacks(&run);
    assert_eq!(told.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [5, 5]);
    assert!(told[0].1.contains("loss became NaN at step 7") && told[0].1.contains("0.5"), "{told:?}");
    let (_, last) = run.read_checkpoint(None).unwrap().unwrap();
    assert_eq!(last.tensors["model/sum"].values, [5.0 + 5.0 * 0.25]);
}

#[test]
fn without_a_checkpoint_a_broken_run_starts_over() {
    let (_folder, run, outcome) = train_fragile(&MENDABLE, 100);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(rollbacks(&run).len(), 2);
    let (_, last) = run.read_checkpoint(None).unwrap().unwrap();
    assert_eq!(last.tensors["model/sum"].values, [10.0 * 0.25]);
}

#[test]
fn a_run_that_breaks_again_and_again_is_given_up_with_advice() {
    let (_folder, run, outcome) = train_fragile(&HOPELESS, 5);
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("step 7") && message.contains("train.lr"), "{message}");
    assert_eq!(rollbacks(&run).len(), RESCUES as usize);
    assert_eq!(run.checkpoints().unwrap(), [5], "the last good checkpoint stays");
}
