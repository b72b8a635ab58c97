//! A recipe: everything that a run depends on, as one TOML file.

use serde::{Deserialize, Serialize};

/// Family, data, model, training and sampling: enough to repeat a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it is for, which score it aims at.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Name of a row of [`FAMILIES`](crate::families::FAMILIES).
    #[serde(default = "default_family")]
    pub family: String,
    /// Which pictures, and how they are brought to one shape.
    #[serde(default)]
    pub data: DataRecipe,
    /// The family's knobs.
    #[serde(default)]
    pub model: toml::Table,
    /// The trainer's knobs.
    #[serde(default)]
    pub train: TrainRecipe,
    /// The family's sampling knobs.
    #[serde(default)]
    pub sample: toml::Table,
}

fn default_family() -> String {
    "flow".into()
}

/// How a picture of another aspect ratio is brought to the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Scale until it covers, keep the centre.
    Crop,
    /// Scale until it fits, fill the rest with the background.
    Letterbox,
}

crate::knobs! {
    /// The `[data]` table.
    pub struct DataRecipe {
        /// A folder, an IDX or CIFAR binary file, or `builtin:digits|sprites|glyphs`.
        pub source: String = String::new(),
        /// `[height, width]` in pixels; chosen from the pictures when not given.
        pub size: Option<[usize; 2]> = None,
        /// 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; as the pictures are when not given.
        pub channels: Option<usize> = None,
        /// `crop` (keep the centre) or `letterbox` (keep everything).
        pub fit: Fit = Fit::Crop,
        /// Grey level 0 to 255 of the bars of a letterbox, and of what lies behind alpha when it is dropped.
        pub background: u8 = 255,
        /// Use the names of the folders as classes.
        pub labels: bool = true,
        /// Number of pictures to take of an endless built-in set.
        pub count: usize = 10_000,
        /// Seed of a built-in set that is made rather than stored.
        pub seed: u64 = 0,
        /// Share of the pictures that training never sees, chosen by content, 0 to 0.9.
        pub holdout: f64 = 0.1,
        /// Show each picture mirrored half of the time.
        pub flip: bool = false,
        /// Show each picture upside down half of the time.
        pub flip_vertical: bool = false,
        /// Turn each picture by a random multiple of 90 degrees (square pictures).
        pub rotate: bool = false,
        /// Shift each picture by up to this many pixels, edges repeated.
        pub shift: usize = 0,
        /// Change brightness by up to this much of the range, 0 to 1.
        pub brightness: f64 = 0.0,
        /// Change contrast by a factor of up to 1 plus or minus this, 0 to 1.
        pub contrast: f64 = 0.0,
    }
}

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Not at all.
    Constant,
    /// On a straight line to 0.
    Linear,
    /// On half a cosine to 0.
    Cosine,
}

crate::knobs! {
    /// The `[train]` table.
    pub struct TrainRecipe {
        /// Optimizer steps; from `minutes`, or from the data, when not given.
        pub steps: Option<u32> = None,
        /// Time to train for; turned into `steps` by measuring, before the run starts.
        pub minutes: Option<f64> = None,
        /// Pictures a step; chosen from data and memory when not given.
        pub batch: Option<usize> = None,
        /// Learning rate; the family's own when not given.
        pub lr: Option<f64> = None,
        /// Steps over which the learning rate rises from 0.
        pub warmup: u32 = 100,
        /// `constant`, `linear` or `cosine` fall of the learning rate after the warm-up.
        pub decay: Decay = Decay::Cosine,
        /// Decoupled weight decay (AdamW), per unit of learning rate.
        pub weight_decay: f64 = 0.0,
        /// Decay of the moving average of the weights, 0 (none) to 1; ramped up in the first steps.
        pub ema: f64 = 0.999,
        /// Largest global norm of a gradient; 0 never clips.
        pub clip: f64 = 1.0,
        /// Work through each batch in this many parts, to save memory.
        pub accumulate: usize = 1,
        /// Seed of weights, order, noise and augmentation.
        pub seed: u64 = 0,
        /// Steps between two lines of `metrics.jsonl`.
        pub log_every: u32 = 10,
        /// Steps between two sample sheets; a twentieth of the run when not given.
        pub sample_every: Option<u32> = None,
        /// Steps between two checkpoints; a twentieth of the run when not given.
        pub checkpoint_every: Option<u32> = None,
        /// Also write TensorBoard event files.
        pub tensorboard: bool = false,
    }
}
