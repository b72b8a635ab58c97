//! The command line as typed: one struct a command, whose doc comments are its help.
//!
//! The structs of flags that stand for settings also derive serde, each field under the key of the
//! setting: a flag, its help, its key in a recipe and its name in JSON are one definition.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, Styles};
use clap::{Args, Parser, Subcommand, ValueHint};
use pinxit::families::{ALIASES, FAMILIES, Family};
use serde::{Deserialize, Serialize};

use crate::terminal::{BAD, DIM, GOOD, HEAD, NAME};

const STYLES: Styles = Styles::styled()
    .header(HEAD)
    .usage(HEAD)
    .literal(NAME)
    .placeholder(DIM)
    .error(BAD)
    .valid(GOOD)
    .invalid(BAD);

/// Train image generators on your own pictures, and paint new ones.
#[derive(Debug, Parser)]
#[command(name = "pinxit", version, styles = STYLES, max_term_width = 100)]
#[command(after_help = "\
Start here:
  pinxit demo                        watch a model learn to write digits, in about two minutes
  pinxit data photos                 what is in a folder, and what of it can be used
  pinxit train --data photos         train on it; Ctrl-C saves and stops
  pinxit sample runs/photos --count 16 --out new
                                     paint new pictures")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Train(Train),
    Sample(Sample),
    Translate(Translate),
    Encode(Encode),
    Decode(Decode),
    Score(Score),
    Audit(Audit),
    Augment(Augment),
    Data(Data),
    Runs(Runs),
    Families(Families),
    Recipes(Recipes),
    Doctor(Doctor),
    Bench(Bench),
    Completions(Completions),
}

/// How a command reports.
#[derive(Debug, Args)]
pub(crate) struct Reporting {
    /// Print the result as one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a command that takes its time works with.
#[derive(Debug, Args)]
pub(crate) struct Working {
    /// Show no progress and no advice.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Device to compute on; `pinxit doctor` lists them.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Threads to compute with; all cores when not given. Results don't depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

/// Train on built-in handwritten digits, for about two minutes, and show the result.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit demo
  pinxit demo --out runs/first")]
pub(crate) struct Demo {
    /// Folder of the run; runs/demo, or the next one that is free, when not given.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

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

/// Paint pictures with a trained model.
#[derive(Debug, Args)]
#[command(after_help = "\
Picture i is made from seed SEED + i alone: the same seed gives the same picture in any company.
With classes, each picture lands in the folder of its class, so that DIR can be trained on again.

Examples:
  pinxit sample runs/demo --count 16 --out new
  pinxit sample runs/demo --count 100 --class 7 --out sevens
  pinxit sample runs/demo --count 64 --grid sheet.png
  pinxit sample runs/photos --count 8 --seed 40 --steps 50 --sampler heun --out best
  pinxit sample runs/photos --count 8 --guidance 2 --set sample.rho=5 --out other
  pinxit sample runs/gan --count 10 --interpolate 3 14 15 --grid walk.png
  pinxit sample runs/gan --count 8 --vary-class --truncation 0.7 --grid classes.png
  pinxit sample runs/gan --count 8 --attribute cat dog --grid direction.png
  pinxit sample runs/vae --count 1 --class 7 --traverse --grid numbers.png
  pinxit sample runs/strokes --complete half.png --from-row 14 --count 8 --out whole")]
pub(crate) struct Sample {
    /// The run: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Number of pictures.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Class of all pictures, by name or number; drawn for each picture when not given.
    #[arg(long, short, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Seed of the first picture.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) walk: LatentWalk,
    #[command(flatten)]
    pub(crate) knobs: SampleSettings,
    /// Change any other sampling setting; `pinxit families NAME` lists them. May be repeated.
    #[arg(long, value_name = "sample.KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Use the checkpoint of this step; the newest when not given.
    #[arg(long, value_name = "STEP")]
    pub(crate) checkpoint: Option<u32>,
    /// Folder for the pictures; nothing in it is overwritten.
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "grid")]
    pub(crate) out: Option<PathBuf>,
    /// Also put all pictures on one sheet, in this file.
    #[arg(long, value_name = "FILE.png", value_hint = ValueHint::FilePath)]
    pub(crate) grid: Option<PathBuf>,
    /// Begin every picture as this one does (families that paint pixel by pixel).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "from_row")]
    pub(crate) complete: Option<PathBuf>,
    /// First row, from 0, that --complete paints anew.
    #[arg(long, value_name = "N", requires = "complete")]
    pub(crate) from_row: Option<u32>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Turn pictures into others with a trained model.
#[derive(Debug, Args)]
#[command(after_help = "\
Pictures may have any size: what the model can't take at once goes through it in tiles that overlap. Alpha and a
depth of 16 bits are kept. Every picture is written as PNG under its own name; those of a folder keep their places
below it.

Examples:
  pinxit translate runs/colour sketch.png --out coloured
  pinxit translate runs/colour sketches more/*.png --out coloured
  pinxit translate runs/night day --out night
  pinxit translate runs/night night --direction backward --out day
  pinxit translate runs/photos sketch.png --strength 0.6 --out better
  pinxit translate runs/photos old.png --mask scratch.png --out mended
  pinxit translate runs/pets dog.png --from-class dog --class cat --out cats
  pinxit translate runs/colour --held-out --grid sheet.png
                                     how good it is on pictures that it has not seen")]
pub(crate) struct Translate {
    /// The run: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Pictures, folders of pictures, or patterns such as 'scans/*.png'.
    #[arg(value_name = "IN", required_unless_present = "held_out", value_hint = ValueHint::AnyPath)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Folder for the pictures; nothing in it is overwritten.
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "held_out")]
    pub(crate) out: Option<PathBuf>,
    /// Translate pictures of the run that are held out for tests instead, and tell how near they come to the truth.
    #[arg(long, conflicts_with_all = ["inputs", "out"])]
    pub(crate) held_out: bool,
    /// Of those at most so many.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 200, requires = "held_out")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Of those also put the first on a sheet: what goes in, what comes out, the truth.
    #[arg(long, value_name = "FILE.png", value_hint = ValueHint::FilePath, requires = "held_out")]
    pub(crate) grid: Option<PathBuf>,
    /// Class of all pictures that come out, by name or number, for models with classes.
    #[arg(long, short, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Seed of the first picture, where something is random; the next ones count on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) knobs: TranslateSettings,
    /// Change any other sampling setting; `pinxit families NAME` lists them. May be repeated.
    #[arg(long, value_name = "sample.KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Paint anew only what is white in this picture, which has the size of the others (diffusion models).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "held_out")]
    pub(crate) mask: Option<PathBuf>,
    /// Paint so many pixels more on every side of the pictures (diffusion models).
    #[arg(long, value_name = "PIXELS", conflicts_with_all = ["held_out", "mask"])]
    pub(crate) extend: Option<u32>,
    /// Sides in pixels of the tiles of a large picture, for models that take any size.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) tile: Option<u32>,
    /// Pixels by which two tiles overlap.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) overlap: Option<u32>,
    /// Use the checkpoint of this step; the newest when not given.
    #[arg(long, value_name = "STEP")]
    pub(crate) checkpoint: Option<u32>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Flags that stand for settings of a family of pictures to pictures; one that a family has no use for is refused.
#[derive(Debug, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TranslateSettings {
    /// `forward`, or `backward` where the model has learned both ways.
    #[arg(long, value_name = "WAY")]
    pub(crate) direction: Option<String>,
    /// Of a diffusion model: how much of the way from noise a picture goes again, 0 (stays) to 1 (forgotten).
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub(crate) strength: Option<f64>,
    /// Of a diffusion model: the class that the pictures show, to become that of --class and stay alike otherwise.
    #[arg(long, value_name = "CLASS", requires = "class")]
    pub(crate) from_class: Option<String>,
    /// Steps from noise to picture, of a diffusion model.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u32>,
}

/// Encode pictures as latents: the numbers or codes that a model makes of them.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is NumPy's .npy, or .safetensors with the tensors `latents` and, of a model with classes, `labels`.

Examples:
  pinxit encode runs/faces --out faces.npy
  pinxit encode runs/faces --data photos --count 100 --out photos.safetensors
  pinxit encode runs/faces --count 40 --out faces.npy --grid beside.png")]
pub(crate) struct Encode {
    /// The run: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Pictures to encode, as for training; those that the run was trained on when not given.
    #[arg(long, value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<String>,
    /// Number of pictures, from the first; all when not given.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,
    /// Use the checkpoint of this step; the newest when not given.
    #[arg(long, value_name = "STEP")]
    pub(crate) checkpoint: Option<u32>,
    /// File for the latents.
    #[arg(long, short, value_name = "FILE.npy|FILE.safetensors", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// Also put the first pictures on a sheet, each above what its latents decode to.
    #[arg(long, value_name = "FILE.png", value_hint = ValueHint::FilePath)]
    pub(crate) grid: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Decode latents to pictures.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit decode runs/faces faces.npy --out again
  pinxit decode runs/digits mine.npy --class 7 --grid sevens.png")]
pub(crate) struct Decode {
    /// The run: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// File of latents [N, ...], as `pinxit encode` writes it.
    #[arg(value_name = "FILE.npy|FILE.safetensors", value_hint = ValueHint::FilePath)]
    pub(crate) latents: PathBuf,
    /// Class of all pictures, by name or number; that of the file when not given.
    #[arg(long, short, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Use the checkpoint of this step; the newest when not given.
    #[arg(long, value_name = "STEP")]
    pub(crate) checkpoint: Option<u32>,
    /// New folder for the pictures.
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "grid")]
    pub(crate) out: Option<PathBuf>,
    /// Also put all pictures on one sheet, in this file.
    #[arg(long, value_name = "FILE.png", value_hint = ValueHint::FilePath)]
    pub(crate) grid: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Flags that show what a model holds instead of one picture a seed.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct LatentWalk {
    /// Walk from the picture of a seed to that of the next, --count pictures on each leg; a row of the sheet each.
    #[arg(long, value_name = "SEED", num_args = 2..)]
    pub(crate) interpolate: Vec<u64>,
    /// Paint each seed in every class.
    #[arg(long)]
    pub(crate) vary_class: bool,
    /// Move each seed from the look of one class of the run's pictures to that of another.
    #[arg(long, value_name = "CLASS", num_args = 2)]
    pub(crate) attribute: Vec<String>,
    /// Move each number of a seed's latent point in turn from -3 to 3, a row of the sheet each.
    #[arg(long)]
    pub(crate) traverse: bool,
}

/// Flags that stand for sampling settings of a family; one that a family has no use for is refused.
#[derive(Debug, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SampleSettings {
    /// Steps from noise to picture: more are slower and better.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u32>,
    /// How to walk from noise to picture; `pinxit families NAME` lists the ways.
    #[arg(long, value_name = "NAME")]
    pub(crate) sampler: Option<String>,
    /// Length of latent vectors relative to the ones drawn, 0 to 1: less varied and more usual pictures below 1.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub(crate) truncation: Option<f64>,
    /// How strongly to insist on the class.
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub(crate) guidance: Option<f64>,
}

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
    /// where PyTorch keeps downloads when not given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) inception: Option<PathBuf>,
    /// Learn features from the real pictures even if the Inception network is there.
    #[arg(long, conflicts_with = "inception")]
    pub(crate) own: bool,
    /// Steps to learn features for, where there is no Inception network.
    #[arg(long, value_name = "STEPS", conflicts_with = "inception", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) learn: Option<u32>,
    /// How pictures are brought to the size of the Inception network.
    #[arg(long, value_name = "WAY", value_enum, default_value_t)]
    pub(crate) resize: ResizeWay,
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

/// Show what is in a folder of pictures and what of it can be used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit data photos
  pinxit data photos --size 64 --sheet sheet.png
  pinxit data builtin:sprites --sheet sprites.png
  pinxit data photos --json")]
pub(crate) struct Data {
    /// Folder of pictures, IDX or CIFAR file, or builtin:NAME.
    #[arg(value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) shape: ShapeSettings,
    /// Change any other setting of the data, such as data.fit=letterbox. May be repeated.
    #[arg(long, value_name = "data.KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Write a contact sheet.
    #[arg(long, value_name = "FILE.png", value_hint = ValueHint::FilePath)]
    pub(crate) sheet: Option<PathBuf>,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// List the runs in a folder and how they stand.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit runs
  pinxit runs elsewhere --json")]
pub(crate) struct Runs {
    /// Folder that holds runs.
    #[arg(value_name = "DIR", default_value = "runs", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// List the families of models, or every setting of one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit families
  pinxit families flow")]
pub(crate) struct Families {
    /// The family whose settings to list.
    #[arg(value_name = "NAME", value_parser = family_names())]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// List the recipes that come with the program, or show one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit recipes
  pinxit recipes demo > mine.toml
  pinxit train --recipe mine.toml")]
pub(crate) struct Recipes {
    /// The recipe to show.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// Show what this machine has and what would be used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit doctor
  pinxit doctor --json")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// Measure how fast this machine trains and paints, in under a minute.
#[derive(Debug, Args)]
#[command(after_help = "\
Every family is measured with its default recipe on the built-in digits unless a run, a recipe or a
family is named. Weights are fresh and thrown away; nothing is written.

Examples:
  pinxit bench
  pinxit bench --threads 1
  pinxit bench --family flow --data photos
  pinxit bench --recipe sprites
  pinxit bench runs/demo --json")]
pub(crate) struct Bench {
    /// Measure the recipe of this run: its folder, or its name below runs/.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: Option<PathBuf>,
    /// Measure this recipe: a file, or a name that `pinxit recipes` lists.
    #[arg(long, value_name = "FILE|NAME", value_hint = ValueHint::FilePath, conflicts_with = "run")]
    pub(crate) recipe: Option<String>,
    /// Measure this family alone.
    #[arg(long, value_name = "NAME", value_parser = family_names(), conflicts_with_all = ["run", "recipe"])]
    pub(crate) family: Option<String>,
    /// Pictures to measure with: a folder, IDX or CIFAR file, or builtin:NAME.
    #[arg(long, value_name = "DIR|builtin:NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<String>,
    /// Change any other setting; `pinxit families NAME` lists them. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Setting>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    #[command(flatten)]
    pub(crate) working: Working,
}

/// Print a script that completes commands and flags in a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pinxit completions bash > ~/.local/share/bash-completion/completions/pinxit
  pinxit completions zsh > ~/.zfunc/_pinxit
  pinxit completions fish > ~/.config/fish/completions/pinxit.fish")]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// The rows of the registry, for help, completion and "did you mean".
fn family_names() -> PossibleValuesParser {
    let value = |family: &&Family| {
        let aliases = ALIASES.iter().filter(|(_, row)| *row == family.name).map(|(alias, _)| *alias);
        PossibleValue::new(family.name).help(family.about).aliases(aliases)
    };
    FAMILIES.iter().map(value).into()
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse().ok();
    number
        .filter(|number| (0.0..=100.0).contains(number))
        .ok_or_else(|| "write a number from 0 to 100".into())
}

/// `[height, width]`, typed as `64x48` or `64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size([u32; 2]);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.trim().parse().ok().filter(|&side| side > 0);
        let (height, width) = text.split_once(['x', 'X']).unwrap_or((text, text));
        match (side(height), side(width)) {
            (Some(height), Some(width)) => Ok(Self([height, width])),
            _ => Err("write height x width in pixels, as in 64x48, or one number for both".into()),
        }
    }
}

/// `key=value`, as typed after `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self { key: key.trim().into(), value: value.trim().into() })
            }
            _ => Err("write KEY=VALUE, as in train.lr=3e-4".into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_size_is_height_by_width() {
        assert_eq!("64x48".parse(), Ok(Size([64, 48])));
        assert_eq!("32".parse(), Ok(Size([32, 32])));
        for wrong in ["", "x", "64x", "0x3", "64x48x3", "-1"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
