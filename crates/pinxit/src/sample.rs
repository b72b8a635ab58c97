//! Seeds to pictures: from a run's folder to a stream of images.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};

use crate::data::{DataFacts, ImageShape};
use crate::device;
use crate::error::{Error, Result};
use crate::families::{self, Family};
use crate::image_io;
use crate::latent::{self, Walk};
use crate::model::{Complete, Generate, Given, Model, Request, Translate, find_class};
use crate::recipe::Recipe;
use crate::rng::{Purpose, Rng};
use crate::run::Run;
use crate::watch::{Part, Watch};

/// Pictures worked on at once. What a picture looks like doesn't depend on it.
const CHUNK: usize = 64;

/// Most pictures of one request: more would fill the memory with seeds and names alone.
const MOST: usize = 10_000_000;

/// A run's trained model with what it was trained by.
pub struct Trained {
    /// The model with averaged weights.
    pub model: Box<dyn Model>,
    /// Its row of the registry.
    pub family: &'static Family,
    /// The resolved recipe.
    pub recipe: Recipe,
    /// What the pictures were like.
    pub facts: DataFacts,
    /// Steps that it was trained for.
    pub step: u32,
}

impl Trained {
    /// The model of a run's newest checkpoint, or of the one at `step`.
    ///
    /// # Errors
    /// If there is no checkpoint yet, or it is damaged or doesn't fit its recipe.
    pub fn open(run: &Run, step: Option<u32>, device: &Device) -> Result<Self> {
        let Some((step, snapshot)) = run.read_checkpoint(step)? else {
            let message = match run.lock() {
                Ok(_) => {
                    let folder = run.folder().display();
                    format!("the run has no checkpoint yet; go on with it: pinxit train --resume {folder}")
                }
                Err(_) => "the run is being trained now and its first checkpoint is still to come".into(),
            };
            return Err(Error::checkpoint(run.folder(), message));
        };
        let path = run.checkpoint_path(step);
        let recipe = Recipe::from_toml(snapshot.note("recipe", &path)?, &path.display().to_string())?;
        let facts: DataFacts = serde_json::from_str(snapshot.note("facts", &path)?)
            .map_err(|e| Error::checkpoint(&path, format!("its note \"facts\" can't be read: {e}")))?;
        let family = families::find(&recipe.family)?;
        let model = (family.model)(&recipe, &facts, &snapshot, device).map_err(|e| at(&path, e))?;
        Ok(Self { model, family, recipe, facts, step })
    }

    /// The recipe's `[sample]` table with these knobs in place of its own.
    ///
    /// # Errors
    /// [`Error::Config`] for a knob that the family has no use for, by name.
    pub fn sample_table(&self, knobs: &toml::Table) -> Result<toml::Table> {
        let mut recipe = self.recipe.clone();
        for (name, value) in knobs {
            if !self.family.sample_knobs.iter().any(|knob| knob.name == name) {
                let known: Vec<_> = self.family.sample_knobs.iter().map(|knob| knob.name).collect();
                return Err(Error::config(format!(
                    "{name} does not apply to {}; it takes: {}",
                    self.family.name,
                    known.join(", ")
                )));
            }
            recipe.set(&format!("sample.{name}"), &value.to_string())?;
        }
        Ok(recipe.sample)
    }

    /// The model's way to make pictures from pictures.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the family makes pictures from seeds only.
    pub fn translator(&self) -> Result<&dyn Translate> {
        self.model.translate().ok_or_else(|| {
            Error::Unsupported(format!(
                "this {} run makes pictures from seeds, not from pictures",
                self.family.name
            ))
        })
    }

    /// The model's way to make pictures from seeds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the family makes pictures from pictures only.
    pub fn generator(&self) -> Result<&dyn Generate> {
        self.model.generate().ok_or_else(|| {
            Error::Unsupported(format!(
                "this {} run makes pictures from pictures, not from seeds: use pinxit translate, with --held-out to \
                 judge it",
                self.family.name
            ))
        })
    }
}

/// Says which file an error about weights came from.
fn at(path: &std::path::Path, error: Error) -> Error {
    match error {
        Error::Config(message) => Error::checkpoint(path, message),
        other => other,
    }
}

/// What a user asks for, as typed.
#[derive(Debug, Clone, Default)]
pub struct SampleOptions {
    /// Number of pictures; picture i has the seed `seed + i`.
    pub count: usize,
    /// Seed of the first picture.
    pub seed: u64,
    /// Name or number of a class; `None` draws a class for each picture from its seed.
    pub class: Option<String>,
    /// Sampling knobs that differ from the recipe's `[sample]` table.
    pub knobs: toml::Table,
    /// What to show instead of one picture a seed; `count` is then that of a leg, or of seeds.
    pub walk: Option<Walk>,
}

/// A picture to be completed.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The picture, brought to the model's shape as training pictures are.
    pub file: PathBuf,
    /// The first row that is painted anew, from 0.
    pub from_row: usize,
}

/// What is going to be made: as-typed options against the recipe and the family's knobs.
#[derive(Debug, Clone)]
pub struct SamplePlan {
    /// Seeds, classes and every sampling knob.
    pub request: Request,
    /// The latent points of the pictures, where they are not those of the seeds: `[count, dimension]`.
    pub points: Option<Tensor<2>>,
    /// What tells each picture from the others of its class: the seed, and its place on a walk.
    pub names: Vec<String>,
    /// Pictures of a row of a sheet, where rows have a meaning.
    pub columns: Option<usize>,
}

impl SamplePlan {
    /// Resolves `options` for a trained model.
    ///
    /// # Errors
    /// [`Error::Config`] for a knob that the family has no use for, by name, a class that the
    /// model doesn't know, more than 10 million pictures, or seeds beyond 64 bits.
    pub fn new(trained: &Trained, options: &SampleOptions) -> Result<Self> {
        let knobs = trained.sample_table(&options.knobs)?;
        let stops = stops(trained, options)?;
        let names = trained.model.classes();
        let classes = match (&options.class, &options.walk) {
            (Some(_), Some(Walk::VaryClass)) => {
                return Err(Error::config(
                    "--class names one class and --vary-class shows all: leave one away",
                ));
            }
            (Some(class), _) => vec![find_class(class, names)?; stops.seeds.len()],
            (None, Some(Walk::VaryClass)) => {
                (0..stops.seeds.len()).map(|i| (i % names.len()) as u32).collect()
            }
            (None, _) => {
                let drawn = stops.seeds.iter().map(|&seed| drawn_class(seed, names.len()));
                drawn.collect::<Option<_>>().unwrap_or_default()
            }
        };
        let Stops { seeds, points, names, columns } = stops;
        Ok(Self { request: Request { seeds, classes, options: knobs }, points, names, columns })
    }

    /// One picture a seed, with a class each if the model knows some.
    pub fn of(request: Request) -> Self {
        let names = request.seeds.iter().map(|&seed| seed_name(seed)).collect();
        Self { request, points: None, names, columns: None }
    }

    /// Makes the pictures and hands each to `take` with its number, `[C, H, W]` in `[-1, 1]`.
    ///
    /// # Errors
    /// What the model or `take` returns; [`Error::Interrupted`] when the watcher stops it.
    pub fn paint(
        &self,
        trained: &Trained,
        watch: &mut dyn Watch,
        take: impl FnMut(usize, Tensor<3>) -> Result<()>,
    ) -> Result<()> {
        let generator = trained.generator()?;
        device::set_exact(trained.recipe.train.exact);
        let make =
            |start, request: &Request, watch: &mut dyn Watch| match (&self.points, trained.model.latent()) {
                (Some(points), Some(latent)) => {
                    let points = points.clone().narrow(0, start, request.seeds.len());
                    latent.decode(points, &request.classes, &request.options, watch)
                }
                _ => generator.generate(request, watch),
            };
        self.paint_parts(watch, make, take)
    }

    /// The same for pictures that begin as a given one does, if there is one.
    ///
    /// # Errors
    /// As [`paint`](Self::paint); [`Error::Unsupported`] if the family can't complete pictures; if the given
    /// one can't be read.
    pub fn paint_from(
        &self,
        trained: &Trained,
        completion: Option<&Completion>,
        watch: &mut dyn Watch,
        take: impl FnMut(usize, Tensor<3>) -> Result<()>,
    ) -> Result<()> {
        let Some(completion) = completion else { return self.paint(trained, watch, take) };
        let (ability, first) = (completer(trained)?, given(trained, completion)?);
        device::set_exact(trained.recipe.train.exact);
        let make = |_, request: &Request, watch: &mut dyn Watch| {
            let images = first.images.clone().repeat_dim(0, request.seeds.len());
            ability.complete(&Given { images, ..first }, request, watch)
        };
        self.paint_parts(watch, make, take)
    }

    /// Has `make` make the pictures, some at a time, told the number of the first.
    fn paint_parts(
        &self,
        watch: &mut dyn Watch,
        make: impl Fn(usize, &Request, &mut dyn Watch) -> Result<Tensor<4>>,
        mut take: impl FnMut(usize, Tensor<3>) -> Result<()>,
    ) -> Result<()> {
        let Request { seeds, classes, options } = &self.request;
        for start in (0..seeds.len()).step_by(CHUNK) {
            let end = (start + CHUNK).min(seeds.len());
            let request = Request {
                seeds: seeds[start..end].to_vec(),
                classes: classes.get(start..end).map_or_else(Vec::new, <[u32]>::to_vec),
                options: options.clone(),
            };
            let mut part =
                Part { watch, before: start as u64, len: (end - start) as u64, total: seeds.len() as u64 };
            for (offset, image) in make(start, &request, &mut part)?.iter_dim(0).enumerate() {
                take(start + offset, image.squeeze_dim(0))?;
            }
        }
        Ok(())
    }

    /// The pictures as one tensor `[count, C, H, W]`, for as many as fit in memory.
    ///
    /// # Errors
    /// As [`paint`](Self::paint).
    pub fn paint_all(&self, trained: &Trained, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        let mut images = Vec::with_capacity(self.request.seeds.len());
        self.paint(trained, watch, |_, image| {
            images.push(image);
            Ok(())
        })?;
        if images.is_empty() {
            let ImageShape { channels, height, width } = trained.model.shape();
            return Ok(Tensor::zeros([0, channels, height, width], &Device::flex()));
        }
        Ok(Tensor::stack(images, 0))
    }
}

/// What is painted, apart from classes.
struct Stops {
    /// The seed of each picture, or of the point that its leg sets out from.
    seeds: Vec<u64>,
    points: Option<Tensor<2>>,
    names: Vec<String>,
    columns: Option<usize>,
}

/// The name of the picture of a seed.
fn seed_name(seed: u64) -> String {
    format!("{seed:06}")
}

/// The stops of the walk, or one a seed.
fn stops(trained: &Trained, options: &SampleOptions) -> Result<Stops> {
    let Some(walk) = &options.walk else {
        let seeds = seeds(options)?;
        let names = seeds.iter().map(|&seed| seed_name(seed)).collect();
        return Ok(Stops { seeds, points: None, names, columns: None });
    };
    Ok(match walk {
        Walk::Interpolate(ends) => {
            let legs = ends.len().saturating_sub(1);
            let count = legs.saturating_mul(options.count);
            if !(1..=MOST).contains(&count) {
                return Err(Error::config(format!(
                    "a walk of {legs} legs with {} pictures each: it needs two seeds or more, and at most {MOST} \
                     pictures",
                    options.count
                )));
            }
            let points = latent::between(latent::of(trained)?, ends, options.count)?;
            let name = |(leg, ends): (usize, &[u64])| {
                let way = format!("{:02}-{}-{}", leg + 1, seed_name(ends[0]), seed_name(ends[1]));
                (0..options.count).map(move |i| format!("{way}-{i:03}"))
            };
            let names = ends.windows(2).enumerate().flat_map(name).collect();
            // One class a walk: that of the seed it sets out from.
            let seeds = vec![ends[0]; count];
            Stops { seeds, points: Some(points), names, columns: Some(options.count) }
        }
        Walk::VaryClass => {
            let classes = trained.model.classes().len();
            if classes == 0 {
                return Err(Error::config("the model knows no classes, so --vary-class has nothing to vary"));
            }
            let seeds = seeds(options)?;
            let names = seeds.iter().flat_map(|&seed| (0..classes).map(move |_| seed_name(seed))).collect();
            let seeds = seeds.iter().flat_map(|&seed| (0..classes).map(move |_| seed)).collect();
            Stops { seeds, points: None, names, columns: Some(classes) }
        }
        Walk::Along(direction) => {
            let first = seeds(options)?;
            let points = latent::along(latent::of(trained)?, &first, direction)?;
            let stop =
                |&seed: &u64| (0..latent::STATIONS).map(move |i| (seed, format!("{}-{i}", seed_name(seed))));
            let (seeds, names) = first.iter().flat_map(stop).unzip();
            Stops { seeds, points: Some(points), names, columns: Some(latent::STATIONS) }
        }
        Walk::Traverse => {
            let first = seeds(options)?;
            let points = latent::traversal(latent::of(trained)?, &first)?;
            let numbers = points.dims()[1];
            let stop = |&seed: &u64| {
                let name = move |i| {
                    format!("{}-{:03}-{}", seed_name(seed), i / latent::STATIONS, i % latent::STATIONS)
                };
                (0..numbers * latent::STATIONS).map(move |i| (seed, name(i)))
            };
            let (seeds, names) = first.iter().flat_map(stop).unzip();
            Stops { seeds, points: Some(points), names, columns: Some(latent::STATIONS) }
        }
    })
}

/// The model's way to complete pictures.
fn completer(trained: &Trained) -> Result<&dyn Complete> {
    let name = trained.family.name;
    trained
        .model
        .complete()
        .ok_or_else(|| Error::Unsupported(format!("{name} paints pictures whole and can't complete one")))
}

/// Reads the picture to be completed.
fn given(trained: &Trained, completion: &Completion) -> Result<Given> {
    let shape @ ImageShape { channels, height, width } = trained.model.shape();
    let rows = completion.from_row;
    if rows > height {
        return Err(Error::config(format!("--from-row {rows}: the model's pictures have {height} rows")));
    }
    let data = &trained.recipe.data;
    let values = image_io::read_picture(&completion.file, shape, data.fit, data.background)?;
    let data = TensorData::new(values, [1, channels, height, width]);
    Ok(Given { images: Tensor::from_data(data, &Device::flex()), rows })
}

/// The seeds of the pictures, one after the other.
fn seeds(options: &SampleOptions) -> Result<Vec<u64>> {
    let SampleOptions { count, seed, .. } = *options;
    if count > MOST {
        return Err(Error::config(format!("--count {count}: at most {MOST} pictures can be made at a time")));
    }
    let end = seed.checked_add((count as u64).saturating_sub(1)).ok_or_else(|| {
        Error::config(format!("--seed {seed} with --count {count}: the last seed is beyond {}", u64::MAX))
    })?;
    Ok((seed..=end).take(count).collect())
}

/// The class of a picture for which none was asked: uniform, from its own seed.
fn drawn_class(seed: u64, classes: usize) -> Option<u32> {
    (classes > 0).then(|| Rng::new(seed, Purpose::SampleClass, 0, 0).below(classes as u32))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn seeds_end_where_64_bits_do() {
        let at = |seed, count| seeds(&SampleOptions { seed, count, ..SampleOptions::default() });
        assert_eq!(at(u64::MAX, 1).unwrap(), [u64::MAX]);
        assert_eq!(at(5, 3).unwrap(), [5, 6, 7]);
        assert!(at(5, 0).unwrap().is_empty());
        assert!(at(u64::MAX, 2).unwrap_err().to_string().contains("--seed"));
        assert!(at(0, MOST + 1).unwrap_err().to_string().contains("--count"));
    }

    #[test]
    fn a_class_is_found_by_name_before_number() {
        let names = ["cat", "1", "dog"].map(String::from);
        assert_eq!(find_class("dog", &names).unwrap(), 2);
        assert_eq!(find_class("1", &names).unwrap(), 1);
        assert_eq!(find_class("0", &names).unwrap(), 0);
        assert!(find_class("3", &names).unwrap_err().to_string().contains("cat, 1, dog"));
        assert!(find_class("cat", &[]).unwrap_err().to_string().contains("no classes"));
    }

    #[test]
    fn a_drawn_class_depends_on_the_seed_alone_and_all_classes_occur() {
        let drawn: Vec<u32> = (0..200).filter_map(|seed| drawn_class(seed, 5)).collect();
        assert_eq!(drawn_class(7, 5), Some(drawn[7]));
        assert!((0..5).all(|class| drawn.contains(&class)));
        assert_eq!(drawn_class(7, 0), None);
    }
}
