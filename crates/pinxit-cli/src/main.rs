//! The program `pinxit`: commands and terminal around the library of the same name.
//!
//! As typed (`options`) -> resolved (`settings`) -> done (`commands`). Results go to standard
//! output, progress and advice to standard error.

mod commands;
mod failure;
mod format;
mod hub;
mod options;
mod preview;
mod progress;
mod provenance;
mod real;
mod settings;
mod stop;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use options::{Command, Options};

/// Large blocks of memory are used again from step to step.
#[global_allocator]
static MEMORY: pinxit::memory::Recycling = pinxit::memory::Recycling::new();

fn main() -> ExitCode {
    // clap prints its own errors, with the nearest known flag, and leaves with code 2.
    let result = match Options::parse().command {
        Command::Demo(options) => commands::demo::run(&options),
        Command::Train(options) => commands::train::run(&options),
        Command::Sample(options) => commands::sample::run(&options),
        Command::Translate(options) => commands::translate::run(&options),
        Command::Encode(options) => commands::latents::encode(&options),
        Command::Decode(options) => commands::latents::decode(&options),
        Command::Score(options) => commands::score::run(&options),
        Command::Augment(options) => commands::augment::run(&options),
        Command::Audit(options) => commands::audit::run(&options),
        Command::Data(options) => commands::data::run(&options),
        Command::Runs(options) => commands::runs::run(&options),
        Command::Families(options) => commands::families::run(&options),
        Command::Recipes(options) => commands::recipes::run(&options),
        Command::Doctor(options) => commands::doctor::run(&options),
        Command::Bench(options) => commands::bench::run(&options),
        Command::Completions(options) => commands::completions::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
