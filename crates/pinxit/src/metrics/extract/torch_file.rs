//! Weights out of PyTorch's `.pth` files, without executing code from them.
//!
//! `torch.save` writes a zip file of stored entries with a pickle among them since version 1.6, and
//! before that a row of pickles followed by the raw values. Both are read; anything but tensors in
//! dictionaries is passed over.

use std::collections::BTreeMap;

use super::pickle::{Pickle, Value};
use crate::checkpoint::Array;

/// The tensors of a state dict by name; the error is the reason why the file can't be read.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Array>, String> {
    if bytes.starts_with(b"PK\x03\x04") { read_zip(bytes) } else { read_legacy(bytes) }
}

/// Values of a storage, by its key.
type Storages<'a> = BTreeMap<String, &'a [u8]>;

fn read_zip(bytes: &[u8]) -> Result<BTreeMap<String, Array>, String> {
    let entries = zip_entries(bytes)?;
    let (name, mut pickle) = entries
        .iter()
        .find(|(name, _)| name.ends_with("/data.pkl"))
        .map(|(name, data)| (name, *data))
        .ok_or("it is a zip file, but none that torch.save wrote: it lacks data.pkl")?;
    let folder = format!("{}/data/", name.trim_end_matches("/data.pkl"));
    let storages =
        entries.iter().filter_map(|(name, data)| Some((name.strip_prefix(&folder)?.into(), *data)));
    let storages: Storages = storages.collect();
    let (pickle, value) = Pickle::read(&mut pickle)?;
    tensors(&pickle, &value, &storages)
}

/// Names and contents of a zip file's entries (APPNOTE.TXT 4.3), none of them compressed.
fn zip_entries(bytes: &[u8]) -> Result<BTreeMap<String, &[u8]>, String> {
    const CUT: &str = "it is a zip file that is cut off";
    let end = bytes.windows(4).rposition(|window| window == b"PK\x05\x06").ok_or(CUT)?;
    let comment = number(bytes, end + 20, 2).ok_or(CUT)?;
    bytes.get(..end + 22 + comment).ok_or(CUT)?;
    let mut at = number(bytes, end + 16, 4).ok_or(CUT)?;
    if at == 0xFFFF_FFFF {
        // Zip64: a locator before the end record leads to a longer end record.
        let locator = end.checked_sub(20).ok_or(CUT)?;
        let record = number(bytes, locator + 8, 8).ok_or(CUT)?;
        at = number(bytes, record.saturating_add(48), 8).ok_or(CUT)?;
    }
    let mut entries = BTreeMap::new();
    while at.checked_add(4).and_then(|next| bytes.get(at..next)) == Some(b"PK\x01\x02") {
        let field = |offset, size| number(bytes, at + offset, size).ok_or(CUT);
        let (name_length, extra_length, comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
        let name = bytes.get(at + 46..at + 46 + name_length).ok_or(CUT)?;
        let extra = bytes.get(at + 46 + name_length..at + 46 + name_length + extra_length).ok_or(CUT)?;
        let (mut size, mut start) = (field(24, 4)?, field(42, 4)?);
        let mut wide = zip64_fields(extra);
        for value in [&mut size, &mut start] {
            if *value == 0xFFFF_FFFF {
                *value = wide.next().ok_or(CUT)?;
            }
        }
        if field(10, 2)? != 0 {
            return Err("it is a compressed zip file, which torch.save never writes".into());
        }
        let skip = |offset| number(bytes, start.saturating_add(offset), 2).ok_or(CUT);
        let data = start.saturating_add(30).saturating_add(skip(26)? + skip(28)?);
        let content = data.checked_add(size).and_then(|end| bytes.get(data..end)).ok_or(CUT)?;
        entries.insert(String::from_utf8_lossy(name).into_owned(), content);
        at += 46 + name_length + extra_length + comment;
    }
    Ok(entries)
}

/// The 64-bit values of the extra field 1.
fn zip64_fields(extra: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    let mut found: &[u8] = &[];
    while let (Some(id), Some(size)) = (number(extra, at, 2), number(extra, at + 2, 2)) {
        if id == 1 {
            found = extra.get(at + 4..at + 4 + size).unwrap_or_default();
        }
        at += 4 + size;
    }
    found.chunks_exact(8).filter_map(|bytes| number(bytes, 0, 8))
}

/// An unsigned number of `size` bytes at `at`.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    usize::try_from(bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte))).ok()
}

/// Magic number, protocol, system, the values, the keys of the storages, and each storage as its
/// length and its values.
fn read_legacy(mut bytes: &[u8]) -> Result<BTreeMap<String, Array>, String> {
    let rest = &mut bytes;
    if !rest.starts_with(&[0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]) {
        return Err("it is neither a safetensors file nor one that torch.save wrote".into());
    }
    for _ in 0..3 {
        Pickle::read(rest)?;
    }
    let (pickle, value) = Pickle::read(rest)?;
    let (key_pickle, keys) = Pickle::read(rest)?;
    let mut kinds = BTreeMap::new();
    collect_kinds(&pickle, &value, &mut kinds);
    let mut storages = Storages::new();
    for key in key_pickle.list(&keys).ok_or("it lacks the list of its storages")? {
        let key = key.text().ok_or("a storage has no name")?;
        let count = number(rest, 0, 8).ok_or("it is cut off")?;
        let size = kinds.get(key).map_or(4, |kind: &Kind| kind.size());
        let end = count.checked_mul(size).and_then(|size| size.checked_add(8)).ok_or("it is cut off")?;
        storages.insert(key.into(), rest.get(8..end).ok_or("it is cut off")?);
        *rest = &rest[end..];
    }
    tensors(&pickle, &value, &storages)
}

/// Type of the values of a storage.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Half,
    Float,
    Double,
    Long,
}

impl Kind {
    fn of(storage: &str) -> Option<Self> {
        Some(match storage.rsplit('.').next()? {
            "HalfStorage" => Self::Half,
            "FloatStorage" => Self::Float,
            "DoubleStorage" => Self::Double,
            "LongStorage" => Self::Long,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::Half => 2,
            Self::Float => 4,
            Self::Double | Self::Long => 8,
        }
    }

    fn value(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::Half, &[a, b]) => half(u16::from_le_bytes([a, b])),
            (Self::Float, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::Double, _) => f64::from_le_bytes(bytes.try_into().unwrap_or_default()) as f32,
            _ => i64::from_le_bytes(bytes.try_into().unwrap_or_default()) as f32,
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// `('storage', torch.FloatStorage, key, location, count)` as type and key.
fn storage(value: &Value) -> Option<(Kind, &str)> {
    let Value::Persistent(id) = value else { return None };
    let [tag, Value::Global(class), key, ..] = id.tuple()? else { return None };
    (tag.text()? == "storage").then_some(())?;
    Some((Kind::of(class)?, key.text()?))
}

/// The types of all storages that tensors refer to: the legacy form tells lengths in values.
fn collect_kinds(pickle: &Pickle, value: &Value, kinds: &mut BTreeMap<String, Kind>) {
    for (_, value) in entries(pickle, value) {
        if let Some((kind, key)) = arguments(&value).and_then(|arguments| arguments.first().and_then(storage))
        {
            kinds.insert(key.into(), kind);
        }
    }
}

/// The named values of a state dict, or of the one below `state_dict` or `model`.
fn entries(pickle: &Pickle, value: &Value) -> Vec<(String, Value)> {
    let Some(pairs) = pickle.dict(value) else { return Vec::new() };
    let inner = pairs.iter().find(|(key, value)| {
        matches!(key.text(), Some("state_dict" | "model")) && pickle.dict(value).is_some()
    });
    let pairs = inner.and_then(|(_, value)| pickle.dict(value)).unwrap_or(pairs);
    pairs.iter().filter_map(|(key, value)| Some((key.text()?.to_string(), value.clone()))).collect()
}

/// Arguments of the call that rebuilds a tensor: storage, offset, size, stride, ...
fn arguments(value: &Value) -> Option<&[Value]> {
    let Value::Call(call) = value else { return None };
    let (Value::Global(function), arguments) = &**call else { return None };
    match &**function {
        "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => arguments.tuple(),
        "torch._utils._rebuild_parameter" => arguments_of_parameter(arguments),
        _ => None,
    }
}

/// A parameter is a call on a tensor; not deeper, so that no file leads the reader in circles.
fn arguments_of_parameter(outer: &Value) -> Option<&[Value]> {
    let Some(Value::Call(call)) = outer.tuple()?.first() else { return None };
    call.1.tuple()
}

fn tensors(pickle: &Pickle, value: &Value, storages: &Storages) -> Result<BTreeMap<String, Array>, String> {
    let mut tensors = BTreeMap::new();
    for (name, value) in entries(pickle, value) {
        let Some(arguments) = arguments(&value) else { continue };
        let array = tensor(arguments, storages).map_err(|reason| format!("tensor {name}: {reason}"))?;
        tensors.insert(name, array);
    }
    if tensors.is_empty() {
        return Err("it holds no tensors by name: save the network's state_dict()".into());
    }
    Ok(tensors)
}

fn tensor(arguments: &[Value], storages: &Storages) -> Result<Array, String> {
    let [source, offset, size, stride, ..] = arguments else { return Err("it has no size".into()) };
    let (kind, key) = storage(source).ok_or("its values are of a type that can't be read")?;
    let bytes = storages.get(key).ok_or("its values are missing")?;
    let sizes = |value: &Value| -> Option<Vec<usize>> {
        value.tuple()?.iter().map(|item| usize::try_from(item.int()?).ok()).collect()
    };
    let (Some(shape), Some(strides)) = (sizes(size), sizes(stride)) else {
        return Err("its size can't be read".into());
    };
    let offset =
        offset.int().and_then(|offset| usize::try_from(offset).ok()).ok_or("its place can't be read")?;
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let available = bytes.len() / kind.size();
    if strides.len() != shape.len() || count.is_none_or(|count| count > available) {
        return Err("it is larger than its values".into());
    }
    let mut values = Vec::with_capacity(count.unwrap_or(0));
    for index in 0..count.unwrap_or(0) {
        let place = place(index, &shape, &strides).and_then(|place| place.checked_add(offset));
        let start = place.filter(|place| *place < available).ok_or("it reaches beyond its values")?;
        values.push(kind.value(&bytes[start * kind.size()..(start + 1) * kind.size()]));
    }
    Ok(Array { shape, values })
}

/// Where value `index` of a tensor in row-major order lies in its storage.
fn place(mut index: usize, shape: &[usize], strides: &[usize]) -> Option<usize> {
    let mut place = 0usize;
    for (size, stride) in shape.iter().zip(strides).rev() {
        place = place.checked_add((index % size).checked_mul(*stride)?)?;
        index /= size;
    }
    Some(place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};

    fn golden() -> [Vec<u8>; 2] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden");
        ["weights.pth", "weights_legacy.pth"].map(|name| std::fs::read(format!("{folder}/{name}")).unwrap())
    }

    /// Oracle: oracle/torch_file.py, with PyTorch 2.15.
    #[test]
    fn both_forms_give_every_tensor() {
        let base: Vec<f32> = (0..24u8).map(|i| f32::from(i) / 4.0).collect();
        let turned = (0..24).map(|i| base[i % 4 * 6 + i / 4]).collect();
        let expected = [
            ("whole", vec![2, 3, 4], base.clone()),
            ("part", vec![3, 4], base[6..18].to_vec()),
            ("turned", vec![6, 4], turned),
            ("half", vec![4], vec![1.5, -2.0, 65504.0, 2f32.powi(-24)]),
            ("double", vec![2, 1], vec![0.1, 0.2]),
            ("parameter", vec![1], vec![3.0]),
            ("count", vec![], vec![7.0]),
            ("empty", vec![0, 5], vec![]),
        ];
        for bytes in golden() {
            let found = read(&bytes).unwrap();
            assert_eq!(found.len(), expected.len(), "{:?}", found.keys());
            for (name, shape, values) in &expected {
                assert_eq!(found[*name], Array { shape: shape.clone(), values: values.clone() }, "{name}");
            }
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        for bytes in golden() {
            for length in 0..bytes.len() {
                assert!(read(&bytes[..length]).is_err(), "cut at {length} of {}", bytes.len());
            }
        }
    }

    /// A damaged file is read or refused, whatever the damage, and takes no memory beyond its size.
    #[test]
    fn damage_never_breaks_the_reader() {
        for (form, bytes) in golden().into_iter().enumerate() {
            for round in 0..20_000 {
                let mut rng = Rng::new(8, Purpose::Picture, form as u32, round);
                let mut damaged = bytes.clone();
                for _ in 0..=rng.below(8) {
                    let at = rng.below(bytes.len() as u32) as usize;
                    damaged[at] = if rng.chance(0.3) { 0xFF } else { rng.bits() as u8 };
                }
                if let Ok(tensors) = read(&damaged) {
                    let values: usize = tensors.values().map(|array| array.values.len()).sum();
                    assert!(values <= 100 * bytes.len());
                }
            }
        }
    }

    #[test]
    fn what_is_no_file_of_weights_is_refused() {
        assert!(read(b"").unwrap_err().contains("neither"));
        assert!(read(b"hello, I am a text file and no weights at all").unwrap_err().contains("neither"));
    }
}
