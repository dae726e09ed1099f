//! The tests that check files carry, run offline: records in, verdicts out, held against what the
//! file expects.
//!
//! ```text
//! given --json::decode--> Document --Examiner--> PaneSummary --judge--> Verdict == expected?
//! ```
//!
//! A test goes through the same code as the records of a topic; only the clock and the offsets are
//! made up. Each is one window, beginning at a fixed moment, and judged at its end. The windows that
//! a test gives as `before` are read and judged one by one ahead of it, and make its past. Where windows
//! go by event time, a record is in the window that its event time says.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use crate::examine::ExamineError;
use crate::judge;
use crate::judge::past::History;
use crate::limits::Limits;
use crate::offline::{self, Beside, Judged, Piece};
use crate::record::{Header, RecordView, Timestamp};
use crate::report::PaneSummary;
use crate::rules::{
    self, CheckFile, CheckSet, Fixture, FixtureRecord, PaneTimes, Rule, TopicRules, TopicSelector, WindowTime,
};
use crate::verdict::{Status, Verdict};

/// When the window of every test begins, but for rounding it down to a whole window:
/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
/// The part of what lies in no window of a test.
const NO_WINDOW: usize = usize::MAX;
/// The topic of tests in a file that selects its topics by pattern.
const UNNAMED_TOPIC: &str = "test";

/// How the tests of a set of files went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FixtureRun {
    /// Every test, in the order of the files.
    pub tests: Vec<TestRun>,
    /// Checks that no test has made fail: nobody has seen them work.
    pub never_failed: Vec<NeverFailed>,
}

/// How one test went.
#[derive(Clone, Debug, PartialEq)]
pub struct TestRun {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// One for each expectation, in the order of the file.
    pub outcomes: Vec<Outcome>,
}

/// What was expected of a check, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Id of the check.
    pub check: String,
    /// What the test says.
    pub expected: Status,
    /// What the judge says.
    pub got: Status,
    /// The verdict's sentence.
    pub message: String,
}

/// A check that no test has made fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverFailed {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// Its id.
    pub check: String,
}

impl FixtureRun {
    /// How many tests do not hold.
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| !test.holds()).count()
    }
}

impl TestRun {
    /// Is everything as expected?
    pub fn holds(&self) -> bool {
        self.outcomes.iter().all(Outcome::holds)
    }
}

impl Outcome {
    /// Is it as expected?
    pub fn holds(&self) -> bool {
        self.expected == self.got
    }
}

/// Runs all tests of all files. Each goes by the checks of its own file alone.
pub fn run(set: &CheckSet, limits: &Limits) -> FixtureRun {
    let mut all = FixtureRun::default();
    for file in &set.files {
        let mut failed = HashSet::new();
        for fixture in &file.tests {
            let verdicts = verdicts(file, fixture, limits);
            let failing = verdicts.iter().filter(|(_, verdict)| verdict.status == Status::Fail);
            failed.extend(failing.map(|(id, _)| id.clone()));
            all.tests.push(compare(file, fixture, &verdicts));
        }
        let never = file.rules.iter().filter(|rule| !failed.contains(&rule.id));
        all.never_failed.extend(never.map(|rule| NeverFailed {
            file: file.path.clone(),
            line: rule.origin.line,
            check: rule.id.clone(),
        }));
    }
    all
}

/// A verdict for every check of the file.
fn verdicts(file: &CheckFile, fixture: &Fixture, limits: &Limits) -> Vec<(String, Verdict)> {
    let topic = match &file.topics {
        TopicSelector::Names(names) => names.first().map_or(UNNAMED_TOPIC, String::as_str),
        TopicSelector::Pattern(_) => UNNAMED_TOPIC,
    };
    let rules = file.for_topic(topic);
    let size_ms = rules.window.size_ms;
    let from_ms = START_MS - START_MS.rem_euclid(size_ms);
    match Story::new(&rules, limits) {
        Ok(mut story) => {
            let before = fixture.before.iter();
            let repeated = before.flat_map(|w| std::iter::repeat_n(w.given.as_slice(), w.repeat as usize));
            let windows: Vec<&[FixtureRecord]> = repeated.chain([fixture.given.as_slice()]).collect();
            let first_ms = from_ms - (windows.len() as i64 - 1) * size_ms;
            let judged = match (rules.window.gap_ms, rules.window.by) {
                (Some(gap_ms), _) => story.sessions(&windows, from_ms, gap_ms),
                (None, WindowTime::Record) => story.by_record_time(&windows, first_ms),
                (None, WindowTime::Event) => story.by_event_time(&windows, first_ms),
            };
            judged
                .into_iter()
                .flat_map(|judged| judged.checks)
                .map(|(rule, v)| (rule.id.clone(), v))
                .collect()
        }
        // Loading has compiled everything: only a limit could still be in the way.
        Err(error) => {
            let verdict = |rule: &Arc<Rule>| {
                let verdict = Verdict::without(Status::Error, error.to_string());
                (rule.id.clone(), Verdict { from_ms, to_ms: from_ms + size_ms, ..verdict })
            };
            rules.rules.iter().map(verdict).collect()
        }
    }
}

/// Windows of one topic, one after the other, each judged by what was before it.
struct Story<'a> {
    rules: &'a Arc<TopicRules>,
    piece: Piece,
    next_offset: i64,
    last_record_ms: Option<i64>,
    past: History,
    /// The latest windows, as far back as patterns reach.
    recent: VecDeque<PaneSummary>,
}

impl<'a> Story<'a> {
    fn new(rules: &'a Arc<TopicRules>, limits: &Limits) -> Result<Self, ExamineError> {
        let piece = Piece::new(rules, limits)?;
        let (past, recent) = (History::default(), VecDeque::new());
        Ok(Self { rules, piece, next_offset: 0, last_record_ms: None, past, recent })
    }

    /// Reads window by window; the verdicts on the last one.
    fn by_record_time(&mut self, windows: &[&[FixtureRecord]], first_ms: i64) -> Option<Judged> {
        let mut last = None;
        for (given, from_ms) in windows.iter().zip((first_ms..).step_by(self.rules.window.size_ms as usize)) {
            for record in given.iter().filter(|record| record.topic.is_none()) {
                for _ in 0..record.repeat {
                    self.take(record, from_ms + record.at_ms);
                }
            }
            let summary = self.piece.turn_over();
            let to_ms = from_ms + self.rules.window.size_ms;
            last = Some(self.close(summary, &others(given), (from_ms, to_ms)));
        }
        last
    }

    /// Reads everything in its order, each record into the window that its event is of; then judges
    /// window by window.
    fn by_event_time(&mut self, windows: &[&[FixtureRecord]], first_ms: i64) -> Option<Judged> {
        let size_ms = self.rules.window.size_ms;
        for (given, from_ms) in windows.iter().zip((first_ms..).step_by(size_ms as usize)) {
            for record in given.iter().filter(|record| record.topic.is_none()) {
                let record_ms = from_ms + record.at_ms;
                let at_ms = self.at_ms(record, record_ms);
                let window = usize::try_from((at_ms - first_ms).div_euclid(size_ms)).unwrap_or(NO_WINDOW);
                self.piece.turn_to(window);
                for _ in 0..record.repeat {
                    self.take(record, record_ms);
                }
            }
        }
        let mut last = None;
        for (at, given) in windows.iter().enumerate() {
            self.piece.turn_to(at);
            let summary = self.piece.turn_over();
            let from_ms = first_ms + at as i64 * size_ms;
            last = Some(self.close(summary, &others(given), (from_ms, from_ms + size_ms)));
        }
        last
    }

    /// Reads everything in its order, and judges session by session. What is given before begins so far
    /// ahead that it is a session of its own; where the last part is several, its last one counts.
    fn sessions(&mut self, windows: &[&[FixtureRecord]], from_ms: i64, gap_ms: i64) -> Option<Judged> {
        let window = self.rules.window;
        let stride_ms = window.size_ms + gap_ms + window.allowed_lateness_ms;
        let first_ms = from_ms - (windows.len() as i64 - 1) * stride_ms;
        let mut told: Vec<(&FixtureRecord, i64, i64)> = Vec::new();
        let mut panes: BTreeMap<i64, PaneTimes> = BTreeMap::new();
        for (given, from_ms) in windows.iter().zip((first_ms..).step_by(stride_ms as usize)) {
            for record in given.iter() {
                let record_ms = from_ms + record.at_ms;
                let at_ms = self.at_ms(record, record_ms);
                let start_ms = at_ms.div_euclid(window.pane_ms) * window.pane_ms;
                let new = PaneTimes {
                    start_ms,
                    end_ms: start_ms + window.pane_ms,
                    first_ms: at_ms,
                    last_ms: at_ms,
                };
                panes.entry(start_ms).and_modify(|pane| *pane = pane.see(at_ms, at_ms)).or_insert(new);
                told.push((record, record_ms, at_ms));
            }
        }
        let sessions = rules::sessions(panes.into_values(), gap_ms, window.size_ms);
        for (record, record_ms, at_ms) in told {
            let session = sessions.partition_point(|session| session.start_ms <= at_ms);
            self.piece.turn_to(session.checked_sub(1).unwrap_or(NO_WINDOW));
            for _ in 0..record.repeat {
                self.take(record, record_ms);
            }
        }
        let mut last = None;
        for (at, session) in sessions.iter().enumerate() {
            self.piece.turn_to(at);
            let summary = self.piece.turn_over();
            last = Some(self.close(summary, &BTreeMap::new(), (session.from_ms, session.to_ms)));
        }
        last.or_else(|| {
            let nothing = || Verdict::without(Status::Unknown, "no record is given: there is no session");
            let checks = self.rules.rules.iter().map(|rule| (Arc::clone(rule), nothing())).collect();
            Some(Judged { checks, from_ms, to_ms: from_ms })
        })
    }

    /// Judges the next window.
    fn close(
        &mut self,
        summary: PaneSummary,
        others: &BTreeMap<String, u64>,
        (from_ms, to_ms): (i64, i64),
    ) -> Judged {
        let size_ms = self.rules.window.size_ms;
        let mut lead = PaneSummary::default();
        self.recent.iter().for_each(|window| lead.merge(window));
        let beside = Beside {
            past: Some(&self.past),
            lead: Some(&lead),
            last_record_ms: self.last_record_ms,
            others: Some(others),
        };
        let judged = offline::judge_beside(self.rules, &summary, (from_ms, to_ms), Some(to_ms), beside);
        if summary.last_record_ms > 0 {
            self.last_record_ms = self.last_record_ms.max(Some(summary.last_record_ms));
        }
        let failed = |(rule, verdict): &(Arc<Rule>, Verdict)| {
            matches!(verdict.status, Status::Fail | Status::Error).then(|| rule.id.clone())
        };
        let failed = judged.checks.iter().filter_map(failed).collect();
        self.past.keep(self.rules, from_ms, to_ms, &summary, failed);
        // A pattern needs nothing of the windows before but its tallies.
        self.recent.push_back(PaneSummary { rules: summary.rules, ..PaneSummary::default() });
        let reach_ms = judge::reach_ms(self.rules.rules.iter().map(Arc::as_ref));
        let reach = usize::try_from((reach_ms + size_ms - 1) / size_ms).unwrap_or(0);
        while self.recent.len() > reach {
            self.recent.pop_front();
        }
        judged
    }

    fn take(&mut self, given: &FixtureRecord, record_ms: i64) {
        let headers = headers(given);
        let record = record(&self.rules.topic, given, &headers, self.next_offset, record_ms);
        self.next_offset += 1;
        self.piece.take_json(&record, record_ms);
    }

    /// The time that a record goes by.
    fn at_ms(&mut self, given: &FixtureRecord, record_ms: i64) -> i64 {
        let record = record(&self.rules.topic, given, &[], self.next_offset, record_ms);
        self.piece.time_of_json(&record, record_ms)
    }
}

fn headers(given: &FixtureRecord) -> Vec<Header<'_>> {
    let headers = given.headers.iter();
    headers.map(|(name, value)| Header { name, value: Some(value.as_bytes()) }).collect()
}

fn record<'a>(
    topic: &'a str,
    given: &'a FixtureRecord,
    headers: &'a [Header<'a>],
    offset: i64,
    record_ms: i64,
) -> RecordView<'a> {
    RecordView {
        topic,
        partition: 0,
        offset,
        timestamp: Timestamp::Created(record_ms),
        key: given.key.as_deref().map(str::as_bytes),
        value: given.value.as_deref().map(str::as_bytes),
        headers,
    }
}

/// Records of other topics, by topic.
fn others(given: &[FixtureRecord]) -> BTreeMap<String, u64> {
    let mut others: BTreeMap<String, u64> = BTreeMap::new();
    for record in given {
        if let Some(topic) = &record.topic {
            *others.entry(topic.clone()).or_default() += record.repeat;
        }
    }
    others
}

fn compare(file: &CheckFile, fixture: &Fixture, verdicts: &[(String, Verdict)]) -> TestRun {
    let outcomes = fixture.expect.iter().map(|(check, expected)| {
        let verdict = verdicts.iter().find(|(id, _)| id == check).map(|(_, verdict)| verdict);
        Outcome {
            check: check.clone(),
            expected: *expected,
            got: verdict.map_or(Status::Error, |verdict| verdict.status),
            // Loading has seen to it that every expectation names a check of the file.
            message: verdict.map_or_else(|| "no such check".to_owned(), |verdict| verdict.message.clone()),
        }
    });
    TestRun {
        file: file.path.clone(),
        line: fixture.origin.line,
        name: fixture.name.clone(),
        outcomes: outcomes.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rules::Loader;

    /// Verdicts of these checks on these records.
    fn judged(checks: &str, given: &str) -> Vec<(String, Status)> {
        with_past(checks, "", given)
    }

    /// The same after these windows.
    fn with_past(checks: &str, before: &str, given: &str) -> Vec<(String, Status)> {
        let ids: Vec<&str> = checks.split("id: ").skip(1).filter_map(|rest| rest.split(',').next()).collect();
        let expect: Vec<String> = ids.iter().map(|id| format!("{id}: pass")).collect();
        let text = format!(
            "version: 1\ntopic: orders\nchecks: [{checks}]\ntests: [{{ name: t, before: [{before}], given: [{given}], expect: {{ {} }} }}]\n",
            expect.join(", ")
        );
        let limits = Limits::default();
        let file = CheckFile::parse(Path::new("a.yaml"), &text, &Loader::files(&limits))
            .unwrap_or_else(|found| panic!("{found}"));
        let run = run(&CheckSet::of(vec![Arc::new(file)]), &limits);
        run.tests[0].outcomes.iter().map(|outcome| (outcome.check.clone(), outcome.got)).collect()
    }

    fn one(check: &str, given: &str) -> Status {
        judged(check, given)[0].1
    }

    #[test]
    fn a_record_is_given_as_often_as_it_says() {
        let check = "{ id: a, metric: rowCount, mustBe: 5 }";
        assert_eq!(
            one(check, "{ value: { x: 1 }, repeat: 3 }, { value: null }, { raw: nonsense }"),
            Status::Pass
        );
        assert_eq!(one(check, "{ value: { x: 1 }, repeat: 6 }"), Status::Fail);
    }

    #[test]
    fn tombstones_are_neither_missing_nor_null() {
        let check = "{ id: a, metric: missingValues, field: $.x, mustBe: 0 }";
        assert_eq!(one(check, "{ value: null }"), Status::Unknown);
        assert_eq!(one(check, "{ value: null }, { value: { x: 1 } }"), Status::Pass);
        assert_eq!(one(check, "{ value: null }, { value: { y: 1 } }"), Status::Fail);
    }

    #[test]
    fn what_is_not_meant_as_json_is_not_decoded_and_half_a_document_is_a_failure() {
        let check = "{ id: a, metric: decodeFailures, mustBe: 0 }";
        assert_eq!(one(check, "{ raw: plain words }"), Status::Unknown);
        assert_eq!(one(check, "{ raw: \"{\\\"x\\\": 1\" }"), Status::Fail);
        assert_eq!(one(check, "{ value: plain words }"), Status::Pass);
    }

    #[test]
    fn key_headers_and_time_reach_the_expression() {
        let check = |expr: &str| format!("{{ id: a, metric: failedRows, expr: \"{expr}\", mustBe: 0 }}");
        let given = "{ key: k, value: { x: 1 }, headers: { source: shop, twice: [one, two] }, at: 10s }";
        for holds in ["key == 'k'", "headers.source == 'shop'", "headers.twice == 'two'", "meta.offset == 0"]
        {
            assert_eq!(one(&check(holds), given), Status::Pass, "{holds}");
        }
        assert_eq!(one(&check("key == 'other'"), given), Status::Fail);
        assert_eq!(one(&check("value.absent == 1"), given), Status::Error);
    }

    #[test]
    fn large_integers_keep_their_last_digit() {
        let check = "{ id: a, metric: invalidValues, field: $.x, arguments: { validValues: [9007199254740993] }, mustBe: 0 }";
        assert_eq!(one(check, "{ value: { x: 9007199254740993 } }"), Status::Pass);
        assert_eq!(one(check, "{ value: { x: 9007199254740992 } }"), Status::Fail);
    }

    #[test]
    fn the_window_ends_now_and_has_no_history() {
        let check = "{ id: a, metric: freshness, mustBeLessThan: 20s }";
        assert_eq!(one(check, "{ value: 1, at: 45s }"), Status::Pass);
        assert_eq!(one(check, "{ value: 1, at: 30s }"), Status::Fail);
        assert_eq!(one("{ id: a, metric: rowCount, baseline: previous }", "{ value: 1 }"), Status::Unknown);
    }

    #[test]
    fn a_check_is_seen_working_when_a_test_makes_it_fail() {
        let text = "version: 1\npattern: \"orders.*\"\nchecks:\n  - { id: a, metric: rowCount, mustBe: 0 }\n  - { id: b, metric: rowCount, mustBe: 1 }\ntests:\n  - { name: t, given: [{ value: 1 }], expect: { b: pass } }\n";
        let limits = Limits::default();
        let file = CheckFile::parse(Path::new("a.yaml"), text, &Loader::files(&limits)).unwrap();
        let run = run(&CheckSet::of(vec![Arc::new(file)]), &limits);
        assert_eq!(run.failed(), 0);
        let never: Vec<_> = run.never_failed.iter().map(|never| (never.check.as_str(), never.line)).collect();
        assert_eq!(never, [("b", 5)]);
    }

    #[test]
    fn missing_numbers_are_counted_by_key_and_by_partition() {
        let of = |by: &str| {
            format!("{{ id: a, metric: sequenceGaps, field: $.n, arguments: {{ by: {by} }}, mustBe: 1 }}")
        };
        let given = "{ key: x, value: { n: 1 } }, { key: y, value: { n: 7 } }, { key: x, value: { n: 3 } }, \
                     { value: { n: 2 } }, { key: y, value: { n: 8.0 } }";
        assert_eq!(
            one(&of("key"), given),
            Status::Pass,
            "2 is missing of x; the record without a key counts not"
        );
        assert_eq!(one(&of("partition"), given), Status::Fail, "4, 5 and 6 are");
        assert_eq!(one(&of("$.n"), given), Status::Fail, "every number is a sequence of its own");
        assert_eq!(one(&of("key"), "{ value: { n: 1 } }"), Status::Unknown);
        assert_eq!(one(&of("partition"), "{ value: { n: one } }"), Status::Error);
    }

    #[test]
    fn a_ratio_is_of_the_other_topic_in_the_same_window() {
        let check = "{ id: a, metric: ratio, arguments: { of: paid }, mustBeBetween: [99, 101] }";
        let given = |mine: u32, theirs: u32| {
            format!("{{ value: 1, repeat: {mine} }}, {{ topic: paid, value: 1, repeat: {theirs} }}")
        };
        assert_eq!(one(check, &given(99, 100)), Status::Pass);
        assert_eq!(one(check, &given(98, 100)), Status::Fail);
        assert_eq!(one(check, &given(102, 100)), Status::Fail);
        assert_eq!(one(check, "{ value: 1 }"), Status::Unknown);
        assert_eq!(one(check, "{ topic: paid, value: 1 }"), Status::Fail, "nothing came out");
    }

    #[test]
    fn a_value_is_new_once_and_only_when_there_is_a_past() {
        let check = "{ id: a, metric: newValues, field: $.c, mustBe: 0 }";
        let past = |n: u32| {
            format!("{{ given: [{{ value: {{ c: de }} }}, {{ value: {{ c: fr }} }}], repeat: {n} }}")
        };
        let verdict = |before: &str, given: &str| with_past(check, before, given)[0].1;
        assert_eq!(verdict(&past(11), "{ value: { c: it } }"), Status::Unknown);
        assert_eq!(verdict(&past(12), "{ value: { c: it } }"), Status::Fail);
        assert_eq!(verdict(&past(12), "{ value: { c: fr } }"), Status::Pass);
        let once = format!("{}, {{ given: [{{ value: {{ c: it }} }}] }}", past(12));
        assert_eq!(verdict(&once, "{ value: { c: it } }"), Status::Pass, "it failed, and is known since");
    }

    #[test]
    fn fields_that_come_go_or_change_their_type() {
        let checks = "{ id: a, metric: fieldsAdded, mustBe: 0 }, { id: r, metric: fieldsRemoved, mustBe: 0 }, \
                      { id: t, metric: typeChanged, mustBe: 0 }";
        let past = |n: u32| {
            format!("{{ given: [{{ value: {{ id: 1, who: {{ name: x }} }}, repeat: 50 }}], repeat: {n} }}")
        };
        let verdicts = |given: &str| {
            with_past(checks, &past(3), given).into_iter().map(|(_, status)| status).collect::<Vec<_>>()
        };
        use Status::{Fail, Pass, Unknown};
        assert_eq!(verdicts("{ value: { id: 2.5, who: { name: y } }, repeat: 9 }"), [Pass, Pass, Pass]);
        assert_eq!(verdicts("{ value: { id: 2, who: { name: y }, new: { a: 1 } } }"), [Fail, Pass, Pass]);
        assert_eq!(
            verdicts("{ value: { id: 2 }, repeat: 9 }"),
            [Pass, Fail, Pass],
            "with what is in it, once"
        );
        assert_eq!(verdicts("{ value: { id: \"2\", who: { name: y } } }"), [Pass, Pass, Fail]);
        let learning = with_past(checks, &past(2), "{ value: { x: 1 } }");
        assert!(learning.iter().all(|(_, status)| *status == Unknown), "{learning:?}");
    }

    #[test]
    fn what_nothing_follows_is_found_when_its_time_is_up() {
        let check = "{ id: a, metric: notFollowedBy, arguments: { when: \"value.s == 'new'\", then: \"value.s == 'paid'\", within: 90s }, mustBe: 0 }";
        let verdict = |before: &str, given: &str| with_past(check, before, given)[0].1;
        let new = "{ key: k, value: { s: new }, at: 10s }";
        assert_eq!(verdict("", new), Status::Unknown, "there is time left");
        assert_eq!(verdict(&format!("{{ given: [{new}] }}"), ""), Status::Fail, "it was up at 1 min 40 s");
        let paid = |key: &str, at: &str| format!("{{ key: {key}, value: {{ s: paid }}, at: {at} }}");
        let before = format!("{{ given: [{new}] }}");
        assert_eq!(verdict(&before, &paid("k", "40s")), Status::Pass, "at the last moment");
        assert_eq!(verdict(&before, &paid("k", "41s")), Status::Fail);
        assert_eq!(verdict(&before, &paid("other", "5s")), Status::Fail);
        let first = format!("{{ given: [{}, {new}] }}", paid("k", "9s"));
        assert_eq!(verdict(&first, ""), Status::Fail, "what came before does not follow");
    }

    #[test]
    fn too_many_of_one_key_within_a_time() {
        let check = "{ id: a, metric: tooMany, arguments: { when: \"value.s == 'login'\", moreThan: 2, within: 30s }, mustBe: 0 }";
        let at = |key: &str, at: u32| format!("{{ key: {key}, value: {{ s: login }}, at: {at}s }}");
        let all = |list: &[String]| list.join(", ");
        assert_eq!(one(check, &all(&[at("a", 0), at("a", 1), at("b", 2)])), Status::Pass);
        assert_eq!(one(check, &all(&[at("a", 0), at("a", 1), at("a", 29)])), Status::Fail);
        assert_eq!(
            one(check, &all(&[at("a", 0), at("a", 1), at("a", 30)])),
            Status::Pass,
            "the first is out"
        );
        // Given out of order, judged in order of time.
        assert_eq!(one(check, &all(&[at("a", 29), at("a", 0), at("a", 1)])), Status::Fail);
        let before = format!("{{ given: [{}] }}", all(&[at("a", 45), at("a", 50)]));
        assert_eq!(with_past(check, &before, &at("a", 10))[0].1, Status::Fail, "across windows");
        assert_eq!(with_past(check, &before, &at("a", 20))[0].1, Status::Pass);
    }

    /// Verdicts of a file's only test.
    fn of_file(text: &str) -> Vec<(Status, String)> {
        let limits = Limits::default();
        let file = CheckFile::parse(Path::new("a.yaml"), text, &Loader::files(&limits))
            .unwrap_or_else(|found| panic!("{found}"));
        let run = run(&CheckSet::of(vec![Arc::new(file)]), &limits);
        run.tests[0].outcomes.iter().map(|outcome| (outcome.got, outcome.message.clone())).collect()
    }

    #[test]
    fn by_event_time_a_record_is_in_the_window_that_its_event_is_of() {
        let file = |before: &str, given: &str, rows: u32| {
            format!(
                "version: 1\ntopic: orders\ntime: {{ field: $.at, format: epoch_seconds }}\nwindow: {{ by: event }}\nchecks:\n  - {{ id: a, metric: rowCount, mustBe: {rows} }}\n  - {{ id: o, metric: outOfOrder, mustBe: 1 }}\ntests:\n  - {{ name: t, before: [{before}], given: [{given}], expect: {{ a: pass, o: pass }} }}\n"
            )
        };
        let at = |seconds: i64, record: i64| {
            format!("{{ value: {{ at: {} }}, at: {record}s }}", START_MS / 1_000 + seconds)
        };
        // One of the window before, one of the next, one that is not believed and goes by its record.
        let given =
            [at(5, 6), at(-1, 7), at(61, 8), at(50, 70), at(900, 30), "{ value: {}, at: 40s }".to_owned()];
        let verdicts = of_file(&file("", &given.join(", "), 4));
        assert_eq!(verdicts[0].0, Status::Pass, "{verdicts:?}");
        // At 50 s it comes after the one at 61 s, in whichever window that is.
        assert_eq!(verdicts[1].0, Status::Pass, "{verdicts:?}");
        // What comes in the window before and happened in this one.
        let early = format!("{{ given: [{}, {}] }}", at(-30, 5), at(3, 6));
        assert_eq!(of_file(&file(&early, &at(5, 6), 2))[0].0, Status::Pass);
    }

    #[test]
    fn a_session_of_a_test_is_whole_and_those_before_make_its_past() {
        let file = |before: &str, given: &str, check: &str| {
            format!(
                "version: 1\ntopic: loads\nwindow: {{ gap: 30s, longest: 10m }}\nchecks:\n  - {{ id: a, {check} }}\ntests:\n  - {{ name: t, before: [{before}], given: [{given}], expect: {{ a: pass }} }}\n"
            )
        };
        let got = |before: &str, given: &str, check: &str| of_file(&file(before, given, check))[0].clone();
        let count = "metric: rowCount, mustBe: 3";
        let at = |seconds: u32| format!("{{ value: {{ x: 1 }}, at: {seconds}s }}");
        let all = |times: &[u32]| times.iter().map(|t| at(*t)).collect::<Vec<_>>().join(", ");
        // Given in any order; two records a gap apart are two sessions, and the last one counts.
        assert_eq!(got("", &all(&[50, 0, 25]), count).0, Status::Pass);
        assert_eq!(got("", &all(&[0, 25, 55, 60, 65]), count).0, Status::Pass);
        assert_eq!(got("", &all(&[0, 25, 54, 60, 65]), count).0, Status::Fail);
        assert_eq!(got("", "", count).0, Status::Unknown, "no session, no verdict");
        // Sessions before, of other lengths, and what is usual.
        let usual = "metric: rowCount, baseline: previous";
        let before = format!(
            "{{ given: [{{ value: 1, repeat: 40 }}], repeat: 6 }}, {{ given: [{}], repeat: 6 }}",
            "{ value: 1, repeat: 20 }, { value: 1, at: 20s, repeat: 20 }"
        );
        let (status, message) = got(&before, "{ value: 1, repeat: 9 }", usual);
        assert_eq!(status, Status::Fail, "{message}");
        assert!(message.contains("usual in 12 windows before: 40,"), "{message}");
        assert_eq!(got(&before, "{ value: 1, repeat: 41 }", usual).0, Status::Pass);
    }
}
