//! `pinxit encode` and `pinxit decode`: pictures to latents, and latents to pictures.

use std::path::{Path, PathBuf};

use pinxit::data::{self, Batch, Dataset};
use pinxit::device::Device;
use pinxit::image_io::{self, Overwrite, Picture, save_png};
use pinxit::latents::{self, Encoded};
use pinxit::sample::Trained;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::format;
use crate::options::{Decode, Encode};
use crate::progress::Progress;
use crate::terminal::{DIM, answer, table};
use crate::{settings, stop};

#[derive(Serialize)]
struct EncodeReport {
    run: PathBuf,
    step: u32,
    family: &'static str,
    data: String,
    /// Number of pictures, then the shape of the latents of each.
    shape: Vec<usize>,
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<PathBuf>,
}

#[derive(Serialize)]
struct DecodeReport {
    run: PathBuf,
    step: u32,
    family: &'static str,
    pictures: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grid: Option<PathBuf>,
}

pub(crate) fn encode(options: &Encode) -> Outcome {
    let device = settings::device(&options.working)?;
    stop::listen("nothing is written")?;
    let run = settings::find_run(&options.run)?;
    let trained = Trained::open(&run, options.checkpoint, &device)?;
    let mut recipe = trained.recipe.data.clone();
    if let Some(source) = &options.data {
        recipe.source.clone_from(source);
    }
    let mut progress = Progress::new(options.working.quiet);
    let dataset = data::open(&recipe, &data::default_cache_dir(), &mut progress)?.dataset;
    let count = options.count.map_or(dataset.len(), |count| count as usize);
    if let Some(path) = &options.grid {
        settings::prepare_sheet("--grid", path)?;
    }
    let encoded = latents::encode(&trained, &*dataset, count, &mut progress)?;
    encoded.write(&options.out)?;
    if let Some(path) = &options.grid {
        reconstructions(&trained, &*dataset, &encoded, path, &mut progress)?;
    }
    let report = EncodeReport {
        run: run.folder().into(),
        step: trained.step,
        family: trained.family.name,
        data: recipe.source,
        shape: encoded.latents.shape,
        file: options.out.clone(),
        grid: options.grid.clone(),
    };
    answer(options.reporting.json, &report, |report| {
        let [pictures, each @ ..] = report.shape.as_slice() else { return String::new() };
        let each: Vec<String> = each.iter().map(ToString::to_string).collect();
        let mut rows = vec![
            [
                "encoded".into(),
                format!("{} as {} numbers each", format::plural(*pictures, "picture"), each.join(" x ")),
            ],
            ["file".into(), report.file.display().to_string()],
        ];
        rows.extend(report.grid.iter().map(|grid| ["sheet".into(), grid.display().to_string()]));
        table(&rows, DIM)
    })
}

/// Pictures of a sheet of reconstructions.
const SHOWN: usize = 100;
/// Pictures of one of its rows, above as many reconstructions.
const COLUMNS: usize = 20;

/// The first pictures, in rows, each row above one of what their latents decode to.
fn reconstructions(
    trained: &Trained,
    dataset: &dyn Dataset,
    encoded: &Encoded,
    path: &Path,
    progress: &mut Progress,
) -> Outcome {
    let first = encoded.first(SHOWN);
    let count = first.count();
    let pictures = image_io::pictures(Batch::read(dataset, 0..count, &Device::flex()).images)?;
    let mut decoded: Vec<Picture> = Vec::with_capacity(count);
    latents::decode(trained, &first, None, progress, |_, image| {
        decoded.extend(image_io::pictures(image.unsqueeze())?);
        Ok(())
    })?;
    let columns = COLUMNS.min(count);
    let sheet: Vec<Picture> = pictures
        .chunks(columns)
        .zip(decoded.chunks(columns))
        .flat_map(|rows| [rows.0, rows.1].concat())
        .collect();
    Ok(save_png(path, &image_io::grid(&sheet, columns, 1), &[], Overwrite::Refuse)?)
}

pub(crate) fn decode(options: &Decode) -> Outcome {
    let device = settings::device(&options.working)?;
    stop::listen("what is painted is kept")?;
    let run = settings::find_run(&options.run)?;
    let trained = Trained::open(&run, options.checkpoint, &device)?;
    let encoded = Encoded::read(&options.latents)?;
    if let Some(path) = &options.grid {
        settings::prepare_sheet("--grid", path)?;
    }
    if let Some(folder) = &options.out {
        if folder.exists() {
            let message =
                format!("{} exists and is not written into; choose another --out", folder.display());
            return Err(Failure::Usage(message));
        }
        std::fs::create_dir_all(folder).map_err(pinxit::Error::io(folder, "making the folder"))?;
    }
    let mut progress = Progress::new(options.working.quiet);
    let mut sheet: Vec<Picture> = Vec::new();
    latents::decode(&trained, &encoded, options.class.as_deref(), &mut progress, |number, image| {
        for picture in image_io::pictures(image.unsqueeze())? {
            if let Some(folder) = &options.out {
                save_png(&folder.join(format!("{number:06}.png")), &picture, &[], Overwrite::Refuse)?;
            }
            sheet.push(picture);
        }
        Ok(())
    })?;
    if let Some(path) = &options.grid {
        let columns = (sheet.len() as f64).sqrt().ceil() as usize;
        save_png(path, &image_io::grid(&sheet, columns, 1), &[], Overwrite::Refuse)?;
    }
    let report = DecodeReport {
        run: run.folder().into(),
        step: trained.step,
        family: trained.family.name,
        pictures: sheet.len(),
        folder: options.out.clone(),
        grid: options.grid.clone(),
    };
    answer(options.reporting.json, &report, |report| {
        let mut rows = vec![["decoded".into(), format::plural(report.pictures, "picture")]];
        rows.extend(report.folder.iter().map(|folder| ["folder".into(), folder.display().to_string()]));
        rows.extend(report.grid.iter().map(|grid| ["sheet".into(), grid.display().to_string()]));
        table(&rows, DIM)
    })
}
