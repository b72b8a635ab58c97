//! `pinxit translate`: pictures from pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pinxit::Error;
use pinxit::data;
use pinxit::sample::Trained;
use pinxit::translate::{TranslateOptions, TranslatePlan};
use pinxit::watch::{Part, Watch};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::options::Translate;
use crate::progress::Progress;
use crate::terminal::{DIM, answer, table};
use crate::{format, provenance, settings, stop};

#[derive(Serialize)]
struct TranslateReport {
    run: PathBuf,
    step: u32,
    family: &'static str,
    /// Every sampling setting that was used.
    sample: toml::Table,
    pictures: Vec<PictureReport>,
    seconds: f64,
}

#[derive(Serialize)]
struct PictureReport {
    /// What went in.
    input: PathBuf,
    /// What came out.
    file: PathBuf,
    seed: u64,
    /// Why it could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(options: &Translate) -> Outcome {
    let device = settings::device(&options.working)?;
    stop::listen("what is done is kept")?;
    let run = settings::find_run(&options.run)?;
    let trained = Trained::open(&run, options.checkpoint, &device)?;
    let as_typed = TranslateOptions {
        seed: options.seed,
        class: options.class.clone(),
        knobs: settings::sample_knobs(&options.knobs, &options.set)?,
        tile: options.tile.map(|tile| tile as usize),
        overlap: options.overlap.map(|overlap| overlap as usize),
    };
    let plan = TranslatePlan::new(&trained, &as_typed)?;
    let mut report = TranslateReport {
        run: run.folder().into(),
        step: trained.step,
        family: trained.family.name,
        sample: plan.options.clone(),
        pictures: pictures(options)?,
        seconds: 0.0,
    };
    let begin = Instant::now();
    work(&trained, &plan, &mut report, options.working.quiet)?;
    report.seconds = begin.elapsed().as_secs_f64();
    answer(options.reporting.json, &report, |report| show(report, &options.out))?;
    match report.pictures.iter().filter(|picture| picture.error.is_some()).count() {
        0 => Ok(()),
        failed => Err(Failure::Usage(format!(
            "{} of {} could not be used",
            format::plural(failed, "picture"),
            report.pictures.len()
        ))),
    }
}

/// Every picture that was named, with the file that it becomes.
fn pictures(options: &Translate) -> Outcome<Vec<PictureReport>> {
    let mut named: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut pictures = Vec::new();
    for input in &options.inputs {
        let found = data::find_pictures(input)?;
        for (path, below) in found {
            let file = options.out.join(below).with_extension("png");
            if let Some(other) = named.insert(file.clone(), path.clone()) {
                return Err(Failure::Usage(format!(
                    "{} and {} would both become {}; translate them into folders of their own",
                    other.display(),
                    path.display(),
                    file.display()
                )));
            }
            if file.exists() {
                return Err(Failure::Usage(format!(
                    "{} exists and is not overwritten; choose another --out",
                    file.display()
                )));
            }
            let seed = options.seed.wrapping_add(pictures.len() as u64);
            pictures.push(PictureReport { input: path, file, seed, error: None });
        }
    }
    Ok(pictures)
}

/// Translates and saves picture by picture, so that a stop keeps what is done. A picture that can't be used is
/// named and passed over.
fn work(trained: &Trained, plan: &TranslatePlan, report: &mut TranslateReport, quiet: bool) -> Outcome {
    let mut progress = Progress::new(quiet);
    let total = report.pictures.len() as u64;
    for index in 0..report.pictures.len() {
        let picture = &report.pictures[index];
        let texts = marks(report, picture);
        let mut part = Part { watch: &mut progress, before: index as u64, len: 1, total };
        match plan.file(trained, (&picture.input, index), &picture.file, &texts, &mut part) {
            Ok(()) => part.progress("translating", 1, 1),
            Err(Error::Interrupted) => {
                let saved = format::plural(index, "picture");
                return Err(Failure::Stopped(format!("stopped with {saved} saved")));
            }
            Err(error @ Error::Data { .. }) => {
                progress.notice(&error.to_string());
                report.pictures[index].error = Some(error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn marks(report: &TranslateReport, picture: &PictureReport) -> Vec<(String, String)> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let origin = format!(
        "run {}, step {}, family {}, seed {}, from {}",
        report.run.display(),
        report.step,
        report.family,
        picture.seed,
        name(&picture.input)
    );
    provenance::marks("made from a picture by a generative model", origin, &report.sample)
}

fn show(report: &TranslateReport, out: &Path) -> String {
    let count = report.pictures.iter().filter(|picture| picture.error.is_none()).count();
    let rate = count as f64 / report.seconds.max(1e-9);
    let done = format!(
        "{} in {} ({} a second)",
        format::plural(count, "picture"),
        format::clock(report.seconds),
        format::rate(rate)
    );
    let rows = vec![["translated".into(), done], ["folder".into(), out.display().to_string()]];
    table(&rows, DIM)
}
