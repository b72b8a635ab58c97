//! `pinxit data`: what is in a folder, and what of it can be used.

use std::path::PathBuf;

use pinxit::data::contact::contact_sheet;
use pinxit::data::{self, ScanReport};
use pinxit::image_io::{Overwrite, save_png};
use serde::Serialize;

use crate::failure::Outcome;
use crate::options::Data;
use crate::progress::Progress;
use crate::terminal::{DIM, HEAD, NAME, WARN, answer, table};
use crate::{format, settings, stop};

/// Most pictures on a contact sheet.
const SHEET_PICTURES: usize = 100;
/// Most lines of a list; the JSON has all of it.
const LINES: usize = 12;

#[derive(Serialize)]
struct DataAnswer {
    #[serde(flatten)]
    report: ScanReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<PathBuf>,
}

pub(crate) fn run(options: &Data) -> Outcome {
    if let Some(path) = &options.sheet {
        settings::prepare_sheet("--sheet", path)?;
    }
    let recipe = settings::data_recipe(options)?;
    stop::listen("nothing is kept")?;
    let mut progress = Progress::new(options.quiet);
    let opened = data::open(&recipe.data, &data::default_cache_dir(), &mut progress)?;
    drop(progress);
    if let Some(path) = &options.sheet {
        save_png(path, &contact_sheet(&*opened.dataset, SHEET_PICTURES)?, &[], Overwrite::Refuse)?;
    }
    let report = DataAnswer { report: opened.report, sheet: options.sheet.clone() };
    answer(options.reporting.json, &report, show)
}

fn show(DataAnswer { report, sheet }: &DataAnswer) -> String {
    let mut text = format!("{HEAD}{}{HEAD:#}\n", report.source);
    let mut facts = vec![
        (
            "usable",
            format!("{} of {}", format::count(report.usable as u64), format::plural(report.found, "picture")),
        ),
        ("brought to", format!("{} ({} bits)", format::shape(report.shape), report.bits)),
        ("kinds", join(report.kinds.iter().map(|(kind, n)| (kind.clone(), *n)))),
    ];
    if !report.formats.is_empty() {
        facts.push(("formats", join(report.formats.iter().map(|(name, n)| (name.clone(), *n)))));
    }
    let sizes = report.sizes.iter().map(|size| (format!("{}x{}", size.height, size.width), size.count));
    facts.push(("sizes (HxW)", join(sizes)));
    if !report.other.is_empty() {
        facts.push(("other files", join(report.other.iter().map(|(name, n)| (name.clone(), *n)))));
    }
    if let Some(sheet) = sheet {
        facts.push(("sheet", sheet.display().to_string()));
    }
    let rows: Vec<_> = facts.into_iter().map(|(name, value)| [name.into(), value]).collect();
    text += &table(&rows, DIM);
    if !report.classes.is_empty() {
        let rows = report.classes.iter().map(|class| [class.name.clone(), format::count(class.count as u64)]);
        text += &section("Classes", report.classes.len(), rows.take(LINES).collect(), NAME);
    }
    if !report.rejects.is_empty() {
        let rows = report.rejects.iter().map(|reject| [reject.path.clone(), reject.reason.clone()]);
        text += &section("Can't be used", report.rejects.len(), rows.take(LINES).collect(), WARN);
    }
    text
}

fn section(title: &str, total: usize, rows: Vec<[String; 2]>, style: anstyle::Style) -> String {
    let more = match total - rows.len() {
        0 => String::new(),
        n => format!("  {DIM}and {} more; --json lists all{DIM:#}\n", format::count(n as u64)),
    };
    format!("\n{HEAD}{title}{HEAD:#} ({})\n{}{more}", format::count(total as u64), table(&rows, style))
}

/// `PNG 12, JPEG 3`, the first ones of a long list.
fn join(counts: impl Iterator<Item = (String, usize)>) -> String {
    let all: Vec<String> = counts.map(|(name, n)| format!("{name} {}", format::count(n as u64))).collect();
    match all.len() {
        0..=8 => all.join(", "),
        n => format!("{}, and {} others", all[..7].join(", "), n - 7),
    }
}
