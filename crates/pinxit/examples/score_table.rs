//! Trains every family on the built-in digits and glyphs and prints the score table of the README.
//!
//! `cargo run --release --example score_table -- MINUTES FOLDER [FAMILY ...]` trains what is not yet in
//! FOLDER, goes on with what was stopped, scores all of it and prints Markdown. `just table` calls it.

use std::path::Path;
use std::sync::Arc;

use pinxit::data::{self, Dataset, Split, split};
use pinxit::device;
use pinxit::families::FAMILIES;
use pinxit::metrics::card::{Names, ScoreCard};
use pinxit::metrics::extract::{Learning, OwnExtractor};
use pinxit::metrics::judge;
use pinxit::recipe::Recipe;
use pinxit::run::Run;
use pinxit::sample::{SampleOptions, Trained};
use pinxit::train::{TrainWatch, train};
use pinxit::watch::{Unwatched, Watch};

/// Painted pictures of a score.
const COUNT: usize = 1000;
/// Columns of the table: the beginnings of the names of scores.
const COLUMNS: [&str; 7] = ["FD", "KD", "precision", "recall", "coverage", "detectable", "spread"];

struct Told;

impl Watch for Told {
    fn progress(&mut self, task: &str, done: u64, total: u64) {
        if total > 0 && done.is_multiple_of(total.div_ceil(4)) {
            eprintln!("  {task} {done}/{total}");
        }
    }
}

impl TrainWatch for Told {}

fn main() -> pinxit::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(minutes), Some(folder)) =
        (arguments.first().and_then(|m| m.parse::<f64>().ok()), arguments.get(1))
    else {
        eprintln!("usage: score_table MINUTES FOLDER [FAMILY ...]");
        std::process::exit(2);
    };
    let wanted = &arguments[2..];
    println!("| pictures | family | steps | {} |", COLUMNS.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(COLUMNS.len()));
    for source in ["builtin:digits", "builtin:glyphs"] {
        for family in
            FAMILIES.iter().filter(|family| wanted.is_empty() || wanted.iter().any(|w| w == family.name))
        {
            let name = format!("{}-{}", source.trim_start_matches("builtin:"), family.name);
            eprintln!("{name}");
            let run = open(&Path::new(folder).join(name), family.name, source, minutes)?;
            println!("{}", row(&run, source)?);
        }
    }
    Ok(())
}

/// The run in `folder`, trained to its end.
fn open(folder: &Path, family: &str, source: &str, minutes: f64) -> pinxit::Result<Run> {
    let run = match Run::open(folder) {
        Ok(run) => run,
        Err(_) => {
            let text = format!(
                "family = \"{family}\"\n[data]\nsource = \"{source}\"\nholdout = 0.3\n[train]\nminutes = {minutes:?}"
            );
            Run::create(folder, &Recipe::from_toml(&text, "the table")?)?
        }
    };
    train(&run, &device::select(None)?, &mut Told)?;
    Ok(run)
}

fn row(run: &Run, source: &str) -> pinxit::Result<String> {
    let device = device::select(None)?;
    let trained = Trained::open(run, run.best()?, &device)?;
    let recipe = &trained.recipe.data;
    let cache = data::default_cache_dir();
    let all: Arc<dyn Dataset> = data::open(recipe, &cache, &mut Unwatched)?.dataset.into();
    let train = split::view(all.clone(), Split::Train, recipe.holdout)?;
    let test = split::view(all, Split::Test, recipe.holdout)?;
    let folder = cache.join("extractors");
    let extractor = OwnExtractor::open_or_learn(&train, Learning::default(), &folder, &device, &mut Told)?;
    let real = judge::reference(&extractor, &test, &cache.join("features"), &mut Unwatched)?;
    let options = SampleOptions { count: COUNT, ..SampleOptions::default() };
    let (painted, _) = judge::paint(&trained, &options, &extractor, 0, &mut Told)?;
    let names =
        Names { generated: run.folder().display().to_string(), real: format!("{source}, test split") };
    let card = ScoreCard::new(names, &painted, &real, &mut Unwatched)?;
    let cell = |column: &&str| {
        let score = card.scores.iter().find(|score| score.name.starts_with(*column));
        score.map_or("-".into(), |score| {
            let floor = score.floor.map_or(String::new(), |floor| format!(" ({floor:.3})"));
            format!("{:.3}{floor}", score.value)
        })
    };
    let cells: Vec<String> = COLUMNS.iter().map(cell).collect();
    Ok(format!("| {source} | `{}` | {} | {} |", trained.family.name, trained.step, cells.join(" | ")))
}
