//! Windows that tumble, and what late records change of verdicts that were given.

use std::sync::Arc;

use checks::report::Report;
use checks::rules::{CheckFile, CheckSet, Loader};
use checks::verdict::Status;

use super::super::testing::*;
use super::super::{Applied, State};
use super::apply;
use crate::view::{CheckView, View};

/// A state by this file on `orders`, and the hash of its rules.
pub(super) fn by_file(text: &str) -> (State, u64) {
    let limits = checks::limits::Limits::default();
    let file = CheckFile::parse(std::path::Path::new("a.yaml"), text, &Loader::files(&limits))
        .unwrap_or_else(|found| panic!("{found}"));
    let set = Arc::new(CheckSet::of(vec![Arc::new(file)]));
    let hash = set.for_topic("orders").hash;
    (State::new(&config(set)), hash)
}

/// One agent of the topic.
pub(super) struct Teller {
    pub(super) state: State,
    hash: u64,
    sequence: u64,
    offset: i64,
    agents: usize,
}

impl Teller {
    pub(super) fn new((state, hash): (State, u64)) -> Self {
        Self { state, hash, sequence: 0, offset: 0, agents: 0 }
    }

    /// A pane, of which so many records failed, and the watermark.
    pub(super) fn say(&mut self, start_ms: i64, records: i64, failed: u64, watermark_ms: i64) -> View {
        self.sequence += 1;
        let mut r = self.report("a", self.sequence, watermark_ms);
        r.panes.push(pane(self.hash, start_ms, 0, self.offset, self.offset + records, failed, &[]));
        self.offset += records;
        r.topics.push(progress("orders", watermark_ms, 0, self.offset));
        apply(&mut self.state, &r);
        self.state.view(0)
    }

    /// Nothing but the watermark.
    pub(super) fn pass(&mut self, watermark_ms: i64) -> View {
        self.sequence += 1;
        let mut r = self.report("a", self.sequence, watermark_ms);
        r.topics.push(progress("orders", watermark_ms, 0, self.offset));
        apply(&mut self.state, &r);
        self.state.view(0)
    }

    /// What another agent saw of a pane, told late; it holds nothing any more.
    pub(super) fn late(&mut self, start_ms: i64, records: i64, failed: u64) -> View {
        self.agents += 1;
        let name = format!("late-{}", self.agents);
        let mut r = self.report(&name, 1, start_ms + PANE_MS);
        r.panes.push(pane(self.hash, start_ms, 1, self.offset, self.offset + records, failed, &[]));
        self.offset += records;
        apply(&mut self.state, &r);
        self.state.view(0)
    }

    fn report(&self, agent: &str, sequence: u64, as_of_ms: i64) -> Report {
        report(agent, 1, sequence, as_of_ms)
    }
}

pub(super) fn check(view: &View) -> CheckView {
    view.topics["orders"].checks[0].clone()
}

/// Beginning, and end if it has one, of every finding; open ones first.
fn found(view: &View) -> Vec<(i64, Option<i64>)> {
    view.findings.iter().map(|f| (f.at_ms, f.resolved_ms)).collect()
}

const TUMBLING: &str = "version: 1\ntopic: orders\nwindow: { size: 1m, every: 1m, allowed_lateness: 2m }\nchecks:\n  - { id: amount, metric: invalidValues, field: $.amount, arguments: { min: 0 }, mustBe: 0, for: 2 }\n";

#[test]
fn windows_that_tumble_are_judged_once_each() {
    let mut topic = Teller::new(by_file(&TUMBLING.replace(", for: 2", "")));
    topic.say(0, 10, 3, 20_000);
    let view = topic.say(20_000, 10, 0, 50_000);
    assert!(view.topics["orders"].window.is_none(), "the window is not over");
    let view = topic.say(50_000, 10, 0, 60_000);
    let window = view.topics["orders"].window.clone().unwrap();
    assert_eq!((window.from_ms, window.to_ms, window.summary.read), (0, 60_000, 30));
    assert_eq!((check(&view).verdict.status, check(&view).verdict.failed), (Status::Fail, Some(3)));
    assert_eq!(found(&view), [(0, None)], "it began with the window");
    // A pane further there is nothing new to say.
    let view = topic.say(60_000, 10, 0, 110_000);
    assert_eq!((check(&view).verdict.to_ms, check(&view).verdict.checked), (60_000, Some(30)));
    let view = topic.pass(120_000);
    assert_eq!((check(&view).verdict.status, check(&view).verdict.checked), (Status::Pass, Some(10)));
    assert_eq!(found(&view), [(0, Some(120_000))]);
}

#[test]
fn copies_are_counted_within_the_window_that_tumbles() {
    let file = "version: 1\ntopic: orders\nwindow: { size: 1m, every: 1m }\nchecks:\n  - { id: ids, metric: duplicateValues, field: $.id, mustBe: 0 }\n";
    let (mut state, hash) = by_file(file);
    let mut r = report("a", 1, 1, 130_000);
    r.panes.push(pane(hash, 0, 0, 0, 3, 0, &[1, 2, 2]));
    r.panes.push(pane(hash, 50_000, 0, 3, 5, 0, &[1, 3]));
    // The next window: copies of what the one before had are none.
    r.panes.push(pane(hash, 60_000, 0, 5, 8, 0, &[1, 2, 3]));
    r.topics.push(progress("orders", 120_000, 0, 8));
    apply(&mut state, &r);
    let view = state.view(0);
    assert_eq!((check(&view).failed_total, check(&view).checked_total), (2, 8));
    assert_eq!((check(&view).verdict.status, check(&view).verdict.failed), (Status::Pass, Some(0)));
}

#[test]
fn late_records_amend_every_window_that_holds_them() {
    let mut topic = Teller::new(by_file(TUMBLING));
    topic.say(0, 10, 1, 60_000);
    topic.say(60_000, 10, 0, 120_000);
    let view = topic.say(120_000, 10, 1, 180_000);
    assert_eq!((check(&view).verdict.status, found(&view).len()), (Status::Fail, 0), "once is not twice");
    // The window between failed too, it turns out: two in a row, three in fact.
    let view = topic.late(70_000, 5, 2);
    assert_eq!((check(&view).verdict.status, check(&view).verdict.to_ms), (Status::Fail, 180_000));
    assert_eq!((check(&view).since_ms, check(&view).failed_total), (60_000, 4));
    assert_eq!(found(&view), [(0, None)]);
    assert_eq!(view.findings[0].evidence["failing_windows"], 3);
}

#[test]
fn late_records_take_back_what_was_found_in_error() {
    // With fewer than 20 records of 100 wrong all is well.
    let file = TUMBLING.replace("mustBe: 0", "unit: percent, mustBeLessThan: 20");
    let mut topic = Teller::new(by_file(&file));
    topic.say(0, 10, 3, 60_000);
    let view = topic.say(60_000, 10, 3, 120_000);
    assert_eq!(found(&view), [(0, None)]);
    let view = topic.late(0, 90, 0);
    assert_eq!(check(&view).verdict.status, Status::Fail, "the last window is as bad as it was");
    assert_eq!(found(&view), [(0, Some(60_000))], "but it alone failed");
    assert_eq!(
        (check(&view).since_ms, check(&view).checked_total, check(&view).failed_total),
        (120_000, 110, 6)
    );
}

#[test]
fn what_was_over_is_not_found_again() {
    let mut topic = Teller::new(by_file(&TUMBLING.replace(", for: 2", "")));
    topic.say(0, 10, 1, 60_000);
    topic.say(60_000, 10, 0, 120_000);
    let view = topic.say(120_000, 10, 0, 180_000);
    assert_eq!(found(&view), [(0, Some(120_000))]);
    topic.state.take_findings();
    let view = topic.late(10_000, 5, 1);
    assert_eq!(found(&view), [(0, Some(120_000))]);
    assert!(topic.state.take_findings().is_empty(), "nobody is told twice");
    // A window that had passed and is over: what was found went on until its end.
    let view = topic.late(60_000, 5, 1);
    assert_eq!(found(&view), [(0, Some(180_000))]);
    assert_eq!(topic.state.take_findings().len(), 2);
}

#[test]
fn what_comes_after_the_allowed_lateness_is_counted_and_changes_no_verdict() {
    let mut topic = Teller::new(by_file(&TUMBLING.replace(", for: 2", "")));
    for minute in 0..5 {
        topic.say(minute * 60_000, 10, 0, (minute + 1) * 60_000);
    }
    let view = topic.late(0, 5, 5);
    assert_eq!((check(&view).failed_total, check(&view).since_ms), (5, 60_000));
    assert!(view.findings.is_empty());
}

#[test]
fn a_season_of_tumbling_windows_is_one_of_whole_windows() {
    let file = "version: 1\ntopic: orders\nwindow: { size: 1m, every: 20s }\nchecks:\n  - { id: volume, metric: rowCount, baseline: previous }\n";
    let mut topic = Teller::new(by_file(file));
    let mut last = None;
    for pane in 0..6 * 15 {
        last = Some(topic.say(pane * PANE_MS, 10, 0, (pane + 1) * PANE_MS));
    }
    let verdict = check(&last.unwrap()).verdict;
    assert_eq!((verdict.status, verdict.value), (Status::Pass, Some(60.0)), "{}", verdict.message);
    assert!(verdict.message.contains("usual in 13 windows before: 60,"), "{}", verdict.message);
}

#[test]
fn a_report_of_nothing_is_no_amendment() {
    let mut topic = Teller::new(by_file(TUMBLING));
    topic.say(0, 10, 1, 60_000);
    let before = check(&topic.state.view(0)).verdict;
    let again = report("b", 1, 1, 60_000);
    assert_eq!(topic.state.apply(&again, 0), Applied::Applied);
    assert_eq!(check(&topic.state.view(0)).verdict, before);
}
