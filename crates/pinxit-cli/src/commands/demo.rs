//! `pinxit demo`: the whole path once, on built-in digits.

use pinxit::recipe;
use pinxit::train;

use crate::commands::train::{Start, finish, next, work};
use crate::failure::Outcome;
use crate::options::Demo;
use crate::settings;
use crate::terminal::{GOOD, HEAD, answer};

const RECIPE: &str = "demo";
const GALLERY_ROWS: usize = 10;

pub(crate) fn run(options: &Demo) -> Outcome {
    let device = settings::device(&options.working)?;
    let recipe = recipe::load(RECIPE)?;
    let folder = options.out.clone().unwrap_or_else(|| settings::free_folder(RECIPE));
    let start = Start::create(&folder, &recipe)?;
    let report = work(&start, GALLERY_ROWS, &device, options.working.quiet)?;
    if report.outcome != train::Outcome::Finished {
        return finish(&report, &options.reporting);
    }
    answer(options.reporting.json, &report, |report| {
        let run = report.run.display();
        let commands = [
            (format!("pinxit sample {run} --class 7 --count 16 --grid sevens.png"), "sixteen new sevens"),
            ("pinxit data DIR".into(), "what is in a folder of your own"),
            ("pinxit train --data DIR --minutes 60".into(), "train on it"),
        ];
        format!(
            "{GOOD}pinxit{GOOD:#} {}\nOpen the report in a browser to see the model learn.\n\n{HEAD}Next{HEAD:#}\n{}",
            report.summary(),
            next(&commands)
        )
    })
}
