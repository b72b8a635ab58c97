//! `pinxit audit`: whether a model copies the pictures that it was trained on.

use std::path::{Path, PathBuf};

use pinxit::data::{Dataset, Split, View, split};
use pinxit::image_io::{self, Overwrite, Picture, save_png};
use pinxit::metrics::collapse::Support;
use pinxit::metrics::collect::{Collected, collect};
use pinxit::metrics::extract::{Extractor, Identity};
use pinxit::metrics::judge;
use pinxit::metrics::memorisation::{self, Audit, Pair, Suspects, authenticity, copying_score};
use pinxit::metrics::spectrum::{Comparison, Spectrum};
use pinxit::sample::{SampleOptions, SamplePlan, Trained};
use pinxit::watch::Watch;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::options;
use crate::progress::Progress;
use crate::terminal::{BAD, DIM, GOOD, HEAD, NAME, answer, table};
use crate::{format, real, settings, stop};

#[derive(Serialize)]
struct AuditReport {
    run: PathBuf,
    step: u32,
    seed: u64,
    #[serde(flatten)]
    audit: Audit,
    support: Support,
    features: Features,
    /// Samples against held-out pictures, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    spectrum: Option<Comparison>,
    /// Names of the training pictures of `nearest`, in order.
    nearest_names: Vec<String>,
    pictures: PathBuf,
    max_copies: Option<f64>,
}

/// What features say of copying.
#[derive(Serialize)]
struct Features {
    extractor: Identity,
    /// Share of the samples, in percent, that are farther from training pictures than those are from each other.
    authentic: f64,
    /// The same of the held-out pictures: what chance makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out_authentic: Option<f64>,
    /// The data-copying test, below -3 where samples lie nearer to training pictures than held-out ones do.
    #[serde(skip_serializing_if = "Option::is_none")]
    c_t: Option<f64>,
}

impl Features {
    fn new(
        extractor: &dyn Extractor,
        suspects: &Suspects,
        train: &View,
        watch: &mut dyn Watch,
    ) -> Outcome<Self> {
        let known = judge::reference(extractor, train, &real::features_folder(), watch)?;
        let samples = collect(extractor, &suspects.samples.to_vec(), watch)?;
        let held_out = match suspects.held_out.is_empty() {
            true => None,
            false => Some(collect(extractor, &suspects.held_out.to_vec(), watch)?),
        };
        let (samples, known) = (samples.rows()?, known.rows()?);
        let control = held_out.as_ref().map(Collected::rows).transpose()?;
        Ok(Self {
            extractor: extractor.identity().clone(),
            authentic: authenticity(samples, known)?,
            held_out_authentic: control.map(|rows| authenticity(rows, known)).transpose()?,
            c_t: control.and_then(|rows| copying_score(samples, known, rows).ok()),
        })
    }
}

pub(crate) fn run(options: &options::Audit) -> Outcome {
    let device = settings::device(&options.working)?;
    stop::listen("nothing is kept")?;
    let run = settings::find_run(&options.run)?;
    let sheet = options.sheet.clone().unwrap_or_else(|| run.folder().join("audit.png"));
    if let Some(path) = &options.sheet {
        settings::prepare_sheet("--sheet", path)?;
    }
    let trained = Trained::open(&run, options.checkpoint, &device)?;
    let mut progress = Progress::new(options.working.quiet);
    let all = real::open(&trained.recipe.data, &mut progress)?;
    let holdout = trained.recipe.data.holdout;
    let train = split::view(all.clone(), Split::Train, holdout)?;
    let pictures = real::read(&train)?;
    let held_out = real::read(&split::view(all, Split::Heldout, holdout)?)?;
    let samples = paint(&trained, options, &mut progress)?;
    let suspects = Suspects { samples: &samples, train: &pictures, held_out: &held_out };
    let audit = memorisation::audit(&suspects, &mut progress)?;
    let extractor = real::extractor(&options.extraction, &train, &device, &mut progress)?;
    let features = Features::new(&*extractor, &suspects, &train, &mut progress)?;
    drop(progress);
    let spectra = Spectrum::of(&samples).and_then(|ours| ours.against(&Spectrum::of(&held_out)?));
    save_png(&sheet, &pairs(&audit.nearest, &samples, &pictures), &[], Overwrite::Allow)?;
    let report = AuditReport {
        run: run.folder().into(),
        step: trained.step,
        seed: options.seed,
        support: Support::of(&audit),
        spectrum: spectra.ok(),
        features,
        nearest_names: audit.nearest.iter().map(|pair| Dataset::name(&train, pair.train)).collect(),
        pictures: sheet,
        max_copies: options.max_copies,
        audit,
    };
    answer(options.reporting.json, &report, show)?;
    report.verdict()
}

fn paint(trained: &Trained, options: &options::Audit, watch: &mut dyn Watch) -> Outcome<Vec<Picture>> {
    let as_typed =
        SampleOptions { count: options.count as usize, seed: options.seed, ..SampleOptions::default() };
    let plan = SamplePlan::new(trained, &as_typed)?;
    let mut samples = Vec::new();
    plan.paint(trained, watch, |_, image| {
        samples.extend(image_io::pictures(image.unsqueeze())?);
        Ok(())
    })?;
    Ok(samples)
}

/// Each sample beside the training picture that it is most like, two pairs a row.
fn pairs(nearest: &[Pair], samples: &[Picture], train: &[Picture]) -> Picture {
    let both = |pair: &Pair| [samples[pair.sample].clone(), train[pair.train].clone()];
    image_io::grid(&nearest.iter().flat_map(both).collect::<Vec<_>>(), 4, 2)
}

impl AuditReport {
    /// Copies among the samples, in percent.
    fn percent(&self) -> f64 {
        100.0 * self.audit.copies.len() as f64 / self.audit.samples.max(1) as f64
    }

    /// Fails if there are more copies than the user allows.
    fn verdict(&self) -> Outcome {
        match self.max_copies {
            Some(most) if self.percent() > most => Err(Failure::Refused(format!(
                "{} of {} samples copy training pictures: {:.2} %, more than the {most} % of --max-copies",
                self.audit.copies.len(),
                self.audit.samples,
                self.percent()
            ))),
            _ => Ok(()),
        }
    }
}

fn show(report: &AuditReport) -> String {
    let audit = &report.audit;
    let style = if audit.copies.is_empty() { GOOD } else { BAD };
    let mut text = format!(
        "{HEAD}{}, step {}{HEAD:#}\n{style}{} of {} samples copy a training picture{style:#} ({:.2} %)\n",
        report.run.display(),
        format::count(report.step.into()),
        audit.copies.len(),
        format::count(audit.samples as u64),
        report.percent()
    );
    text += &table(&facts(report), DIM);
    let rows = audit.nearest.iter().zip(&report.nearest_names).take(6).map(|(pair, name)| {
        [
            format!("seed {}", report.seed + pair.sample as u64),
            format::measure(pair.ratio),
            pair.position.to_string(),
            name.clone(),
        ]
    });
    let mut rows: Vec<_> = rows.collect();
    rows.insert(0, ["".into(), "ratio".into(), "position".into(), "training picture".into()]);
    text + &format!("\n{HEAD}Most alike{HEAD:#} ({})\n{}", show_path(&report.pictures), table(&rows, NAME))
}

/// What C_T says. Copies lie nearer to training pictures than new pictures do, and so do typical ones, which lie as near
/// to held-out pictures.
fn copying(c_t: f64, tends_to_training: bool) -> &'static str {
    match c_t {
        ..-3.0 if tends_to_training => {
            "samples lie nearer to training pictures than new pictures do, as copies do"
        }
        ..-3.0 => {
            "samples lie nearer to training pictures than new pictures do, but don't tend to them more than to held-out \
             ones: typical, not copied"
        }
        3.0.. => "samples lie farther from training pictures than new pictures do",
        _ => "samples lie as near to training pictures as new pictures do",
    }
}

fn show_path(path: &Path) -> String {
    path.display().to_string()
}

fn facts(report: &AuditReport) -> Vec<[String; 2]> {
    let audit = &report.audit;
    let control = match audit.held_out {
        0 => "none was held out, so nothing says what chance makes".into(),
        n => format!(
            "{} of {} held-out pictures would be called copies",
            audit.held_out_copies,
            format::count(n as u64)
        ),
    };
    let mut rows = vec![
        [
            "searched".into(),
            format!(
                "{}; a copy is below ratio {}",
                format::plural(audit.train, "training picture"),
                format::measure(audit.limit)
            ),
        ],
        ["control".into(), control],
    ];
    if let Some(test) = audit.nearer {
        let says = if test.p_smaller < 0.01 {
            "nearer to training pictures than held-out pictures are"
        } else {
            "no nearer to training pictures than held-out pictures are"
        };
        rows.push([
            "distance".into(),
            format!("samples are {says} (Z = {:.1}, p = {:.2e})", test.z, test.p_smaller),
        ]);
    }
    let features = &report.features;
    let real = features
        .held_out_authentic
        .map_or_else(String::new, |real| format!(", {real:.0} % of held-out pictures"));
    rows.push([
        "authentic".into(),
        format!(
            "{:.0} % of the samples by {}{real} (copies bring it down)",
            features.authentic, features.extractor.name
        ),
    ]);
    if let Some(share) = audit.toward_training {
        let says = format!(
            "{:.0} % of the samples are more like a training picture than any of as many",
            100.0 * share
        );
        rows.push(["tendency".into(), format!("{says} held-out ones (50 % by chance, copies bring it up)")]);
    }
    if let Some(c_t) = features.c_t {
        rows.push(["C_T".into(), format!("{c_t:.1}: {}", copying(c_t, audit.tends_to_training()))]);
    }
    let largest = audit.cliques.first().map_or(0, Vec::len);
    rows.push([
        "repeats".into(),
        match audit.cliques.len() {
            0 => "no two samples are copies of each other".into(),
            n => format!("{n} groups of samples are copies of each other, the largest of {largest}"),
        },
    ]);
    let at_least = if report.support.pairs == 0 { "at least " } else { "" };
    rows.push([
        "different pictures".into(),
        format!("{at_least}about {} by the birthday paradox", format::magnitude(report.support.size as u64)),
    ]);
    rows.push([
        "duplicates".into(),
        format!(
            "{} of training pictures that are copies of each other",
            format::plural(audit.train_duplicates.len(), "group")
        ),
    ]);
    if let Some(spectrum) = &report.spectrum {
        rows.push(["spectrum".into(), format!(
            "fine detail {:+.1} dB, checkerboard {:+.1} dB against held-out pictures (0 is right, below is blur)",
            spectrum.detail, spectrum.checkerboard
        )]);
    }
    rows
}
