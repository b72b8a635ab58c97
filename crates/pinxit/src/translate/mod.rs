//! Pictures to pictures: from files of any size, depth and number of channels to files like them.

mod picture;
pub mod tiles;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use crate::device;
use crate::error::{Error, Result};
use crate::image_io::Overwrite;
use crate::model::{Canvas, Request, find_class};
use crate::rng::{Purpose, Rng};
use crate::sample::Trained;
use crate::watch::Watch;

use picture::Original;
use tiles::{Image, Tiling};

/// Sides of what comes out of a tile, in pixels, for models that take any size, when nothing else is said.
const TILE: usize = 512;
/// Most pixels by which tiles overlap, when nothing else is said.
const OVERLAP: usize = 64;

/// What a user asks for, as typed.
#[derive(Debug, Clone, Default)]
pub struct TranslateOptions {
    /// Seed of the first picture; picture i has the seed `seed + i`.
    pub seed: u64,
    /// Name or number of the class that comes out, for models that know classes.
    pub class: Option<String>,
    /// Sampling knobs that differ from the recipe's `[sample]` table.
    pub knobs: toml::Table,
    /// Rows and columns of a tile of a large picture.
    pub tile: Option<usize>,
    /// Rows and columns by which two tiles overlap.
    pub overlap: Option<usize>,
    /// What is painted anew.
    pub part: Anew,
}

/// What of a picture is painted anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Anew {
    /// All of it.
    #[default]
    All,
    /// What is white in this picture, which has the size of the others.
    Mask(PathBuf),
    /// So many pixels around it, which it has not yet.
    Around(usize),
}

/// Most pixels that are painted around a picture.
const WIDEST_MARGIN: usize = 4096;

/// What is going to be done: as-typed options against the recipe and the model.
#[derive(Debug, Clone)]
pub struct TranslatePlan {
    /// Every sampling knob.
    pub options: toml::Table,
    canvas: Canvas,
    tiling: Tiling,
    seed: u64,
    class: Option<u32>,
    part: Anew,
}

impl TranslatePlan {
    /// Resolves `options` for a trained model.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model makes no pictures from pictures; [`Error::Config`] for a knob that
    /// the family has no use for, an unknown class, and tiles that can't be.
    pub fn new(trained: &Trained, options: &TranslateOptions) -> Result<Self> {
        let knobs = trained.sample_table(&options.knobs)?;
        let canvas = trained.translator()?.canvas(&knobs)?;
        let names = trained.model.classes();
        let class = options.class.as_ref().map(|class| find_class(class, names)).transpose()?;
        if class.is_none() && !names.is_empty() {
            return Err(Error::config(format!(
                "say what is to come out with --class; the model's classes are: {}",
                names.join(", ")
            )));
        }
        if options.part != Anew::All && trained.model.inpaint().is_none() {
            let name = trained.family.name;
            return Err(Error::Unsupported(format!(
                "this {name} run paints whole pictures and can't complete one"
            )));
        }
        if matches!(options.part, Anew::Around(margin) if !(1..=WIDEST_MARGIN).contains(&margin)) {
            return Err(Error::config(format!("--extend: it must be 1 to {WIDEST_MARGIN} pixels")));
        }
        let tiling = tiling(&canvas, options)?;
        let part = options.part.clone();
        Ok(Self { options: knobs, canvas, tiling, seed: options.seed, class, part })
    }

    /// Translates the picture in the file `from`, number `index` of the pictures asked for, and writes what comes
    /// out as PNG with `texts` as its text entries: with alpha if the picture has that, and its depth.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no usable picture in the file, [`Error::Interrupted`] when the watcher stops it,
    /// and those of writing.
    pub fn file(
        &self,
        trained: &Trained,
        (from, index): (&Path, usize),
        to: &Path,
        texts: &[(String, String)],
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let mut original = Original::read(from, self.canvas.input, trained.recipe.data.background)?;
        let hidden = match &self.part {
            Anew::All => None,
            Anew::Mask(path) => Some(original.mask(path)?),
            Anew::Around(margin) => Some(original.extend(*margin)),
        };
        let image = match hidden {
            None => self.image(trained, &original.image, index, watch)?,
            Some(hidden) => self.inpaint(trained, &original.image, &hidden, index, watch)?,
        };
        let folder = to.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "making the folder"))?;
        original.save(&image, to, texts, Overwrite::Refuse)
    }

    /// Translates picture number `index`, of any size.
    ///
    /// # Errors
    /// [`Error::Config`] for another number of channels than the model takes; those of the model.
    pub fn image(
        &self,
        trained: &Trained,
        image: &Image,
        index: usize,
        watch: &mut dyn Watch,
    ) -> Result<Image> {
        let translator = trained.translator()?;
        self.tiled(trained, image, index, watch, |images, request, watch| {
            translator.translate(images, request, watch)
        })
    }

    /// Paints what is `hidden` of picture number `index`, one a pixel, and leaves the rest as it is, to the bit.
    ///
    /// # Errors
    /// As [`image`](Self::image); [`Error::Unsupported`] if the model can't, [`Error::Config`] for another number of
    /// pixels.
    pub fn inpaint(
        &self,
        trained: &Trained,
        image: &Image,
        hidden: &[bool],
        index: usize,
        watch: &mut dyn Watch,
    ) -> Result<Image> {
        let Some(model) = trained.model.inpaint() else {
            return Err(Error::Unsupported(format!("{} can't complete pictures", trained.family.name)));
        };
        if hidden.len() != image.height * image.width {
            return Err(Error::config("a mask needs one value for each pixel of the picture"));
        }
        // The mask goes through the tiles as one channel more.
        let mask = hidden.iter().map(|&hidden| if hidden { 1.0 } else { 0.0 });
        let values = image.values.iter().copied().chain(mask).collect();
        let both = Image { channels: image.channels + 1, values, ..*image };
        let mut made = self.tiled(trained, &both, index, watch, |both, request, watch| {
            let channels = both.dims()[1] - 1;
            let (images, mask) = (both.clone().narrow(1, 0, channels), both.narrow(1, channels, 1));
            model.inpaint(images, mask, request, watch)
        })?;
        for (i, (value, known)) in made.values.iter_mut().zip(&image.values).enumerate() {
            if !hidden[i % hidden.len()] {
                *value = *known;
            }
        }
        Ok(made)
    }

    /// Has `make` make the tiles of picture number `index`.
    fn tiled(
        &self,
        trained: &Trained,
        image: &Image,
        index: usize,
        watch: &mut dyn Watch,
        make: impl Fn(Tensor<4>, &Request, &mut dyn Watch) -> Result<Tensor<4>>,
    ) -> Result<Image> {
        device::set_exact(trained.recipe.train.exact);
        let seed = self.seed.wrapping_add(index as u64);
        let work = |tile: Image, place: usize, watch: &mut dyn Watch| {
            // One picture's tiles differ in what is random about them; a picture of one tile has its own seed.
            let seed = match place {
                0 => seed,
                place => {
                    let mut rng = Rng::new(seed, Purpose::Tile, 0, place as u32);
                    u64::from(rng.bits()) << 32 | u64::from(rng.bits())
                }
            };
            let request = Request {
                seeds: vec![seed],
                classes: self.class.into_iter().collect(),
                options: self.options.clone(),
            };
            let data = TensorData::new(tile.values, [1, tile.channels, tile.height, tile.width]);
            let images = Tensor::from_data(data, &Device::flex());
            let made = make(images, &request, watch)?;
            let [_, channels, height, width] = made.dims();
            let values = made.into_data().convert::<f32>().try_into_vec::<f32>();
            let values = values.map_err(|e| Error::Unsupported(format!("a picture can't be read: {e:?}")))?;
            Ok(Image { channels, height, width, values })
        };
        self.tiling.translate(image, work, watch)
    }

    /// Channels of the pictures that go in.
    pub fn input_channels(&self) -> usize {
        self.canvas.input
    }
}

/// Tiles for a model, as asked for.
fn tiling(canvas: &Canvas, options: &TranslateOptions) -> Result<Tiling> {
    let multiple = canvas.multiple.max(1);
    let tile = match (options.tile, canvas.fixed) {
        (Some(tile), true) if canvas.trained != [tile; 2] => {
            let [height, width] = canvas.trained;
            return Err(Error::config(format!(
                "--tile {tile}: this model knows pictures of {height}x{width} pixels alone, which its tiles are"
            )));
        }
        (_, true) => canvas.trained,
        (Some(tile), false) => [tile; 2],
        (None, false) => [(TILE / canvas.scale).next_multiple_of(multiple); 2],
    };
    let short = tile[0].min(tile[1]);
    if tile.iter().any(|side| *side == 0 || !side.is_multiple_of(multiple))
        || short < 2 * multiple && !canvas.fixed
    {
        return Err(Error::config(format!(
            "--tile {short}: the sides of a tile must divide by {multiple} and be at least {}",
            2 * multiple
        )));
    }
    let overlap = options.overlap.unwrap_or((short / 4).min(OVERLAP));
    if overlap > short / 2 {
        return Err(Error::config(format!(
            "--overlap {overlap}: tiles of {short} pixels can overlap by at most {}",
            short / 2
        )));
    }
    Ok(Tiling { tile, overlap, multiple, scale: canvas.scale, fixed: canvas.fixed })
}
