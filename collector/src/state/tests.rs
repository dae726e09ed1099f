//! The state by example.

use std::sync::Arc;

use checks::report::{Report, skip_reason};
use checks::verdict::Status;

use super::testing::*;
use super::{Applied, State, Stretch};

mod late;
mod sessions;

fn state(rules: Vec<checks::rules::Rule>) -> (State, u64) {
    let config = config(checks(rules, vec![]));
    let hash = config.checks.for_topic("orders").hash;
    (State::new(&config), hash)
}

fn apply(state: &mut State, report: &Report) {
    assert_eq!(state.apply(report, 0), Applied::Applied);
}

#[test]
fn a_restart_adds_up_and_an_overlap_does_not() {
    let (mut state, hash) = state(vec![amount()]);
    let mut first = report("a", 1, 1, 5_000);
    first.panes.push(pane(hash, 0, 0, 0, 80, 3, &[]));
    apply(&mut state, &first);
    let mut restarted = report("a", 2, 1, 6_000);
    restarted.panes.push(pane(hash, 0, 0, 80, 100, 1, &[]));
    apply(&mut state, &restarted);
    let view = state.view(0);
    let totals = &view.topics["orders"].totals;
    assert_eq!((totals.read, totals.decode_failures["json"], totals.skipped.len()), (100, 4, 0));
    assert_eq!(view.topics["orders"].checks[0].failed_total, 4);
    assert_eq!(view.topics["orders"].delay.count, 100);

    // Another agent reads 90 to 150: of what it shares with others nothing counts again, and what
    // only it read is given up, and said so.
    let mut other = report("b", 1, 1, 6_000);
    other.panes.push(pane(hash, 0, 0, 90, 150, 9, &[]));
    apply(&mut state, &other);
    let view = state.view(0);
    let topic = &view.topics["orders"];
    assert_eq!(view.ingest.overlapping_panes_total, 1);
    // 80 records of boot 1, then 60 of b: boot 2 had 10 more before 90.
    assert_eq!((topic.totals.read, topic.totals.skipped[skip_reason::OVERLAP]), (140, 10));
}

#[test]
fn reports_are_refused_with_the_reason() {
    let (mut state, hash) = state(vec![]);
    let refused = |state: &mut State, change: &dyn Fn(&mut Report)| {
        let mut report = report("a", 1, 1, 5_000);
        report.panes.push(pane(hash, 0, 0, 0, 10, 0, &[]));
        change(&mut report);
        match state.apply(&report, 0) {
            Applied::Refused(refusal) => (refusal.reason, refusal.message),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&mut state, &|r| r.version = 9).0, "version");
    assert_eq!(refused(&mut state, &|r| r.hash_version = 9).0, "version");
    assert_eq!(refused(&mut state, &|r| r.agent = String::new()).0, "agent");
    let (reason, message) = refused(&mut state, &|r| r.cluster = "other".to_owned());
    assert_eq!(reason, "cluster");
    assert!(message.contains("\"other\"") && message.contains("cluster.name"), "{message}");
    assert_eq!(refused(&mut state, &|r| r.panes[0].end_ms = -1).0, "invalid");
    assert_eq!(refused(&mut state, &|r| r.panes[0].ranges[0].records = 11).0, "invalid");
    assert_eq!(refused(&mut state, &|r| r.panes[0].ranges[0].next = -4).0, "invalid");
    assert_eq!(refused(&mut state, &|r| r.panes[0].summary.as_mut().unwrap().read = u64::MAX).0, "invalid");
    assert_eq!(refused(&mut state, &|r| r.skipped.push(skipped(0, 9, 3, "gap"))).0, "invalid");
    assert_eq!(refused(&mut state, &|r| r.as_of_ms = 2 * 86_400_000).0, "clock");
    let ahead = progress("orders", 2 * 86_400_000, 0, 1);
    assert_eq!(refused(&mut state, &|r| r.topics.push(ahead.clone())).0, "invalid");
    assert_eq!(refused(&mut state, &|r| r.sightings.push(Default::default())).0, "invalid");
    assert_eq!(state.view(0).ingest.refused_total["invalid"], 7);
    assert!(state.core.topics.is_empty(), "a refused report leaves no trace");
}

#[test]
fn a_silent_agent_is_given_up_after_a_minute_of_our_own_uptime() {
    let (mut state, hash) = state(vec![]);
    for (agent, watermark) in [("a", 50_000), ("b", 20_000)] {
        let mut r = report(agent, 1, 1, watermark);
        r.panes.push(pane(hash, 0, i32::from(agent == "b"), 0, 10, 0, &[]));
        r.topics.push(progress("orders", watermark, i32::from(agent == "b"), 10));
        apply(&mut state, &r);
    }
    let watermark = |state: &State| state.view(0).topics["orders"].watermark_ms;
    // "a" alone was ahead; what was passed is not taken back, but goes no further without "b".
    assert_eq!(watermark(&state), Some(50_000));
    let mut now_ms = 1_000_000;
    state.tick(now_ms, None);
    // A suspended hour is not an hour of listening.
    now_ms += 3_600_000;
    state.tick(now_ms, None);
    let send = |state: &mut State, sequence| {
        let mut r = report("a", 1, sequence, 90_000);
        r.topics.push(progress("orders", 90_000, 0, 10));
        apply(state, &r);
    };
    send(&mut state, 2);
    assert_eq!(watermark(&state), Some(50_000));
    assert!(state.view(0).agents["b"].alive);
    for sequence in 3..70 {
        now_ms += 1_000;
        state.tick(now_ms, None);
        send(&mut state, sequence);
    }
    assert!(!state.view(0).agents["b"].alive);
    assert_eq!(watermark(&state), Some(90_000));
}

#[test]
fn panes_that_were_folded_are_refused_and_counted() {
    let (mut state, hash) = state(vec![]);
    let mut r = report("a", 1, 1, 5_000);
    r.panes.push(pane(hash, 0, 0, 0, 10, 0, &[]));
    r.topics.push(progress("orders", 10_000, 0, 10));
    apply(&mut state, &r);
    // A watermark may jump while the rest of a split report is on its way: that still counts.
    let mut r = report("a", 1, 2, 50_000);
    r.topics.push(progress("orders", 50_000_000, 0, 10));
    apply(&mut state, &r);
    let mut r = report("a", 1, 3, 50_000);
    r.panes.push(pane(hash, 0, 0, 0, 12, 0, &[]));
    apply(&mut state, &r);
    assert_eq!(state.view(0).topics["orders"].totals.read, 12);
    // Half a day later the first pane is long folded; its count stays.
    let mut r = report("a", 1, 4, 50_000_000);
    r.panes.push(pane(hash, 43_200_000, 0, 12, 20, 0, &[]));
    r.topics.push(progress("orders", 50_000_001, 0, 20));
    apply(&mut state, &r);
    let mut r = report("b", 1, 1, 50_000_000);
    r.panes.push(pane(hash, 0, 1, 0, 10, 0, &[]));
    apply(&mut state, &r);
    let view = state.view(0);
    assert_eq!(view.topics["orders"].totals.read, 20);
    assert_eq!(view.ingest.refused_total["pane_too_old"], 1);
}

#[test]
fn positions_are_the_furthest_that_was_told() {
    let (mut state, _) = state(vec![]);
    for (boot, next, as_of) in [(1, 80, 5_000), (2, 100, 6_000)] {
        let mut r = report("a", boot, 1, as_of);
        r.topics.push(progress("orders", i64::MIN, 0, next));
        apply(&mut state, &r);
    }
    let positions = state.positions(&["orders".to_owned(), "unknown".to_owned()]);
    assert_eq!(positions.len(), 1);
    assert_eq!((positions[0].next, positions[0].as_of_ms), (100, 6_000));
}

#[test]
fn a_window_closes_without_records_and_after_a_jump_only_the_last_are_judged() {
    let (mut state, hash) = state(vec![amount()]);
    let mut r = report("a", 1, 1, 5_000);
    r.panes.push(pane(hash, 0, 0, 0, 10, 2, &[]));
    r.topics.push(progress("orders", 10_000, 0, 10));
    apply(&mut state, &r);
    let view = state.view(0);
    let window = view.topics["orders"].window.clone().unwrap();
    assert_eq!((window.from_ms, window.to_ms, window.summary.read), (-50_000, 10_000, 10));
    let mut r = report("a", 1, 2, 86_400_000);
    r.topics.push(progress("orders", 86_400_000, 0, 10));
    apply(&mut state, &r);
    let view = state.view(0);
    let window = view.topics["orders"].window.clone().unwrap();
    assert_eq!((window.to_ms, window.summary.read), (86_400_000, 0));
    assert_eq!(view.topics["orders"].totals.read, 10);
}

#[test]
fn duplicates_count_once_across_panes_whatever_comes_late() {
    let (mut state, hash) = state(vec![ids()]);
    let mut r = report("a", 1, 1, 35_000);
    r.panes.push(pane(hash, 0, 0, 0, 3, 0, &[1, 2, 2]));
    r.panes.push(pane(hash, 10_000, 0, 3, 6, 0, &[2, 3, 4]));
    r.topics.push(progress("orders", 20_000, 0, 6));
    apply(&mut state, &r);
    let failed = |state: &State| state.view(0).topics["orders"].checks[0].failed_total;
    assert_eq!(failed(&state), 2);
    // Another agent's late snapshot of the first pane holds a 3 and a 9.
    let mut r = report("b", 1, 1, 35_000);
    r.panes.push(pane(hash, 0, 1, 0, 2, 0, &[3, 9]));
    apply(&mut state, &r);
    assert_eq!(failed(&state), 3);
    assert_eq!(state.view(0).topics["orders"].checks[0].checked_total, 8);
}

#[test]
fn other_rules_at_the_agent_are_not_mixed_with_ours() {
    let (mut state, hash) = state(vec![amount()]);
    let mut r = report("a", 1, 1, 35_000);
    r.panes.push(pane(hash ^ 1, 0, 0, 0, 3, 3, &[]));
    r.topics.push(progress("orders", 10_000, 0, 6));
    apply(&mut state, &r);
    let view = state.view(0);
    assert!(view.topics["orders"].rules_differ);
    let verdict = &view.topics["orders"].checks[0].verdict;
    assert_eq!(verdict.status, Status::Unknown);
    assert!(verdict.message.contains("other rules"), "{}", verdict.message);
}

#[test]
fn a_topic_that_is_named_is_shown_before_it_is_seen() {
    let (state, _) = state(vec![amount()]);
    let view = state.view(0);
    assert_eq!(view.topics["orders"].checks[0].verdict.status, Status::Unknown);
    assert_eq!(view.topics["orders"].watermark_ms, None);
}

#[test]
fn losses_are_not_judged_where_a_stage_was_not_read() {
    let config = config(checks(vec![], vec![]));
    let mut state = State::new(&config);
    let send = |state: &mut State, sequence, as_of: i64, change: &dyn Fn(&mut Report)| {
        let mut r = report("a", 1, sequence, as_of);
        r.topics = ["a", "b", "c"].map(|t| progress(t, as_of, 0, 0)).to_vec();
        change(&mut r);
        apply(state, &r);
    };
    send(&mut state, 1, 10_000, &|r| r.sightings.push(sighting(1, "a", 0, 9_000, 9_001)));
    send(&mut state, 2, 11_000, &|r| {
        r.skipped
            .push(checks::report::SkippedRange { topic: "c".to_owned(), ..skipped(0, 0, 5, "catch_up") });
    });
    send(&mut state, 3, 12_000, &|r| r.sightings.push(sighting(2, "a", 1, 11_500, 11_600)));
    send(&mut state, 4, 60_000, &|_| {});
    let view = state.view(0);
    let pipeline = &view.pipelines[0];
    assert_eq!((pipeline.unjudged_total, pipeline.open), (1, 0));
    assert_eq!(pipeline.incomplete_total["a"], 1);
    assert_eq!(view.findings.len(), 1);
    assert_eq!(
        view.findings[0].message,
        "1 traces entered checkout and did not come out within 20000 ms: 1 last seen at a"
    );
    // A minute later without losses it is over.
    send(&mut state, 5, 130_000, &|_| {});
    let view = state.view(0);
    assert!(view.findings[0].resolved_ms.is_some());
    assert_eq!(state.take_findings().len(), 2);
}

#[test]
fn slow_traces_are_found_when_there_is_enough_evidence() {
    let config = config(checks(vec![], vec![]));
    let mut state = State::new(&config);
    let mut send = |sequence: u64, ids: std::ops::Range<u8>, delay: i64| {
        let as_of = sequence as i64 * 5_000;
        let mut r = report("a", 1, sequence, as_of);
        r.topics = ["a", "b", "c"].map(|t| progress(t, as_of, 0, 0)).to_vec();
        for id in ids {
            for (stage, topic) in (0i64..).zip(["a", "b", "c"]) {
                let at = as_of - 4_000 + stage * delay / 2;
                r.sightings.push(sighting(id, topic, i64::from(id), at, at));
            }
        }
        apply(&mut state, &r);
        let view = state.view(0);
        (view.pipelines[0].breached_total, view.findings.iter().filter(|f| f.resolved_ms.is_none()).count())
    };
    assert_eq!(send(1, 0..1, 2_000), (1, 0), "one slow trace proves nothing");
    assert_eq!(send(2, 1..40, 100), (1, 0));
    assert_eq!(send(3, 40..80, 2_000), (41, 1));
    for sequence in 4..30 {
        send(sequence, 0..0, 0);
    }
    assert_eq!(send(31, 80..90, 100), (41, 0));
    let ended = state.take_traces();
    assert_eq!(ended.iter().filter(|t| t.breached).count(), 41);
    let hop = &state.view(0).pipelines[0].hops[0];
    assert_eq!(hop.latency.count, 90);
    assert_eq!(hop.latency.sum_ns, (41 * 1_000 + 49 * 50) * 1_000_000);
    assert_eq!(ended[0].sightings.len(), 3);
}

#[test]
fn a_service_level_that_burns_is_found_by_proof_only() {
    let config = config(checks(vec![amount()], vec![slo(0.99)]));
    let hash = config.checks.for_topic("orders").hash;
    let mut state = State::new(&config);
    let mut send = |sequence: u64, records: i64, failed: u64| {
        let start = (sequence as i64 - 1) * PANE_MS;
        let mut r = report("a", 1, sequence, start + PANE_MS);
        let first = start; // any offsets that are new
        r.panes.push(pane(hash, start, 0, first, first + records, failed, &[]));
        r.topics.push(progress("orders", start + PANE_MS, 0, first + records));
        apply(&mut state, &r);
        let view = state.view(0);
        let open: Vec<_> = view
            .findings
            .iter()
            .filter(|f| f.resolved_ms.is_none() && matches!(f.source, crate::view::FindingSource::Slo(_)))
            .map(|f| f.severity)
            .collect();
        (view.topics["orders"].slos[0].bad_total, open)
    };
    assert_eq!(send(1, 3, 1), (1, vec![]), "one of three is no proof");
    assert_eq!(send(2, 1_000, 400), (401, vec![checks::rules::Severity::Error]));
    for sequence in 3..40 {
        send(sequence, 1_000, 0);
    }
    assert_eq!(send(40, 1_000, 0), (401, vec![]));
}

#[test]
fn rules_that_are_gone_take_their_verdicts_along() {
    let (mut state, hash) = state(vec![amount()]);
    let mut r = report("a", 1, 1, 5_000);
    r.panes.push(pane(hash, 0, 0, 0, 10, 2, &[]));
    r.topics.push(progress("orders", 10_000, 0, 10));
    apply(&mut state, &r);
    state.set_checks(Arc::default());
    let view = state.view(0);
    assert!(view.topics["orders"].checks.is_empty());
    assert!(view.findings.iter().all(|f| f.resolved_ms.is_some()));
}

/// One report a pane: what `orders` had in it, and everything closed.
fn step(state: &mut State, hash: u64, index: i64, records: i64, failed: u64) -> crate::view::View {
    let start = index * PANE_MS;
    let mut r = report("a", 1, index as u64 + 1, start + PANE_MS);
    if records > 0 {
        r.panes.push(pane(hash, start, 0, index * 1_000, index * 1_000 + records, failed, &[]));
    }
    r.topics.push(progress("orders", start + PANE_MS, 0, index * 1_000 + records));
    assert_eq!(state.apply(&r, 0), Applied::Applied);
    state.view(0)
}

#[test]
fn a_failing_check_is_one_finding_from_beginning_to_end() {
    let (mut state, hash) = state(vec![checks::rules::Rule { for_windows: 2, ..amount() }]);
    let view = step(&mut state, hash, 0, 10, 0);
    assert_eq!(view.topics["orders"].checks[0].verdict.status, Status::Pass);
    let view = step(&mut state, hash, 1, 10, 4);
    let check = &view.topics["orders"].checks[0];
    assert_eq!(
        (check.verdict.status, check.verdict.failed, check.verdict.checked),
        (Status::Fail, Some(4), Some(20))
    );
    assert_eq!((check.since_ms, view.findings.len()), (20_000, 0), "once is not twice");
    let view = step(&mut state, hash, 2, 10, 1);
    let finding = &view.findings[0];
    assert_eq!((finding.at_ms, finding.resolved_ms, finding.value), (10_000, None, Some(5.0)));
    assert_eq!(finding.evidence["failing_windows"], 2);
    assert_eq!(finding.expected, "mustBe 0");
    let id = finding.id.clone();
    for index in 3..8 {
        let view = step(&mut state, hash, index, 10, 0);
        assert_eq!((view.findings.len(), view.findings[0].resolved_ms), (1, None));
    }
    let view = step(&mut state, hash, 8, 10, 0);
    assert_eq!(view.topics["orders"].checks[0].verdict.status, Status::Pass);
    assert_eq!((view.findings[0].id.as_str(), view.findings[0].resolved_ms), (id.as_str(), Some(90_000)));
    let told = state.take_findings();
    assert_eq!(told.iter().map(|f| f.resolved_ms.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn late_records_judge_the_last_window_again() {
    let (mut state, hash) = state(vec![amount()]);
    step(&mut state, hash, 0, 10, 0);
    step(&mut state, hash, 1, 10, 0);
    // The same pane, as the agent knows it by now.
    let mut r = report("a", 1, 3, 21_000);
    r.panes.push(pane(hash, 10_000, 0, 1_000, 1_012, 2, &[]));
    r.topics.push(progress("orders", 21_000, 0, 1_012));
    apply(&mut state, &r);
    let view = state.view(0);
    let check = &view.topics["orders"].checks[0];
    assert_eq!((check.verdict.status, check.verdict.failed, check.failed_total), (Status::Fail, Some(2), 2));
    assert_eq!(view.findings[0].evidence["failing_windows"], 1);
    assert_eq!(view.topics["orders"].window.as_ref().map(|w| w.summary.read), Some(22));
}

#[test]
fn volume_is_not_judged_where_reading_began_within_the_window() {
    let volume =
        rule("volume", checks::rules::Metric::RowCount, checks::rules::Threshold::MustBeGreaterThan(50.0));
    let (mut state, hash) = state(vec![volume]);
    for index in 0..6 {
        let view = step(&mut state, hash, index, 10, 0);
        let verdict = &view.topics["orders"].checks[0].verdict;
        assert_eq!((verdict.status, verdict.message.contains("began")), (Status::Unknown, true));
    }
    let verdict = |view: &crate::view::View| view.topics["orders"].checks[0].verdict.clone();
    let view = step(&mut state, hash, 6, 10, 0);
    assert_eq!((verdict(&view).status, verdict(&view).value), (Status::Pass, Some(60.0)));
    // Silence is judged like anything else.
    let view = step(&mut state, hash, 7, 0, 0);
    assert_eq!((verdict(&view).status, verdict(&view).value), (Status::Fail, Some(50.0)));
}

#[test]
fn freshness_goes_by_stream_time_and_is_unknown_when_nobody_reads() {
    let fresh =
        rule("fresh", checks::rules::Metric::Freshness, checks::rules::Threshold::MustBeLessThan(30.0));
    let fresh = checks::rules::Rule { unit: checks::rules::Unit::Seconds, ..fresh };
    let (mut state, hash) = state(vec![fresh]);
    let verdict = |state: &State| state.view(0).topics["orders"].checks[0].verdict.clone();
    step(&mut state, hash, 0, 10, 0);
    assert_eq!(verdict(&state).status, Status::Pass);
    let say = |state: &mut State, sequence, as_of, catching_up| {
        let mut r = report("a", 1, sequence, as_of);
        r.topics.push(checks::report::TopicProgress { catching_up, ..progress("orders", 10_000, 0, 10) });
        apply(state, &r);
    };
    say(&mut state, 2, 35_000, false);
    assert_eq!(verdict(&state).status, Status::Pass);
    say(&mut state, 3, 45_000, false);
    let now = verdict(&state);
    assert_eq!((now.status, now.value.map(f64::round)), (Status::Fail, Some(35.0)));
    assert_eq!(state.view(0).findings.len(), 1);
    say(&mut state, 4, 46_000, true);
    assert_eq!(verdict(&state).status, Status::Unknown);
    // Nothing is heard for long: that is no staleness of the topic.
    for tick in 0..100 {
        state.tick(tick * 1_000, None);
    }
    assert_eq!(verdict(&state).status, Status::Unknown);
    assert!(verdict(&state).message.contains("no agent reads"), "{}", verdict(&state).message);
}

#[test]
fn the_parts_of_a_split_report_hold_nothing_back_and_let_nothing_go() {
    let (mut state, hash) = state(vec![amount()]);
    for (agent, watermark) in [("a", 20_000), ("b", 10_000)] {
        let mut r = report(agent, 1, 1, 20_000);
        r.topics.push(progress("orders", watermark, 0, 10));
        apply(&mut state, &r);
    }
    let watermark = |state: &State| state.core.agents.progress("orders").watermark_ms;
    assert_eq!(watermark(&state), Some(10_000));
    // The first part of b's next report has panes alone.
    let mut part = report("b", 1, 2, 20_000);
    part.panes.push(pane(hash, 10_000, 0, 0, 10, 0, &[]));
    apply(&mut state, &part);
    assert_eq!(watermark(&state), Some(10_000));
    let mut last = report("b", 1, 3, 25_000);
    last.topics.push(progress("orders", 25_000, 0, 10));
    apply(&mut state, &last);
    assert_eq!(watermark(&state), Some(20_000));
    // An agent that holds nothing any more says so with time going on.
    apply(&mut state, &report("a", 1, 2, 26_000));
    assert_eq!(watermark(&state), Some(25_000));
}

#[test]
fn a_profile_over_a_stretch_has_the_panes_that_lie_in_it() {
    let (mut state, hash) = state(vec![]);
    let mut r = report("a", 1, 1, 50_000);
    for at in 0..5 {
        r.panes.push(pane(hash, at * 10_000, 0, at * 10, at * 10 + 10 + at, 0, &[]));
    }
    r.topics.push(progress("orders", 50_000, 0, 100));
    apply(&mut state, &r);
    let of = |stretch| state.profile("orders", stretch).expect("it is known");
    let some = of(Stretch::Between(10_000, 30_000));
    assert_eq!((some.panes, some.panes_without, some.summary.read), (2, 0, 11 + 12));
    assert_eq!((some.from_ms, some.to_ms, some.kept_from_ms), (10_000, 30_000, Some(0)));
    // A pane counts as a whole or not at all.
    assert_eq!(of(Stretch::Between(10_001, 30_000)).summary.read, 12);
    let last = of(Stretch::Last(20_000));
    assert_eq!((last.from_ms, last.to_ms, last.summary.read), (30_000, 50_000, 13 + 14));
    assert_eq!(of(Stretch::Between(90_000, 95_000)).panes, 0);
    assert_eq!(state.profile("payments", Stretch::Last(20_000)), None);
}
