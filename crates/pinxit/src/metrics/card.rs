//! The score card: every measure of a set of generated pictures, with what it took.

use serde::{Deserialize, Serialize};

use super::collapse::{Shares, neighbour_spread};
use super::collect::Collected;
use super::detect::detectability;
use super::diversity;
use super::extract::{Features, Identity};
use super::frechet::{Gaussian, frechet_distance};
use super::inception_score::{self, inception_score};
use super::kernel::{Spread, Subsets, kernel_distance};
use super::knn::order;
use super::likelihood::bits_per_dim;
use super::manifold::{DENSITY_COVERAGE_K, PRECISION_RECALL_K, density_coverage, precision_recall};
use super::record::Record;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::sample::Trained;
use crate::watch::Watch;

/// Which way a measure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// The value of real pictures is best.
    Real,
}

/// One measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Its name in the literature, or `FD[own:...]` and the like where the extractor is one's own.
    pub name: String,
    /// Its value for the generated pictures.
    pub value: f64,
    /// How much parts of the pictures differ in it, where it is a mean over parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
    /// The same measure between two halves of the real pictures: what a perfect model would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Which way it gets better.
    pub better: Better,
    /// What it means, in a few words.
    pub about: String,
}

/// All measures of a set of generated pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreCard {
    /// The pictures that are judged, as a user reads it.
    pub generated: String,
    /// What the scores were made of.
    pub record: Record,
    /// The scores.
    pub scores: Vec<Score>,
    /// Measures that could not be taken, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// The names of a card's two sets.
#[derive(Debug, Clone)]
pub struct Names {
    /// The pictures that are judged.
    pub generated: String,
    /// The real pictures, and which part of them.
    pub real: String,
}

impl ScoreCard {
    /// The card of `generated` against `real` pictures.
    ///
    /// # Errors
    /// [`Error::Config`] if the two come from different extractors;
    /// [`Error::Interrupted`] when the watcher stops it.
    pub fn new(names: Names, generated: &Collected, real: &Collected, watch: &mut dyn Watch) -> Result<Self> {
        let subsets = subsets(generated, real);
        let record = Record {
            extractor: real.identity.clone(),
            real: names.real,
            real_sha256: real.fingerprint.clone(),
            n_real: real.count,
            n_generated: generated.count,
            seed: subsets.seed,
            kernel_subsets: [subsets.count, subsets.size],
            neighbours: [PRECISION_RECALL_K, DENSITY_COVERAGE_K],
        };
        let mut card = Self { generated: names.generated, record, scores: Vec::new(), missing: Vec::new() };
        let (first, second) = halves(real)?;
        for (done, measure) in MEASURES.iter().enumerate() {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            watch.progress("scoring", done as u64, MEASURES.len() as u64);
            match (measure.take)(generated, real) {
                Ok(values) => {
                    let floor = (measure.take)(&first, &second).ok();
                    card.add(measure, &values, floor.as_deref());
                }
                Err(reason) => card.missing.push(format!("{}: {reason}", measure.names.join(", "))),
            }
        }
        watch.progress("scoring", MEASURES.len() as u64, MEASURES.len() as u64);
        Ok(card)
    }

    /// Adds what the model itself says of `real` pictures, if its family tells how probable they are:
    /// bits per dimension of the first 64, each given its class.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the watcher stops it.
    pub fn add_likelihood(
        &mut self,
        trained: &Trained,
        real: &dyn Dataset,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        /// A bound over a thousand noise levels takes a second a picture.
        const MOST: usize = 64;
        if trained.model.likelihood().is_none() {
            return Ok(());
        }
        match bits_per_dim(trained, real, MOST, watch) {
            Ok(bits) => self.scores.push(Score {
                name: "bits/dim".into(),
                value: bits.mean,
                deviation: Some(bits.error),
                floor: None,
                better: Better::Lower,
                about: format!(
                    "how probable {} real pictures are under the model, or a bound of it",
                    bits.count
                ),
            }),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(reason) => self.missing.push(format!("bits/dim: {reason}")),
        }
        Ok(())
    }

    fn add(&mut self, measure: &Measure, values: &[Spread], floor: Option<&[Spread]>) {
        for (i, (name, spread)) in measure.names.iter().zip(values).enumerate() {
            self.scores.push(Score {
                name: full_name(name, &self.record.extractor),
                value: spread.mean,
                deviation: (spread.deviation > 0.0).then_some(spread.deviation),
                floor: floor.and_then(|floor| floor.get(i)).map(|spread| spread.mean),
                better: measure.better,
                about: measure.about.get(i).copied().unwrap_or_default().into(),
            });
        }
    }
}

/// A measure and how it is taken.
struct Measure {
    names: &'static [&'static str],
    about: &'static [&'static str],
    better: Better,
    take: fn(&Collected, &Collected) -> Result<Vec<Spread>>,
}

const MEASURES: &[Measure] = &[
    Measure {
        names: &["FID"],
        about: &["distance between the two distributions; depends on the number of pictures"],
        better: Better::Lower,
        take: |generated, real| Ok(vec![exactly(frechet_distance(gaussian(generated)?, gaussian(real)?)?)]),
    },
    Measure {
        names: &["KID"],
        about: &["the same without bias, so that few pictures suffice; about 0 for real ones"],
        better: Better::Lower,
        take: |generated, real| {
            Ok(vec![kernel_distance(generated.rows()?, real.rows()?, subsets(generated, real))?])
        },
    },
    Measure {
        names: &["precision", "recall"],
        about: &["share of the samples that look real", "share of the real pictures that samples cover"],
        better: Better::Higher,
        take: |generated, real| {
            let found = precision_recall(generated.rows()?, real.rows()?, PRECISION_RECALL_K)?;
            Ok(vec![exactly(found.precision), exactly(found.recall)])
        },
    },
    Measure {
        names: &["density", "coverage"],
        about: &[
            "how densely samples lie among real pictures",
            "share of the real pictures with a sample near",
        ],
        better: Better::Higher,
        take: |generated, real| {
            let found = density_coverage(generated.rows()?, real.rows()?, DENSITY_COVERAGE_K)?;
            Ok(vec![exactly(found.density), exactly(found.coverage)])
        },
    },
    Measure {
        names: &["IS"],
        about: &["how sure of one class, and how varied over classes, the network is"],
        better: Better::Higher,
        take: |generated, _| Ok(vec![inception_score(generated.logits()?, inception_score::SEED)?]),
    },
    Measure {
        names: &["detectable"],
        about: &["accuracy of a classifier that tells samples from real pictures; 0.5 can't be told apart"],
        better: Better::Lower,
        take: |generated, real| {
            let found = detectability(generated.rows()?, real.rows()?)?;
            Ok(vec![Spread { mean: found.accuracy, deviation: found.error }])
        },
    },
    Measure {
        names: &["spread"],
        about: &[
            "distance of samples to their neighbours, over that of real pictures; well below 1 is collapse",
        ],
        better: Better::Real,
        take: |generated, real| Ok(vec![exactly(neighbour_spread(generated.rows()?, real.rows()?)?)]),
    },
    Measure {
        names: &["class imbalance", "classes hit"],
        about: &[
            "share of the samples that would have to change class",
            "share of the real classes that occur",
        ],
        better: Better::Real,
        take: |generated, real| {
            let shares = Shares::of(generated.logits()?, real.logits()?)?;
            let (hit, all) = shares.hit();
            Ok(vec![exactly(shares.difference()), exactly(hit as f64 / all.max(1) as f64)])
        },
    },
    Measure {
        names: &["diversity"],
        about: &["mean distance of two samples in feature space; below that of real pictures means collapse"],
        better: Better::Real,
        take: |generated, _| Ok(vec![exactly(diversity::mean_pairwise_distance(generated.rows()?)?)]),
    },
    Measure {
        names: &["MS-SSIM"],
        about: &["mean likeness of two samples in structure; above that of real pictures means collapse"],
        better: Better::Real,
        take: |generated, _| Ok(vec![exactly(diversity::mean_ms_ssim(&generated.pictures)?.0)]),
    },
];

/// A value that is no mean over parts.
fn exactly(value: f64) -> Spread {
    Spread { mean: value, deviation: 0.0 }
}

/// A set's distribution.
fn gaussian(set: &Collected) -> Result<&Gaussian> {
    let too_few = || Error::config(format!("the spread of {} pictures can't be told", set.count));
    set.gaussian.as_ref().ok_or_else(too_few)
}

/// The published 100 subsets of 1000, or of all pictures where there are fewer.
fn subsets(generated: &Collected, real: &Collected) -> Subsets {
    let published = Subsets::default();
    let fewest = generated.count.min(real.count).min(super::manifold::MOST);
    Subsets { size: published.size.min(fewest), ..published }
}

/// A random half of a set, and the other.
fn halves(set: &Collected) -> Result<(Collected, Collected)> {
    let order = order(set.features.rows.len() / set.width.max(1));
    let (first, second) = order.split_at(order.len() / 2);
    let half = |rows: &[usize], parity: usize| -> Result<Collected> {
        let pick = |values: &[f32], width: usize| -> Vec<f32> {
            rows.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect()
        };
        let mut half = Collected {
            gaussian: None,
            count: rows.len(),
            features: Features {
                rows: pick(&set.features.rows, set.width),
                logits: pick(&set.features.logits, set.classes),
            },
            pictures: set.pictures.iter().skip(parity).step_by(2).cloned().collect(),
            identity: set.identity.clone(),
            fingerprint: set.fingerprint.clone(),
            width: set.width,
            classes: set.classes,
        };
        half.gaussian = Gaussian::of(half.rows()?).ok();
        Ok(half)
    };
    Ok((half(first, 0)?, half(second, 1)?))
}

/// The literature's names belong to the Inception network of the literature alone.
fn full_name(name: &str, extractor: &Identity) -> String {
    let own = match name {
        "FID" => "FD",
        "KID" => "KD",
        "IS" => "CS",
        other => return other.into(),
    };
    match extractor.is_inception() {
        true => name.into(),
        false => {
            format!("{own}[{}:sha256={}]", extractor.name, extractor.sha256.get(..8).unwrap_or_default())
        }
    }
}
