//! A run's folder: everything that a later command needs.
//!
//! ```text
//! runs/NAME/recipe.toml                   what is trained; complete once the run has begun
//! runs/NAME/metrics.jsonl                 one JSON object a line: measures of steps, and events
//! runs/NAME/checkpoints/STEP.safetensors  everything needed to go on, or to sample
//! runs/NAME/samples/STEP.png              pictures of fixed seeds
//! runs/NAME/gallery.png                   pictures of the finished model
//! runs/NAME/report.html                   all of it on one page
//! runs/NAME/tensorboard/                  event files, if the recipe asks for them
//! runs/NAME/lock                          held while a process trains the run
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Snapshot;
use crate::error::{Error, Result};
use crate::files::{remove_leftovers, sync_folder, write_whole};
use crate::metrics::verdict::{Judgement, Verdict};
use crate::recipe::Recipe;

/// A run's folder on disk.
#[derive(Debug, Clone)]
pub struct Run {
    folder: PathBuf,
}

/// Proof that no other process trains this run; given back when dropped or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// The model was judged.
    Judged(Judged),
    /// Something happened.
    Event(Event),
    /// Measures of a step.
    Measures(Measures),
}

/// A judgement of the model and what it and all before it amount to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// What was found.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// What it amounts to.
    pub verdict: Verdict,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The step before which it happened.
    pub step: u32,
    /// A word for programs: `rollback`, `alarm`, `resume`, `stop` or `done`.
    pub event: String,
    /// A sentence for people.
    pub message: String,
}

/// What was measured at a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Steps done.
    pub step: u32,
    /// Seconds of training so far, pauses left out.
    pub seconds: f64,
    /// Pictures learned from a second, since the line before.
    pub images_per_second: f64,
    /// Learning rate relative to the recipe's: warm-up, decay, rollbacks.
    pub rate: f64,
    /// Losses and other measures by name, means since the line before.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

impl Record {
    /// The step that the record is about.
    pub fn step(&self) -> u32 {
        match self {
            Self::Judged(judged) => judged.judgement.step,
            Self::Event(event) => event.step,
            Self::Measures(measures) => measures.step,
        }
    }
}

const RECIPE: &str = "recipe.toml";
const METRICS: &str = "metrics.jsonl";

impl Run {
    /// A new run with its recipe. The folder appears whole or not at all.
    ///
    /// # Errors
    /// If `folder` exists and holds anything: nothing is overwritten.
    pub fn create(folder: &Path, recipe: &Recipe) -> Result<Self> {
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::config(format!(
                "{} already holds something and nothing is overwritten; choose another --out, or go on with \
                 that run: pinxit train --resume {}",
                folder.display(),
                folder.display()
            )));
        }
        let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent, "making the folder"))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let draft = Self { folder: parent.join(format!(".{name}.{}.tmp", std::process::id())) };
        let build = || {
            fs::create_dir_all(draft.folder.join("checkpoints"))
                .and_then(|()| fs::create_dir_all(draft.folder.join("samples")))
                .and_then(|()| File::create(draft.folder.join("lock")).map(drop))
                .map_err(Error::io(folder, "making the run's folder"))?;
            draft.write_recipe(&recipe.clone().anchored()?)?;
            fs::rename(&draft.folder, folder).map_err(Error::io(folder, "making the run's folder"))?;
            sync_folder(parent)
        };
        build().inspect_err(|_| {
            let _ = fs::remove_dir_all(&draft.folder); // the first error is the one to tell
        })?;
        Ok(Self { folder: folder.into() })
    }

    /// The run in `folder`.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(folder: &Path) -> Result<Self> {
        if folder.join(RECIPE).is_file() {
            return Ok(Self { folder: folder.into() });
        }
        let why = if folder.exists() { "holds no run (no recipe.toml)" } else { "does not exist" };
        Err(Error::checkpoint(folder, format!("{why}; pinxit runs lists the runs there are")))
    }

    /// The runs in the folder `root`, by name; none if there is no such folder.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn list(root: &Path) -> Result<Vec<Self>> {
        let entries = match fs::read_dir(root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(root, "reading the folder")(e)),
        };
        let mut runs: Vec<Self> = entries
            .flatten()
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .filter_map(|entry| Self::open(&entry.path()).ok())
            .collect();
        runs.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(runs)
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps other processes from training this run.
    ///
    /// # Errors
    /// If another process trains it now.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.folder.join("lock");
        let file =
            File::options().create(true).append(true).open(&path).map_err(Error::io(&path, "opening"))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::checkpoint(
                &self.folder,
                "another process is training this run now; wait for it or stop it",
            )),
            Err(TryLockError::Error(e)) => Err(Error::io(&path, "locking")(e)),
        }
    }

    /// Removes what a killed process left half written. Only for the holder of the lock.
    pub fn remove_leftovers(&self) {
        for folder in ["", "checkpoints", "samples"] {
            remove_leftovers(&self.folder.join(folder), Duration::ZERO);
        }
    }

    /// The run's recipe.
    ///
    /// # Errors
    /// If the file can't be read as a recipe.
    pub fn recipe(&self) -> Result<Recipe> {
        let path = self.folder.join(RECIPE);
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "reading the recipe"))?;
        Recipe::from_toml(&text, &path.display().to_string())
    }

    /// Replaces the run's recipe (by the same one with its open settings filled in).
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_recipe(&self, recipe: &Recipe) -> Result<()> {
        let text = recipe.to_toml()?;
        let path = self.folder.join(RECIPE);
        write_whole(&path, |temporary| {
            fs::write(temporary, &text).map_err(Error::io(&path, "writing the recipe"))
        })
    }

    /// Where the checkpoint of `step` is or would be.
    pub fn checkpoint_path(&self, step: u32) -> PathBuf {
        self.folder.join("checkpoints").join(format!("{step:08}.safetensors"))
    }

    /// Where the sample sheet of `step` is or would be.
    pub fn sheet_path(&self, step: u32) -> PathBuf {
        self.folder.join("samples").join(format!("{step:08}.png"))
    }

    /// Steps that have a checkpoint, in order.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn checkpoints(&self) -> Result<Vec<u32>> {
        self.steps_in("checkpoints", ".safetensors")
    }

    /// Steps that have a sample sheet, in order.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn sheets(&self) -> Result<Vec<u32>> {
        self.steps_in("samples", ".png")
    }

    fn steps_in(&self, folder: &str, ending: &str) -> Result<Vec<u32>> {
        let folder = self.folder.join(folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(&folder, "reading the folder")(e)),
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut steps: Vec<u32> = names.filter_map(|name| name.strip_suffix(ending)?.parse().ok()).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The newest checkpoint, or the one of `step`, with its step; `None` if there is none yet.
    ///
    /// # Errors
    /// If it is damaged (naming the one before it, which is whole), or `step` has none.
    pub fn read_checkpoint(&self, step: Option<u32>) -> Result<Option<(u32, Snapshot)>> {
        let steps = self.checkpoints()?;
        let Some(step) = step.or(steps.last().copied()) else { return Ok(None) };
        let path = self.checkpoint_path(step);
        if !steps.contains(&step) {
            return Err(Error::checkpoint(
                &path,
                format!("there is no checkpoint of step {step}; there are: {steps:?}"),
            ));
        }
        match Snapshot::read(&path) {
            Ok(snapshot) => Ok(Some((step, snapshot))),
            Err(Error::Checkpoint { path, message }) => {
                let before = steps
                    .iter()
                    .rev()
                    .find(|&&s| s < step && Snapshot::read(&self.checkpoint_path(s)).is_ok());
                let advice = before.map_or_else(
                    || "remove it and resume: the run then starts over from its recipe".to_string(),
                    |s| format!("the checkpoint of step {s} is whole: remove this file to go on from there"),
                );
                Err(Error::Checkpoint { path, message: format!("{message}; {advice}") })
            }
            Err(other) => Err(other),
        }
    }

    /// The step that the last verdict called best, if its checkpoint is there.
    ///
    /// # Errors
    /// If the records or the folder can't be read.
    pub fn best(&self) -> Result<Option<u32>> {
        let last = self.records()?.into_iter().rev().find_map(|record| match record {
            Record::Judged(judged) => Some(judged.verdict.best),
            _ => None,
        });
        let saved = self.checkpoints()?;
        Ok(last.filter(|step| saved.contains(step)))
    }

    /// Appends a line to `metrics.jsonl`.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn record(&self, record: &Record) -> Result<()> {
        let path = self.folder.join(METRICS);
        let mut line = serde_json::to_vec(record).map_err(|e| Error::checkpoint(&path, e.to_string()))?;
        line.push(b'\n');
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(&line)).map_err(Error::io(&path, "writing"))
    }

    /// All lines of `metrics.jsonl`; a last line that a kill cut off is passed over.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn records(&self) -> Result<Vec<Record>> {
        let path = self.folder.join(METRICS);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(&path, "reading")(e)),
        };
        let lines = BufReader::new(file).lines().map_while(std::result::Result::ok);
        Ok(lines.filter_map(|line| serde_json::from_str(&line).ok()).collect())
    }

    /// Forgets what was recorded after `step`, because the run goes on from there.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn rewind_records(&self, step: u32) -> Result<()> {
        let mut text = Vec::new();
        // A rollback that led to this very checkpoint will happen, and be recorded, again.
        let is_past = |record: &&Record| match record {
            Record::Event(event) if event.event == "rollback" => event.step < step,
            record => record.step() <= step,
        };
        for record in self.records()?.iter().filter(is_past) {
            serde_json::to_writer(&mut text, record)
                .map_err(|e| Error::checkpoint(&self.folder, e.to_string()))?;
            text.push(b'\n');
        }
        let path = self.folder.join(METRICS);
        write_whole(&path, |temporary| fs::write(temporary, &text).map_err(Error::io(&path, "writing")))
    }
}
