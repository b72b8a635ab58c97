//! Files that hold two pictures side by side, as those of pix2pix do.

use std::collections::BTreeMap;

use sha2::Sha256;

use crate::data::decode::{Decoded, Header};
use crate::data::report::Reject;
use crate::data::source::{Loaded, Source};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// One half of each picture of a source; the middle column of an odd width is in neither.
pub(super) struct Half {
    source: Box<dyn Source>,
    side: Side,
}

impl Half {
    pub(super) fn new(source: Box<dyn Source>, side: Side) -> Self {
        Self { source, side }
    }
}

/// The width of a half.
fn half(width: u32) -> Result<u32, String> {
    match width / 2 {
        0 => Err("it is one column wide, and two pictures side by side need two".into()),
        half => Ok(half),
    }
}

impl Source for Half {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn name(&self, index: usize) -> String {
        self.source.name(index)
    }

    fn classes(&self) -> &[String] {
        self.source.classes()
    }

    fn header(&self, index: usize) -> Result<Header, String> {
        let header = self.source.header(index)?;
        Ok(Header { width: half(header.width)?, ..header })
    }

    fn load(&self, index: usize) -> Result<Loaded, String> {
        let Loaded { decoded, hash, label } = self.source.load(index)?;
        let (width, height) = (decoded.image.width(), decoded.image.height());
        let left = if self.side == Side::Left { 0 } else { width - half(width)? };
        let image = decoded.image.crop_imm(left, 0, half(width)?, height);
        Ok(Loaded { decoded: Decoded::from_image(image, decoded.header.format), hash, label })
    }

    fn identify(&self, hasher: &mut Sha256) {
        sha2::Digest::update(hasher, format!("{:?} half", self.side));
        self.source.identify(hasher);
    }

    fn rejects(&self) -> &[Reject] {
        self.source.rejects()
    }

    fn other(&self) -> &BTreeMap<String, usize> {
        self.source.other()
    }
}
