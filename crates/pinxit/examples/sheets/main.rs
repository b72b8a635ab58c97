//! Contact sheets and figures of the runs that make pictures from pictures.
//!
//! `cargo run --release --example sheets -- FOLDER DATE` (`just sheets`) looks in FOLDER for a run of each recipe of
//! [`RECIPES`], has it translate held-out pictures, and writes docs/translation.md and a sheet a run into
//! docs/translation. A run that isn't there is left out, and the page says so; one that still trains is shown at its
//! newest checkpoint. What a run has to show is kept in its sheets.json and made again only if there is a newer
//! checkpoint.

mod palette;
mod style;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pinxit::data::{self, Dataset};
use pinxit::image_io::{self, Overwrite};
use pinxit::metrics::translation::{self, Nearness, Score};
use pinxit::recipe::DataRecipe;
use pinxit::run::{Record, Run};
use pinxit::sample::Trained;
use pinxit::watch::Unwatched;
use serde::{Deserialize, Serialize};

/// Names of the recipes, and so of the folders of their runs, in the order of the page.
const RECIPES: [&str; 8] = [
    "sprites-pix2pix",
    "sprites-cyclegan",
    "sprites-srgan",
    "patches-srgan",
    "sprites-palette",
    "sprites-sr3",
    "sprites-style",
    "sprites",
];
/// Held-out pictures that are judged at most, and that are shown.
const COUNTS: (usize, usize) = (200, 8);
/// Raised whenever the same run would be shown otherwise.
const VERSION: u32 = 1;
const PAGE: &str = "docs/translation.md";
const SHEETS: &str = "docs/translation";

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// What a run has to show.
#[derive(Serialize, Deserialize)]
struct Section {
    version: u32,
    step: u32,
    /// What was trained.
    about: String,
    /// What the rows of the sheet are, from above.
    shown: Vec<String>,
    table: Vec<Vec<String>>,
    remarks: Vec<String>,
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, date] = arguments.as_slice() else { return Err("usage: sheets FOLDER DATE".into()) };
    let (mut sections, mut missing) = (Vec::new(), Vec::new());
    for recipe in RECIPES {
        match section(&Path::new(folder).join(recipe), recipe) {
            Ok(section) => {
                eprintln!("{recipe}: step {}", section.step);
                sections.push((recipe, section));
            }
            Err(why) => {
                eprintln!("{recipe}: left out: {why}");
                missing.push(recipe);
            }
        }
    }
    fs::write(PAGE, page(&sections, &missing, date)?)?;
    Ok(())
}

fn sheet_path(recipe: &str) -> PathBuf {
    Path::new(SHEETS).join(format!("{recipe}.png"))
}

/// What the run in `folder` has to show: what it holds, or else made anew.
fn section(folder: &Path, recipe: &str) -> Outcome<Section> {
    let run = Run::open(folder)?;
    let trained = Trained::open(&run, None, &pinxit::device::select(None)?)?;
    let (kept, sheet) = (folder.join("sheets.json"), sheet_path(recipe));
    let holds =
        |section: &Section| (section.version, section.step) == (VERSION, trained.step) && sheet.exists();
    let section = fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(section) = section.filter(holds) {
        return Ok(section);
    }
    let all: Arc<dyn Dataset> =
        data::open(&trained.recipe.data, &data::default_cache_dir(), &mut Unwatched)?.dataset.into();
    let snapshot = run.read_checkpoint(Some(trained.step))?.map(|(_, snapshot)| snapshot).unwrap_or_default();
    let mut section = Section {
        version: VERSION,
        step: trained.step,
        about: about(&run, &trained)?,
        shown: vec![],
        table: vec![],
        remarks: vec![],
    };
    let mut rows;
    if let Some(goal) = style::goal(&trained, &snapshot).transpose()? {
        let style::Repainted { table, sheet } = style::judge(&trained, &goal, all.clone(), COUNTS)?;
        (section.table, rows) = (table, sheet);
        section.shown = ["the style picture", "what went in", "what came out"].map(String::from).to_vec();
    } else {
        let options = &trained.recipe.sample;
        let score = translation::score(&trained, all.clone(), options, COUNTS, &mut Unwatched)?;
        (section.table, section.remarks) = (table(&score), margins(&score.rows));
        section.shown = shown(&trained, score.sheet.len());
        rows = score.sheet;
    }
    if palette::applies(&trained.recipe.data) {
        let found = palette::judge(&trained, all, COUNTS.0)?;
        let count = found.truth.len().max(1) as f64;
        section.remarks.push(format!(
            "The palette is right for {:.1} % of {count} sprites; PSNR {:.2} dB and SSIM {:.3} to the same sprite by \
             night, which the model has never been shown.",
            100.0 * found.right as f64 / count,
            found.psnr / count,
            found.ssim / count
        ));
        section.shown.push("the same sprite by night".into());
        rows.push(found.truth.into_iter().take(COUNTS.1).collect());
    }
    let columns = rows.first().map_or(1, Vec::len);
    fs::create_dir_all(SHEETS)?;
    image_io::save_png(&sheet, &image_io::grid(&rows.concat(), columns, 1), &[], Overwrite::Allow)?;
    fs::write(kept, serde_json::to_vec_pretty(&section)?)?;
    Ok(section)
}

/// Family, data, steps and time.
fn about(run: &Run, trained: &Trained) -> Outcome<String> {
    let train = &trained.recipe.train;
    let seconds = run.records()?.iter().rev().find_map(|record| match record {
        Record::Measures(measures) if measures.step <= trained.step => Some(measures.seconds as u64),
        _ => None,
    });
    let seconds = seconds.unwrap_or_default();
    let of = match train.steps {
        Some(steps) if steps != trained.step => format!(" of {steps}"),
        _ => String::new(),
    };
    Ok(format!(
        "Family `{}`, {}: {}{of} steps of {} pictures in {}:{:02}, seed {}.",
        trained.family.name,
        pictures(&trained.recipe.data),
        trained.step,
        train.batch.unwrap_or_default(),
        seconds / 60,
        seconds % 60,
        train.seed
    ))
}

fn pictures(data: &DataRecipe) -> String {
    match (&data.inputs, data.pair) {
        (Some(inputs), _) => format!("`{inputs}` to `{}`", data.source),
        (None, Some(pair)) => format!("`{}` from itself ({pair:?})", data.source).to_lowercase(),
        (None, None) => format!("`{}`", data.source),
    }
}

/// What `count` rows of a sheet are: nobody may know what should come out.
fn shown(trained: &Trained, count: usize) -> Vec<String> {
    let hidden = trained.facts.inputs.is_none() && trained.model.inpaint().is_some();
    let first = if hidden { "what went in, its hidden square filled with the mean" } else { "what went in" };
    let rows = [first, "what came out", "what it should be"];
    rows.iter().take(count).map(ToString::to_string).collect()
}

fn table(score: &Score) -> Vec<Vec<String>> {
    if score.rows.is_empty() {
        return Vec::new();
    }
    let number = |value: Option<f64>, digits| value.map_or("-".into(), |value| format!("{value:.digits$}"));
    let line = |row: &Nearness| {
        vec![row.name.into(), format!("{:.2} dB", row.psnr), number(row.ssim, 3), number(row.distance, 3)]
    };
    let head = vec![format!("{} held-out pictures", score.count), "PSNR".into(), "SSIM".into(), "FD".into()];
    std::iter::once(head).chain(score.rows.iter().map(line)).collect()
}

/// How far the model is above each baseline.
fn margins(rows: &[Nearness]) -> Vec<String> {
    let Some((model, baselines)) = rows.split_first().filter(|(first, _)| first.name == "model") else {
        return Vec::new();
    };
    let margin = |row: &Nearness| format!("{:+.2} dB over \"{}\"", model.psnr - row.psnr, row.name);
    let margins: Vec<String> = baselines.iter().map(margin).collect();
    vec![format!("PSNR of the model: {}.", margins.join(", "))]
}

/// What stands above the sections.
const ABOUT: &str = "\
`just sheets` writes this page and its pictures from runs of the shipped recipes. Every picture shown or counted was held out
of training, and those shown are the first ones, not chosen. FD is the Fréchet distance between the features of what came
out and of what should have, in a small network of random weights: it compares within a table and with nothing else.
";

fn page(sections: &[(&str, Section)], missing: &[&str], date: &str) -> Outcome<String> {
    let mut text = format!("# Pictures to pictures: what the shipped recipes reach\n\n{ABOUT}");
    for (recipe, section) in sections {
        writeln!(text, "\n## `{recipe}`\n\n{}\n", section.about)?;
        writeln!(text, "![{recipe}](translation/{recipe}.png)\n")?;
        writeln!(text, "From above: {}.", section.shown.join("; "))?;
        for (i, cells) in section.table.iter().enumerate() {
            writeln!(text, "{}| {} |", if i == 0 { "\n" } else { "" }, cells.join(" | "))?;
            if i == 0 {
                writeln!(text, "|{}", "---|".repeat(cells.len()))?;
            }
        }
        if !section.remarks.is_empty() {
            writeln!(text, "\n{}", section.remarks.join(" "))?;
        }
    }
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        writeln!(text, "\nWithout a run when this page was written: {}.", names.join(", "))?;
    }
    let machine = pinxit::machine::Machine::look();
    writeln!(text, "\nMachine {}, {} cores, shared with other work; {date}.", machine.cpu, machine.cores)?;
    Ok(text)
}
