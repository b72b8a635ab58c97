//! `pinxit bench`: how fast this machine trains and paints.

use pinxit::Error;
use pinxit::machine::Machine;
use pinxit::nn::ops::peak;
use pinxit::train::{self, Painting, Speed};
use pinxit::watch::Part;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::options::Bench;
use crate::progress::Progress;
use crate::terminal::{DIM, HEAD, NAME, answer, table};
use crate::{format, settings, stop};

/// Seconds that all measurements share, and the least that one is given.
const SECONDS: f64 = 40.0;
const LEAST: f64 = 2.0;
/// The most that one needs.
const MOST: f64 = 8.0;

#[derive(Serialize)]
struct BenchReport {
    machine: Machine,
    /// Multiply-adds and bytes a second that the machine reaches at most, measured.
    peak_multiply_adds: f64,
    peak_bytes: f64,
    measured: Vec<Speed>,
    /// What could not be measured, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailureReport>,
}

#[derive(Serialize)]
struct FailureReport {
    family: String,
    error: String,
}

pub(crate) fn run(options: &Bench) -> Outcome {
    let device = settings::device(&options.working)?;
    let recipes = settings::bench_recipes(options)?;
    stop::listen("nothing is kept")?;
    let mut progress = Progress::new(options.working.quiet);
    let mut report = BenchReport {
        machine: Machine::look(),
        peak_multiply_adds: peak::multiply_adds_per_second(),
        peak_bytes: peak::bytes_per_second(),
        measured: Vec::new(),
        failed: Vec::new(),
    };
    let seconds = (SECONDS / recipes.len().max(1) as f64).clamp(LEAST, MOST);
    let total = 100 * recipes.len() as u64;
    let single = recipes.len() == 1;
    for (i, recipe) in recipes.into_iter().enumerate() {
        let family = recipe.family.clone();
        let mut part = Part { watch: &mut progress, before: 100 * i as u64, len: 100, total };
        match train::speed(recipe, &device, seconds, &mut part) {
            Ok(speed) => report.measured.push(speed),
            Err(Error::Interrupted) => return Err(Failure::Stopped("stopped; nothing was kept".into())),
            Err(error) if single => return Err(error.into()),
            // A family that these pictures don't suit says so in its place.
            Err(error) => report.failed.push(FailureReport { family, error: error.to_string() }),
        }
    }
    answer(options.reporting.json, &report, show)
}

fn show(report: &BenchReport) -> String {
    let machine = &report.machine;
    let facts = [
        ["processor", &format!("{}, {} threads, {}", machine.cpu, machine.threads, machine.vectors)],
        [
            "at most",
            &format!(
                "{} multiply-adds and {} of memory a second",
                format::magnitude(report.peak_multiply_adds as u64),
                format::bytes(report.peak_bytes as u64)
            ),
        ],
    ];
    let mut text = table(&facts.map(|row| row.map(String::from)), DIM);
    for speed in &report.measured {
        text += &format!("\n{NAME}{}{NAME:#} {DIM}on {}{DIM:#}\n", speed.family, described(speed));
        text += &table(&rows(speed, report.peak_multiply_adds), DIM);
    }
    for failed in &report.failed {
        text += &format!("\n{NAME}{}{NAME:#} {HEAD}not measured:{HEAD:#} {}\n", failed.family, failed.error);
    }
    text
}

fn described(speed: &Speed) -> String {
    let [height, width] = speed.size;
    let shape = format::shape(pinxit::data::ImageShape { channels: speed.channels, height, width });
    let parameters = format::magnitude(speed.parameters as u64);
    format!("{}, {shape}; {parameters} parameters", speed.data)
}

fn rows(speed: &Speed, peak: f64) -> Vec<[String; 2]> {
    let steps = 1.0 / speed.step;
    let pictures = format::rate(speed.batch as f64 * steps);
    let mut rows = vec![
        [
            "training".into(),
            format!(
                "{} steps a second of {} pictures ({pictures} pictures a second); first step {} s",
                format::rate(steps),
                speed.batch,
                format::measure(speed.first_step)
            ),
        ],
        [
            "work".into(),
            format!(
                "{} multiply-adds a second, {:.0} % of the most",
                format::magnitude(speed.multiply_adds as u64),
                100.0 * speed.multiply_adds / peak
            ),
        ],
    ];
    rows.extend(speed.painting.map(|painting| ["painting".into(), painted(painting)]));
    rows.extend(speed.memory.map(|memory| ["memory".into(), format!("{} at most", format::bytes(memory))]));
    rows
}

fn painted(painting: Painting) -> String {
    let about = if painting.estimated { "about " } else { "" };
    format!(
        "{about}{} pictures a second, {} at once; one by itself takes {} s",
        format::rate(painting.per_second),
        painting.pictures,
        format::measure(painting.one)
    )
}
