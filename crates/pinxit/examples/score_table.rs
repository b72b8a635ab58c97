//! Trains every shipped recipe of the built-in digits and glyphs and writes the table of scores.
//!
//! `cargo run --release --example score_table -- FOLDER DATE [--score-only]` (`just table`) trains what is missing in
//! FOLDER, goes on with what was stopped, leaves alone what is finished, and writes docs/scores.md and the part of
//! README.md between its markers. With `--score-only` nothing is trained. Scores are kept in each run's
//! scores.json and taken again only if there is a newer checkpoint.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use pinxit::data::{self, Dataset, Split, View, split};
use pinxit::image_io::{self, Picture};
use pinxit::metrics::card::{Names, ScoreCard};
use pinxit::metrics::classes::Labelled;
use pinxit::metrics::collect::{Collected, Collector};
use pinxit::metrics::extract::{Extractor, Learning, OwnExtractor};
use pinxit::metrics::judge;
use pinxit::metrics::memorisation;
use pinxit::metrics::pictures::Pictures;
use pinxit::model::Request;
use pinxit::recipe::{BUILTIN_RECIPES, DataRecipe, load};
use pinxit::run::{Record, Run};
use pinxit::sample::{SamplePlan, Trained};
use pinxit::train::{TrainWatch, train};
use pinxit::watch::Watch;
use serde::{Deserialize, Serialize};

/// Painted pictures of a score.
const COUNT: usize = 1000;
/// Seed of the first.
const SEED: u64 = 0;
/// Raised whenever the same run would be scored otherwise.
const VERSION: u32 = 2;
const SOURCES: [&str; 2] = ["builtin:digits", "builtin:glyphs"];
const PAGE: &str = "docs/scores.md";
const MARKERS: [&str; 2] = ["<!-- scores -->", "<!-- /scores -->"];

struct Told;

impl Watch for Told {
    fn progress(&mut self, task: &str, done: u64, total: u64) {
        if total > 0 && done.is_multiple_of(total.div_ceil(4)) {
            eprintln!("  {task} {done}/{total}");
        }
    }
}

impl TrainWatch for Told {}

/// A line of the table.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    version: u32,
    recipe: String,
    family: String,
    step: u32,
    /// Seconds of training.
    seconds: f64,
    /// Share of the painted pictures that are recognised as what they were asked to be, if they were asked.
    recognised: Option<f64>,
    /// Painted pictures that copy a training picture.
    copies: usize,
    card: ScoreCard,
}

/// What the runs on one source of pictures are judged by.
struct Bench {
    recipe: DataRecipe,
    known: Vec<Picture>,
    teacher: Labelled,
    test: View,
    extractor: OwnExtractor,
    real: Collected,
    device: Device,
}

/// One table.
struct Section {
    source: &'static str,
    bench: Bench,
    rows: Vec<Row>,
}

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, named): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with("--"));
    let ([folder, date], true) = (named.as_slice(), flags.iter().all(|flag| *flag == "--score-only")) else {
        return Err("usage: score_table FOLDER DATE [--score-only]".into());
    };
    let mut sections = Vec::new();
    for source in SOURCES {
        let mut section: Option<Section> = None;
        for recipe in BUILTIN_RECIPES.iter().filter(|recipe| is_of(recipe.name, source)) {
            let Some(run) = find(&Path::new(folder).join(recipe.name), recipe.name, flags.is_empty())? else {
                continue;
            };
            let section = match &mut section {
                Some(section) => section,
                none => none.insert(Section { source, bench: Bench::new(&run)?, rows: Vec::new() }),
            };
            match section.bench.row(&run, recipe.name) {
                Ok(row) => section.rows.push(row),
                Err(why) => eprintln!("  can't be scored and is left out: {why}"),
            }
        }
        sections.extend(section);
    }
    write(&sections, date)
}

fn is_of(recipe: &str, source: &str) -> bool {
    load(recipe).is_ok_and(|recipe| recipe.data.source == source)
}

/// The finished run of a recipe, trained first if need be and if `training`.
fn find(folder: &Path, recipe: &str, training: bool) -> pinxit::Result<Option<Run>> {
    eprintln!("{recipe}");
    if training {
        let run = match Run::open(folder) {
            Ok(run) => run,
            Err(_) => Run::create(folder, &load(recipe)?)?,
        };
        if !is_finished(&run)? {
            train(&run, &pinxit::device::select(None)?, &mut Told)?;
        }
    }
    let run = Run::open(folder).ok();
    let finished = match run.as_ref().map(is_finished).transpose() {
        Ok(Some(true)) => true,
        Ok(_) => {
            eprintln!("  is not trained to its end: left out");
            false
        }
        Err(why) => {
            eprintln!("  can't be read and is left out: {why}");
            false
        }
    };
    Ok(run.filter(|_| finished))
}

fn is_finished(run: &Run) -> pinxit::Result<bool> {
    Ok(run
        .recipe()?
        .train
        .steps
        .is_some_and(|steps| run.checkpoints().is_ok_and(|saved| saved.contains(&steps))))
}

impl Bench {
    /// For all runs on the pictures of `run`: one extractor, one test split.
    fn new(run: &Run) -> Outcome<Self> {
        let device = pinxit::device::select(None)?;
        let recipe = run.recipe()?.data;
        let cache = data::default_cache_dir();
        let all: Arc<dyn Dataset> = data::open(&recipe, &cache, &mut Told)?.dataset.into();
        let part = |part| split::view(all.clone(), part, recipe.holdout);
        let (train, test) = (part(Split::Train)?, part(Split::Test)?);
        let folder = cache.join("extractors");
        let extractor =
            OwnExtractor::open_or_learn(&train, Learning::default(), &folder, &device, &mut Told)?;
        Ok(Self {
            real: judge::reference(&extractor, &test, &cache.join("features"), &mut Told)?,
            known: read(&train)?,
            teacher: Labelled::read(&train),
            recipe,
            test,
            extractor,
            device,
        })
    }

    /// The scores of a run: those that it holds, or else new ones.
    fn row(&self, run: &Run, recipe: &str) -> Outcome<Row> {
        let trained = Trained::open(run, None, &self.device)?;
        let theirs = &trained.recipe.data;
        let shape = |data: &DataRecipe| (data.holdout, data.size, data.channels, data.count, data.seed);
        if shape(theirs) != shape(&self.recipe) {
            return Err(format!(
                "{recipe} has other pictures than the recipes before it: they don't compare"
            )
            .into());
        }
        let path = run.folder().join("scores.json");
        let kept: Option<Row> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let sha256 = &self.extractor.identity().sha256;
        let holds = |row: &Row| {
            (row.version, row.step, &row.card.record.extractor.sha256) == (VERSION, trained.step, sha256)
        };
        if let Some(row) = kept.filter(holds) {
            return Ok(row);
        }
        let row = self.score(run, &trained, recipe)?;
        fs::write(&path, serde_json::to_vec_pretty(&row)?)?;
        Ok(row)
    }

    fn score(&self, run: &Run, trained: &Trained, recipe: &str) -> Outcome<Row> {
        let (pictures, asked) = paint(trained)?;
        let mut collector = Collector::new(&self.extractor).keeping(COUNT);
        pictures.iter().try_for_each(|picture| collector.push(picture.clone()))?;
        let names = Names { generated: recipe.into(), real: format!("{}, test split", self.recipe.source) };
        let mut card = ScoreCard::new(names, &collector.finish()?, &self.real, &mut Told)?;
        card.add_likelihood(trained, &self.test, &mut Told)?;
        let recognised = (!asked.is_empty()).then(|| {
            let values: Vec<f32> = pictures.iter().flat_map(Picture::to_planar).collect();
            Labelled { values, width: self.teacher.width, labels: asked }.recognised_by(&self.teacher)
        });
        let seconds = run.records()?.iter().rev().find_map(|record| match record {
            Record::Measures(measures) => Some(measures.seconds),
            _ => None,
        });
        Ok(Row {
            version: VERSION,
            recipe: recipe.into(),
            family: trained.family.name.into(),
            step: trained.step,
            seconds: seconds.unwrap_or(f64::NAN),
            recognised: recognised.transpose()?,
            copies: memorisation::copies(&pictures, &self.known)?.len(),
            card,
        })
    }
}

fn read(pictures: &dyn Pictures) -> pinxit::Result<Vec<Picture>> {
    (0..pictures.len()).map(|index| pictures.picture(index)).collect()
}

/// Painted pictures, and the classes in turn that they were asked to be, if the model knows any.
fn paint(trained: &Trained) -> pinxit::Result<(Vec<Picture>, Vec<u32>)> {
    let known = trained.model.classes().len() as u32;
    let classes: Vec<u32> = if known == 0 { vec![] } else { (0..COUNT as u32).map(|i| i % known).collect() };
    let request = Request {
        seeds: (SEED..SEED + COUNT as u64).collect(),
        classes: classes.clone(),
        options: trained.recipe.sample.clone(),
    };
    let mut pictures = Vec::with_capacity(COUNT);
    SamplePlan::of(request).paint(trained, &mut Told, |_, image| {
        pictures.extend(image_io::pictures(image.unsqueeze())?);
        Ok(())
    })?;
    Ok((pictures, classes))
}

/// Scores of a table: the beginning of the name on a card, the head of the column, decimals.
const COLUMNS: [(&str, &str, usize); 7] = [
    ("FD[", "FD[own]", 2),
    ("KD[", "KD[own]", 3),
    ("precision", "precision", 2),
    ("recall", "recall", 2),
    ("density", "density", 2),
    ("coverage", "coverage", 2),
    ("detectable", "detectable", 2),
];

fn write(sections: &[Section], date: &str) -> Outcome {
    let machine = pinxit::machine::Machine::look();
    let mut text = String::new();
    for Section { source, bench, rows } in sections {
        let Some(first) = rows.first() else { continue };
        let record = &first.card.record;
        rows.iter().try_for_each(|row| record.check_comparable(&row.card.record))?;
        writeln!(
            text,
            "**{source}**: {COUNT} pictures of each against the {} of the test split.\n",
            record.n_real
        )?;
        let heads: Vec<&str> = COLUMNS.iter().map(|(_, head, _)| *head).collect();
        let heads = heads.join(" | ");
        writeln!(text, "| recipe | family | steps | time | classes | {heads} | bits/dim | copies |")?;
        writeln!(text, "|---|---|---|---|---|{}---|---|", "---|".repeat(COLUMNS.len()))?;
        writeln!(text, "| *real against real* | | | | | {} | | |", floors(&first.card))?;
        for row in rows {
            writeln!(text, "{}", line(row))?;
        }
        writeln!(
            text,
            "\nExtractor {}, sha256 {}; real pictures {}.\n",
            bench.extractor.identity().name,
            bench.extractor.identity().sha256,
            record.real_sha256
        )?;
    }
    writeln!(
        text,
        "Seeds from {SEED}; machine {}, {} cores, shared with other work; {date}.",
        machine.cpu, machine.cores
    )?;
    fs::write(PAGE, format!("# Scores of the shipped recipes\n\n{ABOUT}\n{text}"))?;
    let readme = fs::read_to_string("README.md")?;
    let around = readme.split_once(MARKERS[0]).zip(readme.split_once(MARKERS[1]));
    let ((before, _), (_, after)) = around.ok_or("README.md has no markers for the table")?;
    let [begin, end] = MARKERS;
    fs::write("README.md", format!("{before}{begin}\n{text}{end}{after}"))?;
    Ok(())
}

/// What stands above the tables.
const ABOUT: &str = "\
`just table` writes this page: it trains what is missing of one run a recipe, and scores each by pictures that it
never saw. \"real against real\" is the same measure between two random halves of the test split; a distance
of fewer pictures is larger, so a model may lie below it. \"classes\": the share of pictures that a 3-nearest-neighbour
classifier takes for what they were asked to be, or, where a model is not told the class, how many of the classes occur.
\"detectable\": how often a classifier tells painted pictures from real ones; 0.5 is chance. \"copies\": painted pictures
that copy a training picture. FD[own] and KD[own] are distances in the features of a network that learned from the training
pictures; they compare within a table and with nothing else. Bits per dimension are those of the family's own grey
levels, each picture given its class, a bound where the family has only a bound.
";

fn line(row: &Row) -> String {
    let score = |name: &str| row.card.scores.iter().find(|score| score.name.starts_with(name));
    let cells = COLUMNS
        .map(|(name, _, digits)| score(name).map_or("-".into(), |score| format!("{:.digits$}", score.value)));
    let classes = match (row.recognised, score("classes hit")) {
        (Some(share), _) => format!("{:.1} %", 100.0 * share),
        (None, Some(hit)) => format!("{:.0} % occur", 100.0 * hit.value),
        (None, None) => "-".into(),
    };
    let bits = score("bits/dim")
        .map_or("-".into(), |bits| format!("{:.2} +- {:.2}", bits.value, bits.deviation.unwrap_or(0.0)));
    let Row { recipe, family, step, seconds, copies, .. } = row;
    let (minutes, seconds) = (*seconds as u64 / 60, *seconds as u64 % 60);
    let time = format!("{minutes}:{seconds:02}");
    format!(
        "| `{recipe}` | `{family}` | {step} | {time} | {classes} | {} | {bits} | {copies} |",
        cells.join(" | ")
    )
}

fn floors(card: &ScoreCard) -> String {
    let floor = |(name, _, digits): (&str, &str, usize)| {
        let floor =
            card.scores.iter().find(|score| score.name.starts_with(name)).and_then(|score| score.floor);
        floor.map_or("-".into(), |floor| format!("{floor:.digits$}"))
    };
    COLUMNS.map(floor).join(" | ")
}
