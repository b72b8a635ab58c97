//! Whether generated pictures help to train a classifier: the proof before they are used as training data.
//!
//! Four kinds of training set, five seeds each, one test split that neither the generator nor any
//! classifier has seen. The comparison is paired by seed, with Student's intervals.

use burn::tensor::Device;
use serde::Serialize;

use super::extract::{Extractor, Learning, OwnExtractor};
use super::pictures::Pictures;
use crate::data::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::image_io::Picture;
use crate::watch::{Part, Watch};

/// Classifiers of each kind.
pub const SEEDS: u64 = 5;
/// Quantile 0.975 of Student's t with [`SEEDS`] - 1 degrees of freedom.
const T: f64 = 2.776_445;

/// A kind of training set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Diet {
    /// Real pictures as they are.
    Real,
    /// Real pictures, shifted and changed in brightness and contrast.
    RealChanged,
    /// Real pictures and generated ones.
    RealAndGenerated,
    /// Generated pictures alone.
    Generated,
}

/// All kinds, in the order of a report.
pub const DIETS: [Diet; 4] = [Diet::Real, Diet::RealChanged, Diet::RealAndGenerated, Diet::Generated];

impl Diet {
    /// In words.
    pub fn about(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::RealChanged => "real, with classic augmentation",
            Self::RealAndGenerated => "real and generated",
            Self::Generated => "generated alone",
        }
    }
}

/// A mean over seeds with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval.
    pub half: f64,
}

impl Interval {
    /// Of one value a seed.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Self { mean, half: T * (variance / n).sqrt() }
    }
}

/// What the classifiers say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// Accuracy on the test split, 0 to 1, of each seed of each kind.
    pub accuracies: Vec<(Diet, Vec<f64>)>,
    /// What generated pictures add to the better of the two real kinds, paired by seed.
    pub gain: Interval,
    /// Test pictures.
    pub tested: usize,
    /// Real pictures that were learned from.
    pub real: usize,
    /// Generated pictures that were learned from.
    pub generated: usize,
    /// Steps of each classifier.
    pub steps: u32,
}

impl Proof {
    /// The answer in a sentence.
    pub fn verdict(&self) -> String {
        let Interval { mean, half } = self.gain;
        let (points, half) = (100.0 * mean, 100.0 * half);
        match (points > half, points < -half) {
            (true, _) => format!("use it: accuracy rises by {points:.1} +- {half:.1} points"),
            (_, true) => format!("do not use it: accuracy falls by {:.1} +- {half:.1} points", -points),
            _ => format!("do not use it: no gain is shown ({points:+.1} +- {half:.1} points)"),
        }
    }

    /// Accuracies of one kind.
    fn of(&self, diet: Diet) -> &[f64] {
        self.accuracies.iter().find(|(kind, _)| *kind == diet).map_or(&[], |(_, values)| values)
    }
}

/// Generated pictures with the classes that they were asked for.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The pictures, all of the shape of the real ones.
    pub pictures: Vec<Picture>,
    /// Class of each.
    pub labels: Vec<u32>,
}

/// Trains the classifiers and compares them.
///
/// # Errors
/// [`Error::Config`] if there are no classes, no test pictures, or pictures of other shapes;
/// [`Error::Interrupted`] when the watcher stops it.
pub fn prove(
    train: &dyn Dataset,
    test: &dyn Dataset,
    generated: &Generated,
    steps: u32,
    device: &Device,
    watch: &mut dyn Watch,
) -> Result<Proof> {
    if train.classes().len() < 2 || test.is_empty() {
        return Err(Error::config(format!(
            "whether pictures help is told by a classifier: give at least two classes (there are {}) and hold pictures \
             out (the test split has {})",
            train.classes().len(),
            test.len()
        )));
    }
    let total = SEEDS * DIETS.len() as u64;
    let mut accuracies = Vec::new();
    for (place, diet) in DIETS.into_iter().enumerate() {
        let food = Food::new(train, generated, diet)?;
        let mut of_seeds = Vec::new();
        for seed in 0..SEEDS {
            let before = place as u64 * SEEDS + seed;
            let mut part = Part { watch, before, len: 1, total };
            let learning = Learning { steps, seed, changes: diet == Diet::RealChanged };
            let classifier = OwnExtractor::learn(&food, learning, device, &mut part)?;
            of_seeds.push(accuracy(&classifier, test)?);
        }
        accuracies.push((diet, of_seeds));
    }
    let mut proof = Proof {
        accuracies,
        gain: Interval { mean: 0.0, half: 0.0 },
        tested: test.len(),
        real: train.len(),
        generated: generated.pictures.len(),
        steps,
    };
    proof.gain = gain(&proof);
    Ok(proof)
}

fn gain(proof: &Proof) -> Interval {
    let mean = |diet| Interval::of(proof.of(diet)).mean;
    let best = if mean(Diet::RealChanged) > mean(Diet::Real) { Diet::RealChanged } else { Diet::Real };
    let pairs = proof.of(Diet::RealAndGenerated).iter().zip(proof.of(best));
    Interval::of(&pairs.map(|(with, without)| with - without).collect::<Vec<_>>())
}

fn accuracy(classifier: &OwnExtractor, test: &dyn Dataset) -> Result<f64> {
    const BATCH: usize = 64;
    let mut correct = 0;
    for start in (0..test.len()).step_by(BATCH) {
        let indices = start..(start + BATCH).min(test.len());
        let pictures: Vec<Picture> =
            indices.clone().map(|index| test.picture(index)).collect::<Result<_>>()?;
        let logits = classifier.extract(&pictures)?.logits;
        for (index, logits) in indices.zip(logits.chunks_exact(classifier.classes())) {
            let largest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            correct += usize::from(largest.is_some_and(|(class, _)| class as u32 == test.label(index)));
        }
    }
    Ok(correct as f64 / test.len() as f64)
}

/// A training set of one kind.
struct Food<'a> {
    real: &'a dyn Dataset,
    generated: &'a Generated,
    diet: Diet,
}

impl<'a> Food<'a> {
    fn new(real: &'a dyn Dataset, generated: &'a Generated, diet: Diet) -> Result<Self> {
        let Generated { pictures, labels } = generated;
        if labels.len() != pictures.len() || pictures.iter().any(|picture| picture.shape != real.shape()) {
            return Err(Error::config(
                "generated pictures must have a class each, and the shape of the real ones",
            ));
        }
        Ok(Self { real, generated, diet })
    }

    /// The real picture or the generated one that `index` stands for.
    fn find(&self, index: usize) -> Result<usize, usize> {
        let real = if self.diet == Diet::Generated { 0 } else { self.real.len() };
        if index < real { Ok(index) } else { Err(index - real) }
    }
}

impl Dataset for Food<'_> {
    fn shape(&self) -> ImageShape {
        self.real.shape()
    }

    fn len(&self) -> usize {
        match self.diet {
            Diet::Real | Diet::RealChanged => self.real.len(),
            Diet::RealAndGenerated => self.real.len() + self.generated.pictures.len(),
            Diet::Generated => self.generated.pictures.len(),
        }
    }

    fn classes(&self) -> &[String] {
        self.real.classes()
    }

    fn label(&self, index: usize) -> u32 {
        match self.find(index) {
            Ok(real) => self.real.label(real),
            Err(generated) => self.generated.labels[generated],
        }
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        match self.find(index) {
            Ok(real) => self.real.read(real, out),
            Err(generated) => {
                let planar = self.generated.pictures[generated].to_planar();
                out.iter_mut().zip(planar).for_each(|(out, value)| *out = value);
            }
        }
    }

    fn name(&self, index: usize) -> String {
        match self.find(index) {
            Ok(real) => self.real.name(real),
            Err(generated) => format!("generated #{generated}"),
        }
    }

    fn content_hash(&self, index: usize) -> u64 {
        match self.find(index) {
            Ok(real) => self.real.content_hash(real),
            Err(generated) => generated as u64,
        }
    }

    fn group(&self, index: usize) -> u64 {
        match self.find(index) {
            Ok(real) => self.real.group(real),
            Err(generated) => generated as u64,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::builtin;
    use crate::recipe::DataRecipe;
    use crate::watch::Unwatched;

    fn proof(real: [f64; 5], both: [f64; 5]) -> Proof {
        let mut proof = Proof {
            accuracies: vec![
                (Diet::Real, real.to_vec()),
                (Diet::RealChanged, vec![0.1; 5]),
                (Diet::RealAndGenerated, both.to_vec()),
            ],
            gain: Interval { mean: 0.0, half: 0.0 },
            tested: 100,
            real: 10,
            generated: 10,
            steps: 1,
        };
        proof.gain = gain(&proof);
        proof
    }

    /// Oracle: `scipy.stats.t.interval(0.95, 4, mean, sem)` of SciPy 1.17.1 for 1, 2, 3, 4, 6.
    #[test]
    fn intervals_are_students() {
        let Interval { mean, half } = Interval::of(&[1.0, 2.0, 3.0, 4.0, 6.0]);
        assert!((mean - 3.2).abs() < 1e-12 && (half - 2.388_388).abs() < 1e-5, "{mean} {half}");
    }

    #[test]
    fn the_answer_may_be_no() {
        let real = [0.80, 0.81, 0.79, 0.80, 0.80];
        let moved = |by: f64| [0.801, 0.809, 0.791, 0.799, 0.80].map(|value| value + by);
        assert!(proof(real, moved(0.05)).verdict().starts_with("use it: accuracy rises by 5.0"));
        assert!(proof(real, moved(-0.05)).verdict().starts_with("do not use it: accuracy falls by 5.0"));
        assert!(proof(real, moved(0.0)).verdict().contains("no gain is shown"));
    }

    /// Real digits in the place of generated ones: the answers are accuracies, and the same each time.
    #[test]
    fn every_diet_is_learned_from() {
        let digits = builtin::open("digits", &DataRecipe::default()).unwrap();
        let pictures: Vec<Picture> = (0..60).map(|index| digits.picture(index).unwrap()).collect();
        let generated = Generated { labels: (0..60).map(|index| digits.label(index)).collect(), pictures };
        let prove = || prove(&*digits, &*digits, &generated, 1, &Device::flex(), &mut Unwatched).unwrap();
        let found = prove();
        assert_eq!(found.accuracies.len(), 4);
        assert!(
            found
                .accuracies
                .iter()
                .all(|(_, of)| of.len() == 5 && of.iter().all(|a| (0.0..=1.0).contains(a)))
        );
        assert_eq!(found, prove());
    }
}
