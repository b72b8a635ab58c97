//! The program as a user meets it: what it prints, which exit codes it leaves with, what it never
//! does to files.
#![allow(clippy::unwrap_used)]

mod help;
mod judge;
mod kill;
mod latents;
mod program;
mod reports;
mod runs;
mod usage;
