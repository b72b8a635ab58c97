//! Numbers and shapes as people read them.

use pinxit::data::ImageShape;

/// `12,345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.23 M`, for quantities whose order of magnitude matters.
pub(crate) fn magnitude(n: u64) -> String {
    match n {
        0..10_000 => count(n),
        10_000..1_000_000 => format!("{:.0} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.1} G", n as f64 / 1e9),
    }
}

/// `412 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    match n as f64 / MIB {
        mib if mib < 1024.0 => format!("{mib:.0} MiB"),
        mib => format!("{:.1} GiB", mib / 1024.0),
    }
}

/// `0:35`, `12:05`, `3:20:00`.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `1 picture`, `2 pictures`.
pub(crate) fn plural(n: usize, noun: &str) -> String {
    let ending = match (n, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {noun}{ending}", count(n as u64))
}

/// A speed, to three digits at most.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        slow if slow < 10.0 => format!("{slow:.2}"),
        medium if medium < 100.0 => format!("{medium:.1}"),
        fast => count(fast.round() as u64),
    }
}

/// `64x48 RGB`, height first.
pub(crate) fn shape(shape: ImageShape) -> String {
    let channels = match shape.channels {
        1 => "grey",
        2 => "grey + alpha",
        3 => "RGB",
        _ => "RGBA",
    };
    format!("{}x{} {channels}", shape.height, shape.width)
}

/// A loss or another measure in as many digits as tell two values apart.
pub(crate) fn measure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        a if !(1e-3..1e5).contains(&a) => format!("{value:.2e}"),
        a if a >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([9_999, 12_345, 1_230_000].map(magnitude), ["9,999", "12 k", "1.2 M"]);
        assert_eq!([35.2, 725.0, 12_000.0].map(clock), ["0:35", "12:05", "3:20:00"]);
        assert_eq!(plural(1, "class"), "1 class");
        assert_eq!(plural(10, "class"), "10 classes");
        assert_eq!([0.5, 37.28, 1234.5].map(rate), ["0.50", "37.3", "1,235"]);
        assert_eq!(bytes(3 << 30), "3.0 GiB");
        assert_eq!([0.12345, 1234.56, 1.5e-7].map(measure), ["0.1235", "1234.6", "1.50e-7"]);
    }
}
