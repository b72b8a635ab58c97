//! Values as they are typed.

use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser};
use pinxit::families::{ALIASES, FAMILIES, Family};
use serde::{Deserialize, Serialize};

/// The rows of the registry, for help, completion and "did you mean".
pub(super) fn family_names() -> PossibleValuesParser {
    let value = |family: &&Family| {
        let aliases = ALIASES.iter().filter(|(_, row)| *row == family.name).map(|(alias, _)| *alias);
        PossibleValue::new(family.name).help(family.about).aliases(aliases)
    };
    FAMILIES.iter().map(value).into()
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
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
    use super::*;

    #[test]
    fn a_size_is_height_by_width() {
        assert_eq!("64x48".parse(), Ok(Size([64, 48])));
        assert_eq!("32".parse(), Ok(Size([32, 32])));
        for wrong in ["", "x", "64x", "0x3", "64x48x3", "-1"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
