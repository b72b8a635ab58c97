//! How fast a recipe trains and paints on this machine.

use std::time::Instant;

use burn::tensor::{Device, Tensor};

use super::preflight::{self, Prepared, Start};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::machine;
use crate::model::{Learner, Model, Request};
use crate::recipe::Recipe;
use crate::watch::Watch;

/// Most pictures of one request; large enough to fill the threads.
const PICTURES: u64 = 16;

/// What it is called while it goes on.
const TASK: &str = "measuring the speed";

/// What was measured.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Speed {
    /// The family.
    pub family: &'static str,
    /// Where the pictures come from.
    pub data: String,
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// Channels of a picture.
    pub channels: usize,
    /// Trainable values.
    pub parameters: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Seconds of the first step, which also warms up.
    pub first_step: f64,
    /// Median seconds of a step after it.
    pub step: f64,
    /// Multiply-adds a second that the network's layers come to in a step, counting the backward pass as
    /// twice the forward pass.
    pub multiply_adds: f64,
    /// Painting from seeds, or from pictures where the model does that alone.
    pub painting: Option<Painting>,
    /// The most bytes that the process has held, if the system tells.
    pub memory: Option<u64>,
}

/// How fast pictures are made.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Painting {
    /// Seconds for one picture by itself.
    pub one: f64,
    /// Pictures of one request of many.
    pub pictures: u64,
    /// Pictures a second of that request.
    pub per_second: f64,
    /// Whether a request was stopped and its time worked out from the part that was done.
    pub estimated: bool,
}

/// Measures a recipe with fresh weights for about `seconds`; at least two steps are taken, however
/// long they last. Leaves no trace.
///
/// # Errors
/// Those of opening the data and building the network; [`Error::Interrupted`] when the watcher
/// stops it.
pub fn speed(recipe: Recipe, device: &Device, seconds: f64, watch: &mut dyn Watch) -> Result<Speed> {
    machine::reset_peak_memory();
    let prepared = preflight::prepare(recipe, device, Start::Resumed { seconds_per_step: None }, watch)?;
    let mut learner = prepared.learner(device, watch)?;
    let (first_step, step) = steps(&prepared, learner.as_mut(), seconds / 2.0, watch)?;
    watch.progress(TASK, 50, 100);
    let model = learner.model();
    let painting = match (model.generate(), model.translate()) {
        (Some(generate), _) => {
            let make = |request: &Request, watch: &mut dyn Watch| generate.generate(request, watch);
            Some(paint(&prepared, model, make, seconds / 2.0, watch)?)
        }
        (None, Some(translate)) => {
            let first = Batch::read(prepared.loader.dataset(), 0..1, device);
            let inputs = translate.example(&first, &prepared.recipe.sample)?.inputs;
            let make = |request: &Request, watch: &mut dyn Watch| {
                translate.translate(inputs.clone().repeat_dim(0, request.seeds.len()), request, watch)
            };
            Some(paint(&prepared, model, make, seconds / 2.0, watch)?)
        }
        (None, None) => None,
    };
    watch.progress(TASK, 100, 100);
    let preflight = &prepared.preflight;
    let shape = prepared.facts.shape;
    Ok(Speed {
        family: preflight.family,
        data: prepared.recipe.data.source.clone(),
        size: [shape.height, shape.width],
        channels: shape.channels,
        parameters: learner.parameters(),
        batch: preflight.batch,
        first_step,
        step,
        multiply_adds: 3.0 * preflight.cost.forward_macs as f64 * preflight.batch as f64 / step,
        painting,
        memory: machine::peak_memory(),
    })
}

/// Seconds of the first step and the median of those after it.
fn steps(
    prepared: &Prepared,
    learner: &mut dyn Learner,
    seconds: f64,
    watch: &mut dyn Watch,
) -> Result<(f64, f64)> {
    let first = prepared.take_step(learner, 0)?; // warms caches and pools
    let mut times: Vec<f64> = Vec::new();
    while times.is_empty() || times.iter().sum::<f64>() < seconds - first && times.len() < 200 {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        let share = times.iter().sum::<f64>() / seconds;
        watch.progress(TASK, (50.0 * share) as u64, 100);
        times.push(prepared.take_step(learner, 1 + times.len() as u32)?);
    }
    times.sort_by(f64::total_cmp);
    Ok((first, times[times.len() / 2]))
}

/// One picture by itself, then as many at once as the rest of the time is likely to be enough for.
fn paint(
    prepared: &Prepared,
    model: &dyn Model,
    make: impl Fn(&Request, &mut dyn Watch) -> Result<Tensor<4>>,
    seconds: f64,
    watch: &mut dyn Watch,
) -> Result<Painting> {
    let mut request = |count: u64, seconds: f64| -> Result<(f64, bool)> {
        let class = |i: u64| (i % model.classes().len().max(1) as u64) as u32;
        let classes = if model.classes().is_empty() { vec![] } else { (0..count).map(class).collect() };
        let options = prepared.recipe.sample.clone();
        let request = Request { seeds: (0..count).collect(), classes, options };
        let mut deadline = Deadline { watch: &mut *watch, begin: Instant::now(), seconds, share: 0.0 };
        match make(&request, &mut deadline) {
            Ok(images) => {
                drop(images.into_data()); // waits for the device
                Ok((deadline.elapsed(), false))
            }
            Err(Error::Interrupted) if deadline.is_over() && deadline.share > 0.0 => {
                Ok((deadline.elapsed() / deadline.share, true))
            }
            Err(error) => Err(error),
        }
    };
    let (one, cut) = request(1, seconds / 3.0)?;
    let pictures = ((seconds / 2.0 / one) as u64).clamp(2, PICTURES);
    let (many, many_cut) = request(pictures, 2.0 * seconds / 3.0)?;
    let per_second = pictures as f64 / many;
    Ok(Painting { one, pictures, per_second, estimated: cut || many_cut })
}

/// Stops what takes longer than it should, and remembers how far it came.
struct Deadline<'a> {
    watch: &'a mut dyn Watch,
    begin: Instant,
    seconds: f64,
    /// How much was done at the last report, 0 to 1.
    share: f64,
}

impl Deadline<'_> {
    fn elapsed(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    fn is_over(&self) -> bool {
        self.elapsed() >= self.seconds
    }
}

impl Watch for Deadline<'_> {
    fn progress(&mut self, _: &str, done: u64, total: u64) {
        self.share = done as f64 / total.max(1) as f64;
    }

    fn stopped(&self) -> bool {
        // Not before there is something to work out the rest from.
        self.watch.stopped() || self.is_over() && self.share > 0.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::families::FAMILIES;
    use crate::watch::Unwatched;

    #[test]
    fn every_family_is_measured_on_small_pictures() {
        for family in FAMILIES {
            let mut recipe = Recipe { family: family.name.into(), ..Recipe::default() };
            family.material.try_on_digits(&mut recipe.data);
            recipe.train.batch = Some(10);
            if family.model_knobs.iter().any(|knob| knob.name == "width") {
                recipe.set("model.width", "16").unwrap();
            }
            let speed = speed(recipe, &Device::flex(), 0.2, &mut Unwatched).unwrap();
            assert_eq!((speed.family, speed.batch, speed.size), (family.name, 10, [8, 8]));
            assert!(speed.step > 0.0 && speed.multiply_adds > 0.0 && speed.parameters > 0, "{speed:?}");
            let painting = speed.painting.unwrap();
            assert!(painting.one > 0.0 && painting.per_second > 0.0 && painting.pictures >= 2);
        }
    }

    #[test]
    fn a_deadline_waits_for_something_to_go_by() {
        let mut watch = Unwatched;
        let mut deadline = Deadline { watch: &mut watch, begin: Instant::now(), seconds: 0.0, share: 0.0 };
        assert!(deadline.is_over() && !deadline.stopped());
        deadline.progress("sampling", 1, 4);
        assert!(deadline.stopped() && deadline.share == 0.25);
    }
}
