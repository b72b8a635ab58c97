//! What a score was made of, so that two numbers are set side by side only if they may be.

use serde::{Deserialize, Serialize};

use super::extract::Identity;
use crate::error::{Error, Result};

/// Everything that a score depends on besides the pictures that it judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What made the features.
    #[serde(flatten)]
    pub extractor: Identity,
    /// The real pictures: where they come from and which part of them, as a user reads it.
    pub real: String,
    /// Identifies the real pictures and their order.
    pub real_sha256: String,
    /// Real pictures.
    pub n_real: usize,
    /// Generated pictures.
    pub n_generated: usize,
    /// Seed of subsets and shuffles.
    pub seed: u32,
    /// Subsets of the kernel distance and pictures of each.
    pub kernel_subsets: [usize; 2],
    /// Neighbours of precision and recall, and of density and coverage.
    pub neighbours: [usize; 2],
}

impl Record {
    /// The fields that differ, each as `field: ours, theirs`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |record: &Self| match serde_json::to_value(record) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (ours, theirs) = (fields(self), fields(other));
        let differing = ours.iter().filter(|(name, value)| theirs.get(*name) != Some(value));
        let null = serde_json::Value::Null;
        differing
            .map(|(name, value)| format!("{name}: {value}, {}", theirs.get(name).unwrap_or(&null)))
            .collect()
    }

    /// Refuses to set scores of different records side by side.
    ///
    /// # Errors
    /// [`Error::Config`] with the fields that differ.
    pub fn check_comparable(&self, other: &Self) -> Result<()> {
        let differences = self.differences(other);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::config(format!(
            "these scores can't be set side by side, because they were made differently: {}; score both again in one way",
            differences.join("; ")
        )))
    }
}
