//! Marks: known events, as a person tells them. They are no part of the fold over reports but, like
//! rules, what it goes by; each takes effect at one place in the order of reports, and again at the
//! same place after a restart (`history`).

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::events::{Event, Events};
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Marks kept.
const MARKS_MAX: usize = 200;
/// Patterns of one mark.
const PATTERNS_MAX: usize = 10;
/// Bytes of a pattern: as long as a topic's name may be.
const PATTERN_BYTES_MAX: usize = 249;
/// What a pattern, and its cache, may take in memory, bytes.
const COMPILED_BYTES_MAX: usize = 64 << 10;
/// Characters of a note.
const NOTE_CHARS_MAX: usize = 200;
/// The longest event.
const LONGEST_MS: i64 = 366 * 86_400_000;
/// Times before and after these (the years 1970 and 9999) are none that a person means.
const TIMES_MS: std::ops::Range<i64> = 0..253_402_300_800_000;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMark {
    /// Regular expressions, of which one matches a topic's whole name.
    pub topics: Vec<String>,
    /// Start, ms, inclusive.
    pub from_ms: i64,
    /// End, ms, exclusive.
    pub to_ms: i64,
    /// What it is.
    pub note: String,
}

/// A mark that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub id: i64,
    /// When it was told, ms.
    pub made_ms: i64,
    /// What was told.
    pub what: NewMark,
}

/// What a new mark does and does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The mark.
    pub mark: Mark,
    /// Topics known by now that it is about, in order.
    pub topics: Vec<String>,
    /// Of these, those whose detectors had taken up some of it already.
    pub learned: Vec<String>,
    /// A restart keeps it.
    pub kept: bool,
}

/// Why a mark is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// It can't be one.
    #[error("{0}")]
    Invalid(String),
    /// There are as many as there may be.
    #[error(
        "there are {MARKS_MAX} marks already, which is the most: remove one first (`tapline mark --list`)"
    )]
    TooMany,
    /// There is none of this number.
    #[error("there is no mark {0}: `tapline mark --list` shows those there are")]
    Unknown(i64),
    /// It could not be kept: try again later.
    #[error("the mark can't be kept just now: {0}")]
    Unkept(String),
}

impl NewMark {
    /// Is it one that can be in force?
    fn compile(&self) -> Result<Vec<Regex>, MarkError> {
        let invalid = |why: String| Err(MarkError::Invalid(why));
        if self.topics.is_empty() || self.topics.len() > PATTERNS_MAX {
            let n = self.topics.len();
            return invalid(format!(
                "`topics`: a mark names 1 to {PATTERNS_MAX} topics or patterns, not {n}"
            ));
        }
        if !TIMES_MS.contains(&self.from_ms) || !TIMES_MS.contains(&self.to_ms) {
            return invalid("`from` and `to` are times from 1970 to 9999".to_owned());
        }
        if self.to_ms <= self.from_ms {
            return invalid("`to` must come after `from`".to_owned());
        }
        if self.to_ms - self.from_ms > LONGEST_MS {
            return invalid(format!(
                "an event lasts {} days at most: what lasts longer becomes usual by itself",
                LONGEST_MS / 86_400_000
            ));
        }
        let chars = self.note.chars().count();
        if self.note.trim().is_empty() || chars > NOTE_CHARS_MAX {
            return invalid(format!(
                "`note`: say in 1 to {NOTE_CHARS_MAX} characters what it is ({chars} given)"
            ));
        }
        if !self.note.chars().all(checks::tape::printable) {
            return invalid("`note`: printable characters only, on one line".to_owned());
        }
        self.topics.iter().map(|pattern| compile(pattern)).collect()
    }
}

/// Names of topics are ASCII, so that patterns are, and small.
fn compile(pattern: &str) -> Result<Regex, MarkError> {
    let invalid = |why: &str| {
        let shown: String = pattern.escape_debug().take(PATTERN_BYTES_MAX).collect();
        MarkError::Invalid(format!("`topics`: \"{shown}\" {why}"))
    };
    if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
        return Err(invalid(&format!("has {} bytes; 1 to {PATTERN_BYTES_MAX} are right", pattern.len())));
    }
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .unicode(false)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
    };
    // By itself first: an unbalanced bracket must not close ours.
    build(pattern).and_then(|_| build(&format!("^(?:{pattern})$"))).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => invalid("grows too large: write a simpler pattern"),
        error => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
            invalid(&format!("is no regular expression: {reason}"))
        }
    })
}

#[derive(Clone, Debug)]
struct InForce {
    mark: Mark,
    topics: Vec<Regex>,
}

impl InForce {
    fn is_about(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| pattern.is_match(topic.as_bytes()))
    }
}

/// All marks, and what they come to topic by topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    by_id: BTreeMap<i64, InForce>,
    last_id: i64,
    /// Resolved when first needed; one entry a topic of the state.
    of_topics: BTreeMap<String, Arc<Events>>,
}

impl Marks {
    /// Numbers up to this one have been given.
    pub(super) fn begin_after(&mut self, last_id: i64) {
        self.last_id = self.last_id.max(last_id);
    }

    /// The mark that this would be, if it can be one.
    pub(super) fn draft(&self, what: NewMark, made_ms: i64) -> Result<Mark, MarkError> {
        what.compile()?;
        if self.by_id.len() >= MARKS_MAX {
            return Err(MarkError::TooMany);
        }
        Ok(Mark { id: self.last_id + 1, made_ms, what })
    }

    /// Puts a mark in force.
    pub(super) fn put(&mut self, mark: Mark) -> Result<(), MarkError> {
        let topics = mark.what.compile()?;
        self.begin_after(mark.id);
        self.by_id.insert(mark.id, InForce { mark, topics });
        self.of_topics.clear();
        Ok(())
    }

    /// Takes a mark back; says whether there was one.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        self.of_topics.clear();
        self.by_id.remove(&id).is_some()
    }

    /// Is there such a mark?
    pub(super) fn contains(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Forgets events that ended before.
    pub(super) fn forget(&mut self, before_ms: i64) {
        let count = self.by_id.len();
        self.by_id.retain(|_, known| known.mark.what.to_ms >= before_ms);
        if self.by_id.len() != count {
            self.of_topics.clear();
        }
    }

    /// What is known of a topic.
    pub(super) fn of(&mut self, topic: &str) -> Arc<Events> {
        if let Some(events) = self.of_topics.get(topic) {
            return Arc::clone(events);
        }
        let event = |mark: &Mark| Event {
            from_ms: mark.what.from_ms,
            to_ms: mark.what.to_ms,
            note: mark.what.note.clone(),
        };
        let events = Arc::new(Events::new(self.about(topic).map(event).collect()));
        self.of_topics.insert(topic.to_owned(), Arc::clone(&events));
        events
    }

    /// Those about a topic, in order of their numbers.
    pub(super) fn about<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Mark> {
        self.by_id.values().filter(move |known| known.is_about(topic)).map(|known| &known.mark)
    }

    /// All, in order of their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = &Mark> {
        self.by_id.values().map(|known| &known.mark)
    }

    /// Forgets what was resolved for topics that are gone.
    pub(super) fn retain_topics(&mut self, known: impl Fn(&str) -> bool) {
        self.of_topics.retain(|topic, _| known(topic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale(topics: &[&str]) -> NewMark {
        let topics = topics.iter().map(|t| (*t).to_owned()).collect();
        NewMark { topics, from_ms: 1_000, to_ms: 2_000, note: "sale".to_owned() }
    }

    #[test]
    fn a_mark_is_about_the_topics_whose_whole_name_it_matches() {
        let mut marks = Marks::default();
        let mark = marks.draft(sale(&["orders", "pay.*"]), 5).unwrap();
        assert_eq!((mark.id, mark.made_ms), (1, 5));
        marks.put(mark).unwrap();
        let over = |marks: &mut Marks, topic: &str| marks.of(topic).over(1_500, 1_600).is_some();
        assert!(over(&mut marks, "orders") && over(&mut marks, "payments"));
        assert!(!over(&mut marks, "orders-dlq") && !over(&mut marks, "repay"));
        assert!(marks.remove(1) && !marks.remove(1));
        assert!(!over(&mut marks, "orders"), "what was resolved goes with it");
        assert_eq!(marks.draft(sale(&["x"]), 5).unwrap().id, 2, "numbers are not given twice");
    }

    #[test]
    fn what_can_be_no_mark_is_refused_with_what_would_be_right() {
        let marks = Marks::default();
        let refused = |what: NewMark| match marks.draft(what, 0) {
            Err(MarkError::Invalid(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(refused(sale(&[])).contains("1 to 10 topics"));
        assert!(refused(sale(&["x"; 11])).contains("not 11"));
        assert!(refused(sale(&[""])).contains("has 0 bytes"));
        assert!(refused(sale(&["a)|(b"])).contains("no regular expression"));
        assert!(refused(sale(&["(.{100}){1000}"])).contains("simpler"));
        assert!(refused(sale(&[&"x".repeat(250)])).contains("has 250 bytes"));
        assert!(refused(NewMark { to_ms: 1_000, ..sale(&["x"]) }).contains("after `from`"));
        assert!(refused(NewMark { to_ms: i64::MAX, ..sale(&["x"]) }).contains("1970 to 9999"));
        assert!(refused(NewMark { from_ms: -1, ..sale(&["x"]) }).contains("1970 to 9999"));
        assert!(refused(NewMark { to_ms: 367 * 86_400_000, ..sale(&["x"]) }).contains("366 days"));
        for note in ["", " ", "a\nb", "\u{1b}[31m", "\u{202e}x", &"é".repeat(201)] {
            assert!(
                refused(NewMark { note: note.to_owned(), ..sale(&["x"]) }).contains("`note`"),
                "{note:?}"
            );
        }
        assert!(marks.draft(NewMark { note: "é".repeat(200), ..sale(&["[a-z0-9._-]{1,249}"]) }, 0).is_ok());
    }

    #[test]
    fn marks_are_bounded_and_those_long_over_go() {
        let mut marks = Marks::default();
        for _ in 0..MARKS_MAX {
            let mark = marks.draft(sale(&["x"]), 0).unwrap();
            marks.put(mark).unwrap();
        }
        assert_eq!(marks.draft(sale(&["x"]), 0), Err(MarkError::TooMany));
        marks.forget(2_000);
        assert_eq!(marks.all().count(), MARKS_MAX);
        marks.forget(2_001);
        assert_eq!(marks.all().count(), 0);
        assert!(!marks.contains(1));
    }
}
