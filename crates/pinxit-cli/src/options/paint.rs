//! What a trained model paints: samples, pictures out of pictures, latents.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use super::{Reporting, Setting, Working};

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
    #[arg(long, short, value_name = "CLASS", conflicts_with = "held_out")]
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
    /// Of a diffusion model: how much of the way from noise a picture goes again, 0 (stays) to 1 (forgotten); half
    /// when not given, all with --from-class or a mask.
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
