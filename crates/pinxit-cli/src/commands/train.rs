//! `pinxit train`: a new run, or one that goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pinxit::data::{self, Dataset};
use pinxit::device::Device;
use pinxit::image_io::{Overwrite, save_png};
use pinxit::recipe::Recipe;
use pinxit::report::{self, Gallery};
use pinxit::run::{Record, Run};
use pinxit::sample::Trained;
use pinxit::train::{self, Preflight};
use pinxit::{Error, watch::Watch};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::format;
use crate::options::{Reporting, Train};
use crate::progress::Progress;
use crate::terminal::{DIM, GOOD, HEAD, NAME, WARN, answer, table};
use crate::{settings, stop};

/// Rows of the gallery that a finished run gets.
const GALLERY_ROWS: usize = 4;

pub(crate) fn run(options: &Train) -> Outcome {
    let device = settings::device(&options.working)?;
    let start = match &options.resume {
        Some(folder) => Start::Resumed(settings::find_run(folder)?),
        None => {
            let recipe = settings::train_recipe(options)?;
            let name = settings::run_name(&recipe.data.source);
            let folder = options.new.out.clone().unwrap_or_else(|| settings::free_folder(&name));
            Start::create(&folder, &recipe)?
        }
    };
    let report = work(&start, GALLERY_ROWS, &device, options.working.quiet)?;
    finish(&report, &options.reporting)
}

/// Where a session begins.
pub(crate) enum Start {
    New { run: Run, made_folder: bool },
    Resumed(Run),
}

impl Start {
    /// A new run in `folder`, which may exist if it is empty.
    pub(crate) fn create(folder: &Path, recipe: &Recipe) -> Outcome<Self> {
        let made_folder = !folder.exists();
        Ok(Self::New { run: Run::create(folder, recipe)?, made_folder })
    }
}

/// How a session ended.
#[derive(Serialize)]
pub(crate) struct TrainReport {
    pub(crate) run: PathBuf,
    pub(crate) outcome: train::Outcome,
    pub(crate) family: String,
    pub(crate) steps: Option<u32>,
    pub(crate) seconds: f64,
    pub(crate) measures: std::collections::BTreeMap<String, f64>,
    pub(crate) report: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gallery: Option<PathBuf>,
    /// Whether the family makes pictures from pictures alone.
    #[serde(skip)]
    translates: bool,
}

/// Trains to the end or to Ctrl-C and writes what there is to show.
pub(crate) fn work(start: &Start, gallery_rows: usize, device: &Device, quiet: bool) -> Outcome<TrainReport> {
    let (Start::New { run, .. } | Start::Resumed(run)) = start;
    stop::listen("the run is saved after this step")?;
    let mut progress = Progress::new(quiet);
    progress.line(&format!("{DIM}run {}; Ctrl-C saves and stops{DIM:#}", run.folder().display()));
    let outcome = train::train(run, device, &mut progress).map_err(|error| {
        discard_unbegun(start);
        explain(error, start)
    })?;
    let trained = match outcome {
        train::Outcome::Finished | train::Outcome::Done { .. } => Some(Trained::open(run, None, device)?),
        train::Outcome::Stopped { .. } => None,
    };
    let gallery = match &trained {
        Some(trained) => paint_gallery(trained, gallery_rows, &mut progress)?,
        None => None,
    };
    let gallery_path = gallery.as_ref().map(|gallery| save_gallery(run, gallery)).transpose()?;
    let recipe = run.recipe()?;
    let measures = run.records()?.into_iter().rev().find_map(|record| match record {
        Record::Measures(measures) => Some(measures),
        _ => None,
    });
    Ok(TrainReport {
        run: run.folder().into(),
        outcome,
        family: recipe.family,
        steps: recipe.train.steps,
        seconds: measures.as_ref().map_or(0.0, |measures| measures.seconds),
        measures: measures.map(|measures| measures.values).unwrap_or_default(),
        report: report::write(run, gallery.as_ref())?,
        gallery: gallery_path,
        translates: trained.is_some_and(|trained| trained.model.generate().is_none()),
    })
}

/// Shows how the session ended; a stopped one ends with the exit code of an interrupted program.
pub(crate) fn finish(report: &TrainReport, reporting: &Reporting) -> Outcome {
    let run = report.run.display();
    match report.outcome {
        train::Outcome::Finished => answer(reporting.json, report, |report| {
            format!(
                "{GOOD}finished{GOOD:#} {}\n{HEAD}Next{HEAD:#}\n{}",
                report.summary(),
                next(&[match report.translates {
                    false => (format!("pinxit sample {run} --count 16 --out new"), "paint new pictures"),
                    true =>
                        (format!("pinxit translate {run} PICTURES --out new"), "turn pictures into others"),
                }])
            )
        }),
        train::Outcome::Done { step, best } => answer(reporting.json, report, |report| {
            let checkpoint = if best == step { String::new() } else { format!(" --checkpoint {best}") };
            let sample = format!("pinxit sample {run} --count 16 --out new{checkpoint}");
            format!(
                "{GOOD}done{GOOD:#} at step {}, best at {}: {}\n{HEAD}Next{HEAD:#}\n{}",
                format::count(step.into()),
                format::count(best.into()),
                report.summary(),
                next(&[(sample, "paint new pictures with the best weights")])
            )
        }),
        train::Outcome::Stopped { step } => {
            if reporting.json {
                answer(true, report, |_| String::new())?;
            }
            Err(Failure::Stopped(format!(
                "saved at step {}; go on with: {NAME}pinxit train --resume {run}{NAME:#}",
                format::count(step.into())
            )))
        }
    }
}

/// Commands to type next, with what they do.
pub(crate) fn next(commands: &[(String, &str)]) -> String {
    let rows: Vec<_> = commands.iter().map(|(command, what)| [command.clone(), (*what).into()]).collect();
    table(&rows, NAME)
}

impl TrainReport {
    pub(crate) fn summary(&self) -> String {
        let measures =
            self.measures.iter().map(|(name, value)| format!("{name} {}", format::measure(*value)));
        let steps =
            self.steps.map_or(String::new(), |steps| format!("{} steps", format::count(steps.into())));
        let mut rows = vec![
            ["trained".into(), format!("{steps} in {}", format::clock(self.seconds))],
            ["measures".into(), measures.collect::<Vec<_>>().join(", ")],
            ["report".into(), self.report.display().to_string()],
        ];
        rows.extend(self.gallery.iter().map(|path| ["gallery".into(), path.display().to_string()]));
        format!("{}\n{}", self.run.display(), table(&rows, DIM))
    }
}

/// What is about to happen, for the user to read before it does.
pub(crate) fn preflight(preflight: &Preflight) -> String {
    let facts = &preflight.facts;
    let classes = match facts.classes.len() {
        0 => "no classes".into(),
        n => format::plural(n, "class"),
    };
    let rejected = match preflight.data.rejects.len() {
        0 => String::new(),
        n => format!("; {WARN}{n} can't be used{WARN:#} (pinxit data {} says why)", preflight.data.source),
    };
    let time = preflight.seconds_per_step.map_or_else(String::new, |seconds| {
        let total = format::clock(seconds * f64::from(preflight.steps));
        format!(", about {total} ({} s a step)", format::measure(seconds))
    });
    let verdicts = preflight.verdicts.map_or_else(
        || "none: turned off, or over a twentieth of the time".into(),
        |verdicts| {
            let every = format::count(verdicts.every.into());
            format!("every {every} steps, by {} pictures", verdicts.count)
        },
    );
    let machine = &preflight.machine;
    let rows = [
        [
            "pictures",
            &format!(
                "{} for training, {} held out, {}, {classes}{rejected}",
                format::count(facts.count as u64),
                format::count(preflight.held_out as u64),
                format::shape(facts.shape),
            ),
        ],
        [
            "model",
            &format!(
                "{} parameters, {} multiply-adds a picture",
                format::magnitude(preflight.cost.parameters),
                format::magnitude(preflight.cost.forward_macs)
            ),
        ],
        [
            "steps",
            &format!("{} of {} pictures{time}", format::count(preflight.steps.into()), preflight.batch),
        ],
        ["verdicts", &verdicts],
        ["memory", &format!("{} of {}", format::bytes(preflight.memory), format::bytes(machine.memory))],
        ["machine", &format!("{}, {} threads, {}", machine.cpu, machine.threads, machine.vectors)],
    ];
    let rows = rows.map(|row| row.map(String::from));
    let heading = format!("{HEAD}{} on {}{HEAD:#}", preflight.family, preflight.data.source);
    format!("{heading}\n{}", table(&rows, DIM).trim_end())
}

/// A run that failed before its first step leaves no folder behind, unless the folder was the
/// user's or another process trains in it by now.
fn discard_unbegun(start: &Start) {
    let Start::New { run, made_folder: true } = start else { return };
    let Ok(_lock) = run.lock() else { return };
    let is_empty = |found: pinxit::Result<usize>| found.is_ok_and(|n| n == 0);
    if is_empty(run.checkpoints().map(|steps| steps.len()))
        && is_empty(run.sheets().map(|steps| steps.len()))
        && is_empty(run.records().map(|records| records.len()))
    {
        let _ = std::fs::remove_dir_all(run.folder()); // the error that led here is the one to tell
    }
}

fn explain(error: Error, start: &Start) -> Failure {
    match (error, start) {
        (Error::Interrupted, Start::New { .. }) => {
            Failure::Stopped("stopped before the first step; nothing was kept".into())
        }
        (Error::Interrupted, Start::Resumed(run)) => {
            Failure::Stopped(format!("stopped; {} is as it was", run.folder().display()))
        }
        (other, _) => Failure::Library(other),
    }
}

/// Pictures of the finished model beside their nearest real ones; `None` if the user doesn't wait
/// for them, or the model makes none from seeds.
fn paint_gallery(trained: &Trained, rows: usize, watch: &mut dyn Watch) -> Outcome<Option<Gallery>> {
    if trained.model.generate().is_none() {
        return Ok(None);
    }
    let opened = data::open(&trained.recipe.data, &data::default_cache_dir(), watch)?;
    let dataset: Arc<dyn Dataset> = opened.dataset.into();
    match Gallery::paint(trained, dataset, rows, watch) {
        Ok(gallery) => Ok(Some(gallery)),
        Err(Error::Interrupted) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn save_gallery(run: &Run, gallery: &Gallery) -> Outcome<PathBuf> {
    let path: PathBuf = Path::join(run.folder(), "gallery.png");
    save_png(&path, &gallery.sheet(), &[], Overwrite::Allow)?;
    Ok(path)
}
