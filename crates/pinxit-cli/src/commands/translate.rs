//! `pinxit translate`: pictures from pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pinxit::Error;
use pinxit::data;
use pinxit::image_io::{self, Overwrite, save_png};
use pinxit::metrics::translation::{self, Nearness};
use pinxit::sample::Trained;
use pinxit::translate::{Anew, TranslateOptions, TranslatePlan};
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
        part: match (&options.mask, options.extend) {
            (Some(mask), _) => Anew::Mask(mask.clone()),
            (None, Some(margin)) => Anew::Around(margin as usize),
            (None, None) => Anew::All,
        },
    };
    let Some(out) = &options.out else {
        return judge(options, &trained, trained.sample_table(&as_typed.knobs)?);
    };
    let plan = TranslatePlan::new(&trained, &as_typed)?;
    let mut report = TranslateReport {
        run: run.folder().into(),
        step: trained.step,
        family: trained.family.name,
        sample: plan.options.clone(),
        pictures: pictures(options, out)?,
        seconds: 0.0,
    };
    let begin = Instant::now();
    work(&trained, &plan, &mut report, options.working.quiet)?;
    report.seconds = begin.elapsed().as_secs_f64();
    answer(options.reporting.json, &report, |report| show(report, out))?;
    match report.pictures.iter().filter(|picture| picture.error.is_some()).count() {
        0 => Ok(()),
        failed => Err(Failure::Usage(format!(
            "{} of {} could not be used",
            format::plural(failed, "picture"),
            report.pictures.len()
        ))),
    }
}

/// Columns of a sheet of held-out pictures.
const COLUMNS: usize = 8;

#[derive(Serialize)]
struct JudgeReport {
    run: PathBuf,
    step: u32,
    family: &'static str,
    sample: toml::Table,
    /// Pictures that were translated.
    count: usize,
    scores: Vec<Nearness>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<PathBuf>,
}

/// How near the run's own held-out pictures come to the truth.
fn judge(options: &Translate, trained: &Trained, sample: toml::Table) -> Outcome {
    if let Some(path) = &options.grid {
        settings::prepare_sheet("--grid", path)?;
    }
    let mut progress = Progress::new(options.working.quiet);
    let all = crate::real::open(&trained.recipe.data, &mut progress)?;
    let counts = (options.count as usize, COLUMNS);
    let score = translation::score(trained, all, &sample, counts, &mut progress)?;
    drop(progress);
    if let Some(path) = &options.grid {
        let columns = score.sheet.first().map_or(1, Vec::len);
        save_png(path, &image_io::grid(&score.sheet.concat(), columns, 1), &[], Overwrite::Refuse)?;
    }
    let report = JudgeReport {
        run: options.run.clone(),
        step: trained.step,
        family: trained.family.name,
        sample,
        count: score.count,
        scores: score.rows,
        grid: options.grid.clone(),
    };
    answer(options.reporting.json, &report, |report| {
        let number = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.3}"));
        let head =
            ["".to_string(), "PSNR".into(), "SSIM".into(), "FD (random features)".into(), "joint FD".into()];
        let row = |score: &Nearness| {
            let Nearness { name, psnr, ssim, distance, joint } = score;
            let [ssim, distance, joint] = [*ssim, *distance, *joint].map(number);
            [(*name).into(), format!("{psnr:.2} dB"), ssim, distance, joint]
        };
        let rows: Vec<_> = std::iter::once(head).chain(report.scores.iter().map(row)).collect();
        format!("{} held out\n{}", format::plural(report.count, "picture"), table(&rows, DIM))
    })
}

/// Every picture that was named, with the file that it becomes.
fn pictures(options: &Translate, out: &Path) -> Outcome<Vec<PictureReport>> {
    let mut named: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut pictures = Vec::new();
    for input in &options.inputs {
        let found = data::find_pictures(input)?;
        for (path, below) in found {
            let file = out.join(below).with_extension("png");
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
