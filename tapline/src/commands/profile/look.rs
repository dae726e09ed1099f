//! How a terminal is drawn on: its width, its characters, its colours.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use checks::tape::printable;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns of a terminal that does not say.
const WIDTH: usize = 80;

/// How a table looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Columns; `None` where nothing needs to be cut: into files and pipes.
    pub(super) width: Option<usize>,
    /// Blocks and dots beyond ASCII.
    pub(super) unicode: bool,
    /// With colours.
    pub(super) colour: bool,
}

/// Columns that a text takes: ideographs take two.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

impl Look {
    /// Of standard output.
    pub(super) fn of_stdout(colour: bool, environment: &BTreeMap<String, String>) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let asked = environment.get("COLUMNS").and_then(|columns| columns.parse().ok());
        let columns = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            width: is_terminal.then(|| asked.or_else(columns).filter(|n| *n > 0).unwrap_or(WIDTH)),
            unicode: speaks_unicode(environment),
            colour,
        }
    }

    /// Of a pipe.
    #[cfg(test)]
    pub(super) fn of_pipes() -> Self {
        Self { width: None, unicode: true, colour: false }
    }

    /// Text from files and peers with nothing in it that could steer a terminal.
    pub(super) fn clean(&self, text: &str) -> String {
        let shown = |c: char| match c {
            c if self.unicode && printable(c) => c,
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ if self.unicode => '\u{fffd}',
            _ => '?',
        };
        text.chars().map(shown).collect()
    }

    /// What stands for what is left out.
    pub(super) fn dots(&self) -> &'static str {
        if self.unicode { "…" } else { ".." }
    }

    /// The beginning of a text, within so many columns.
    pub(super) fn within(&self, text: &str, most: Option<usize>) -> String {
        let Some(most) = most.filter(|most| width(text) > *most) else { return text.to_owned() };
        let room = most.saturating_sub(width(self.dots()));
        format!("{}{}", fitting(text.chars(), room), self.dots())
    }

    /// The end of a text, within so many columns: of a path, that is what tells it from its neighbours.
    pub(super) fn ending(&self, text: &str, most: usize) -> String {
        if width(text) <= most {
            return text.to_owned();
        }
        let room = most.saturating_sub(width(self.dots()));
        let end: String = fitting(text.chars().rev(), room).chars().rev().collect();
        format!("{}{end}", self.dots())
    }

    /// A bar of so many cells.
    pub(super) fn bar(&self, share: f64, cells: usize) -> String {
        const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        let eighths = (share.clamp(0.0, 1.0) * (cells * 8) as f64) as usize;
        // Something is not nothing, however little it is.
        let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
        let (whole, rest) = (eighths / 8, eighths % 8);
        let mut bar = if self.unicode { "█" } else { "#" }.repeat(whole);
        if rest > 0 {
            bar.push(if self.unicode { EIGHTHS[rest] } else { '-' });
        }
        bar.push_str(&" ".repeat(cells.saturating_sub(whole + usize::from(rest > 0))));
        bar
    }

    /// Counts side by side, as high as they are large.
    pub(super) fn spark(&self, counts: &[u64]) -> String {
        const LEVELS: [[char; 8]; 2] =
            [['_', '.', ':', '-', '=', '+', '*', '#'], ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']];
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        let levels = LEVELS[usize::from(self.unicode)];
        let cell =
            |n: u64| if n == 0 { ' ' } else { levels[((n as f64 / most as f64) * 7.0).round() as usize] };
        let cells: String = counts.iter().map(|n| cell(*n)).collect();
        if self.colour { format!("\x1b[36m{}\x1b[0m", cells.trim_end()) } else { cells }
    }

    /// A heading.
    pub(super) fn bold(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The same with so many columns, from one on, in the colour of what a person should look at.
    pub(super) fn marked(&self, text: &str, from: usize, columns: usize) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let before = fitting(text.chars(), from);
        let rest = &text[before.len()..];
        let marked = fitting(rest.chars(), columns);
        format!("{before}\x1b[33m{marked}\x1b[0m{}", &rest[marked.len()..])
    }
}

/// As many characters as so many columns take.
fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut left = columns;
    let fits = |c: &char| match left.checked_sub(c.width().unwrap_or(0)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    chars.take_while(fits).collect()
}

/// May more than ASCII be written? Not on a terminal that can do nothing, nor where the locale names another set of
/// characters; one that names none (as in most containers) says nothing.
fn speaks_unicode(environment: &BTreeMap<String, String>) -> bool {
    if environment.get("TERM").is_some_and(|terminal| terminal == "dumb") {
        return false;
    }
    let set = |name: &&str| environment.get(*name).filter(|value| !value.is_empty());
    ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).is_none_or(|locale| {
        let locale = locale.to_ascii_uppercase();
        locale.contains("UTF-8") || locale.contains("UTF8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_not_nothing_and_bars_are_of_one_length() {
        let look = Look::of_pipes();
        assert_eq!(look.bar(1.0, 10), "██████████");
        assert_eq!(look.bar(0.0, 10), "          ");
        assert_eq!(look.bar(0.0001, 10), "▏         ");
        assert_eq!(look.bar(0.55, 10), "█████▌    ");
        let ascii = Look { unicode: false, ..look.clone() };
        assert_eq!(ascii.bar(0.55, 10), "#####-    ");
        for share in 0..=1_000 {
            for look in [&look, &ascii] {
                assert_eq!(look.bar(f64::from(share) / 1_000.0, 10).chars().count(), 10);
            }
        }
    }

    #[test]
    fn texts_are_cut_by_columns() {
        let look = Look::of_pipes();
        assert_eq!(look.within("大阪市です", Some(7)), "大阪市…");
        assert_eq!(look.within("大阪市です", Some(6)), "大阪…");
        assert_eq!(look.within("Osaka", Some(5)), "Osaka");
        assert_eq!(look.ending("$.items[].price", 8), "….price"[..].replace("….price", "…].price"));
        assert_eq!(Look { unicode: false, ..look }.ending("$.items[].price", 8), "...price");
    }

    #[test]
    fn the_locale_and_the_terminal_may_ask_for_ascii() {
        let of = |pairs: &[(&str, &str)]| {
            let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            speaks_unicode(&environment)
        };
        assert!(of(&[]));
        assert!(of(&[("LANG", "de_DE.UTF-8"), ("TERM", "xterm")]));
        assert!(of(&[("LANG", "C.utf8")]));
        assert!(of(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]));
        assert!(!of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!of(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(!of(&[("LANG", "de_DE.UTF-8"), ("TERM", "dumb")]));
    }
}
