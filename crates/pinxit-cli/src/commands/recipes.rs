//! `pinxit recipes`: the recipes that come with the program.

use pinxit::recipe::{BUILTIN_RECIPES, Recipe, load};
use serde::Serialize;

use crate::failure::Outcome;
use crate::options::Recipes;
use crate::terminal::{DIM, NAME, answer, table};

#[derive(Serialize)]
struct RecipeReport {
    name: &'static str,
    #[serde(flatten)]
    recipe: Recipe,
}

pub(crate) fn run(options: &Recipes) -> Outcome {
    if let Some(name) = &options.name {
        let recipe = load(name)?;
        // As it is written in its file, comments and all, to be copied and changed.
        let builtin = BUILTIN_RECIPES.iter().find(|builtin| builtin.name == name);
        let text = builtin.map_or_else(|| recipe.to_toml(), |builtin| Ok(builtin.text.into()))?;
        return answer(options.reporting.json, &recipe, |_| text);
    }
    let rows: Vec<RecipeReport> = BUILTIN_RECIPES
        .iter()
        .map(|builtin| Ok(RecipeReport { name: builtin.name, recipe: load(builtin.name)? }))
        .collect::<Outcome<_>>()?;
    answer(options.reporting.json, &rows, |rows| {
        let lines: Vec<_> = rows.iter().map(|row| [row.name.into(), row.recipe.about.clone()]).collect();
        format!(
            "{}\n{DIM}pinxit recipes NAME shows one; train --recipe NAME uses it.{DIM:#}",
            table(&lines, NAME)
        )
    })
}
