//! `pinxit score`: how good generated pictures are, and what that took.

use std::path::Path;

use pinxit::data::Split;
use pinxit::device::Device;
use pinxit::files::write_whole;
use pinxit::metrics::card::{Better, Names, Score, ScoreCard};
use pinxit::metrics::collect::{Collected, collect};
use pinxit::metrics::extract::Extractor;
use pinxit::metrics::judge;
use pinxit::recipe::DataRecipe;
use pinxit::sample::{SampleOptions, Trained};
use pinxit::{Error, watch::Watch};

use crate::failure::{Failure, Outcome};
use crate::options;
use crate::progress::Progress;
use crate::real::{describe, extractor, features_folder, inception, open, originals, own, part};
use crate::terminal::{DIM, HEAD, NAME, answer, table};
use crate::{format, settings, stop};

pub(crate) fn run(options: &options::Score) -> Outcome {
    if !options.compare.is_empty() {
        return compare(options);
    }
    let Some(target) = &options.target else {
        let what = "a run, or a folder of pictures together with --against REAL";
        return Err(Failure::Usage(format!("there is nothing to score: name {what}")));
    };
    if let Some(path) = options.out.as_ref().filter(|path| path.exists()) {
        let message = format!("{} exists and is not overwritten; choose another --out", path.display());
        return Err(Failure::Usage(message));
    }
    let device = settings::device(&options.working)?;
    stop::listen("nothing is kept")?;
    let mut progress = Progress::new(options.working.quiet);
    let card = match settings::find_run(target) {
        Ok(run) => {
            let trained = Trained::open(&run, options.checkpoint, &device)?;
            score_run(options, &trained, &run.folder().display().to_string(), &device, &mut progress)?
        }
        Err(not_a_run) => {
            let Some(against) = &options.against else { return Err(not_a_run) };
            score_folder(options, target, against, &device, &mut progress)?
        }
    };
    drop(progress);
    if let Some(path) = &options.out {
        let json = serde_json::to_vec_pretty(&card).map_err(|error| Failure::Output(error.into()))?;
        write_whole(path, |temporary| {
            std::fs::write(temporary, &json).map_err(Error::io(path, "writing the card"))
        })?;
    }
    answer(options.reporting.json, &card, show)
}

/// A run against pictures that it never trained on, or against others.
fn score_run(
    options: &options::Score,
    trained: &Trained,
    name: &str,
    device: &Device,
    watch: &mut dyn Watch,
) -> Outcome<ScoreCard> {
    let recipe = match &options.against {
        Some(source) => DataRecipe { source: source.clone(), holdout: 0.0, ..trained.recipe.data.clone() },
        None => trained.recipe.data.clone(),
    };
    let all = open(&recipe, watch)?;
    let split = if options.against.is_some() { Split::All } else { options.split.into() };
    let real = part(&all, split, recipe.holdout)?;
    let own = part(&open(&trained.recipe.data, watch)?, Split::Train, trained.recipe.data.holdout)?;
    let extractor = extractor(&options.extraction, &own, device, watch)?;
    let reference = judge::reference(&*extractor, &real, &features_folder(), watch)?;
    let as_typed =
        SampleOptions { count: options.count as usize, seed: options.seed, ..SampleOptions::default() };
    let generated = judge::paint(trained, &as_typed, &*extractor, watch)?;
    let names = Names {
        generated: format!("{name}, step {}, seeds from {}", trained.step, options.seed),
        real: format!("{}, {}", recipe.source, describe(split)),
    };
    let mut card = ScoreCard::new(names, &generated, &reference, watch)?;
    card.add_likelihood(trained, &real, watch)?;
    Ok(card)
}

/// Pictures on the disk against others, all at the sizes that they have.
fn score_folder(
    options: &options::Score,
    target: &Path,
    against: &str,
    device: &Device,
    watch: &mut dyn Watch,
) -> Outcome<ScoreCard> {
    let generated = originals(&target.to_string_lossy(), watch)?;
    let real = originals(against, watch)?;
    let recipe = DataRecipe { source: against.into(), ..DataRecipe::default() };
    let extractor: Box<dyn Extractor> = match inception(&options.extraction, device, watch)? {
        Some(extractor) => Box::new(extractor),
        None => own(&options.extraction, &part(&open(&recipe, watch)?, Split::All, 0.0)?, device, watch)?,
    };
    let reference = judge::reference(&*extractor, &*real, &features_folder(), watch)?;
    let generated: Collected = collect(&*extractor, &*generated, watch)?;
    let names = Names { generated: target.display().to_string(), real: format!("{against}, all pictures") };
    Ok(ScoreCard::new(names, &generated, &reference, watch)?)
}

/// Cards side by side, if they may be.
fn compare(options: &options::Score) -> Outcome {
    let cards: Vec<ScoreCard> = options.compare.iter().map(|path| read(path)).collect::<Outcome<_>>()?;
    let Some((first, rest)) = cards.split_first() else { return Ok(()) };
    for card in rest {
        first.record.check_comparable(&card.record)?;
    }
    answer(options.reporting.json, &cards, |cards| {
        let mut text = String::new();
        for score in &first.scores {
            let values = cards.iter().map(|card| {
                let same = card.scores.iter().find(|other| other.name == score.name);
                [card.generated.clone(), same.map_or("not taken".into(), value)]
            });
            text += &format!(
                "{HEAD}{}{HEAD:#} ({})\n{}",
                score.name,
                direction(score.better),
                table(&values.collect::<Vec<_>>(), NAME)
            );
        }
        text + &taken(first)
    })
}

fn read(path: &Path) -> Outcome<ScoreCard> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "reading the card"))?;
    let card = serde_json::from_slice(&bytes);
    Ok(card.map_err(|error| {
        Error::data(path, format!("it is no card that pinxit score --out wrote ({error})"))
    })?)
}

fn show(card: &ScoreCard) -> String {
    let mut rows =
        vec![["".into(), "value".into(), "real against real".into(), "better".into(), "what it says".into()]];
    rows.extend(card.scores.iter().map(|score| {
        let floor = score.floor.map_or_else(|| "-".into(), format::measure);
        [score.name.clone(), value(score), floor, direction(score.better).into(), score.about.clone()]
    }));
    let mut text = format!("{HEAD}{}{HEAD:#}\n{}", card.generated, table(&rows, NAME));
    for missing in &card.missing {
        text += &format!("  {DIM}not taken: {missing}{DIM:#}\n");
    }
    text + &taken(card)
}

fn value(score: &Score) -> String {
    let deviation = score.deviation.map_or_else(String::new, |d| format!(" +- {}", format::measure(d)));
    format::measure(score.value) + &deviation
}

fn direction(better: Better) -> &'static str {
    match better {
        Better::Higher => "higher",
        Better::Lower => "lower",
        Better::Real => "as real",
    }
}

/// What the scores took.
fn taken(card: &ScoreCard) -> String {
    let record = &card.record;
    let [subsets, size] = record.kernel_subsets;
    let [reach, density] = record.neighbours;
    let rows = [
        [
            "real pictures",
            &format!(
                "{} ({} of them, {})",
                record.real,
                format::count(record.n_real as u64),
                record.real_sha256
            ),
        ],
        ["generated", &format!("{} pictures", format::count(record.n_generated as u64))],
        ["extractor", &format!("{}, sha256 {}", record.extractor.name, record.extractor.sha256)],
        ["features", &format!("{}, {}", record.extractor.layer, record.extractor.resize)],
        [
            "settings",
            &format!(
                "{subsets} subsets of {size}, k = {reach} and {density}, seed {}; floor: a random half of the real pictures against the other",
                record.seed
            ),
        ],
    ];
    format!("\n{HEAD}Made of{HEAD:#}\n{}", table(&rows.map(|row| row.map(String::from)), DIM))
}
