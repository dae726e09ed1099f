//! `window:`: what a verdict looks at, and how often.

use super::{Decode, Sample, TimeSource, ValueFormat};
use crate::yaml::{Map, show_duration_ms};

pub(super) const KEYS: [&str; 4] = ["size", "every", "by", "allowed_lateness"];
pub(super) const BY: [(&str, WindowTime); 2] = [("record", WindowTime::Record), ("event", WindowTime::Event)];

/// Length of a pane, unless the window is shorter, ms.
const PANE_MS: i64 = 10_000;
const DAY_MS: i64 = 86_400_000;
/// Times further ahead than this are not believed, ms.
const AHEAD_MS_MAX: i64 = 3_600_000;

/// Which time puts a record into its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowTime {
    /// The record's timestamp.
    #[default]
    Record,
    /// The payload's own (`time`).
    Event,
}

/// `window:`, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Length of the window that a verdict looks at, ms; a multiple of `every_ms`.
    pub size_ms: i64,
    /// How often a window is judged, ms; a multiple of `pane_ms`. Windows tumble where it is their
    /// size, and slide where it is less.
    pub every_ms: i64,
    /// Length of a pane, ms: 10 s, or the window if that is shorter.
    pub pane_ms: i64,
    /// How long after its close a pane still takes late records, ms.
    pub allowed_lateness_ms: i64,
    /// Which time records go by.
    pub by: WindowTime,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size_ms: 60_000,
            every_ms: PANE_MS,
            pane_ms: PANE_MS,
            allowed_lateness_ms: 30_000,
            by: WindowTime::Record,
        }
    }
}

impl Window {
    /// End of the last window that ends at or before this time, ms.
    pub fn last_end_ms(&self, ms: i64) -> i64 {
        let every_ms = self.every_ms.max(1);
        ms.div_euclid(every_ms).saturating_mul(every_ms)
    }

    /// End of the first window that ends after this time, ms.
    pub fn next_end_ms(&self, ms: i64) -> i64 {
        self.last_end_ms(ms).saturating_add(self.every_ms.max(1))
    }

    /// How far ahead of the present a time is believed, ms: with so many open panes at most, a clock
    /// that runs ahead must not push the panes of the present out.
    pub fn ahead_ms(&self, open_panes_max: usize) -> i64 {
        let half = (open_panes_max as i64 / 2).saturating_mul(self.pane_ms);
        half.clamp(self.pane_ms, AHEAD_MS_MAX.max(self.pane_ms))
    }

    /// Do its windows not overlap?
    pub fn tumbles(&self) -> bool {
        self.every_ms == self.size_ms
    }
}

/// Reads it; the default where nothing is said.
pub(super) fn read(file: &Map<'_, '_, '_>) -> Window {
    let default = Window::default();
    let Some(map) = file.opt_map("window", &KEYS) else { return default };
    let reader = map.reader();
    let size_ms = map.opt_duration_ms_in("size", 1_000..=7 * DAY_MS).unwrap_or(default.size_ms);
    let pane_ms = PANE_MS.min(size_ms);
    if let Some(node) = map.get("size").filter(|_| size_ms % pane_ms != 0) {
        let help = "write a multiple of 10s, or less than 10s";
        reader.error_help(node.span, "a window is a whole number of panes (10s)", help);
    }
    let every_ms = map.opt_duration_ms("every").unwrap_or(pane_ms);
    if let Some(node) = map.get("every") {
        let (size, pane) = (show_duration_ms(size_ms), show_duration_ms(pane_ms));
        if every_ms > size_ms {
            let message =
                format!("a window of {size} every {} leaves records out", show_duration_ms(every_ms));
            reader.error_help(node.span, message, format!("write `every: {size}` or less"));
        } else if every_ms <= 0 || every_ms % pane_ms != 0 || size_ms % every_ms != 0 {
            let message =
                format!("a window of {size} is no whole number of such steps, of whole panes ({pane})");
            reader.error_help(node.span, message, steps(size_ms, pane_ms));
        }
    }
    let allowed_lateness_ms =
        map.opt_duration_ms_in("allowed_lateness", 0..=DAY_MS).unwrap_or(default.allowed_lateness_ms);
    let by = map.opt_choice("by", &BY).unwrap_or_default();
    Window { size_ms, every_ms, pane_ms, allowed_lateness_ms, by }
}

/// Can records be put into windows by event time, as the rest of the file has it?
pub(super) fn placeable(
    file: &Map<'_, '_, '_>,
    window: Window,
    time: &TimeSource,
    decode: &Decode,
    sample: Sample,
) {
    if window.by != WindowTime::Event {
        return;
    }
    let reader = file.reader();
    let Some(node) = file.get("window").and_then(|window| window.get("by")) else { return };
    // What is wrong with a time that is there has been said.
    if *time == TimeSource::Record && !file.has("time") && !file.misspelt("time") {
        let help = "write `time: { field: $.created_at, format: rfc3339 }` in the file's head";
        reader.error_help(
            node.span,
            "windows go by the payload's own time, and nothing says where it is",
            help,
        );
    }
    if matches!(decode.value, ValueFormat::Text | ValueFormat::Bytes) {
        let message = "the payload's own time is in the value, and `decode.value` says not to look into it";
        reader.error_help(node.span, message, "write `value: auto`, or `by: record`");
    }
    let unplaced = "a record that is not examined has no event time to be put into its window by";
    if sample.examine < 1.0 {
        reader.error_help(node.span, unplaced, "write `examine: 100%`, or `by: record`");
    }
    if sample.at_most_per_second.is_some() {
        reader.error_help(node.span, unplaced, "leave `at_most` out, or write `by: record`");
    }
}

/// What `every` may be for a window of this size.
fn steps(size_ms: i64, pane_ms: i64) -> String {
    let panes = (size_ms / pane_ms.max(1)).min(100_000);
    let fitting: Vec<i64> =
        (1..=panes).filter(|n| size_ms % (n * pane_ms) == 0).map(|n| n * pane_ms).collect();
    // The shortest few, and the whole: windows that tumble.
    let mut shown: Vec<String> = fitting.iter().take(4).map(|ms| show_duration_ms(*ms)).collect();
    if fitting.len() > 4 {
        shown.push(show_duration_ms(size_ms));
    }
    format!("write {}", shown.iter().map(|s| format!("`every: {s}`")).collect::<Vec<_>>().join(" or "))
}
