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
    default: String,
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
        default: as_typed(knob.default),
    };
    let tables = recipe.tables()?.into_iter().map(|(table, knobs)| TableReport {
        table,
        settings: knobs.iter().map(|entry| knob(table, entry)).collect(),
    });
    Ok(FamilyReport { settings: tables.collect(), ..report(family) })
}

/// A default as a recipe writes it: `10000` for `10_000`, `logit-normal` for `Times::LogitNormal`.
fn as_typed(source: &str) -> String {
    if source == "String::new()" {
        return "\"\"".into();
    }
    let Some((_, variant)) = source.rsplit_once("::") else { return source.replace('_', "") };
    let mut text = String::new();
    for c in variant.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(c.to_lowercase());
    }
    text
}

fn show_all(families: &[FamilyReport]) -> String {
    let rows: Vec<_> = families.iter().map(|family| [family.name.into(), family.about.into()]).collect();
    format!("{}\n{DIM}pinxit families NAME lists every setting of one.{DIM:#}", table(&rows, NAME))
}

fn show_one(family: &FamilyReport) -> String {
    let mut text = format!("{NAME}{}{NAME:#}: {}\n{DIM}{}{DIM:#}\n", family.name, family.about, family.paper);
    for TableReport { table, settings } in &family.settings {
        let rows: Vec<_> =
            settings.iter().map(|knob| [knob.key.clone(), knob.default.clone(), knob.about.into()]).collect();
        text += &format!("\n{HEAD}[{table}]{HEAD:#}\n{}", terminal::table(&rows, NAME));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pinxit::recipe::{DataRecipe, TrainRecipe};

    use super::*;

    /// Oracle: the defaults of the shared tables as serde writes them into a recipe.
    #[test]
    fn defaults_are_shown_as_a_recipe_writes_them() {
        let data = pinxit::knobs::table(&DataRecipe::default()).unwrap();
        let train = pinxit::knobs::table(&TrainRecipe::default()).unwrap();
        for (knobs, table) in [(DataRecipe::KNOBS, data), (TrainRecipe::KNOBS, train)] {
            for knob in knobs {
                let shown = as_typed(knob.default);
                match table.get(knob.name) {
                    None => assert_eq!(shown, "auto", "{}", knob.name),
                    Some(value) => assert_eq!(&pinxit::recipe::value(&shown), value, "{}", knob.name),
                }
            }
        }
        assert_eq!(as_typed("Times::LogitNormal"), "logit-normal");
    }
}
