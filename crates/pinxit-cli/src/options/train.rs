//! Training: what begins a run, and what goes on with one.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use super::{Reporting, Setting, Size, Working, family_names};

/// Train a model on pictures, or go on with a run.
#[derive(Debug, Args)]
#[command(after_help = "\
What is not given is chosen from the pictures and the machine and written into the run's recipe, which
repeats the run. `pinxit families NAME` lists every setting for --set.

Examples:
  pinxit train --data photos                          everything chosen, 20 minutes
  pinxit train --data photos --size 64x48 --minutes 90
  pinxit train --data builtin:digits --family edm --steps 2000
  pinxit train --data icons --channels 4 --set data.flip=true --set train.lr=3e-4
  pinxit train --recipe mine.toml --seed 2 --out runs/second
  pinxit train --resume runs/photos                   go on where it was stopped")]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) new: NewRun,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(flatten)]
    pub(crate) shape: ShapeSettings,
    /// Go on with this run, to the bit as if it had not been stopped.
    #[arg(long, value_name = "RUN", value_hint = ValueHint::DirPath)]
    #[arg(conflicts_with_all = ["NewRun", "Settings", "ShapeSettings"])]
    pub(crate) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Flags of a run that begins.
#[derive(Debug, Args)]
pub(crate) struct NewRun {
    /// Begin from this recipe: a file, or a name that `pinxit recipes` lists.
    #[arg(long, value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    pub(crate) recipe: Option<String>,
    /// Change any other setting; `pinxit families NAME` lists them. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Folder of the run; runs/NAME of the data, or the next one that is free, when not given.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}

/// Flags that stand for settings of a recipe.
#[derive(Debug, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Kind of model; `pinxit families` tells about them.
    #[arg(long, value_name = "NAME", value_parser = family_names())]
    pub(crate) family: Option<String>,
    /// Folder of pictures (its folders are the classes), IDX or CIFAR file, or builtin:NAME.
    #[arg(long, value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    #[serde(rename = "data.source")]
    pub(crate) data: Option<String>,
    /// What goes in, for families that make pictures from pictures: a folder, or builtin:NAME.
    #[arg(long, value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    #[serde(rename = "data.inputs")]
    pub(crate) inputs: Option<String>,
    /// How that belongs to --data: names, unpaired, side-by-side, or made from it: edges, gray, blur, mask, downscale.
    #[arg(long, value_name = "HOW")]
    #[serde(rename = "data.pair")]
    pub(crate) pair: Option<String>,
    /// Steps to train for.
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(rename = "train.steps")]
    pub(crate) steps: Option<u32>,
    /// Minutes to train for; the speed is measured first and gives the number of steps.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    #[serde(rename = "train.minutes")]
    pub(crate) minutes: Option<f64>,
    /// Pictures a step.
    #[arg(long, value_name = "N")]
    #[serde(rename = "train.batch")]
    pub(crate) batch: Option<u32>,
    /// What may end the run early: never (the default), or when-done for the verdict that going on is of no use.
    #[arg(long, value_name = "WHEN", value_parser = ["never", "when-done"])]
    #[serde(rename = "train.stop")]
    pub(crate) stop: Option<String>,
    /// Seed of weights, order, noise and augmentation: the same seed gives the same run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[serde(rename = "train.seed")]
    pub(crate) seed: Option<u64>,
}

/// Flags for the shape to which pictures are brought.
#[derive(Debug, Default, Clone, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ShapeSettings {
    /// Height and width in pixels, or one number for both; chosen from the pictures when not given.
    #[arg(long, value_name = "HxW")]
    #[serde(rename = "data.size")]
    pub(crate) size: Option<Size>,
    /// 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; as the pictures are when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    #[serde(rename = "data.channels")]
    pub(crate) channels: Option<u8>,
}
