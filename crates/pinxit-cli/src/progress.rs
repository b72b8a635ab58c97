//! Progress as the user sees it: a bar on a terminal, lines elsewhere, nothing when asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use pinxit::run::{Event, Judged};
use pinxit::train::{Preflight, StepReport, TrainWatch};
use pinxit::watch::Watch;

use crate::format;
use crate::terminal::{self, DIM, WARN};
use crate::{commands, preview, stop};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Seconds after which the time left is worth telling.
const STEADY: f64 = 5.0;

/// Shows long work, and stops it at Ctrl-C.
pub(crate) struct Progress {
    show: Show,
    /// What is being shown now.
    task: String,
}

enum Show {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
    Nothing,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let show = match (quiet, terminal::is_interactive()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bar(bar()),
            (false, false) => Show::Lines { last: None },
        };
        Self { show, task: String::new() }
    }

    /// `done` of `total` units of `task`, with `details` such as rate and time left.
    fn update(&mut self, task: &str, done: u64, total: u64, details: impl FnOnce() -> String) {
        let begins = self.task != task;
        if begins {
            self.task = task.into();
        }
        match &mut self.show {
            Show::Nothing => {}
            Show::Bar(bar) => {
                bar.set_length(total);
                if begins {
                    bar.reset();
                    bar.set_prefix(self.task.clone());
                    bar.enable_steady_tick(Duration::from_millis(250));
                }
                bar.set_position(done);
                bar.set_message(details());
                if done >= total {
                    bar.disable_steady_tick();
                    bar.finish_and_clear();
                }
            }
            Show::Lines { last } => {
                let due = begins || done >= total || last.is_none_or(|at| at.elapsed() >= LINE_EVERY);
                if due {
                    *last = Some(Instant::now());
                    let line =
                        format!("{task} {}/{}  {}", format::count(done), format::count(total), details());
                    terminal::tell(line.trim_end());
                }
            }
        }
        if done >= total {
            self.task.clear(); // the next task may have the same name
        }
    }

    /// Prints a line without tearing the bar.
    pub(crate) fn line(&self, line: &str) {
        match &self.show {
            Show::Nothing => {}
            Show::Bar(bar) => bar.suspend(|| terminal::tell(line)),
            Show::Lines { .. } => terminal::tell(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Show::Bar(bar) = &self.show {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let template = match terminal::has_colour() {
        true => "  {prefix} {bar:24.cyan/dim} {pos}/{len}  {msg}",
        false => "  {prefix} {bar:24} {pos}/{len}  {msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style.progress_chars("━━╌"))
}

impl Watch for Progress {
    fn progress(&mut self, task: &str, done: u64, total: u64) {
        self.update(task, done, total, String::new);
    }

    fn notice(&mut self, message: &str) {
        self.line(&format!("{WARN}note:{WARN:#} {message}"));
    }

    fn stopped(&self) -> bool {
        stop::requested()
    }
}

impl TrainWatch for Progress {
    fn preflight(&mut self, preflight: &Preflight) {
        self.line(&commands::train::preflight(preflight));
    }

    fn step(&mut self, report: &StepReport<'_>) {
        let details = || {
            // The first steps say little about the rest.
            let left = match report.seconds {
                0.0..STEADY => String::new(),
                _ => format!("{} left", format::clock(report.seconds_left)),
            };
            let losses = report.losses.0.iter().take(2);
            let losses: Vec<_> =
                losses.map(|(name, value)| format!("{name} {}", format::measure(*value))).collect();
            format!("{}  {} pictures/s  {left}", losses.join("  "), format::rate(report.images_per_second),)
        };
        self.update("step", report.step.into(), report.steps.into(), details);
    }

    fn event(&mut self, event: &Event) {
        let style = if ["rollback", "alarm"].contains(&event.event.as_str()) { WARN } else { DIM };
        self.line(&format!("{style}{}:{style:#} {}", event.event, event.message));
    }

    fn judged(&mut self, judged: &Judged) {
        let judgement = &judged.judgement;
        let figures = format!(
            "FD {}, coverage {:.0} %, {} of {} copies",
            format::measure(judgement.distance),
            100.0 * judgement.coverage,
            judgement.copies,
            judgement.samples
        );
        let style = if judged.verdict.done { WARN } else { DIM };
        self.line(&format!("{style}verdict:{style:#} {} {DIM}({figures}){DIM:#}", judged.verdict.sentence));
    }

    fn sheet(&mut self, step: u32, path: &Path) {
        let step = format::count(step.into());
        match &self.show {
            Show::Bar(_) if terminal::has_colour() => {
                let row = preview::first_row(path).unwrap_or_default();
                self.line(&format!("  {DIM}step {step}{DIM:#}\n{row}"));
            }
            _ => self.line(&format!("step {step}: {}", path.display())),
        }
    }
}
