//! What goes to the user's eyes: results to standard output, everything else to standard error.
//!
//! Styles are written as they would look on a terminal; `anstream` takes them out where the
//! stream is none or `NO_COLOR` is set.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Color, Style};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// A heading.
pub(crate) const HEAD: Style = Style::new().bold();
/// A name that can be typed.
pub(crate) const NAME: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Cyan)));
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What went well.
pub(crate) const GOOD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green))).bold();
/// What needs attention.
pub(crate) const WARN: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Yellow))).bold();
/// What went wrong.
pub(crate) const BAD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red))).bold();

/// Prints the result of a command: `value` as one JSON document, or `text` for people.
pub(crate) fn answer<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Outcome {
    let text = match json {
        true => serde_json::to_string_pretty(value).map_err(|error| Failure::Output(error.into()))?,
        false => text(value),
    };
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}

/// Prints a line of advice or progress to standard error. If nobody can read it, that is no reason
/// to stop working.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Whether progress can be drawn over itself.
pub(crate) fn is_interactive() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether standard error shows colours.
pub(crate) fn has_colour() -> bool {
    anstream::stderr().current_choice() != anstream::ColorChoice::Never
}

/// Columns of the terminal, at most a comfortable line; the same where there is no terminal.
pub(crate) fn width() -> usize {
    const COMFORTABLE: usize = 100;
    terminal_size::terminal_size().map_or(COMFORTABLE, |(width, _)| usize::from(width.0).min(COMFORTABLE))
}

/// Rows in aligned columns, the last of which is wrapped at the width of the terminal and the first
/// of which is styled.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], first: Style) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let indent = 2 + widths[..N - 1].iter().map(|width| width + 2).sum::<usize>();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (i, (cell, width)) in row.iter().zip(widths).enumerate().take(N - 1) {
            let style = if i == 0 { first } else { Style::new() };
            line += &format!("{style}{cell}{style:#}{:1$}", "", width + 2 - cell.chars().count());
        }
        line += &wrap(&row[N - 1], width().saturating_sub(indent).max(30), indent);
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// `text` in lines of at most `width` characters, all but the first of which are indented.
fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            wrapped += &format!("\n{:indent$}", "");
            used = 0;
        } else if used > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped += word;
        used += length;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_wraps_under_itself() {
        assert_eq!(wrap("one two three four", 9, 3), "one two\n   three\n   four");
        let rows = [["a".into(), "long".into(), "x".into()], ["bcd".into(), "".into(), "y".into()]];
        assert_eq!(table(&rows, Style::new()), "  a    long  x\n  bcd        y\n");
    }
}
