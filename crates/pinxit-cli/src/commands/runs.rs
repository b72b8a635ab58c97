//! `pinxit runs`: the runs in a folder and how they stand.

use std::path::PathBuf;

use pinxit::run::{Record, Run};
use serde::Serialize;

use crate::failure::Outcome;
use crate::format;
use crate::options::Runs;
use crate::terminal::{NAME, answer, table};

#[derive(Serialize)]
struct RunReport {
    run: PathBuf,
    family: String,
    data: String,
    state: State,
    step: u32,
    steps: Option<u32>,
    seconds: f64,
    loss: Option<f64>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// A process trains it now.
    Training,
    /// It can be resumed.
    Stopped,
    /// All steps are done.
    Finished,
    /// Its recipe can't be read.
    Broken,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Broken => "broken",
        }
    }
}

pub(crate) fn run(options: &Runs) -> Outcome {
    let runs: Vec<RunReport> = Run::list(&options.root)?.iter().map(look).collect();
    answer(options.reporting.json, &runs, |runs| match runs.as_slice() {
        [] => format!(
            "There are no runs in {}; begin one with pinxit demo or pinxit train.",
            options.root.display()
        ),
        runs => table(&std::iter::once(header()).chain(runs.iter().map(row)).collect::<Vec<_>>(), NAME),
    })
}

/// A run in a listing. One that can't be read is listed as such, for the others' sake.
fn look(run: &Run) -> RunReport {
    let recipe = run.recipe().ok();
    let records = run.records().unwrap_or_default();
    let measures = records.iter().rev().find_map(|record| match record {
        Record::Measures(measures) => Some(measures),
        _ => None,
    });
    let saved = run.checkpoints().unwrap_or_default().last().copied().unwrap_or(0);
    let steps = recipe.as_ref().and_then(|recipe| recipe.train.steps);
    let state = match &recipe {
        None => State::Broken,
        Some(_) if run.lock().is_err() => State::Training,
        Some(_) if steps == Some(saved) => State::Finished,
        Some(_) => State::Stopped,
    };
    let at = measures.map_or(0, |measures| measures.step);
    RunReport {
        run: run.folder().into(),
        family: recipe.as_ref().map_or_else(String::new, |recipe| recipe.family.clone()),
        data: recipe.as_ref().map_or_else(String::new, |recipe| recipe.data.source.clone()),
        state,
        step: if matches!(state, State::Training) { at } else { saved },
        steps,
        seconds: measures.map_or(0.0, |measures| measures.seconds),
        loss: measures.and_then(|measures| measures.values.get("loss").copied()),
    }
}

fn header() -> [String; 7] {
    ["run", "family", "data", "state", "step", "loss", "time"].map(String::from)
}

fn row(run: &RunReport) -> [String; 7] {
    let steps = run.steps.map_or("?".into(), |steps| format::count(steps.into()));
    [
        run.run.display().to_string(),
        run.family.clone(),
        run.data.clone(),
        run.state.name().into(),
        format!("{}/{steps}", format::count(run.step.into())),
        run.loss.map_or("-".into(), format::measure),
        format::clock(run.seconds),
    ]
}
