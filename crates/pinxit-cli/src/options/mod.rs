//! The command line as typed: one struct a command, whose doc comments are its help.
//!
//! The structs of flags that stand for settings also derive serde, each field under the key of the
//! setting: a flag, its help, its key in a recipe and its name in JSON are one definition.

mod judge;
mod paint;
mod train;
mod values;

use std::path::PathBuf;

use clap::builder::Styles;
use clap::{Args, Parser, Subcommand, ValueHint};

pub(crate) use judge::{Audit, Augment, Extraction, Score};
pub(crate) use paint::{Decode, Encode, LatentWalk, Sample, Translate};
pub(crate) use train::{ShapeSettings, Train};
pub(crate) use values::{Setting, Size};
use values::{family_names, percent};

use crate::terminal::{BAD, DIM, GOOD, HEAD, NAME};

const STYLES: Styles = Styles::styled()
    .header(HEAD)
    .usage(HEAD)
    .literal(NAME)
    .placeholder(DIM)
    .error(BAD)
    .valid(GOOD)
    .invalid(BAD);

/// Train image generators on your own pictures, and paint new ones.
#[derive(Debug, Parser)]
#[command(name = "pinxit", version, styles = STYLES, max_term_width = 100)]
#[command(after_help = "\
Start here:
  pinxit demo                        watch a model learn to write digits, in about two minutes
  pinxit data photos                 what is in a folder, and what of it can be used
  pinxit train --data photos         train on it; Ctrl-C saves and stops
  pinxit sample runs/photos --count 16 --out new
                                     paint new pictures")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Train(Train),
    Sample(Sample),
    Translate(Translate),
    Encode(Encode),
    Decode(Decode),
    Score(Score),
    Audit(Audit),
    Augment(Augment),
    Data(Data),
    Runs(Runs),
    Families(Families),
    Recipes(Recipes),
    Doctor(Doctor),
    Bench(Bench),
    Completions(Completions),
}

/// How a command reports.
#[derive(Debug, Args)]
pub(crate) struct Reporting {
    /// Print the result as one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a command that takes its time works with.
#[derive(Debug, Args)]
pub(crate) struct Working {
    /// Show no progress and no advice.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Device to compute on; `pinxit doctor` lists them.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Threads to compute with; all cores when not given. Results don't depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

/// Train on built-in handwritten digits, for about two minutes, and show the result.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit demo
  pinxit demo --out runs/first")]
pub(crate) struct Demo {
    /// Folder of the run; runs/demo, or the next one that is free, when not given.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Show what is in a folder of pictures and what of it can be used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit data photos
  pinxit data photos --size 64 --sheet sheet.png
  pinxit data builtin:sprites --sheet sprites.png
  pinxit data photos --json")]
pub(crate) struct Data {
    /// Folder of pictures, IDX or CIFAR file, or builtin:NAME.
    #[arg(value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) shape: ShapeSettings,
    /// Change any other setting of the data, such as data.fit=letterbox. May be repeated.
    #[arg(long, value_name = "data.KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Write a contact sheet.
    #[arg(long, value_name = "FILE.png", value_hint = ValueHint::FilePath)]
    pub(crate) sheet: Option<PathBuf>,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// List the runs in a folder and how they stand.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit runs
  pinxit runs elsewhere --json")]
pub(crate) struct Runs {
    /// Folder that holds runs.
    #[arg(value_name = "DIR", default_value = "runs", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// List the families of models, or every setting of one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit families
  pinxit families flow")]
pub(crate) struct Families {
    /// The family whose settings to list.
    #[arg(value_name = "NAME", value_parser = family_names())]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// List the recipes that come with the program, or show one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit recipes
  pinxit recipes demo > mine.toml
  pinxit train --recipe mine.toml")]
pub(crate) struct Recipes {
    /// The recipe to show.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// Show what this machine has and what would be used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit doctor
  pinxit doctor --json")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// Measure how fast this machine trains and paints, in under a minute.
#[derive(Debug, Args)]
#[command(after_help = "\
Every family is measured with its default recipe on the built-in digits unless a run, a recipe or a
family is named. Weights are fresh and thrown away; nothing is written.

Examples:
  pinxit bench
  pinxit bench --threads 1
  pinxit bench --family flow --data photos
  pinxit bench --recipe sprites
  pinxit bench runs/demo --json")]
pub(crate) struct Bench {
    /// Measure the recipe of this run: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: Option<PathBuf>,
    /// Measure this recipe: a file, or a name that `pinxit recipes` lists.
    #[arg(long, value_name = "FILE|NAME", value_hint = ValueHint::FilePath, conflicts_with = "run")]
    pub(crate) recipe: Option<String>,
    /// Measure this family alone.
    #[arg(long, value_name = "NAME", value_parser = family_names(), conflicts_with_all = ["run", "recipe"])]
    pub(crate) family: Option<String>,
    /// Pictures to measure with: a folder, IDX or CIFAR file, or builtin:NAME.
    #[arg(long, value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<String>,
    /// Change any other setting; `pinxit families NAME` lists them. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Print a script that completes commands and flags in a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit completions bash > ~/.local/share/bash-completion/completions/pinxit
  pinxit completions zsh > ~/.zfunc/_pinxit
  pinxit completions fish > ~/.config/fish/completions/pinxit.fish")]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Options::command().debug_assert();
    }
}
