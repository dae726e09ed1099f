//! `window:`: what a verdict looks at, and how often.

use super::{Decode, Metric, Rule, Sample, TimeSource, ValueFormat, bound};
use crate::yaml::{Map, Reader, Span, show_duration_ms};

pub(super) const KEYS: [&str; 6] = ["size", "every", "gap", "longest", "by", "allowed_lateness"];
pub(super) const BY: [(&str, WindowTime); 2] = [("record", WindowTime::Record), ("event", WindowTime::Event)];

/// Length of a pane, unless the window is shorter, ms.
const PANE_MS: i64 = 10_000;
const DAY_MS: i64 = 86_400_000;
/// Longest session, unless the file says otherwise, ms.
const LONGEST_MS: i64 = 3_600_000;
/// Panes of a session and what may be late beside it: as many are kept with their profiles.
const SESSION_PANES_MAX: i64 = 720;
/// What panes of sessions may last, ms.
const SESSION_PANES_MS: [i64; 6] = [PANE_MS, 30_000, 60_000, 300_000, 900_000, 3_600_000];
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
    /// Length of the window that a verdict looks at, ms; a multiple of `every_ms`. Of a session, the most.
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
    /// Windows are sessions: they end where no record came for so long, ms; at least `pane_ms`.
    pub gap_ms: Option<i64>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size_ms: 60_000,
            every_ms: PANE_MS,
            pane_ms: PANE_MS,
            allowed_lateness_ms: 30_000,
            by: WindowTime::Record,
            gap_ms: None,
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
        self.every_ms == self.size_ms && self.gap_ms.is_none()
    }
}

/// Reads it; the default where nothing is said.
pub(super) fn read(file: &Map<'_, '_, '_>) -> Window {
    let default = Window::default();
    let Some(map) = file.opt_map("window", &KEYS) else { return default };
    let allowed_lateness_ms =
        map.opt_duration_ms_in("allowed_lateness", 0..=DAY_MS).unwrap_or(default.allowed_lateness_ms);
    let by = map.opt_choice("by", &BY).unwrap_or_default();
    let window = Window { allowed_lateness_ms, by, ..default };
    if map.has("gap") || map.has("longest") { session(&map, window) } else { fixed(&map, window) }
}

/// Windows of a size.
fn fixed(map: &Map<'_, '_, '_>, window: Window) -> Window {
    let reader = map.reader();
    let size_ms = map.opt_duration_ms_in("size", 1_000..=7 * DAY_MS).unwrap_or(window.size_ms);
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
    Window { size_ms, every_ms, pane_ms, ..window }
}

/// Windows that end by a gap.
fn session(map: &Map<'_, '_, '_>, window: Window) -> Window {
    let reader = map.reader();
    for key in ["size", "every"].into_iter().filter(|key| map.has(key)) {
        let message = format!("sessions have no `{key}`: they end where no record came for `gap`");
        reader.error_help(map.key_span(key), message, "leave it out; `longest` bounds a session");
    }
    if !map.has("gap") && !map.misspelt("gap") {
        let help = "write `gap: 10m` with it: how long no record comes when a session is over";
        reader.error_help(
            map.key_span("longest"),
            "`longest` is of sessions, and nothing says what ends one",
            help,
        );
    }
    let gap_ms = map.opt_duration_ms_in("gap", 1_000..=DAY_MS).unwrap_or(PANE_MS);
    let short_ms = PANE_MS.min(gap_ms);
    let usual_ms = LONGEST_MS.min(SESSION_PANES_MAX / 2 * short_ms).max(gap_ms);
    let longest_ms = map.opt_duration_ms_in("longest", gap_ms..=7 * DAY_MS).unwrap_or(usual_ms);
    // A session ends within no pane as long as they are no longer than the gap.
    let fits = |pane_ms: i64| longest_ms.saturating_add(gap_ms) / pane_ms <= SESSION_PANES_MAX;
    let panes = [short_ms].into_iter().chain(SESSION_PANES_MS);
    let pane_ms = panes.filter(|pane_ms| *pane_ms <= gap_ms).find(|pane_ms| fits(*pane_ms));
    if pane_ms.is_none() {
        let at = map.get("longest").or_else(|| map.get("gap")).map_or(map.span(), |node| node.span);
        let (longest, gap) = (show_duration_ms(longest_ms), show_duration_ms(gap_ms));
        let message = format!(
            "a session of {longest} is more than {SESSION_PANES_MAX} panes, which are no longer than its gap ({gap})"
        );
        reader.error_help(at, message, "write a longer `gap`, or a shorter `longest`");
    }
    let pane_ms = pane_ms.unwrap_or(short_ms);
    Window { size_ms: longest_ms, every_ms: pane_ms, pane_ms, gap_ms: Some(gap_ms), ..window }
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

/// Does the check make sense where windows are sessions?
pub(super) fn in_sessions(reader: &Reader<'_>, at: Span, rule: &Rule, window: Window) {
    let Some(gap_ms) = window.gap_ms else { return };
    let gap = show_duration_ms(gap_ms);
    let name = rule.metric.name();
    if matches!(rule.metric, Metric::Ratio { .. }) {
        let message =
            "`ratio` compares a window with that of another topic, and a session is one topic's own";
        reader.error_help(at, message, "write `size` in the place of `gap`, or leave the check out");
    }
    if let Some(pattern) = rule.metric.pattern()
        && pattern.within_ms >= gap_ms
    {
        let within = show_duration_ms(pattern.within_ms);
        let message =
            format!("`{name}` within {within} reaches beyond a session, which ends by a gap of {gap}");
        reader.error_help(at, message, format!("write `within` shorter than {gap}, or a longer `gap`"));
    }
    if let (Metric::RowCount, Some(threshold)) = (&rule.metric, rule.threshold) {
        let (pass, fail) = bound::outcomes(threshold, rule.unit, Some(1.0), true);
        let message = match (pass, fail) {
            (false, _) => format!("`{threshold}` can never pass: a session has a record"),
            (_, false) if rule.baseline.is_none() => {
                format!("`{threshold}` can never fail: a session has a record")
            }
            _ => return,
        };
        reader.error_help(at, message, "write another bound; that nothing comes at all is `freshness`");
    }
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
