//! The verdict on a run while it trains: is it still getting better, and does it copy?
//!
//! Every judgement paints the same seeds and compares them with the same real pictures, so that what
//! changes from one to the next is the model alone. Features come from a small network with random
//! weights, which is there at once (Naeem et al. 2020, section 5.1, find random features sound for
//! comparing distributions); the figures are for comparing steps of one run and nothing else.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::collect::{Collected, Collector, collect};
use super::extract::{Learning, OwnExtractor};
use super::frechet::frechet_distance;
use super::likeness::Gallery;
use super::manifold::{DENSITY_COVERAGE_K, density_coverage};
use super::memorisation;
use super::pictures::Pictures;
use crate::data::Dataset;
use crate::error::Result;
use crate::image_io::{self, Picture};
use crate::model::{Model, Request};
use crate::watch::Unwatched;

/// Most real pictures that quality is judged by, and most held-out ones that copying is compared with.
const REAL: usize = 500;
/// Most training pictures that are searched for copies, so that a judgement stays short.
const SEARCHED: usize = 5000;
/// Fewest validation pictures that quality is judged by; with fewer, training pictures stand in.
const FEWEST: usize = 50;
/// Relative fall of the distance that counts as getting better.
const PROGRESS: f64 = 0.03;
/// Judgements without progress after which a run is called done, and their least share of all.
const PATIENCE: (usize, f64) = (4, 0.25);
/// Share of the samples that may be copies, beyond what held-out pictures show.
const COPIES: f64 = 0.03;

/// What was found at one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Steps done.
    pub step: u32,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Fréchet distance of random features to the real pictures.
    pub distance: f64,
    /// Share of the real pictures that samples come near, 0 to 1.
    pub coverage: f64,
    /// Samples that copy a training picture.
    pub copies: usize,
    /// Samples painted.
    pub samples: usize,
    /// Share of held-out pictures that the same rule calls copies, 0 to 1.
    pub chance: f64,
}

/// What the judgements so far amount to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// One sentence for people.
    pub sentence: String,
    /// The step of the best judgement.
    pub best: u32,
    /// Whether going on is of no use.
    pub done: bool,
}

impl Judgement {
    fn copies_too_much(&self) -> bool {
        self.copies as f64 > (COPIES + self.chance) * self.samples as f64
    }
}

/// The verdict on a run of `steps` steps; `None` before the first judgement.
///
/// The best step is the one with the least distance among those that don't copy. A run is done when
/// it copies in two judgements running, or when nothing got better for a while; not while its newest step is the best.
pub fn verdict(history: &[Judgement]) -> Option<Verdict> {
    let last = history.last()?;
    let honest = history.iter().filter(|judgement| !judgement.copies_too_much());
    let best = honest.min_by(|a, b| a.distance.total_cmp(&b.distance)).unwrap_or(history.first()?);
    let copying = history.iter().rev().take_while(|judgement| judgement.copies_too_much()).count();
    if copying > 0 {
        let sentence = format!(
            "copies training pictures: {} of {}; best before is step {}",
            last.copies,
            last.samples,
            thousands(best.step)
        );
        return Some(Verdict { sentence, best: best.step, done: copying > 1 });
    }
    let patience = PATIENCE.0.max((PATIENCE.1 * history.len() as f64).ceil() as usize);
    let recent = history.len().saturating_sub(patience);
    let (before, after) = history.split_at(recent);
    let least =
        |part: &[Judgement]| part.iter().map(|judgement| judgement.distance).fold(f64::INFINITY, f64::min);
    let Some(first) = before.last() else {
        let sentence = format!("too early to tell: {} of {} judgements", history.len(), patience + 1);
        return Some(Verdict { sentence, best: best.step, done: false });
    };
    let fall = 1.0 - least(after) / least(before);
    if fall > PROGRESS {
        let sentence = format!(
            "still improving: FD fell {:.0} % over the last {} steps",
            100.0 * fall,
            thousands(last.step - first.step)
        );
        return Some(Verdict { sentence, best: best.step, done: false });
    }
    if best.step == last.step {
        let sentence = format!(
            "hardly improving: FD fell {:.1} % over the last {} steps",
            100.0 * fall.max(0.0),
            thousands(last.step - first.step)
        );
        return Some(Verdict { sentence, best: best.step, done: false });
    }
    let minutes = (last.seconds - best.seconds).max(0.0) / 60.0;
    let ago = match minutes {
        0.0..1.5 => "".into(),
        minutes => format!(" {minutes:.0} minutes ago"),
    };
    let sentence = format!("stopped improving{ago}: best is step {}", thousands(best.step));
    Some(Verdict { sentence, best: best.step, done: true })
}

/// `12,345`.
fn thousands(number: u32) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

/// Judges the model of a run at any step, always in the same way.
pub struct Judge {
    extractor: OwnExtractor,
    real: Collected,
    train: Gallery,
    /// Share of the held-out pictures that pass for copies.
    chance: f64,
}

impl Judge {
    /// A judge with the pictures of a run.
    ///
    /// # Errors
    /// If there are no training pictures.
    pub fn new(train: &dyn Dataset, validation: &dyn Dataset, device: &Device) -> Result<Self> {
        let read = |set: &dyn Dataset, most: usize| -> Result<Vec<Picture>> {
            // Evenly spread, because sets are often sorted by class.
            let count = set.len().min(most);
            (0..count).map(|i| set.picture(i * set.len() / count)).collect()
        };
        let held_out = read(validation, REAL)?;
        let extractor = OwnExtractor::random(train, Learning::default().seed, device)?;
        let train_pictures = read(train, SEARCHED)?;
        let real = match held_out.len() {
            FEWEST.. => collect(&extractor, &held_out, &mut Unwatched)?,
            _ => collect(&extractor, &read(train, REAL)?, &mut Unwatched)?,
        };
        let train = Gallery::new(&train_pictures)?;
        let control = match held_out.is_empty() {
            true => Vec::new(),
            false => train.most_alike(&Gallery::new(&held_out)?, false)?,
        };
        let passing = control.iter().filter(|found| memorisation::is_copy(found)).count();
        Ok(Self { extractor, real, train, chance: passing as f64 / control.len().max(1) as f64 })
    }

    /// What `model` paints for the first `count` seeds.
    ///
    /// # Errors
    /// Those of the model.
    pub fn paint(model: &dyn Model, count: usize, options: &toml::Table) -> Result<Vec<Picture>> {
        let Some(generator) = model.generate() else { return Ok(Vec::new()) };
        let known = model.classes().len();
        let mut pictures = Vec::with_capacity(count);
        for start in (0..count).step_by(CHUNK) {
            let numbers = start..(start + CHUNK).min(count);
            let request = Request {
                seeds: numbers.clone().map(|i| SEED + i as u64).collect(),
                classes: if known == 0 { vec![] } else { numbers.map(|i| (i % known) as u32).collect() },
                options: options.clone(),
            };
            pictures.extend(image_io::pictures(generator.generate(&request, &mut Unwatched)?)?);
        }
        Ok(pictures)
    }

    /// The judgement of `pictures` that the model paints after `step` steps.
    ///
    /// # Errors
    /// If there are fewer than six pictures.
    pub fn judge(&self, pictures: &[Picture], step: u32, seconds: f64) -> Result<Judgement> {
        let mut collector = Collector::new(&self.extractor);
        pictures.iter().try_for_each(|picture| collector.push(picture.clone()))?;
        let painted = collector.finish()?;
        let distance = match (&painted.gaussian, &self.real.gaussian) {
            (Some(painted), Some(real)) => frechet_distance(painted, real)?,
            _ => f64::NAN,
        };
        let coverage = density_coverage(painted.rows()?, self.real.rows()?, DENSITY_COVERAGE_K)?.coverage;
        let found = self.train.most_alike(&Gallery::new(pictures)?, false)?;
        Ok(Judgement {
            step,
            seconds,
            distance,
            coverage,
            copies: found.iter().filter(|found| memorisation::is_copy(found)).count(),
            samples: pictures.len(),
            chance: self.chance,
        })
    }
}

/// Pictures painted at once.
const CHUNK: usize = 64;
/// The first seed of a judgement, apart from those of the sample sheets.
const SEED: u64 = 1 << 40;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::builtin;
    use crate::recipe::DataRecipe;

    fn run(distances: &[f64], copies: &[usize]) -> Vec<Judgement> {
        let judgement = |(i, (&distance, &copies)): (usize, (&f64, &usize))| Judgement {
            step: 1000 * (i as u32 + 1),
            seconds: 300.0 * (i as f64 + 1.0),
            distance,
            coverage: 0.5,
            copies,
            samples: 100,
            chance: 0.0,
        };
        distances.iter().zip(copies).enumerate().map(judgement).collect()
    }

    #[test]
    fn a_run_that_improves_is_told_by_how_much() {
        let history = run(&[100.0, 80.0, 60.0, 50.0, 45.0, 44.0], &[0; 6]);
        let said = verdict(&history).unwrap();
        assert_eq!(said.sentence, "still improving: FD fell 45 % over the last 4,000 steps");
        assert_eq!((said.best, said.done), (6000, false));
        assert!(verdict(&history[..3]).unwrap().sentence.contains("too early"));
        assert_eq!(verdict(&[]), None);
    }

    #[test]
    fn a_run_that_stands_still_is_done() {
        let history = run(&[90.0, 50.0, 51.0, 50.5, 49.9, 52.0], &[0, 0, 1, 0, 2, 0]);
        let said = verdict(&history).unwrap();
        assert_eq!(
            said.sentence,
            "stopped improving: best is step 5,000".replace("improving", "improving 5 minutes ago")
        );
        assert!(said.done);
    }

    #[test]
    fn a_run_whose_newest_step_is_its_best_has_not_stopped() {
        let history = run(&[90.0, 50.0, 51.0, 50.5, 52.0, 49.5], &[0; 6]);
        let said = verdict(&history).unwrap();
        assert_eq!(said.sentence, "hardly improving: FD fell 1.0 % over the last 4,000 steps");
        assert_eq!((said.best, said.done), (6000, false));
    }

    #[test]
    fn a_run_that_copies_is_told_so_and_its_best_step_is_before() {
        let history = run(&[90.0, 50.0, 40.0, 30.0, 20.0, 10.0], &[0, 0, 1, 2, 7, 40]);
        let said = verdict(&history).unwrap();
        assert_eq!(said.sentence, "copies training pictures: 40 of 100; best before is step 4,000");
        assert_eq!((said.best, said.done), (4000, true));
        assert!(!verdict(&history[..5]).unwrap().done, "once may be chance");
    }

    /// Real pictures that were not trained on are near and no copies; training pictures are copies;
    /// noise is far away.
    #[test]
    fn judgements_tell_new_pictures_from_copies_and_from_noise() {
        let set = |seed, count| {
            builtin::open("sprites", &DataRecipe { count, seed, ..DataRecipe::default() }).unwrap()
        };
        let (train, validation, new) = (set(1, 300), set(2, 100), set(3, 64));
        let judge = Judge::new(&*train, &*validation, &Device::flex()).unwrap();
        let read = |set: &dyn Dataset| -> Vec<Picture> {
            (0..64).map(|index| set.picture(index).unwrap()).collect()
        };
        let honest = judge.judge(&read(&*new), 1, 0.0).unwrap();
        let copies = judge.judge(&read(&*train), 1, 0.0).unwrap();
        let shape = train.shape();
        let noise = |n: usize| Picture {
            shape,
            pixels: (0..shape.len()).map(|i| ((i * 7919 + n * 104_729) % 251) as u8).collect(),
        };
        let noise = judge.judge(&(0..64).map(noise).collect::<Vec<_>>(), 1, 0.0).unwrap();
        assert!(honest.copies <= 1 && copies.copies == 64, "{honest:?} {copies:?}");
        assert!(
            noise.distance > 3.0 * honest.distance && noise.coverage < honest.coverage,
            "{honest:?} {noise:?}"
        );
    }
}
