//! Detectors: what is unlike a topic's own past, found without any check file.
//!
//! [`Detectors`] is the state of one topic, a pure fold over its panes in order of time; the clock is
//! record time. Panes make windows (5 minutes by default). Volume is looked at window by window;
//! contents as soon as windows gathered have enough records for it.
//!
//! What keeps it from crying wolf, each held by simulation in `simulations`:
//! - a test needs significance *and* an effect worth telling, and significance is held against how
//!   much the statistic varies from window to window, not only against sampling;
//! - all tests of a topic and window are corrected together (Benjamini and Hochberg, 1995);
//! - two windows in a row, or one far beyond doubt;
//! - the past leaves out the window that is judged, and those that were found unlike it;
//! - one finding a field: what comes first (missing, types, nulls, values, distribution) stands for
//!   what follows from it; a renamed field is one, and many fields at once are one.
//!
//! A finding that stays for [`Settings::adopt_ms`] is the new normal: it ends, and what was learned
//! meanwhile is the past from then on.

mod alarm;
mod calendar;
mod cardinality;
mod categories;
mod contents;
mod field;
mod kept;
mod numbers;
mod observation;
#[cfg(test)]
pub(crate) mod random;
mod rate;
mod telling;
mod volume;

#[cfg(test)]
mod simulations;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use calendar::TimeZone;
pub use kept::FORMAT;
pub use observation::{Movement, Observation, What};
pub use rate::share_effect;

use crate::events::{Event, Events};
use crate::report::PaneSummary;
use contents::Contents;
use volume::Volume;

/// Windows closed after a jump of time; a longer one is a stretch that nothing is known of.
const WINDOWS_MAX: i64 = 300;
/// Records examined that windows are gathered for.
const RECORDS_ENOUGH: u64 = 500;
/// Windows gathered at most, if they have [`RECORDS_FEW`].
const GATHERED_MAX: u32 = 12;
/// With fewer, gathering goes on.
const RECORDS_FEW: u64 = 100;

/// How detectors look at a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Length of a window, ms.
    pub window_ms: i64,
    /// How long a topic, and each field, is learned before it is judged, ms.
    pub learn_ms: i64,
    /// After so long what was unlike the past is the new normal, ms.
    pub adopt_ms: i64,
    /// Where the seasons are.
    pub time_zone: TimeZone,
    /// How much it takes to be told.
    pub sensitivity: Sensitivity,
    /// Known events: windows that overlap one are neither judged nor learned from.
    pub events: Arc<Events>,
}

impl Default for Settings {
    fn default() -> Self {
        const HOUR_MS: i64 = calendar::HOUR_MS;
        Self {
            window_ms: 5 * 60_000,
            learn_ms: 24 * HOUR_MS,
            adopt_ms: 24 * HOUR_MS,
            time_zone: TimeZone::default(),
            sensitivity: Sensitivity::default(),
            events: Arc::default(),
        }
    }
}

impl Settings {
    /// Windows that the past holds: three times what is learned from.
    fn memory(&self) -> f64 {
        ((self.learn_ms / self.window_ms.max(1)).max(12) * 3) as f64
    }
}

/// How much it takes to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Half as large again, and ten times surer.
    Low,
    /// At most one false finding a topic and month.
    #[default]
    Normal,
    /// A third smaller, and ten times less sure.
    High,
}

impl Sensitivity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// What effects must exceed.
    fn scale(self) -> f64 {
        match self {
            Self::Low => 1.5,
            Self::Normal => 1.0,
            Self::High => 2.0 / 3.0,
        }
    }

    /// False discoveries among what is suspicious in a window.
    fn false_share(self) -> f64 {
        match self {
            Self::Low => 1e-4,
            Self::Normal => 1e-3,
            Self::High => 1e-2,
        }
    }
}

/// What is found. In order of what stands for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Records of a window, against the season.
    Volume,
    /// Values that do not decode.
    DecodeFailures,
    /// Many fields at once.
    ManyFields,
    /// A field is there under another name.
    Renamed,
    /// A field is missing more often, or altogether.
    Missing,
    /// A field that was not there before.
    NewField,
    /// Its values are of another type.
    Types,
    /// Nulls.
    Nulls,
    /// Empty strings, arrays, objects.
    Empty,
    /// A value that was not there before.
    NewValue,
    /// The share of a value.
    Categories,
    /// Numbers.
    Distribution,
    /// How many different values.
    Cardinality,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Volume,
        Self::DecodeFailures,
        Self::ManyFields,
        Self::Renamed,
        Self::Missing,
        Self::NewField,
        Self::Types,
        Self::Nulls,
        Self::Empty,
        Self::NewValue,
        Self::Categories,
        Self::Distribution,
        Self::Cardinality,
    ];

    /// As the detector of a finding is named.
    pub fn name(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::DecodeFailures => "decode_failures",
            Self::ManyFields => "many_fields",
            Self::Renamed => "renamed_field",
            Self::Missing => "missing_values",
            Self::NewField => "new_field",
            Self::Types => "types",
            Self::Nulls => "null_values",
            Self::Empty => "empty_values",
            Self::NewValue => "new_value",
            Self::Categories => "value_shares",
            Self::Distribution => "distribution",
            Self::Cardinality => "cardinality",
        }
    }
}

/// Where a topic's detectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// No window has closed yet.
    Unseen,
    /// Too little of the past is known.
    Learning {
        /// Known so far, ms.
        known_ms: i64,
        /// Needed, ms.
        needed_ms: i64,
    },
    /// At work.
    Watching,
}

impl Status {
    /// `learning, 3 of 24 h`.
    pub fn text(self) -> String {
        match self {
            Self::Unseen => "no window yet".to_owned(),
            Self::Learning { known_ms, needed_ms } => {
                let (unit_ms, unit) = [(calendar::HOUR_MS, "h"), (60_000, "min")]
                    .into_iter()
                    .find(|(ms, _)| needed_ms % ms == 0)
                    .unwrap_or((1_000, "s"));
                format!("learning, {} of {} {unit}", known_ms / unit_ms, needed_ms / unit_ms)
            }
            Self::Watching => "watching".to_owned(),
        }
    }
}

/// The detectors of one topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detectors {
    /// Start of the first window, ms.
    begun_ms: Option<i64>,
    /// Start of the window that is open, ms.
    open_ms: i64,
    /// Records of the open window.
    open_read: u64,
    /// Counts before this time lack records: volume is neither judged nor learned.
    unsure_to_ms: Option<i64>,
    volume: Volume,
    contents: Contents,
    /// Windows gathered for their contents.
    gathered: Gathered,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Gathered {
    from_ms: i64,
    windows: u32,
    #[serde(with = "kept::as_report")]
    summary: Box<PaneSummary>,
}

impl Detectors {
    /// Where they are.
    pub fn status(&self, settings: &Settings) -> Status {
        let Some(begun_ms) = self.begun_ms else { return Status::Unseen };
        let (known_ms, needed_ms) = (self.open_ms - begun_ms, settings.learn_ms);
        if known_ms < needed_ms { Status::Learning { known_ms, needed_ms } } else { Status::Watching }
    }

    /// Records before this time were passed over, or may have been: counts up to it say nothing.
    pub fn unsure_to(&mut self, to_ms: i64) {
        self.unsure_to_ms = self.unsure_to_ms.max(Some(to_ms));
    }

    /// Was some of this time taken up already?
    pub fn know_some_of(&self, from_ms: i64, to_ms: i64) -> bool {
        self.begun_ms.is_some_and(|begun| begun < to_ms) && from_ms < self.open_ms
    }

    /// Takes a pane that is closed. Panes come once each, in order of time.
    pub fn pane(
        &mut self,
        from_ms: i64,
        to_ms: i64,
        summary: &PaneSummary,
        settings: &Settings,
    ) -> Vec<Observation> {
        let observations = self.pass(from_ms, settings);
        if self.begun_ms.is_none() {
            self.open_ms = from_ms.div_euclid(settings.window_ms.max(1)) * settings.window_ms.max(1);
            // A topic is hardly ever first seen at the beginning of a window.
            self.unsure_to(to_ms);
            self.begun_ms = Some(self.open_ms);
        }
        self.open_read = self.open_read.saturating_add(summary.read);
        let window_to_ms = self.open_ms.saturating_add(settings.window_ms.max(1));
        if settings.events.over(self.open_ms.min(from_ms), window_to_ms.max(to_ms)).is_none() {
            self.gathered.summary.merge_profile(summary);
        }
        observations
    }

    /// Time has come to `to_ms`: all panes before it were given. Closes the windows before it.
    pub fn pass(&mut self, to_ms: i64, settings: &Settings) -> Vec<Observation> {
        let mut observations = Vec::new();
        let window_ms = settings.window_ms.max(1);
        // A window after it has still an end.
        let to_ms = to_ms.min(i64::MAX - 2 * window_ms);
        if self.begun_ms.is_none() {
            return observations;
        }
        if to_ms.saturating_sub(self.open_ms) / window_ms > WINDOWS_MAX {
            self.close(&mut observations, settings);
            self.volume.interrupt();
            self.open_ms = to_ms.div_euclid(window_ms) * window_ms;
            self.unsure_to(to_ms);
        }
        while self.open_ms.saturating_add(window_ms) <= to_ms {
            self.close(&mut observations, settings);
        }
        observations
    }

    fn close(&mut self, observations: &mut Vec<Observation>, settings: &Settings) {
        let (from_ms, to_ms) = (self.open_ms, self.open_ms.saturating_add(settings.window_ms.max(1)));
        let read = std::mem::take(&mut self.open_read);
        self.open_ms = to_ms;
        if let Some(event) = settings.events.over(from_ms, to_ms) {
            self.leave_out(event, [from_ms, to_ms], observations, settings);
            return;
        }
        let judged = self.begun_ms.is_some_and(|begun| from_ms - begun >= settings.learn_ms);
        if self.unsure_to_ms.is_some_and(|unsure| from_ms < unsure) {
            self.volume.interrupt();
        } else {
            let look = self.volume.window(read as f64, from_ms, to_ms, judged, settings);
            observations.extend(look.and_then(|look| Observation::of_volume(&look, to_ms)));
        }
        let gathered = &mut self.gathered;
        if gathered.windows == 0 {
            gathered.from_ms = from_ms;
        }
        gathered.windows += 1;
        let examined = gathered.summary.examined;
        let enough =
            examined >= RECORDS_ENOUGH || (gathered.windows >= GATHERED_MAX && examined >= RECORDS_FEW);
        if !enough {
            return;
        }
        let Gathered { from_ms, summary, .. } = std::mem::take(gathered);
        let judged = self.begun_ms.is_some_and(|begun| from_ms - begun >= settings.learn_ms);
        let window = contents::Window { from_ms, to_ms, summary: &summary, judged };
        observations.extend(self.contents.window(&window, settings));
    }

    /// Leaves out a window that lies in a known event. What was found before is over, and what was
    /// begun is left: nothing of it says what comes after.
    fn leave_out(
        &mut self,
        event: &Event,
        [from_ms, to_ms]: [i64; 2],
        observations: &mut Vec<Observation>,
        settings: &Settings,
    ) {
        self.gathered = Gathered::default();
        let volume = self.volume.end().map(|alarm| (alarm, None));
        for (alarm, field) in volume.into_iter().chain(self.contents.end()) {
            let times = [alarm.began_ms, from_ms, to_ms];
            observations.push(Observation::of_event(event, alarm.kind, field, times));
        }
        // Learning takes as long as it takes without it.
        let length_ms = to_ms - from_ms;
        self.begun_ms = self.begun_ms.map(|begun| learned_later(begun, from_ms, length_ms, settings));
        for field in self.contents.fields.values_mut() {
            field.since_ms = learned_later(field.since_ms, from_ms, length_ms, settings);
        }
    }

    /// What moved in the windows closed since the last call, and is no finding by itself.
    pub fn take_moved(&mut self) -> Vec<Movement> {
        std::mem::take(&mut self.contents.moved)
    }

    /// How many findings of each kind are open.
    pub fn open(&self) -> BTreeMap<Kind, usize> {
        let mut open = BTreeMap::new();
        let volume = self.volume.alarm.iter().filter(|alarm| alarm.raised).map(|alarm| alarm.kind);
        volume.chain(self.contents.open()).for_each(|kind| *open.entry(kind).or_insert(0) += 1);
        open
    }
}

/// Since when something is learned that is not known yet, a window being left out.
fn learned_later(since_ms: i64, from_ms: i64, length_ms: i64, settings: &Settings) -> i64 {
    if from_ms - since_ms < settings.learn_ms { since_ms + length_ms } else { since_ms }
}
