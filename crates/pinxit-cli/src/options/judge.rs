//! What the pictures are worth: scores, audits, augmentation.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Reporting, Working, percent};
use crate::hub::HubFile;

/// Say how good generated pictures are, by every measure and with what each one took.
#[derive(Debug, Args)]
#[command(after_help = "\
A run is judged by pictures that it never trained on. Beside each score stands the same measure between
two halves of the real pictures: no model can be expected to do better. Without the Inception network
features are learned from your own pictures; such scores are called FD[own:...] and compare only with
each other.

Examples:
  pinxit score runs/demo
  pinxit score runs/photos --count 5000 --out before.json
  pinxit score painted --against photos --inception weights-inception-2015-12-05-6726825d.pth
  pinxit score painted --against photos --inception weights.pth --resize clean
  pinxit score painted --against photos --download
  pinxit score --compare before.json after.json")]
pub(crate) struct Score {
    /// What to judge: a run (its folder, or its name below runs/), or a folder of pictures.
    #[arg(value_name = "RUN|DIR", value_hint = ValueHint::DirPath)]
    pub(crate) target: Option<PathBuf>,
    /// Real pictures to judge by; those that the run held out when not given.
    #[arg(long, value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) against: Option<String>,
    /// Part of the run's pictures to judge by.
    #[arg(long, value_name = "PART", value_enum, default_value_t, conflicts_with = "against")]
    pub(crate) split: Part,
    /// Pictures to paint.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) count: u32,
    /// Seed of the first picture to paint.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Use the checkpoint of this step; the newest when not given.
    #[arg(long, value_name = "STEP")]
    pub(crate) checkpoint: Option<u32>,
    #[command(flatten)]
    pub(crate) extraction: Extraction,
    /// Also write the scores as JSON into this file, to compare them later.
    #[arg(long, short, value_name = "FILE.json", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Set scores that --out wrote side by side; refused if they were made differently.
    #[arg(long, value_name = "FILE.json", num_args = 2.., value_hint = ValueHint::FilePath, conflicts_with_all = ["target", "out"])]
    pub(crate) compare: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Look for training pictures among what a model paints, and for the same picture again and again.
#[derive(Debug, Args)]
#[command(after_help = "\
Copies are found as they are, mirrored, shifted by a pixel, brighter or paler, and recompressed. Pictures that
were held out are judged by the same rule, so that chance shows. With --max-copies the exit code is 3 when
there are more, for use in a pipeline.

Examples:
  pinxit audit runs/photos
  pinxit audit runs/photos --count 5000 --max-copies 0.5
  pinxit audit runs/photos --json")]
pub(crate) struct Audit {
    /// The run: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Pictures to paint.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) count: u32,
    /// Seed of the first picture.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Fail if more than this many of a hundred samples are copies.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) max_copies: Option<f64>,
    /// Use the checkpoint of this step; the newest when not given.
    #[arg(long, value_name = "STEP")]
    pub(crate) checkpoint: Option<u32>,
    #[command(flatten)]
    pub(crate) extraction: Extraction,
    /// File for the pictures of the pairs that are most alike; audit.png in the run when not given.
    #[arg(long, value_name = "FILE.png", value_hint = ValueHint::FilePath)]
    pub(crate) sheet: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Paint a balanced, labelled set of pictures to train on, and find out whether it helps.
#[derive(Debug, Args)]
#[command(after_help = "\
Copies of training pictures are left out and replaced. A small classifier is then trained on real pictures, on
real ones with classic augmentation, on real and generated ones and on generated ones alone, five seeds each,
and judged by the test split, which nothing has seen. The answer may be not to use the pictures.

Examples:
  pinxit augment runs/photos --per-class 200 --out more
  pinxit augment runs/photos --per-class 50 --out more --steps 600")]
pub(crate) struct Augment {
    /// The run of a model that knows classes: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Pictures to prove it on, with the same classes; those of the run when not given.
    #[arg(long, value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<String>,
    /// Pictures to paint of each class.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) per_class: u32,
    /// Folder for the pictures, one folder a class; nothing in it is overwritten.
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// Seed of the first picture.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Steps of each classifier.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// Use the checkpoint of this step; the newest when not given.
    #[arg(long, value_name = "STEP")]
    pub(crate) checkpoint: Option<u32>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// What makes features of pictures.
#[derive(Debug, Args)]
pub(crate) struct Extraction {
    /// Weights of the Inception network of 2015-12-05 (.pth of torch-fidelity, or safetensors); looked for
    /// where PyTorch and the Hugging Face hub keep downloads when not given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) inception: Option<PathBuf>,
    /// Fetch these weights from the Hugging Face hub if they are found nowhere (96 MB, checked by SHA-256;
    /// HF_ENDPOINT and HF_HOME are honoured).
    #[arg(long, value_name = "OWNER/REPOSITORY/FILE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = hub_file, conflicts_with = "inception")]
    pub(crate) download: Option<HubFile>,
    /// Learn features from the real pictures even if the Inception network is there.
    #[arg(long, conflicts_with_all = ["inception", "download"])]
    pub(crate) own: bool,
    /// Steps to learn features for, where there is no Inception network.
    #[arg(long, value_name = "STEPS", conflicts_with_all = ["inception", "download"], value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) learn: Option<u32>,
    /// How pictures are brought to the size of the Inception network.
    #[arg(long, value_name = "WAY", value_enum, default_value_t)]
    pub(crate) resize: ResizeWay,
}

/// A file on the hub; the usual one if none is named.
fn hub_file(text: &str) -> Result<HubFile, String> {
    if text.is_empty() { Ok(HubFile::default()) } else { text.parse() }
}

/// A part of a run's pictures.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Part {
    /// Held out and never looked at while training: for figures.
    #[default]
    Test,
    /// Held out, and looked at by the verdict while training.
    Validation,
    /// Both held-out parts.
    Heldout,
    /// What the run trained on.
    Train,
    /// Everything.
    All,
}

impl From<Part> for pinxit::data::Split {
    fn from(part: Part) -> Self {
        match part {
            Part::Test => Self::Test,
            Part::Validation => Self::Validation,
            Part::Heldout => Self::Heldout,
            Part::Train => Self::Train,
            Part::All => Self::All,
        }
    }
}

/// A way to resize, by the library that made it known.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum ResizeWay {
    /// TensorFlow 1's bilinear, as the original FID and torch-fidelity.
    #[default]
    Tf1,
    /// Antialiased bicubic, as clean-fid.
    Clean,
}

impl From<ResizeWay> for pinxit::metrics::extract::Resize {
    fn from(way: ResizeWay) -> Self {
        match way {
            ResizeWay::Tf1 => Self::BilinearTf1,
            ResizeWay::Clean => Self::CleanBicubic,
        }
    }
}
