//! `digits`: 1,797 real handwritten digits, 8x8 grey.
//!
//! The test part of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
//! Machine Learning Repository, 1998, doi:10.24432/C50P49, as scikit-learn ships it (oracle/digits.py).

use super::{Builtin, Pictures};
use crate::data::ImageShape;

pub(super) static BUILTIN: Builtin = Builtin {
    name: "digits",
    about: "1,797 real handwritten digits, 8x8 grey, 10 classes",
    licence: "CC BY 4.0: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998",
    shape: ImageShape { channels: 1, height: 8, width: 8 },
    endless: false,
    make: |_| Ok(Box::new(Digits)),
};

/// One byte of class, then 64 bytes of ink from 0 (none) to [`FULL_INK`], a record each.
static RECORDS: &[[u8; 65]] =
    include_bytes!("../../../../../assets/digits/digits.bin").as_slice().as_chunks().0;

/// Number of black pixels in the 4x4 block of the scan that became one pixel.
const FULL_INK: u16 = 16;

struct Digits;

impl Pictures for Digits {
    fn shape(&self) -> ImageShape {
        BUILTIN.shape
    }

    fn len(&self) -> usize {
        RECORDS.len()
    }

    fn classes(&self) -> Vec<String> {
        (0..10).map(|digit| digit.to_string()).collect()
    }

    fn label(&self, index: usize) -> u32 {
        RECORDS[index][0].into()
    }

    fn pixels(&self, index: usize) -> Vec<u8> {
        RECORDS[index][1..]
            .iter()
            .map(|&ink| ((u16::from(ink) * 255 + FULL_INK / 2) / FULL_INK) as u8)
            .collect()
    }

    fn name(&self, index: usize) -> String {
        format!("digits #{index}")
    }
}
