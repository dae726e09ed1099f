//! Known events: stretches of time that are no model for others. A sale, a migration, a load test.
//!
//! Detectors neither judge nor learn a window that lies in one, and no such window is the past of a
//! check. The law, property-tested in `detect/tests.rs`: whatever a stream does during a known event,
//! detectors are and tell afterwards what they would have been and told without it.

/// One known event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Start, ms, inclusive.
    pub from_ms: i64,
    /// End, ms, exclusive.
    pub to_ms: i64,
    /// What it is, in a person's words.
    pub note: String,
}

/// The known events of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events(Vec<Event>);

impl Events {
    /// There are none.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// In order of time.
    pub fn new(mut events: Vec<Event>) -> Self {
        events.sort_by_key(|event| (event.from_ms, event.to_ms));
        Self(events)
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that overlaps a window `[from, to)`.
    pub fn over(&self, from_ms: i64, to_ms: i64) -> Option<&Event> {
        self.0.iter().take_while(|event| event.from_ms < to_ms).find(|event| from_ms < event.to_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_over_what_it_shares_a_millisecond_with() {
        let event = |from_ms, to_ms, note: &str| Event { from_ms, to_ms, note: note.to_owned() };
        let events = Events::new(vec![event(100, 200, "late"), event(10, 20, "early")]);
        let over = |from, to| events.over(from, to).map(|event| event.note.as_str());
        assert_eq!([over(0, 10), over(20, 100), over(200, 300)], [None; 3]);
        assert_eq!([over(0, 11), over(19, 20), over(12, 13)], [Some("early"); 3]);
        assert_eq!([over(0, 1_000), over(15, 150)], [Some("early"); 2]);
        assert_eq!([over(199, 300), over(100, 101)], [Some("late"); 2]);
        assert_eq!(Events::NONE.over(i64::MIN, i64::MAX), None);
    }
}
