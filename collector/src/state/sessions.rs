//! Session windows of a topic: which there are is worked out from its panes, again and again, until no
//! late record can change it any more.
//!
//! A session is judged once the watermark has passed its end by the gap. Late panes may lengthen one,
//! join two or make one where there was none: what had been said of those from there on is taken back,
//! and they are judged anew when they are over.

use std::collections::VecDeque;

use checks::rules::{PaneTimes, Session, TopicRules, sessions};
use serde::{Deserialize, Serialize};

use super::judging;
use super::panes::{Pane, PaneKey};
use super::topic::Topic;
use super::verdicts::Said;
use super::windows::{Desk, Pace, Span, WINDOWS_MAX};

/// The sessions of a topic that are not final.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sessions {
    /// Panes before it are of sessions that are final.
    final_to_ms: Option<i64>,
    /// Those that were judged, by beginning and end.
    judged: VecDeque<(i64, i64)>,
}

impl Sessions {
    /// None of panes that end at or before this time.
    pub(crate) fn after(ms: i64) -> Self {
        Self { final_to_ms: Some(ms), judged: VecDeque::new() }
    }
}

impl Topic {
    /// The sessions that are not final, over or not; `None` where windows are of a size.
    pub(crate) fn open_sessions(&self, rules: &TopicRules) -> Option<Vec<Session>> {
        let gap_ms = rules.window.gap_ms?;
        let from_ms = self.windows.sessions.final_to_ms.unwrap_or(i64::MIN);
        let panes = self.panes.within(from_ms, i64::MAX).filter_map(|(key, pane)| times(key, pane));
        Some(sessions(panes, gap_ms, rules.window.size_ms))
    }

    /// Judges the sessions that are over by now, and those again that are not what they were, or that
    /// late panes belong to.
    pub(crate) fn close_sessions(&mut self, late: &[PaneKey], desk: &mut Desk<'_>) {
        let Some(watermark_ms) = self.watermark_ms else { return };
        let Some(all) = self.open_sessions(desk.rules) else { return };
        let over = all.iter().take_while(|session| session.to_ms <= watermark_ms).count();
        let judged = &self.windows.sessions.judged;
        let is_late = |session: &Session| {
            late.iter().any(|(start, end)| *start < session.end_ms && *end > session.start_ms)
        };
        let same = all[..over].iter().zip(judged).take_while(|(session, judged)| {
            (session.from_ms, session.to_ms) == **judged && !is_late(session)
        });
        let first = same.count().max(over.saturating_sub(WINDOWS_MAX as usize));
        if first < over {
            let again = judged.get(first).map(|(_, to_ms)| *to_ms.min(&all[first].to_ms));
            self.judge_sessions(&all[first..over], again, desk);
            self.windows.sessions.judged = all[..over].iter().map(|s| (s.from_ms, s.to_ms)).collect();
        }
        // What no record can change any more is final.
        let window = desk.rules.window;
        let changeable_ms = watermark_ms - window.allowed_lateness_ms - window.pane_ms;
        let sessions = &mut self.windows.sessions;
        for session in &all[..over] {
            let is_judged = sessions.judged.front() == Some(&(session.from_ms, session.to_ms));
            if !is_judged || session.to_ms > changeable_ms {
                break;
            }
            sessions.final_to_ms = Some(session.end_ms);
            sessions.judged.pop_front();
        }
    }

    /// Judges these; `again_ms` takes back what was said of sessions that ended then or later.
    fn judge_sessions(&mut self, sessions: &[Session], again_ms: Option<i64>, desk: &mut Desk<'_>) {
        let said: Option<Said> = again_ms.map(|_| self.said(desk));
        if let Some(again_ms) = again_ms {
            for rule in desk.rules.rules.iter().filter(|rule| judging::goes_by_window(rule)) {
                if let Some(state) = self.windows.checks.get_mut(&rule.id) {
                    state.take_back(again_ms);
                }
            }
            self.windows.baseline.take_back(again_ms);
        }
        for (at, session) in sessions.iter().enumerate() {
            let Session { from_ms, to_ms, start_ms, end_ms } = *session;
            let more = at + 1 < sessions.len();
            if desk.rules.rules.is_empty() && more {
                continue;
            }
            let pace = Pace { began_ms: from_ms, again: said.as_ref(), more };
            self.judge_window(Span { from_ms, to_ms, start_ms, end_ms }, pace, desk);
        }
    }
}

/// When the first and last records of a pane were, by all agents; `None` if it has none of its own.
fn times(key: PaneKey, pane: &Pane) -> Option<PaneTimes> {
    let (start_ms, end_ms) = key;
    // Its profile is gone: every moment of it may have had a record.
    if pane.settled {
        return Some(PaneTimes::whole(start_ms, end_ms));
    }
    let seen = pane.counted().into_iter().filter_map(|c| c.summary.as_ref());
    let seen = seen.filter(|s| s.last_record_ms > 0).map(|s| (s.first_record_ms, s.last_record_ms));
    let (first_ms, last_ms) = seen.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))?;
    let (first_ms, last_ms) = (first_ms.clamp(start_ms, end_ms - 1), last_ms.clamp(start_ms, end_ms - 1));
    Some(PaneTimes { start_ms, end_ms, first_ms, last_ms })
}
