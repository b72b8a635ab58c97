//! `pinxit families`: the registry, and the settings of one row.

use pinxit::families::{self, FAMILIES};
use pinxit::knobs::Knob;
use pinxit::recipe::Recipe;
use serde::Serialize;

use crate::failure::Outcome;
use crate::options::Families;
use crate::terminal::{self, DIM, HEAD, NAME, answer, table};

#[derive(Serialize)]
struct FamilyReport {
    name: &'static str,
    about: &'static str,
    paper: &'static str,
    /// Settings by table, as in `--set TABLE.NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<TableReport>,
}

#[derive(Serialize)]
struct TableReport {
    table: &'static str,
    settings: Vec<KnobReport>,
}

#[derive(Serialize)]
struct KnobReport {
    key: String,
    about: &'static str,
    default: &'static str,
}

pub(crate) fn run(options: &Families) -> Outcome {
    match &options.name {
        Some(name) => answer(options.reporting.json, &describe(name)?, show_one),
        None => {
            let rows: Vec<FamilyReport> = FAMILIES.iter().map(|family| report(family)).collect();
            answer(options.reporting.json, &rows, |rows| show_all(rows))
        }
    }
}

fn report(family: &families::Family) -> FamilyReport {
    FamilyReport { name: family.name, about: family.about, paper: family.paper, settings: Vec::new() }
}

fn describe(name: &str) -> Outcome<FamilyReport> {
    let family = families::find(name)?;
    let recipe = Recipe { family: name.into(), ..Recipe::default() };
    let knob = |table: &str, knob: &Knob| KnobReport {
        key: format!("{table}.{}", knob.name),
        about: knob.about,
        default: knob.default,
    };
    let tables = recipe.tables()?.into_iter().map(|(table, knobs)| TableReport {
        table,
        settings: knobs.iter().map(|entry| knob(table, entry)).collect(),
    });
    Ok(FamilyReport { settings: tables.collect(), ..report(family) })
}

fn show_all(families: &[FamilyReport]) -> String {
    let rows: Vec<_> = families.iter().map(|family| [family.name.into(), family.about.into()]).collect();
    format!("{}\n{DIM}pinxit families NAME lists every setting of one.{DIM:#}", table(&rows, NAME))
}

fn show_one(family: &FamilyReport) -> String {
    let mut text = format!("{NAME}{}{NAME:#}: {}\n{DIM}{}{DIM:#}\n", family.name, family.about, family.paper);
    for TableReport { table, settings } in &family.settings {
        let rows: Vec<_> = settings
            .iter()
            .map(|knob| [knob.key.clone(), knob.default.replace("::", "."), knob.about.into()])
            .collect();
        text += &format!("\n{HEAD}[{table}]{HEAD:#}\n{}", terminal::table(&rows, NAME));
    }
    text
}
