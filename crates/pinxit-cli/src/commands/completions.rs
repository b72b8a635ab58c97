//! `pinxit completions`.

use std::io::Write;

use clap::CommandFactory;

use crate::failure::Outcome;
use crate::options::{Completions, Options};

pub(crate) fn run(options: &Completions) -> Outcome {
    // clap_complete panics where it can't write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Options::command(), "pinxit", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
