//! A recipe: everything that a run depends on, as one TOML file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::families;
use crate::knobs::Knob;

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
    families::DEFAULT.name.into()
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            about: String::new(),
            family: default_family(),
            data: DataRecipe::default(),
            model: toml::Table::new(),
            train: TrainRecipe::default(),
            sample: toml::Table::new(),
        }
    }
}

/// A recipe that ships inside the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltinRecipe {
    /// As typed after `--recipe`.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

/// The recipes of the folder `recipes/`.
pub static BUILTIN_RECIPES: &[BuiltinRecipe] = &[
    BuiltinRecipe {
        name: "binarised-mnist-iwae",
        text: include_str!("../../../recipes/binarised-mnist-iwae.toml"),
    },
    BuiltinRecipe {
        name: "binarised-mnist-pixelcnn",
        text: include_str!("../../../recipes/binarised-mnist-pixelcnn.toml"),
    },
    BuiltinRecipe {
        name: "binarised-mnist-pixelrnn",
        text: include_str!("../../../recipes/binarised-mnist-pixelrnn.toml"),
    },
    BuiltinRecipe {
        name: "binarised-mnist-vae",
        text: include_str!("../../../recipes/binarised-mnist-vae.toml"),
    },
    BuiltinRecipe { name: "cifar10-dcgan", text: include_str!("../../../recipes/cifar10-dcgan.toml") },
    BuiltinRecipe { name: "cifar10-pixelcnn", text: include_str!("../../../recipes/cifar10-pixelcnn.toml") },
    BuiltinRecipe {
        name: "cifar10-pixelcnn-plus-plus",
        text: include_str!("../../../recipes/cifar10-pixelcnn-plus-plus.toml"),
    },
    BuiltinRecipe { name: "cifar10-pixelrnn", text: include_str!("../../../recipes/cifar10-pixelrnn.toml") },
    BuiltinRecipe { name: "cifar10-r3gan", text: include_str!("../../../recipes/cifar10-r3gan.toml") },
    BuiltinRecipe { name: "cifar10-sngan", text: include_str!("../../../recipes/cifar10-sngan.toml") },
    BuiltinRecipe { name: "cifar10-vqvae", text: include_str!("../../../recipes/cifar10-vqvae.toml") },
    BuiltinRecipe { name: "cifar10-wgan-gp", text: include_str!("../../../recipes/cifar10-wgan-gp.toml") },
    BuiltinRecipe { name: "demo", text: include_str!("../../../recipes/demo.toml") },
    BuiltinRecipe { name: "digits-cdcgan", text: include_str!("../../../recipes/digits-cdcgan.toml") },
    BuiltinRecipe { name: "digits-cgan", text: include_str!("../../../recipes/digits-cgan.toml") },
    BuiltinRecipe { name: "digits-dcgan", text: include_str!("../../../recipes/digits-dcgan.toml") },
    BuiltinRecipe { name: "digits-gan", text: include_str!("../../../recipes/digits-gan.toml") },
    BuiltinRecipe { name: "digits-iwae", text: include_str!("../../../recipes/digits-iwae.toml") },
    BuiltinRecipe { name: "digits-pixelcnn", text: include_str!("../../../recipes/digits-pixelcnn.toml") },
    BuiltinRecipe {
        name: "digits-pixelcnn-masked",
        text: include_str!("../../../recipes/digits-pixelcnn-masked.toml"),
    },
    BuiltinRecipe {
        name: "digits-pixelcnn-plus-plus",
        text: include_str!("../../../recipes/digits-pixelcnn-plus-plus.toml"),
    },
    BuiltinRecipe { name: "digits-pixelrnn", text: include_str!("../../../recipes/digits-pixelrnn.toml") },
    BuiltinRecipe {
        name: "digits-pixelrnn-row",
        text: include_str!("../../../recipes/digits-pixelrnn-row.toml"),
    },
    BuiltinRecipe { name: "digits-r3gan", text: include_str!("../../../recipes/digits-r3gan.toml") },
    BuiltinRecipe { name: "digits-sngan", text: include_str!("../../../recipes/digits-sngan.toml") },
    BuiltinRecipe { name: "digits-unet-gan", text: include_str!("../../../recipes/digits-unet-gan.toml") },
    BuiltinRecipe { name: "digits-vae", text: include_str!("../../../recipes/digits-vae.toml") },
    BuiltinRecipe { name: "digits-vqvae", text: include_str!("../../../recipes/digits-vqvae.toml") },
    BuiltinRecipe { name: "digits-wgan", text: include_str!("../../../recipes/digits-wgan.toml") },
    BuiltinRecipe { name: "digits-wgan-gp", text: include_str!("../../../recipes/digits-wgan-gp.toml") },
    BuiltinRecipe { name: "coco-style", text: include_str!("../../../recipes/coco-style.toml") },
    BuiltinRecipe { name: "div2k-srgan", text: include_str!("../../../recipes/div2k-srgan.toml") },
    BuiltinRecipe { name: "div2k-srresnet", text: include_str!("../../../recipes/div2k-srresnet.toml") },
    BuiltinRecipe { name: "facades-pix2pix", text: include_str!("../../../recipes/facades-pix2pix.toml") },
    BuiltinRecipe { name: "glyphs", text: include_str!("../../../recipes/glyphs.toml") },
    BuiltinRecipe { name: "glyphs-cdcgan", text: include_str!("../../../recipes/glyphs-cdcgan.toml") },
    BuiltinRecipe { name: "glyphs-cgan", text: include_str!("../../../recipes/glyphs-cgan.toml") },
    BuiltinRecipe { name: "glyphs-dcgan", text: include_str!("../../../recipes/glyphs-dcgan.toml") },
    BuiltinRecipe { name: "glyphs-gan", text: include_str!("../../../recipes/glyphs-gan.toml") },
    BuiltinRecipe { name: "glyphs-pixelcnn", text: include_str!("../../../recipes/glyphs-pixelcnn.toml") },
    BuiltinRecipe { name: "glyphs-pixelrnn", text: include_str!("../../../recipes/glyphs-pixelrnn.toml") },
    BuiltinRecipe { name: "glyphs-r3gan", text: include_str!("../../../recipes/glyphs-r3gan.toml") },
    BuiltinRecipe { name: "glyphs-sngan", text: include_str!("../../../recipes/glyphs-sngan.toml") },
    BuiltinRecipe { name: "glyphs-unet-gan", text: include_str!("../../../recipes/glyphs-unet-gan.toml") },
    BuiltinRecipe { name: "glyphs-vae", text: include_str!("../../../recipes/glyphs-vae.toml") },
    BuiltinRecipe { name: "glyphs-vqvae", text: include_str!("../../../recipes/glyphs-vqvae.toml") },
    BuiltinRecipe { name: "glyphs-wgan", text: include_str!("../../../recipes/glyphs-wgan.toml") },
    BuiltinRecipe { name: "glyphs-wgan-gp", text: include_str!("../../../recipes/glyphs-wgan-gp.toml") },
    BuiltinRecipe {
        name: "horse2zebra-cyclegan",
        text: include_str!("../../../recipes/horse2zebra-cyclegan.toml"),
    },
    BuiltinRecipe {
        name: "monet2photo-cyclegan",
        text: include_str!("../../../recipes/monet2photo-cyclegan.toml"),
    },
    BuiltinRecipe { name: "mnist-pixelcnn", text: include_str!("../../../recipes/mnist-pixelcnn.toml") },
    BuiltinRecipe { name: "mnist-vae", text: include_str!("../../../recipes/mnist-vae.toml") },
    BuiltinRecipe { name: "patches-srgan", text: include_str!("../../../recipes/patches-srgan.toml") },
    BuiltinRecipe { name: "sprites", text: include_str!("../../../recipes/sprites.toml") },
    BuiltinRecipe { name: "sprites-cyclegan", text: include_str!("../../../recipes/sprites-cyclegan.toml") },
    BuiltinRecipe { name: "sprites-palette", text: include_str!("../../../recipes/sprites-palette.toml") },
    BuiltinRecipe { name: "sprites-pix2pix", text: include_str!("../../../recipes/sprites-pix2pix.toml") },
    BuiltinRecipe { name: "sprites-sr3", text: include_str!("../../../recipes/sprites-sr3.toml") },
    BuiltinRecipe { name: "sprites-srgan", text: include_str!("../../../recipes/sprites-srgan.toml") },
    BuiltinRecipe { name: "sprites-style", text: include_str!("../../../recipes/sprites-style.toml") },
];

/// The recipe in the file at `name`, or the shipped one called `name`.
///
/// # Errors
/// If there is neither, or it doesn't read as a recipe.
pub fn load(name: &str) -> Result<Recipe> {
    if let Some(builtin) = BUILTIN_RECIPES.iter().find(|recipe| recipe.name == name) {
        return Recipe::from_toml(builtin.text, name);
    }
    let path = Path::new(name);
    if !path.exists() {
        let names: Vec<String> = BUILTIN_RECIPES.iter().map(|recipe| recipe.name.into()).collect();
        return Err(Error::config(format!(
            "there is no recipe file \"{name}\" and no shipped recipe of that name; {}",
            nearest(name, &names)
        )));
    }
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "reading the recipe"))?;
    Recipe::from_toml(&text, name)
}

impl Recipe {
    /// Reads a recipe; `origin` (a path or name) goes into errors.
    ///
    /// # Errors
    /// [`Error::Config`] with the line for anything that isn't a recipe, unknown keys included.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text)
            .map_err(|e| Error::config(format!("recipe {origin}: {}", e.to_string().trim_end())))?;
        recipe.check_keys().map_err(|e| Error::config(format!("recipe {origin}: {e}")))?;
        Ok(recipe)
    }

    /// The recipe as TOML, every setting written out.
    ///
    /// # Errors
    /// [`Error::Config`] if a value has no TOML form (an integer over 63 bits).
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::config(format!("the recipe has no TOML form: {e}")))
    }

    /// Changes one setting: `set("train.lr", "3e-4")`. The value is read as TOML, and as a plain
    /// string if it isn't TOML.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown key, naming the nearest known ones, or a value of the wrong kind.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let value = self::value(value);
        let unknown = || {
            let known = self.keys().unwrap_or_default();
            Error::config(format!("there is no setting \"{key}\"; {}", nearest(key, &known)))
        };
        let mut whole = toml::Table::try_from(&*self).map_err(|e| Error::config(e.to_string()))?;
        match key.split_once('.') {
            None if matches!(key, "family" | "about") => {
                whole.insert(key.into(), value);
            }
            Some((table, name)) if self.keys()?.iter().any(|known| known == key) => {
                let table = whole.entry(table).or_insert_with(|| toml::Table::new().into());
                table.as_table_mut().ok_or_else(unknown)?.insert(name.into(), value);
            }
            _ => return Err(unknown()),
        }
        *self = toml::Value::Table(whole)
            .try_into()
            .map_err(|e: toml::de::Error| Error::config(format!("setting {key}: {}", e.message())))?;
        Ok(())
    }

    /// The settings, as `table.name`, in which two recipes differ; where the pictures lie and what
    /// the recipe says about itself don't count.
    ///
    /// # Errors
    /// If a value has no TOML form.
    pub fn differences(&self, other: &Self) -> Result<Vec<String>> {
        let flat = |recipe: &Self| -> Result<BTreeMap<String, toml::Value>> {
            let mut flat = BTreeMap::new();
            for (name, value) in crate::knobs::table(recipe)? {
                match value {
                    toml::Value::Table(table) => {
                        flat.extend(table.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
                    }
                    value => _ = flat.insert(name, value),
                }
            }
            flat.retain(|key, _| !["about", "data.source", "data.inputs"].contains(&key.as_str()));
            Ok(flat)
        };
        let (ours, theirs) = (flat(self)?, flat(other)?);
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        Ok(keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)).cloned().collect())
    }

    /// The same recipe with the path of its pictures independent of the folder that one is in.
    ///
    /// # Errors
    /// If the path is empty but no data source, or the current folder is gone.
    pub fn anchored(mut self) -> Result<Self> {
        let sources = std::iter::once(&mut self.data.source).chain(&mut self.data.inputs);
        for source in sources.filter(|source| !source.is_empty() && !source.starts_with("builtin:")) {
            let path = std::path::absolute(&*source).map_err(Error::io(&*source, "finding the pictures"))?;
            *source = path.to_string_lossy().into_owned();
        }
        Ok(self)
    }

    /// Every key that [`set`](Self::set) takes for this recipe's family, as `table.name`.
    ///
    /// # Errors
    /// If there is no such family.
    pub fn keys(&self) -> Result<Vec<String>> {
        let keys = self
            .tables()?
            .into_iter()
            .flat_map(|(table, knobs)| knobs.iter().map(move |knob| format!("{table}.{}", knob.name)));
        Ok(keys.chain(["family".into(), "about".into()]).collect())
    }

    /// The tables of a recipe of this family with their knobs.
    ///
    /// # Errors
    /// If there is no such family.
    pub fn tables(&self) -> Result<[(&'static str, &'static [Knob]); 4]> {
        let family = families::find(&self.family)?;
        Ok([
            ("data", DataRecipe::KNOBS),
            ("train", TrainRecipe::KNOBS),
            ("model", family.model_knobs),
            ("sample", family.sample_knobs),
        ])
    }

    /// Refuses keys in `[model]` and `[sample]` that the family doesn't know.
    fn check_keys(&self) -> Result<()> {
        for ((name, knobs), table) in self.tables()?.into_iter().skip(2).zip([&self.model, &self.sample]) {
            for key in table.keys() {
                if !knobs.iter().any(|knob| knob.name == key) {
                    let known: Vec<String> = knobs.iter().map(|knob| knob.name.into()).collect();
                    return Err(Error::config(format!(
                        "[{name}] has no setting \"{key}\" in family {}; {}",
                        self.family,
                        nearest(key, &known)
                    )));
                }
            }
        }
        Ok(())
    }
}

/// A value as typed: read as TOML, and as a plain string if it isn't TOML.
pub fn value(text: &str) -> toml::Value {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.into()))
}

/// "did you mean ...?" with the known names nearest to `name`.
pub(crate) fn nearest(name: &str, known: &[String]) -> String {
    let mut ranked: Vec<(f64, &String)> =
        known.iter().map(|candidate| (strsim::jaro_winkler(name, candidate), candidate)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best: Vec<&str> =
        ranked.iter().take(3).filter(|(score, _)| *score > 0.7).map(|(_, name)| name.as_str()).collect();
    match best.as_slice() {
        [] => format!("known are: {}", known.join(", ")),
        near => format!("did you mean {}?", near.join(", ")),
    }
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

/// Where the pictures come from that go into a model of pictures to pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pair {
    /// Those of equal names in another folder.
    Names,
    /// The left halves of the pictures, of which the right halves are what comes out.
    SideBySide,
    /// Another folder, whose pictures belong to none of the first in particular.
    Unpaired,
    /// Made from each picture: its edges.
    Edges,
    /// Made from each picture: grey.
    Gray,
    /// Made from each picture: blurred.
    Blur,
    /// Made from each picture: a rectangle of it hidden.
    Mask,
    /// Made from each picture: shrunk, and brought back to size.
    Downscale,
}

crate::knobs! {
    /// The `[data]` table.
    pub struct DataRecipe {
        /// A folder, an IDX or CIFAR binary file, or `builtin:digits|sprites|glyphs|patches`.
        pub source: String = String::new(),
        /// `[height, width]` in pixels; chosen from the pictures when not given.
        pub size: Option<[usize; 2]> = None,
        /// 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; as the pictures are when not given.
        pub channels: Option<usize> = None,
        /// `[height, width]` of the part that a step sees of each picture, at a random place; the whole when not given.
        pub crop: Option<[usize; 2]> = None,
        /// What goes in, for families that make pictures from pictures: a folder or a built-in set, as `source`.
        pub inputs: Option<String> = None,
        /// Channels of what goes in; as those pictures are when not given.
        pub input_channels: Option<usize> = None,
        /// How what goes in belongs to what comes out: `names` or `unpaired` of `inputs`; `side-by-side` in one
        /// picture; or made from each picture: `edges`, `gray`, `blur`, `mask`, `downscale`.
        pub pair: Option<Pair> = None,
        /// How much of a made pair: threshold of edges 0 to 1, deviation of the blur in pixels, hidden share of each
        /// side 0 to 1, factor of the shrinking from 2.
        pub pair_strength: Option<f64> = None,
        /// Exchange what goes in and what comes out.
        pub swap: bool = false,
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
    /// Not at all for half of the time, then on a straight line to 0.
    Late,
}

/// What may end a run before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Nothing but its user.
    Never,
    /// The verdict that going on is of no use.
    WhenDone,
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
        /// `constant`, `linear`, `cosine` or `late` (linear, in the second half) fall of the learning rate after the warm-up.
        pub decay: Decay = Decay::Cosine,
        /// Decoupled weight decay (AdamW), per unit of learning rate.
        pub weight_decay: f64 = 0.0,
        /// Decay of the moving average of the weights, 0 (none) to 1; ramped up in the first steps.
        pub ema: f64 = 0.999,
        /// Largest global norm of a gradient; 0 never clips.
        pub clip: f64 = 1.0,
        /// Work through each batch in this many parts, to save memory.
        pub accumulate: usize = 1,
        /// Keep only the inputs of a network's blocks and run them again in the backward pass: a third more
        /// time for much less memory, the same results. For families with a U-Net.
        pub checkpoint_blocks: bool = false,
        /// Multiply every tap of a convolution instead of taking Winograd's short cut, whose results differ by a
        /// few millionths: slower, for comparing.
        pub exact: bool = false,
        /// Seed of weights, order, noise and augmentation.
        pub seed: u64 = 0,
        /// Steps between two lines of `metrics.jsonl`.
        pub log_every: u32 = 10,
        /// Steps between two sample sheets; a tenth of the run when not given.
        pub sample_every: Option<u32> = None,
        /// Steps between two checkpoints; a twentieth of the run when not given.
        pub checkpoint_every: Option<u32> = None,
        /// Steps between two looks for the failures of adversarial training; chosen from the run when not given.
        pub look_every: Option<u32> = None,
        /// Steps between two verdicts, a multiple of checkpoint_every; so that they take at most 5 % of the time
        /// when not given, 0 never.
        pub judge_every: Option<u32> = None,
        /// Pictures that are painted for a verdict: 128, 64 or 32.
        pub judge_count: Option<usize> = None,
        /// What may end the run early: `never`, or `when-done` for the verdict that going on is of no use.
        pub stop: Stop = Stop::Never,
        /// Also write TensorBoard event files.
        pub tensorboard: bool = false,
    }
}
