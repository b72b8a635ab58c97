//! The knobs that every autoregressive family shares.

use crate::data::DataFacts;
use crate::error::{Error, Result};
use crate::knobs;
use crate::likelihood::levels::Levels;
use crate::nn::Budget;

crate::knobs! {
    /// The part of an autoregressive family's `[model]` table that all of them share.
    pub struct AutoregressiveKnobs {
        /// Features of a pixel, up to 4096; a multiple of twice the channels where channels are told apart.
        pub width: Option<usize> = None,
        /// Layers after the first, 1 to 100.
        pub layers: Option<usize> = None,
        /// Grey levels of the pictures, 2 to 256: 17 for builtin:digits, 2 for black and white.
        pub levels: usize = 256,
        /// Probability of dropping a feature inside a layer, 0 to below 1.
        pub dropout: f64 = 0.0,
    }
}

crate::knobs! {
    /// How an autoregressive model samples.
    pub struct AutoregressiveSampleKnobs {
        /// 1 draws from the model's own distribution, below 1 keeps to probable pixels, 0 takes the most probable.
        pub temperature: f64 = 1.0,
    }
}

/// Widths to choose from: the widest that sees enough pictures in the time given.
const WIDTHS: [usize; 4] = [96, 60, 36, 24];
/// Pictures, repeats counted, without which a network had better be smaller.
const ENOUGH_PICTURES: f64 = 20_000.0;

impl AutoregressiveKnobs {
    /// Fills in what is open, with `layers` if their number is; `macs` tells what a picture costs.
    ///
    /// # Errors
    /// [`Error::Config`] for what can't work.
    pub fn fill(
        &mut self,
        facts: &DataFacts,
        layers: usize,
        budget: Budget,
        macs: impl Fn(&Self) -> Result<u64>,
    ) -> Result<()> {
        self.layers.get_or_insert(layers);
        if self.width.is_none() {
            let fits = |width: &usize| width.is_multiple_of(2 * facts.shape.channels);
            for width in WIDTHS.into_iter().filter(fits) {
                self.width = Some(width);
                let affordable = match budget {
                    None => true,
                    Some(budget) => 3.0 * macs(self)? as f64 * ENOUGH_PICTURES <= budget,
                };
                if affordable {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Refuses what can't work for a network in which `colours` channels know each other.
    ///
    /// # Errors
    /// [`Error::Config`] that names the knob.
    pub fn check(&self, colours: usize) -> Result<()> {
        let refuse = |key: &str, value: String, range: &str| {
            Err(Error::config(format!("model.{key} is {value}; it must be {range}")))
        };
        let (width, layers) = (self.width.unwrap_or(0), self.layers.unwrap_or(0));
        if width == 0 || width > 4096 || !width.is_multiple_of(2 * colours) {
            let range = format!("a multiple of {} up to 4096", 2 * colours);
            return refuse("width", width.to_string(), &range);
        }
        if !(1..=100).contains(&layers) {
            return refuse("layers", layers.to_string(), "1 to 100");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse("dropout", self.dropout.to_string(), "at least 0 and below 1");
        }
        Levels::new(self.levels).map(drop)
    }
}

/// Reads the `[sample]` table.
///
/// # Errors
/// [`Error::Config`] for an unknown key or a value out of range.
pub fn sample_knobs(table: &toml::Table) -> Result<AutoregressiveSampleKnobs> {
    let sample: AutoregressiveSampleKnobs = knobs::parse(table, "sample")?;
    if !(0.0..=100.0).contains(&sample.temperature) {
        let found = sample.temperature;
        return Err(Error::config(format!("sample.temperature is {found}; it must be 0 to 100")));
    }
    Ok(sample)
}
