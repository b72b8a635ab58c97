//! Knobs: settings with a name, a meaning and a default, defined once.
//!
//! [`knobs!`](crate::knobs!) turns one struct definition into the serde type that reads a recipe
//! table, the defaults, and the table of names and meanings that the help, the README and the web
//! page show.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// One setting as a user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knob {
    /// Its key in the recipe table, as in `--set model.NAME=VALUE`.
    pub name: &'static str,
    /// What it does, one sentence with unit and range.
    pub about: &'static str,
    /// The default as written in the source; `None` is shown as "auto".
    pub default: &'static str,
}

/// Defines a recipe table: a struct whose fields are knobs.
///
/// ```
/// pinxit::knobs! {
///     /// How to paint.
///     pub struct Brush {
///         /// Width in pixels.
///         pub width: usize = 3,
///         /// Colour, or chosen from the picture.
///         pub colour: Option<u8> = None,
///     }
/// }
/// assert_eq!(Brush::default().width, 3);
/// assert_eq!(Brush::KNOBS[0].about, "Width in pixels.");
/// assert_eq!(Brush::KNOBS[1].default, "auto");
/// ```
#[macro_export]
macro_rules! knobs {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[doc = $about:literal])+ pub $field:ident : $ty:ty = $default:expr ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $about])+ pub $field: $ty ),+
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $default ),+ }
            }
        }

        impl $name {
            /// The fields of this table with their meanings and defaults.
            pub const KNOBS: &'static [$crate::knobs::Knob] = &[
                $( $crate::knobs::Knob {
                    name: stringify!($field),
                    about: $crate::knobs::about(concat!($($about),+)),
                    default: $crate::knobs::default_text(stringify!($default)),
                } ),+
            ];
        }
    };
}

/// The text of a doc comment without its leading space.
pub const fn about(doc: &'static str) -> &'static str {
    match doc.as_bytes() {
        [b' ', ..] => doc.split_at(1).1,
        _ => doc,
    }
}

/// The default as a user reads it: `None` means that Pinxit chooses.
pub const fn default_text(source: &'static str) -> &'static str {
    match source.as_bytes() {
        b"None" => "auto",
        _ => source,
    }
}

/// The knobs of a table that two structs share: `N` is the number of both together.
pub const fn join<const N: usize>(first: &[Knob], second: &[Knob]) -> [Knob; N] {
    let mut all = [Knob { name: "", about: "", default: "" }; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < first.len() { first[i] } else { second[i - first.len()] };
        i += 1;
    }
    all
}

/// Reads a recipe table that two structs share (see [`join`]); what isn't a knob of the first is
/// left to the second.
///
/// # Errors
/// As [`parse`].
pub fn parse_joined<A: DeserializeOwned, B: DeserializeOwned>(
    table: &toml::Table,
    first: &[Knob],
    place: &str,
) -> Result<(A, B)> {
    let belongs = |(key, _): &(String, toml::Value)| first.iter().any(|knob| knob.name == key);
    let (first, second): (Vec<_>, Vec<_>) = table.clone().into_iter().partition(belongs);
    Ok((parse(&first.into_iter().collect(), place)?, parse(&second.into_iter().collect(), place)?))
}

/// Reads a recipe table into its knobs struct; `place` is its name in the recipe, for errors.
///
/// # Errors
/// [`Error::Config`] naming the key, with the known keys.
pub fn parse<T: DeserializeOwned>(table: &toml::Table, place: &str) -> Result<T> {
    T::deserialize(toml::Value::Table(table.clone()))
        .map_err(|e| Error::config(format!("recipe table [{place}]: {}", e.message())))
}

/// The table of a knobs struct, every value written out (`None` left away).
///
/// # Errors
/// [`Error::Config`] if a value has no TOML form.
pub fn table<T: serde::Serialize>(knobs: &T) -> Result<toml::Table> {
    toml::Table::try_from(knobs).map_err(|e| Error::config(format!("settings have no TOML form: {e}")))
}
