//! The tests of a check file and the collector say the same of the same records: verdict and sentence,
//! counts and all. Here the records reach the state as the panes of two agents.

use std::path::Path;
use std::sync::Arc;

use checks::fixtures;
use checks::limits::Limits;
use checks::offline::Piece;
use checks::record::{Header, RecordView, Timestamp};
use checks::report::{OffsetRange, Pane, Report};
use checks::rules::{CheckFile, CheckSet, FixtureRecord, Loader};

use super::testing::{self, PANE_MS, config, progress};
use super::{Applied, State};

/// 2026-01-01T00:00:00Z, when the window of a file's test begins.
const START_MS: i64 = 1_767_225_600_000;

const FILE: &str = r#"
version: 1
topic: payments
checks:
  - { id: volume, metric: rowCount, baseline: previous, mustBeLessThan: 50 }
  - { id: amounts, metric: invalidValues, field: $.amount, arguments: { min: 0 }, unit: percent, mustBeLessThan: 20 }
  - { id: ids, metric: duplicateValues, field: $.id, mustBe: 0 }
  - { id: gaps, metric: sequenceGaps, field: $.n, arguments: { by: $.who }, mustBeLessThan: 3 }
  - { id: all-out, metric: ratio, arguments: { of: orders }, mustBeBetween: [90, 110] }
  - { id: countries, metric: newValues, field: $.country, unit: percent, mustBe: 0 }
  - { id: added, metric: fieldsAdded, mustBe: 0 }
  - { id: removed, metric: fieldsRemoved, mustBe: 0 }
  - { id: types, metric: typeChanged, mustBe: 0 }
  - id: shipped
    metric: notFollowedBy
    arguments: { when: "value.kind == 'paid'", then: "value.kind == 'shipped'", within: 100s, by: $.id }
    mustBe: 0
  - id: burst
    metric: tooMany
    arguments: { when: "value.kind == 'paid'", moreThan: 2, within: 15s, by: $.who }
    unit: percent
    mustBeLessThan: 10
tests:
  - name: quiet
    before:
      - given:
          - { topic: orders, value: {}, at: 5s, repeat: 2 }
          - { value: { id: 1, n: 1, who: a, amount: 1, country: de, kind: other }, at: 1s }
          - { value: { id: 2, n: 2, who: a, amount: 2, country: fr, kind: other }, at: 15s }
        repeat: 12
    given:
      - { topic: orders, value: {}, repeat: 2 }
      - { value: { id: 1, n: 1, who: a, amount: 1, country: de, kind: other }, at: 1s }
      - { value: { id: 2, n: 2, who: a, amount: 2, country: fr, kind: other }, at: 15s }
    expect: { volume: pass, amounts: pass, ids: pass, gaps: pass, all-out: pass, countries: pass, added: pass, removed: pass, types: pass, shipped: unknown, burst: unknown }
  - name: everything at once
    before:
      - given:
          - { topic: orders, value: {}, at: 5s, repeat: 2 }
          - { value: { id: 1, n: 1, who: a, amount: 1, country: de, kind: other }, at: 1s, repeat: 20 }
          - { value: { id: 2, n: 2, who: a, amount: 2, country: fr, kind: other }, at: 15s }
        repeat: 13
      - given:
          - { value: { id: 8, n: 1, who: c, amount: 1, country: de, kind: paid }, at: 10s }
          - { value: { id: 9, n: 1, who: c, amount: 1, country: de, kind: paid }, at: 55s }
    given:
      - { topic: orders, value: {}, at: 59s, repeat: 9 }
      - { value: { id: 8, who: c, amount: 1, country: de, kind: shipped }, at: 51s }
      - { value: { id: 3, n: 5, who: b, amount: -1, country: it, kind: paid }, at: 9s }
      - { value: { id: 3, n: 10, who: b, amount: 3, country: it, kind: paid }, at: 11s }
      - { value: { id: 4, n: 7, who: b, amount: x, extra: { a: 1 }, kind: paid }, at: 23s }
      - { value: { id: 5, n: 8, who: b, amount: 5, country: de, kind: paid }, at: 24s }
    expect: { volume: fail, amounts: fail, ids: fail, gaps: pass, all-out: fail, countries: fail, added: fail, removed: pass, types: fail, shipped: fail, burst: fail }
  - name: first windows
    given:
      - { value: { id: 1, n: 1, who: a, kind: paid }, at: 1s }
      - { value: { id: 1, n: 9, who: a, kind: shipped }, at: 2s }
    expect: { volume: pass, gaps: fail, all-out: unknown, countries: unknown, added: unknown, shipped: unknown, burst: pass }
"#;

/// One of two agents, which read a partition of each topic.
struct Agent {
    name: &'static str,
    partition: i32,
    sequence: u64,
    next: i64,
    piece: Piece,
}

impl Agent {
    fn report(&mut self, to_ms: i64, panes: Vec<Pane>) -> Report {
        self.sequence += 1;
        let mut report = testing::report(self.name, 1, self.sequence, to_ms);
        report.topics =
            ["orders", "payments"].map(|t| progress(t, to_ms, self.partition, self.next)).to_vec();
        report.panes = panes;
        report
    }

    /// What it saw of these records in the pane from `start_ms`; nothing if there were none.
    fn panes(&mut self, set: &CheckSet, records: &[(&FixtureRecord, i64)], start_ms: i64) -> Vec<Pane> {
        let rules = set.for_topic("payments");
        let first = self.next;
        let mut others = 0;
        for (given, at_ms) in records {
            if given.topic.is_some() {
                others += 1;
                continue;
            }
            let headers: [Header<'_>; 0] = [];
            let record = RecordView {
                topic: "payments",
                partition: self.partition,
                offset: self.next,
                timestamp: Timestamp::Created(*at_ms),
                key: None,
                value: given.value.as_deref().map(str::as_bytes),
                headers: &headers,
            };
            self.next += 1;
            self.piece.take_json(&record, *at_ms);
        }
        let pane = |topic: &str, hash, first, next: i64, summary| Pane {
            topic: topic.to_owned(),
            segment: String::new(),
            start_ms,
            end_ms: start_ms + PANE_MS,
            rules_hash: hash,
            ranges: vec![OffsetRange {
                partition: self.partition,
                first,
                next,
                records: next.abs_diff(first),
            }],
            summary: Some(summary),
        };
        let mut panes = Vec::new();
        if self.next > first {
            let summary = self.piece.turn_over();
            panes.push(pane("payments", rules.hash, first, self.next, summary));
        }
        if others > 0 {
            let summary =
                checks::report::PaneSummary { read: others, examined: others, ..Default::default() };
            let first = start_ms - START_MS + 1_000_000_000;
            panes.push(pane("orders", set.for_topic("orders").hash, first, first + others as i64, summary));
        }
        panes
    }
}

fn apply(state: &mut State, report: &Report) {
    assert_eq!(state.apply(report, report.as_of_ms), Applied::Applied);
}

#[test]
fn fixtures_and_panes_of_two_agents_say_the_same() {
    let limits = Limits::default();
    let file = CheckFile::parse(Path::new("payments.yaml"), FILE, &Loader::files(&limits))
        .unwrap_or_else(|found| panic!("{found}"));
    let set = Arc::new(CheckSet::of(vec![Arc::new(file)]));
    let rules = set.for_topic("payments");
    let size_ms = rules.window.size_ms;
    let run = fixtures::run(&set, &limits);
    for (fixture, test) in set.files[0].tests.iter().zip(&run.tests) {
        let windows: Vec<&[FixtureRecord]> = fixture
            .before
            .iter()
            .flat_map(|w| std::iter::repeat_n(w.given.as_slice(), w.repeat as usize))
            .chain([fixture.given.as_slice()])
            .collect();
        let mut at_ms = START_MS - (windows.len() as i64 - 1) * size_ms;
        let mut state = State::new(&config(Arc::clone(&set)));
        let mut agents = [("a", 0), ("b", 1)].map(|(name, partition)| Agent {
            name,
            partition,
            sequence: 0,
            next: 0,
            piece: Piece::new(&rules, &limits).unwrap(),
        });
        for agent in &mut agents {
            let report = agent.report(at_ms, Vec::new());
            apply(&mut state, &report);
        }
        for window in windows {
            for start_ms in (at_ms..at_ms + size_ms).step_by(PANE_MS as usize) {
                let within = start_ms..start_ms + PANE_MS;
                let records: Vec<(&FixtureRecord, i64)> = window
                    .iter()
                    .filter(|record| within.contains(&(at_ms + record.at_ms)))
                    .flat_map(|record| {
                        std::iter::repeat_n((record, at_ms + record.at_ms), record.repeat as usize)
                    })
                    .collect();
                for (index, agent) in agents.iter_mut().enumerate() {
                    // In turns, so that nothing is whole at one of them.
                    let mine: Vec<_> = records.iter().skip(index).step_by(2).copied().collect();
                    let panes = agent.panes(&set, &mine, start_ms);
                    let report = agent.report(start_ms + PANE_MS, panes);
                    apply(&mut state, &report);
                }
            }
            at_ms += size_ms;
        }
        let view = state.view(0);
        let live = &view.topics["payments"].checks;
        for outcome in &test.outcomes {
            assert!(outcome.holds(), "{}: {}: {}", test.name, outcome.check, outcome.message);
            let verdict = &live.iter().find(|c| c.rule.id == outcome.check).unwrap().verdict;
            assert_eq!((verdict.status, &verdict.message), (outcome.got, &outcome.message), "{}", test.name);
        }
    }
}

#[test]
fn an_agent_with_other_files_is_named_until_it_has_the_same() {
    let config = config(testing::checks(vec![testing::amount()], vec![]));
    let mut state = State::new(&config);
    let mut send = |sequence: u64, seconds: i64, hash: u64| {
        let mut report = testing::report("a", 1, sequence, seconds * 1_000);
        report.rules_hash = hash;
        apply(&mut state, &report);
        let found = state.view(0).findings;
        let open = found.iter().find(|f| f.resolved_ms.is_none()).map(|f| f.message.clone());
        (open, found.len())
    };
    let ours = config.checks.hash;
    assert_eq!(send(1, 1, ours ^ 1).1, 0, "files are never changed everywhere at once");
    let (open, _) = send(2, 61, ours ^ 1);
    let message = open.expect("a finding");
    assert!(message.contains("agent a") && message.contains(&format!("{:016x}", ours ^ 1)), "{message}");
    assert_eq!(send(3, 62, ours), (None, 1), "resolved");
}

#[test]
fn a_tally_of_a_rule_that_was_not_changed_survives_a_reload() {
    let state_with = |definition: fn(u64) -> u64| {
        let config = config(testing::checks(vec![testing::amount()], vec![]));
        let rules = config.checks.for_topic("orders");
        let mut state = State::new(&config);
        let mut report = testing::report("a", 1, 1, 10_000);
        let mut pane = testing::pane(rules.hash ^ 1, 0, 0, 0, 10, 3, &[]);
        for tally in pane.summary.iter_mut().flat_map(|summary| &mut summary.rules) {
            tally.definition = definition(rules.definition("amount").unwrap());
        }
        report.panes.push(pane);
        report.topics.push(progress("orders", 10_000, 0, 10));
        apply(&mut state, &report);
        let view = state.view(0);
        let check = &view.topics["orders"].checks[0];
        (check.verdict.status, check.failed_total)
    };
    use checks::verdict::Status;
    assert_eq!(state_with(|same| same), (Status::Fail, 3));
    assert_eq!(state_with(|same| same ^ 1), (Status::Unknown, 0), "of another rule of that name");
}
