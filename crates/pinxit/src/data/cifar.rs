//! The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of label bytes and
//! 32x32 planar RGB.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use image::{ColorType, DynamicImage, RgbImage};
use sha2::Sha256;

use super::decode::{Decoded, Header};
use super::source::{Loaded, Source, content_hash, identify_file, read_record};
use crate::error::{Error, Result};

const SIDE: u32 = 32;
const AREA: usize = 32 * 32;
const PIXELS: usize = 3 * AREA;
const CIFAR10: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// CIFAR-10 or CIFAR-100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One label byte.
    Ten,
    /// Two label bytes, coarse and fine; the fine one is used.
    Hundred,
}

impl Kind {
    fn label_bytes(self) -> usize {
        match self {
            Kind::Ten => 1,
            Kind::Hundred => 2,
        }
    }

    fn record(self) -> usize {
        self.label_bytes() + PIXELS
    }

    /// Whether `length` bytes are a whole number of records.
    fn fits(self, length: u64) -> bool {
        length > 0 && length.is_multiple_of(self.record() as u64)
    }

    /// Names of the classes, from the file that belongs to the set if it lies in `folder`.
    fn classes(self, folder: &Path) -> Vec<String> {
        let (file, known): (&str, Vec<String>) = match self {
            Kind::Ten => ("batches.meta.txt", CIFAR10.map(str::to_owned).to_vec()),
            Kind::Hundred => ("fine_label_names.txt", (0..100).map(|class| class.to_string()).collect()),
        };
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|l| !l.is_empty()).map(Into::into).collect();
        if names.len() == known.len() { names } else { known }
    }
}

/// The pictures of one or more CIFAR files.
pub(super) struct Cifar {
    kind: Kind,
    files: Vec<BatchFile>,
    classes: Vec<String>,
}

struct BatchFile {
    path: PathBuf,
    metadata: Metadata,
    count: usize,
}

/// The training files of a CIFAR folder: `data_batch_*.bin` or `train.bin`; empty if it is none.
pub(super) fn find_in(folder: &Path) -> Vec<PathBuf> {
    let is_training_file = |path: &PathBuf| {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        name == "train.bin" || (name.starts_with("data_batch_") && name.ends_with(".bin"))
    };
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(is_training_file).collect();
    files.sort_unstable();
    files
}

/// Whether a file of `length` bytes can be one of CIFAR.
pub(super) fn fits(length: u64) -> bool {
    Kind::Ten.fits(length) || Kind::Hundred.fits(length)
}

impl Cifar {
    /// Opens the files at `paths`, all of one kind.
    ///
    /// # Errors
    /// [`Error::Data`] if the length of a file does not fit, [`Error::Io`] if one can't be read.
    pub(super) fn open(paths: &[PathBuf], labels: bool) -> Result<Self> {
        let mut files = Vec::new();
        for path in paths {
            let path = fs::canonicalize(path).map_err(Error::io(path, "opening the CIFAR file"))?;
            let metadata = fs::metadata(&path).map_err(Error::io(&path, "opening the CIFAR file"))?;
            files.push(BatchFile { path, metadata, count: 0 });
        }
        let all_fit = |kind: Kind| files.iter().all(|file| kind.fits(file.metadata.len()));
        let kind = if all_fit(Kind::Hundred) && !all_fit(Kind::Ten) { Kind::Hundred } else { Kind::Ten };
        for file in &mut files {
            if !kind.fits(file.metadata.len()) {
                let message = format!(
                    "{} bytes are no whole number of CIFAR-10 ({}) or CIFAR-100 ({}) records",
                    file.metadata.len(),
                    Kind::Ten.record(),
                    Kind::Hundred.record()
                );
                return Err(Error::data(&file.path, message));
            }
            file.count = (file.metadata.len() / kind.record() as u64) as usize;
        }
        let folder = files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new("."));
        let classes = if labels { kind.classes(folder) } else { Vec::new() };
        Ok(Self { kind, files, classes })
    }

    /// The file of picture `index` and the place of the picture in it.
    fn locate(&self, mut index: usize) -> Option<(&BatchFile, usize)> {
        for file in &self.files {
            if index < file.count {
                return Some((file, index));
            }
            index -= file.count;
        }
        None
    }
}

impl Source for Cifar {
    fn len(&self) -> usize {
        self.files.iter().map(|file| file.count).sum()
    }

    fn name(&self, index: usize) -> String {
        let Some((file, place)) = self.locate(index) else { return format!("#{index}") };
        let stem = file.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        format!("{stem} #{place}")
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn header(&self, _: usize) -> Result<Header, String> {
        Ok(Header { format: "CIFAR", width: SIDE, height: SIDE, color: ColorType::Rgb8 })
    }

    fn load(&self, index: usize) -> Result<Loaded, String> {
        let (file, place) = self.locate(index).ok_or("there is no such record")?;
        let length = self.kind.record();
        let record = read_record(&file.path, (place * length) as u64, length)?;
        let (labels, planes) = record.split_at(self.kind.label_bytes());
        let label = u32::from(labels.last().copied().unwrap_or_default());
        if !self.classes.is_empty() && label as usize >= self.classes.len() {
            return Err(format!("its label {label} is not one of {} classes", self.classes.len()));
        }
        let at = |x: u32, y: u32, c: usize| planes[c * AREA + (y * SIDE + x) as usize];
        let image = RgbImage::from_fn(SIDE, SIDE, |x, y| image::Rgb([0, 1, 2].map(|c| at(x, y, c))));
        Ok(Loaded {
            decoded: Decoded::from_image(DynamicImage::ImageRgb8(image), "CIFAR"),
            hash: content_hash(planes),
            label: (!self.classes.is_empty()).then_some(label),
        })
    }

    fn identify(&self, hasher: &mut Sha256) {
        for file in &self.files {
            identify_file(hasher, &file.path, &file.metadata);
        }
    }
}
