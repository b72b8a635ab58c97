//! A row of samples in the terminal, two pixels a character: the upper half block in the colour of
//! the upper pixel on the colour of the lower one.

use std::fs;
use std::path::Path;

use anstyle::{Ansi256Color, Color, RgbColor, Style};
use pinxit::data::ImageShape;
use pinxit::image_io::read_picture;
use pinxit::recipe::Fit;
use pinxit::train::SHEET_ROWS;

use crate::terminal;

/// The first row of a sample sheet, as wide as the terminal at most; `None` if the file is no PNG.
/// It is shown for joy: what can't be shown is left out.
pub(crate) fn first_row(sheet: &Path) -> Option<String> {
    let (width, height) = png_size(&fs::read(sheet).ok()?)?;
    let columns = plain_width(width, height).min(terminal::width().saturating_sub(2)).max(1);
    let shape = ImageShape { channels: 3, height: (height * columns).div_ceil(width), width: columns };
    let values = read_picture(sheet, shape, Fit::Crop, 255).ok()?;
    let levels: Vec<u8> = values.iter().map(|value| ((value + 1.0) * 127.5).round() as u8).collect();
    Some(half_blocks(&levels, shape, shape.height / SHEET_ROWS))
}

/// Width of a sheet before its pictures were magnified. The factor divides width and height; where a
/// greater number does too, the row would come out too small to be seen.
fn plain_width(width: usize, height: usize) -> usize {
    const SMALLEST: usize = 40;
    let (mut divisor, mut rest) = (width, height);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    match width / divisor {
        plain if plain >= SMALLEST => plain,
        _ => width,
    }
}

/// Width and height from the header of a PNG file (PNG specification, 11.2.1).
fn png_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let is_png = bytes.starts_with(b"\x89PNG\r\n\x1a\n");
    let (width, height) = (number(16)?, number(20)?);
    (is_png && width > 0 && height > 0).then_some((width, height))
}

/// The first `rows` rows of a picture of planar RGB levels.
fn half_blocks(levels: &[u8], shape: ImageShape, rows: usize) -> String {
    let area = shape.height * shape.width;
    let colour = |y: usize, x: usize| {
        let at = y * shape.width + x;
        (y < rows).then(|| terminal_colour([levels[at], levels[area + at], levels[2 * area + at]]))
    };
    let mut text = String::new();
    for y in (0..rows).step_by(2) {
        text += "  ";
        for x in 0..shape.width {
            let style = Style::new().fg_color(colour(y, x)).bg_color(colour(y + 1, x));
            text += &format!("{style}▀{style:#}");
        }
        text.push('\n');
    }
    text
}

/// 24-bit colour where the terminal says that it has it, the cube of 256 colours elsewhere.
fn terminal_colour([red, green, blue]: [u8; 3]) -> Color {
    let has_all = std::env::var("COLORTERM").is_ok_and(|value| value == "truecolor" || value == "24bit");
    if has_all {
        return RgbColor(red, green, blue).into();
    }
    let of = |level: u8, steps: u16| (u16::from(level) * steps + 127) / 255;
    // Colours 232 to 255 are greys, 16 to 231 a cube of six levels each.
    let index = match red == green && green == blue {
        true => 232 + of(red, 23),
        false => 16 + 36 * of(red, 5) + 6 * of(green, 5) + of(blue, 5),
    };
    Ansi256Color(index as u8).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pinxit::image_io::{Overwrite, Picture, grid, save_png};

    use super::*;

    #[test]
    fn the_first_row_of_a_sheet_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let shape = ImageShape { channels: 1, height: 8, width: 8 };
        let black = Picture { shape, pixels: vec![0; 64] };
        save_png(&path, &grid(&vec![black; 4 * SHEET_ROWS], 4, 1), &[], Overwrite::Refuse).unwrap();
        let row = first_row(&path).unwrap();
        let plain = anstream::adapter::strip_str(&row).to_string();
        let widths: Vec<usize> = plain.lines().map(|line| line.trim().chars().count()).collect();
        assert!(widths.len() > 3 && widths.iter().all(|width| *width == widths[0]), "{widths:?}");
        assert!(row.contains('▀'));
        assert_eq!(first_row(&folder.path().join("none.png")), None);
    }
}
