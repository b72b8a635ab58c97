//! A run as one page: what it learned, how it looks, what it is worth, how to go on.
//!
//! The page holds everything in itself, pictures included: it can be sent, printed and archived.

mod curve;
mod gallery;
mod html;
mod page;
mod verdict;

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::machine::Machine;
use crate::recipe::Recipe;
use crate::run::{Event, Measures, Record, Run};

pub use gallery::{Gallery, RealPicture, Sample};

/// Most sample sheets on a page, evenly spread over the run.
const SHEETS: usize = 16;

/// Writes `report.html` into the run's folder, in place of an older one, and gives its path.
/// `gallery` is what the trained model paints; a run that is under way can do without.
///
/// # Errors
/// If the run's files can't be read or the page can't be written.
pub fn write(run: &Run, gallery: Option<&Gallery>) -> Result<PathBuf> {
    let story = Story::read(run, gallery)?;
    let page = page::render(&story)?;
    let path = run.folder().join("report.html");
    write_whole(&path, |temporary| {
        fs::write(temporary, &page).map_err(Error::io(&path, "writing the report"))
    })?;
    Ok(path)
}

/// Everything that the page tells.
struct Story<'a> {
    /// The run's folder as a user would type it.
    folder: String,
    recipe: Recipe,
    recipe_toml: String,
    /// Steps that can be resumed or sampled from.
    saved: u32,
    measures: Vec<Measures>,
    events: Vec<Event>,
    /// The last verdict while training.
    verdict: Option<String>,
    /// Sample sheets as PNG files, with their steps.
    sheets: Vec<(u32, Vec<u8>)>,
    gallery: Option<&'a Gallery>,
    machine: Machine,
}

impl<'a> Story<'a> {
    fn read(run: &Run, gallery: Option<&'a Gallery>) -> Result<Self> {
        let recipe = run.recipe()?;
        let (mut measures, mut events, mut verdict) = (Vec::new(), Vec::new(), None);
        for record in run.records()? {
            match record {
                Record::Measures(line) => measures.push(line),
                Record::Judged(judged) => verdict = Some(judged.verdict.sentence),
                Record::Event(event) => events.push(event),
            }
        }
        let sheet = |step| {
            let path = run.sheet_path(step);
            Ok((step, fs::read(&path).map_err(Error::io(&path, "reading the sample sheet"))?))
        };
        Ok(Self {
            folder: run.folder().display().to_string(),
            recipe_toml: recipe.to_toml()?,
            recipe,
            saved: run.checkpoints()?.last().copied().unwrap_or(0),
            measures,
            events,
            verdict,
            sheets: spread(&run.sheets()?).map(sheet).collect::<Result<_>>()?,
            gallery,
            machine: Machine::look(),
        })
    }

    fn steps(&self) -> u32 {
        self.recipe.train.steps.unwrap_or(self.saved)
    }

    fn is_finished(&self) -> bool {
        self.recipe.train.steps == Some(self.saved)
    }
}

/// At most [`SHEETS`] of the steps, the first and the last among them.
fn spread(steps: &[u32]) -> impl Iterator<Item = u32> {
    let count = steps.len().min(SHEETS);
    (0..count).map(move |i| steps[i * (steps.len() - 1) / (count - 1).max(1)])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::data::ImageShape;
    use crate::image_io::{Overwrite, Picture, save_png};

    #[test]
    fn the_first_and_the_last_sheet_are_shown() {
        let steps: Vec<u32> = (0..=100).collect();
        let shown: Vec<u32> = spread(&steps).collect();
        assert_eq!((shown.len(), shown[0], shown[SHEETS - 1]), (SHEETS, 0, 100));
        assert_eq!(spread(&[7]).collect::<Vec<_>>(), [7]);
        assert_eq!(spread(&[]).count(), 0);
    }

    /// A run with awkward names and numbers, as a page.
    fn page(folder: &std::path::Path) -> String {
        let mut recipe = Recipe { about: "<b>bold</b> & \"quoted\"".into(), ..Recipe::default() };
        recipe.data.source = "<script>alert(1)</script>".into();
        recipe.train.steps = Some(40);
        let run = Run::create(&folder.join("run"), &recipe).unwrap();
        for step in 1..=40 {
            let loss = if step == 20 { f64::NAN } else { 1.0 / f64::from(step) };
            let values = BTreeMap::from([("loss".to_string(), loss), ("grad_norm".to_string(), 0.0)]);
            let seconds = f64::from(step);
            run.record(&Record::Measures(Measures {
                step,
                seconds,
                images_per_second: 9.0,
                rate: 1.0,
                values,
            }))
            .unwrap();
        }
        let message = "loss is NaN at step 20".to_string();
        run.record(&Record::Event(Event { step: 20, event: "rollback".into(), message })).unwrap();
        let sheet = Picture::blank(ImageShape { channels: 3, height: 4, width: 4 });
        save_png(&run.sheet_path(0), &sheet, &[], Overwrite::Refuse).unwrap();
        fs::read_to_string(write(&run, None).unwrap()).unwrap()
    }

    #[test]
    fn a_page_needs_nothing_outside_itself_and_runs_nothing_of_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let page = page(folder.path());
        for outside in ["http://", "https://", "src=\"/", "@import", "<link", "url("] {
            let own = "http://www.w3.org/2000/svg";
            assert!(!page.replace(own, "").contains(outside), "{outside}");
        }
        assert!(!page.contains("<script>alert"), "the source is escaped");
        assert!(page.contains("&lt;script&gt;alert(1)"));
        assert!(page.contains("data:image/png;base64,iVBORw0KGgo"));
    }

    #[test]
    fn a_page_tells_of_rollbacks_and_draws_what_is_finite() {
        let folder = tempfile::tempdir().unwrap();
        let page = page(folder.path());
        assert!(page.contains("loss is NaN at step 20"));
        assert!(page.contains("1 rollback"));
        let drawing = &page[page.find("<svg").unwrap()..page.rfind("</svg>").unwrap()];
        assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
    }
}
