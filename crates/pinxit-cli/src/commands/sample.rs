//! `pinxit sample`: new pictures from a run.

use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use pinxit::Error;
use pinxit::data;
use pinxit::image_io::{self, Overwrite, Picture, save_png};
use pinxit::latent::{self, Walk};
use pinxit::sample::{Completion, SampleOptions, SamplePlan, Trained};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::options::{LatentWalk, Sample};
use crate::progress::Progress;
use crate::terminal::{DIM, answer, table};
use crate::{format, provenance, settings, stop};

#[derive(Serialize)]
struct SampleReport {
    run: PathBuf,
    step: u32,
    family: &'static str,
    /// Every sampling setting that was used.
    sample: toml::Table,
    pictures: Vec<PictureReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<PathBuf>,
    seconds: f64,
}

#[derive(Serialize)]
struct PictureReport {
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

pub(crate) fn run(options: &Sample) -> Outcome {
    let device = settings::device(&options.working)?;
    stop::listen("what is painted is kept")?;
    let run = settings::find_run(&options.run)?;
    let trained = Trained::open(&run, options.checkpoint, &device)?;
    let as_typed = SampleOptions {
        count: options.count as usize,
        seed: options.seed,
        class: options.class.clone(),
        knobs: settings::sample_knobs(&options.knobs, &options.set)?,
        walk: walk(&trained, options)?,
    };
    let plan = SamplePlan::new(&trained, &as_typed)?;
    let mut report = SampleReport {
        run: run.folder().into(),
        step: trained.step,
        family: trained.family.name,
        sample: plan.request.options.clone(),
        pictures: pictures(&plan, trained.model.classes(), options.out.as_deref()),
        grid: options.grid.clone(),
        seconds: 0.0,
    };
    refuse_existing(&report)?;
    if let Some(path) = &report.grid {
        settings::prepare_sheet("--grid", path)?;
    }
    let begin = Instant::now();
    let completion = options.complete.clone().zip(options.from_row);
    let completion = completion.map(|(file, row)| Completion { file, from_row: row as usize });
    paint(&trained, &plan, completion.as_ref(), &report, options.working.quiet)?;
    report.seconds = begin.elapsed().as_secs_f64();
    answer(options.reporting.json, &report, |report| show(report, options.out.as_deref()))
}

/// The walk that was asked for, if any; a direction is looked for among the run's pictures.
fn walk(trained: &Trained, options: &Sample) -> Outcome<Option<Walk>> {
    let LatentWalk { interpolate, vary_class, attribute, traverse } = &options.walk;
    Ok(match attribute.as_slice() {
        [from, to] => {
            let mut progress = Progress::new(options.working.quiet);
            let opened = data::open(&trained.recipe.data, &data::default_cache_dir(), &mut progress)?;
            Some(Walk::Along(latent::direction(trained, &*opened.dataset, [from, to], &mut progress)?))
        }
        _ if *vary_class => Some(Walk::VaryClass),
        _ if *traverse => Some(Walk::Traverse),
        _ => (!interpolate.is_empty()).then(|| Walk::Interpolate(interpolate.clone())),
    })
}

/// Name and place of every picture: `DIR/CLASS/SEED.png`, or `DIR/SEED.png` without classes.
fn pictures(plan: &SamplePlan, classes: &[String], out: Option<&Path>) -> Vec<PictureReport> {
    let request = &plan.request;
    let one = |((i, &seed), name): ((usize, &u64), &String)| {
        let index = request.classes.get(i).copied();
        let class = index.and_then(|index| classes.get(index as usize)).cloned();
        let file = out.map(|out| {
            let below = index.zip(class.as_deref()).map(|(index, class)| class_folder(index, class));
            let folder = below.map_or(out.to_path_buf(), |below| out.join(below));
            folder.join(format!("{name}.png"))
        });
        PictureReport { seed, class, file }
    };
    request.seeds.iter().enumerate().zip(&plan.names).map(one).collect()
}

/// The folder of a class: its name, unless that comes from a checkpoint that would lead elsewhere.
pub(crate) fn class_folder(index: u32, class: &str) -> String {
    let mut components = Path::new(class).components();
    let is_one = matches!((components.next(), components.next()),
        (Some(Component::Normal(name)), None) if name == class);
    match is_one && !class.contains(['/', '\\', '\0']) {
        true => class.into(),
        false => format!("class-{index}"),
    }
}

/// Nothing is overwritten, and that is said before the work and not after it.
fn refuse_existing(report: &SampleReport) -> Outcome {
    let mut files = report.pictures.iter().filter_map(|picture| picture.file.as_ref());
    match files.find(|file| file.exists()) {
        None => Ok(()),
        Some(file) => Err(Failure::Usage(format!(
            "{} exists and is not overwritten; choose another folder or --seed",
            file.display()
        ))),
    }
}

/// Paints and saves picture by picture, so that a stop keeps what is done.
fn paint(
    trained: &Trained,
    plan: &SamplePlan,
    completion: Option<&Completion>,
    report: &SampleReport,
    quiet: bool,
) -> Outcome {
    let mut progress = Progress::new(quiet);
    let mut sheet: Vec<Picture> = Vec::new();
    let mut saved = 0;
    let painted = plan.paint_from(trained, completion, &mut progress, |i, image| {
        let entry = &report.pictures[i];
        for picture in image_io::pictures(image.unsqueeze())? {
            if let Some(file) = &entry.file {
                save(file, &picture, &marks(report, entry))?;
                saved += 1;
            }
            if report.grid.is_some() {
                sheet.push(picture);
            }
        }
        Ok(())
    });
    if let (Ok(()) | Err(Error::Interrupted), Some(path)) = (&painted, &report.grid)
        && !sheet.is_empty()
    {
        save_sheet(path, &sheet, plan.columns)?;
    }
    match painted {
        Err(Error::Interrupted) => {
            let saved = format::plural(saved.max(sheet.len()), "picture");
            Err(Failure::Stopped(format!("stopped with {saved} saved")))
        }
        painted => Ok(painted?),
    }
}

pub(crate) fn save(file: &Path, picture: &Picture, marks: &[(String, String)]) -> pinxit::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "making the folder"))?;
    }
    save_png(file, picture, marks, Overwrite::Refuse)
}

fn save_sheet(path: &Path, pictures: &[Picture], columns: Option<usize>) -> pinxit::Result<()> {
    let columns = columns.unwrap_or((pictures.len() as f64).sqrt().ceil() as usize);
    save_png(path, &image_io::grid(pictures, columns, 1), &[], Overwrite::Refuse)
}

/// What the file says of itself: that a model made it, which one, and how to make it again.
fn marks(report: &SampleReport, picture: &PictureReport) -> Vec<(String, String)> {
    let origin =
        Origin { run: &report.run, step: report.step, family: report.family, sample: &report.sample };
    origin.marks(picture.seed, picture.class.as_deref())
}

/// Where painted pictures come from.
pub(crate) struct Origin<'a> {
    pub(crate) run: &'a Path,
    pub(crate) step: u32,
    pub(crate) family: &'a str,
    /// Every sampling setting that was used.
    pub(crate) sample: &'a toml::Table,
}

impl Origin<'_> {
    /// Text entries for the file of a picture.
    pub(crate) fn marks(&self, seed: u64, class: Option<&str>) -> Vec<(String, String)> {
        let mut origin =
            format!("run {}, step {}, family {}, seed {seed}", self.run.display(), self.step, self.family);
        if let Some(class) = class {
            origin += &format!(", class {class}");
        }
        provenance::marks("made by a generative model", origin, self.sample)
    }
}

fn show(report: &SampleReport, out: Option<&Path>) -> String {
    let count = report.pictures.len();
    let rate = count as f64 / report.seconds.max(1e-9);
    let mut rows = vec![[
        "painted".into(),
        format!(
            "{} in {} ({} a second)",
            format::plural(count, "picture"),
            format::clock(report.seconds),
            format::rate(rate)
        ),
    ]];
    rows.extend(out.map(|out| ["folder".into(), out.display().to_string()]));
    rows.extend(report.grid.iter().map(|grid| ["sheet".into(), grid.display().to_string()]));
    table(&rows, DIM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_class_leads_out_of_the_folder() {
        for class in ["cat", "a b", "7", "..."] {
            assert_eq!(class_folder(3, class), class);
        }
        for class in ["", ".", "..", "../up", "/etc", "a/b", "a/", "a\\b", "a\0"] {
            assert_eq!(class_folder(3, class), "class-3", "{class:?}");
        }
    }
}
