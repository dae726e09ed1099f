//! Session windows: which panes belong together, decided from the times of their first and last records
//! alone, so that every order of reading says the same.
//!
//! A session ends where no record came for the gap. Panes are no longer than the gap, so that no session
//! ends within one; it is a whole number of panes. One that grows longer than it may is ended before the
//! first pane that does not fit, and goes on as another.

/// A pane with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneTimes {
    /// Start, ms, inclusive.
    pub start_ms: i64,
    /// End, exclusive.
    pub end_ms: i64,
    /// Time of its first record, within the pane.
    pub first_ms: i64,
    /// Time of its last record.
    pub last_ms: i64,
}

impl PaneTimes {
    /// The pane's bounds, for one whose records' times are not known.
    pub fn whole(start_ms: i64, end_ms: i64) -> Self {
        Self { start_ms, end_ms, first_ms: start_ms, last_ms: end_ms - 1 }
    }

    /// Takes up what another agent saw of it; times outside of it are of late records, and don't count.
    pub fn see(mut self, first_ms: i64, last_ms: i64) -> Self {
        self.first_ms = self.first_ms.min(first_ms.max(self.start_ms));
        self.last_ms = self.last_ms.max(last_ms.min(self.end_ms - 1));
        self
    }
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Time of its first record, ms.
    pub from_ms: i64,
    /// No record of it can come at this time or later: the gap has passed, or the next one begins.
    pub to_ms: i64,
    /// Start of its first pane.
    pub start_ms: i64,
    /// End of its last pane.
    pub end_ms: i64,
}

/// The sessions of these panes, which are in the order of time.
pub fn sessions(panes: impl IntoIterator<Item = PaneTimes>, gap_ms: i64, longest_ms: i64) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut last_ms = i64::MIN;
    for pane in panes {
        let open = sessions.last_mut().filter(|session| {
            pane.first_ms.saturating_sub(last_ms) < gap_ms
                && pane.last_ms.saturating_sub(session.from_ms) < longest_ms
        });
        match open {
            Some(session) => session.end_ms = pane.end_ms,
            None => {
                if let Some(before) = sessions.last_mut() {
                    before.to_ms = before.to_ms.min(pane.first_ms);
                }
                sessions.push(Session {
                    from_ms: pane.first_ms,
                    to_ms: i64::MAX,
                    start_ms: pane.start_ms,
                    end_ms: pane.end_ms,
                });
            }
        }
        last_ms = last_ms.max(pane.last_ms);
        if let Some(session) = sessions.last_mut() {
            session.to_ms = last_ms.saturating_add(gap_ms);
        }
    }
    sessions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Panes of 10 from records.
    fn panes(times: &[i64]) -> Vec<PaneTimes> {
        let mut panes: BTreeMap<i64, PaneTimes> = BTreeMap::new();
        for at in times {
            let start_ms = at.div_euclid(10) * 10;
            let new = PaneTimes { start_ms, end_ms: start_ms + 10, first_ms: *at, last_ms: *at };
            panes.entry(start_ms).and_modify(|pane| *pane = pane.see(*at, *at)).or_insert(new);
        }
        panes.into_values().collect()
    }

    fn spans(times: &[i64], gap: i64, longest: i64) -> Vec<(i64, i64)> {
        sessions(panes(times), gap, longest).iter().map(|s| (s.from_ms, s.to_ms)).collect()
    }

    #[test]
    fn a_gap_ends_a_session_and_the_longest_cuts_it() {
        assert_eq!(spans(&[], 10, 100), []);
        assert_eq!(spans(&[5, 14, 23, 32], 10, 100), [(5, 42)]);
        assert_eq!(spans(&[5, 15], 10, 100), [(5, 15), (15, 25)], "so long without a record is a gap");
        assert_eq!(spans(&[5, 14, 30, 31], 10, 100), [(5, 24), (30, 41)]);
        assert_eq!(
            spans(&[0, 9, 18, 27, 36, 45], 10, 30),
            [(0, 36), (36, 55)],
            "the pane of 36 does not fit"
        );
        let session = sessions(panes(&[5, 14, 23]), 10, 100)[0];
        assert_eq!((session.start_ms, session.end_ms), (0, 30));
    }

    proptest! {
        /// Held against the definition, record by record.
        #[test]
        fn sessions_are_what_their_definition_says(
            steps in prop::collection::vec(0i64..40, 1..60),
            gap in 10i64..35,
        ) {
            let times: Vec<i64> = steps
                .iter()
                .scan(0, |at, step| {
                    *at += step;
                    Some(*at)
                })
                .collect();
            let mut expected: Vec<(i64, i64)> = Vec::new();
            for at in &times {
                match expected.last_mut().filter(|(_, to)| at < to) {
                    Some((_, to)) => *to = at + gap,
                    None => expected.push((*at, at + gap)),
                }
            }
            prop_assert_eq!(spans(&times, gap, i64::MAX), expected);
            // Cut, they hold the same records in the same order, and are no longer than they may be.
            let cut = sessions(panes(&times), gap, 50);
            for session in &cut {
                let within: Vec<i64> =
                    times.iter().copied().filter(|t| (session.start_ms..session.end_ms).contains(t)).collect();
                prop_assert_eq!(within[0], session.from_ms);
                prop_assert!(within[within.len() - 1] - session.from_ms < 50);
                prop_assert!(within.iter().all(|t| *t < session.to_ms));
            }
            prop_assert!(cut.iter().zip(cut.iter().skip(1)).all(|(a, b)| a.end_ms <= b.start_ms && a.to_ms <= b.from_ms));
        }
    }
}
