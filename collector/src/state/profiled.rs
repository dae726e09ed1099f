//! The profile of a topic over a stretch of time that somebody asks for, from the panes that still have theirs.

use checks::report::PaneSummary;

use super::topic::Topic;

/// Panes merged for one answer: the owner of the state does nothing else meanwhile.
const PANES_MAX: usize = 512;

/// Which stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// So long, ms, up to the end of the last closed window, or of what is there before one has closed.
    Last(i64),
    /// From a time on, ms, up to another one.
    Between(i64, i64),
}

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profiled {
    /// What was asked, ms.
    pub from_ms: i64,
    /// Its end, exclusive.
    pub to_ms: i64,
    /// The panes that lie in it as a whole, merged.
    pub summary: PaneSummary,
    /// How many they are.
    pub panes: usize,
    /// Panes that lie in it whose profile is no longer kept, or that were too many.
    pub panes_without: usize,
    /// Start of the first pane that has its profile still, whether asked for or not.
    pub kept_from_ms: Option<i64>,
}

pub(super) fn of(topic: &Topic, stretch: Stretch) -> Profiled {
    let (from_ms, to_ms) = match stretch {
        Stretch::Between(from_ms, to_ms) => (from_ms, to_ms.max(from_ms)),
        Stretch::Last(length_ms) => {
            let closed = topic.windows.span.map(|span| span.to_ms);
            let to_ms = closed.or_else(|| topic.panes.last_end_ms()).unwrap_or(0);
            (to_ms.saturating_sub(length_ms), to_ms)
        }
    };
    let mut known =
        Profiled { from_ms, to_ms, kept_from_ms: topic.panes.first_live_ms(), ..Profiled::default() };
    for (_, pane) in topic.panes.within(from_ms, to_ms) {
        let counted = pane.counted();
        if known.panes == PANES_MAX || counted.iter().any(|contribution| contribution.summary.is_none()) {
            known.panes_without += 1;
            continue;
        }
        known.panes += 1;
        counted.iter().filter_map(|contribution| contribution.summary.as_ref()).for_each(|part| {
            known.summary.merge(part);
        });
    }
    known
}
