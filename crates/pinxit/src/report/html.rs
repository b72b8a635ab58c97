//! Text, pictures and numbers as HTML.

use crate::error::Result;
use crate::image_io::{Picture, encode_png};

/// Text with everything that HTML would read as its own made harmless.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            _ => safe.push(c),
        }
    }
    safe
}

/// A picture as the address of itself.
pub(super) fn picture_uri(picture: &Picture) -> Result<String> {
    Ok(png_uri(&encode_png(picture, &[])?))
}

/// A PNG file as the address of itself.
pub(super) fn png_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(png))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            match i <= chunk.len() {
                true => text.push(LETTERS[(word >> (18 - 6 * i) & 63) as usize].into()),
                false => text.push('='),
            }
        }
    }
    text
}

/// `12,345`.
pub(super) fn count(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", count(n / 1000), n % 1000),
    }
}

/// `3 h 20 min`, `1 min 52 s`, `8 s`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds.round() as u64 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// A number in three digits.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        a if !(1e-3..1e6).contains(&a) => format!("{value:.1e}"),
        a if a >= 1000.0 => count(value.round() as u64),
        a => format!("{value:.*}", (2 - a.log10().floor() as i32).max(0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: RFC 4648, section 10.
    #[test]
    fn base64_known_answers() {
        for (text, code) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), code);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(
            [0.1234, 12.34, 123.4, 1234.0, 1.5e-5].map(number),
            ["0.123", "12.3", "123", "1,234", "1.5e-5"]
        );
        assert_eq!([8.2, 112.0, 12_000.0].map(duration), ["8 s", "1 min 52 s", "3 h 20 min"]);
    }
}
