//! How fast training goes and what its losses are on average.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::model::Losses;
use crate::run::Measures;

/// What the watcher is told after every step.
#[derive(Debug, Clone, Copy)]
pub struct StepReport<'a> {
    /// Steps done.
    pub step: u32,
    /// Steps of the whole run.
    pub steps: u32,
    /// This step's losses.
    pub losses: &'a Losses,
    /// Seconds of this session so far.
    pub seconds: f64,
    /// Pictures a second, over this session.
    pub images_per_second: f64,
    /// Seconds left at this rate.
    pub seconds_left: f64,
}

/// Means between two lines of the records, and speed.
pub(super) struct Meter {
    begin: Instant,
    /// Seconds of earlier sessions.
    before: f64,
    /// Steps and pictures of this session.
    steps: u32,
    images: usize,
    line: Line,
}

/// Sums since the last line.
struct Line {
    begin: Instant,
    images: usize,
    steps: u32,
    sums: BTreeMap<&'static str, f64>,
    /// Measures that are not of each step.
    notes: BTreeMap<String, f64>,
}

impl Line {
    fn new() -> Self {
        Self { begin: Instant::now(), images: 0, steps: 0, sums: BTreeMap::new(), notes: BTreeMap::new() }
    }
}

impl Meter {
    pub(super) fn new(before: f64) -> Self {
        Self { begin: Instant::now(), before, steps: 0, images: 0, line: Line::new() }
    }

    pub(super) fn add(&mut self, losses: &Losses, images: usize) {
        self.steps += 1;
        self.images += images;
        self.line.steps += 1;
        self.line.images += images;
        for (name, value) in &losses.0 {
            *self.line.sums.entry(name).or_default() += value;
        }
    }

    /// Puts measures into the coming line as they are.
    pub(super) fn note(&mut self, values: BTreeMap<String, f64>) {
        self.line.notes.extend(values);
    }

    pub(super) fn report<'l>(&self, step: u32, steps: u32, losses: &'l Losses) -> StepReport<'l> {
        let seconds = self.begin.elapsed().as_secs_f64();
        StepReport {
            step,
            steps,
            losses,
            seconds,
            images_per_second: self.images as f64 / seconds,
            seconds_left: seconds / f64::from(self.steps.max(1)) * f64::from(steps - step),
        }
    }

    /// Seconds of training so far, those of earlier sessions included.
    pub(super) fn seconds(&self) -> f64 {
        self.before + self.begin.elapsed().as_secs_f64()
    }

    /// The line that is due, after which a new one begins.
    pub(super) fn measures(&mut self, step: u32, rate: f64) -> Measures {
        let line = std::mem::replace(&mut self.line, Line::new());
        let values =
            line.sums.into_iter().map(|(name, sum)| (name.into(), sum / f64::from(line.steps.max(1))));
        Measures {
            step,
            seconds: self.seconds(),
            images_per_second: line.images as f64 / line.begin.elapsed().as_secs_f64().max(1e-9),
            rate,
            values: values.chain(line.notes).collect(),
        }
    }
}
