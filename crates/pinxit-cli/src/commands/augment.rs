//! `pinxit augment`: pictures to train on, with proof whether they help.

use std::path::{Path, PathBuf};

use pinxit::data::{Split, View};
use pinxit::image_io::{self, Picture};
use pinxit::metrics::augmentation::{Generated, Interval, Proof, prove};
use pinxit::metrics::memorisation;
use pinxit::model::Request;
use pinxit::recipe::DataRecipe;
use pinxit::sample::{SamplePlan, Trained};
use pinxit::watch::Watch;
use serde::Serialize;

use super::sample::{Origin, class_folder, save};
use crate::failure::{Failure, Outcome};
use crate::options;
use crate::progress::Progress;
use crate::terminal::{DIM, HEAD, NAME, answer, table};
use crate::{format, real, settings, stop};

/// How often copies are replaced before a class has to do with fewer pictures.
const ROUNDS: u64 = 3;

#[derive(Serialize)]
struct AugmentReport {
    run: PathBuf,
    step: u32,
    out: PathBuf,
    pictures: usize,
    /// Copies of training pictures that were left out.
    copies: usize,
    verdict: String,
    proof: Proof,
}

/// A painted picture.
struct Painted {
    picture: Picture,
    seed: u64,
    class: u32,
}

pub(crate) fn run(options: &options::Augment) -> Outcome {
    let device = settings::device(&options.working)?;
    stop::listen("what is painted is kept")?;
    let run = settings::find_run(&options.run)?;
    let trained = Trained::open(&run, options.checkpoint, &device)?;
    if trained.model.classes().is_empty() {
        let message =
            "the model knows no classes, so its pictures can't be labelled: train it on a folder of folders";
        return Err(Failure::Usage(message.into()));
    }
    if std::fs::read_dir(&options.out).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!(
            "{} holds something and nothing is overwritten; choose another --out",
            options.out.display()
        );
        return Err(Failure::Usage(message));
    }
    let mut progress = Progress::new(options.working.quiet);
    let own = &trained.recipe.data;
    let recipe = match &options.data {
        Some(source) => DataRecipe { source: source.clone(), ..own.clone() },
        None => own.clone(),
    };
    let all = real::open(&recipe, &mut progress)?;
    if all.classes() != trained.model.classes() {
        let message = format!("{} has other classes than the model", recipe.source);
        return Err(Failure::Usage(message));
    }
    let train = real::part(&all, Split::Train, recipe.holdout)?;
    let test = real::part(&all, Split::Test, recipe.holdout)?;
    let (painted, copies) = paint(&trained, options, &train, &mut progress)?;
    write(&trained, run.folder(), &options.out, &painted)?;
    let generated = Generated {
        labels: painted.iter().map(|painted| painted.class).collect(),
        pictures: painted.into_iter().map(|painted| painted.picture).collect(),
    };
    let proof = prove(&train, &test, &generated, options.steps, &device, &mut progress)?;
    drop(progress);
    let report = AugmentReport {
        run: run.folder().into(),
        step: trained.step,
        out: options.out.clone(),
        pictures: generated.pictures.len(),
        copies,
        verdict: proof.verdict(),
        proof,
    };
    answer(options.reporting.json, &report, show)
}

/// `per_class` pictures of each class that copy no training picture, and the number of copies that
/// were left out.
fn paint(
    trained: &Trained,
    options: &options::Augment,
    train: &View,
    watch: &mut dyn Watch,
) -> Outcome<(Vec<Painted>, usize)> {
    let known = real::read(train)?;
    let (mut kept, mut copies) = (Vec::new(), 0);
    let mut missing = vec![options.per_class as usize; trained.model.classes().len()];
    let mut seed = options.seed;
    for _ in 0..=ROUNDS {
        let classes: Vec<u32> =
            (0u32..).zip(&missing).flat_map(|(class, &count)| vec![class; count]).collect();
        if classes.is_empty() {
            break;
        }
        let seeds: Vec<u64> = (0..classes.len() as u64).map(|i| seed.wrapping_add(i)).collect();
        seed = seed.wrapping_add(classes.len() as u64);
        let request = Request {
            seeds: seeds.clone(),
            classes: classes.clone(),
            options: trained.recipe.sample.clone(),
        };
        let mut pictures = Vec::new();
        SamplePlan::of(request).paint(trained, watch, |_, image| {
            pictures.extend(image_io::pictures(image.unsqueeze())?);
            Ok(())
        })?;
        let copied = memorisation::copies(&pictures, &known)?;
        for (index, ((picture, seed), class)) in pictures.into_iter().zip(seeds).zip(classes).enumerate() {
            if copied.binary_search(&index).is_ok() {
                copies += 1;
            } else {
                missing[class as usize] -= 1;
                kept.push(Painted { picture, seed, class });
            }
        }
    }
    Ok((kept, copies))
}

fn write(trained: &Trained, run: &Path, out: &Path, painted: &[Painted]) -> Outcome {
    let origin =
        Origin { run, step: trained.step, family: trained.family.name, sample: &trained.recipe.sample };
    let names = trained.model.classes();
    for Painted { picture, seed, class } in painted {
        let name = names.get(*class as usize).map(String::as_str);
        let folder = out.join(class_folder(*class, name.unwrap_or_default()));
        save(&folder.join(format!("{seed:06}.png")), picture, &origin.marks(*seed, name))?;
    }
    Ok(())
}

fn show(report: &AugmentReport) -> String {
    let proof = &report.proof;
    let rows = proof.accuracies.iter().map(|(diet, values)| {
        let Interval { mean, half } = Interval::of(values);
        [diet.about().into(), format!("{:.1} +- {:.1} %", 100.0 * mean, 100.0 * half)]
    });
    let rows: Vec<_> = std::iter::once(["trained on".into(), "accuracy".into()]).chain(rows).collect();
    let facts = [
        [
            "painted",
            &format!(
                "{} in {}, {} left out as copies",
                format::plural(report.pictures, "picture"),
                report.out.display(),
                format::count(report.copies as u64)
            ),
        ],
        [
            "proof",
            &format!(
                "classifiers of {} steps, five seeds each, on {} real and {} generated pictures, judged by {} of the test split; 95 % intervals",
                proof.steps,
                format::count(proof.real as u64),
                format::count(proof.generated as u64),
                format::count(proof.tested as u64)
            ),
        ],
    ];
    format!(
        "{HEAD}{}{HEAD:#}\n{}\n{}",
        report.verdict,
        table(&rows, NAME),
        table(&facts.map(|row| row.map(String::from)), DIM)
    )
}
