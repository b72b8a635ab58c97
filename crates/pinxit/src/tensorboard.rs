//! TensorBoard event files: scalars and pictures, readable while a run goes on.
//!
//! A file is a sequence of TFRecords (length, masked CRC-32C of the length, data, masked CRC-32C of
//! the data; tensorflow/core/lib/io/record_writer.h), each an `Event` of
//! tensorflow/core/util/event.proto in the protocol buffers wire format, of which four kinds of
//! field are needed here.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::image_io::{Picture, encode_png};
use crate::metrics::verdict::Judgement;
use crate::run::Record;

/// An event file in the making. Every event is on its way to the disk when the call returns.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in `folder` (made if there is none) for a session that begins at `step`:
    /// TensorBoard forgets what earlier files say about later steps.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn create(folder: &Path, step: u32) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "making the folder"))?;
        // TensorBoard reads files in the order of their names.
        let name = format!("events.out.tfevents.{:020.9}.pinxit", now());
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(Error::io(&path, "making the event file"))?;
        let mut events = Self { path, file };
        events.write(&version(now()))?;
        events.write(&start(now(), step))?;
        Ok(events)
    }

    /// Adds a line of the run's records: measures as scalars. Events of the run are no curves.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn record(&mut self, record: &Record) -> Result<()> {
        let measures = match record {
            Record::Measures(measures) => measures,
            Record::Judged(judged) => {
                let Judgement { step, distance, coverage, copies, .. } = judged.judgement;
                let named = [
                    ("verdict/distance", distance),
                    ("verdict/coverage", coverage),
                    ("verdict/copies", copies as f64),
                ];
                return self.write(&scalars(now(), step, named.into_iter()));
            }
            Record::Event(_) => return Ok(()),
        };
        let named = measures.values.iter().map(|(name, value)| (name.as_str(), *value));
        let speed = [("images_per_second", measures.images_per_second), ("rate", measures.rate)];
        self.write(&scalars(now(), measures.step, named.chain(speed)))
    }

    /// Adds a picture under `tag`.
    ///
    /// # Errors
    /// If the picture has no PNG form, or the file can't be written.
    pub fn picture(&mut self, step: u32, tag: &str, picture: &Picture) -> Result<()> {
        let image = message(|image| {
            image.integer(1, picture.shape.height as u64);
            image.integer(2, picture.shape.width as u64);
            image.integer(3, picture.shape.channels as u64); // 1 grey to 4 RGBA, as here
        });
        let image = [image, field(4, &encode_png(picture, &[])?)].concat();
        let value = message(|value| {
            value.bytes(VALUE_TAG, tag.as_bytes());
            value.bytes(VALUE_IMAGE, &image);
        });
        self.write(&event(now(), step, |event| event.bytes(SUMMARY, &field(SUMMARY_VALUE, &value))))
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        self.file.write_all(&record(event)).map_err(Error::io(&self.path, "writing the event file"))
    }
}

// Field numbers of tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
const WALL_TIME: u64 = 1;
const STEP: u64 = 2;
const FILE_VERSION: u64 = 3;
const SUMMARY: u64 = 5;
const SESSION_LOG: u64 = 7;
const SESSION_STATUS: u64 = 1;
const SESSION_START: u64 = 1;
const SUMMARY_VALUE: u64 = 1;
const VALUE_TAG: u64 = 1;
const VALUE_SIMPLE: u64 = 2;
const VALUE_IMAGE: u64 = 4;

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn event(time: f64, step: u32, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    message(|event| {
        event.double(WALL_TIME, time);
        event.integer(STEP, step.into());
        fill(event);
    })
}

fn version(time: f64) -> Vec<u8> {
    event(time, 0, |event| event.bytes(FILE_VERSION, b"brain.Event:2"))
}

fn start(time: f64, step: u32) -> Vec<u8> {
    let log = message(|log| log.integer(SESSION_STATUS, SESSION_START));
    event(time, step, |event| event.bytes(SESSION_LOG, &log))
}

fn scalars<'a>(time: f64, step: u32, values: impl Iterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let summary = message(|summary| {
        for (tag, value) in values {
            let value = message(|message| {
                message.bytes(VALUE_TAG, tag.as_bytes());
                message.float(VALUE_SIMPLE, value as f32);
            });
            summary.bytes(SUMMARY_VALUE, &value);
        }
    });
    event(time, step, |event| event.bytes(SUMMARY, &summary))
}

/// A protocol buffers message in the making.
struct Message(Vec<u8>);

fn message(fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message(Vec::new());
    fill(&mut message);
    message.0
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    message(|message| message.bytes(number, bytes))
}

impl Message {
    /// A field's number and wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// 0 is the default, which version 3 leaves out.
    fn integer(&mut self, field: u64, value: u64) {
        if value > 0 {
            self.key(field, 0);
            self.varint(value);
        }
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

/// `data` framed as a TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(data);
    record.extend(masked(crc32c(data)).to_le_bytes());
    record
}

/// A checksum of data that itself holds checksums (tensorflow/core/lib/hash/crc32c.h).
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Oracle: RFC 3720, appendix B.4, and the check value of the CRC catalogue.
    #[test]
    fn crc32c_known_answers() {
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c(&descending), 0x113f_db5c);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// Oracle: the worked examples of protobuf.dev/programming-guides/encoding.
    #[test]
    fn the_wire_format_is_that_of_protocol_buffers() {
        assert_eq!(message(|m| m.integer(1, 150)), [0x08, 0x96, 0x01]);
        let text = message(|m| m.bytes(2, b"testing"));
        assert_eq!(text, [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
    }

    /// Oracle: `oracle/event_file.py`, which has TensorBoard write these events.
    #[test]
    fn the_bytes_are_those_that_tensorboard_writes() {
        let golden =
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden/event_file.bin"));
        let time = 1234.5;
        let values = [("loss", 0.25), ("rate", 1.0)].into_iter();
        let events = [version(time), start(time, 300), scalars(time, 70_000, values)];
        assert_eq!(events.map(|event| record(&event)).concat(), golden);
    }
}
