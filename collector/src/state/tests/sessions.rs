//! Session windows, and what late records change of them.

use checks::report::PaneSummary;
use checks::verdict::Status;
use proptest::prelude::*;

use super::super::testing::*;
use super::apply;
use super::late::{Teller, by_file, check};
use crate::view::View;

const FILE: &str = "version: 1\ntopic: orders\nwindow: { gap: 30s, longest: 10m, allowed_lateness: 2m }\nchecks:\n  - { id: amount, metric: invalidValues, field: $.amount, arguments: { min: 0 }, mustBe: 0 }\n";

/// Beginning and end of the last session, and its records. Panes of the tests have their first record 1 ms
/// after their start, and their last 1 ms before their end.
fn session(view: &View) -> Option<(i64, i64, u64)> {
    let window = view.topics["orders"].window.as_ref()?;
    Some((window.from_ms, window.to_ms, window.summary.read))
}

#[test]
fn a_session_is_judged_when_the_gap_has_passed() {
    let mut topic = Teller::new(by_file(FILE));
    topic.say(0, 10, 1, 20_000);
    let view = topic.say(30_000, 10, 1, 60_000);
    assert_eq!((session(&view), check(&view).verdict.status), (None, Status::Unknown), "it may go on");
    let view = topic.pass(69_998);
    assert_eq!(session(&view), None);
    let view = topic.pass(69_999);
    assert_eq!(session(&view), Some((1, 69_999, 20)));
    assert_eq!((check(&view).verdict.status, check(&view).verdict.failed), (Status::Fail, Some(2)));
    assert_eq!((view.findings[0].at_ms, view.findings[0].to_ms), (1, 69_999));
    // Silence is no session.
    let view = topic.pass(600_000);
    assert_eq!(session(&view), Some((1, 69_999, 20)));
    topic.say(600_000, 5, 0, 620_000);
    let view = topic.pass(640_000);
    assert_eq!((session(&view), check(&view).verdict.status), (Some((600_001, 639_999, 5)), Status::Pass));
    assert_eq!(view.findings[0].resolved_ms, Some(639_999));
}

#[test]
fn a_late_record_joins_two_sessions() {
    let mut topic = Teller::new(by_file(FILE));
    topic.say(0, 10, 1, 10_000);
    topic.say(50_000, 10, 0, 60_000);
    let view = topic.pass(90_000);
    assert_eq!(session(&view), Some((50_001, 89_999, 10)));
    assert_eq!((check(&view).verdict.status, check(&view).since_ms), (Status::Pass, 89_999));
    assert_eq!(view.findings[0].resolved_ms, Some(89_999));
    let view = topic.late(20_000, 3, 0);
    assert_eq!(session(&view), Some((1, 89_999, 23)), "one session it was, all the time");
    assert_eq!((check(&view).verdict.status, check(&view).verdict.failed), (Status::Fail, Some(1)));
    assert_eq!((check(&view).since_ms, view.findings.len()), (89_999, 1));
    assert_eq!((view.findings[0].at_ms, view.findings[0].resolved_ms), (1, None), "and it is not over");
}

#[test]
fn a_late_record_lengthens_a_session_that_is_then_not_over() {
    let mut topic = Teller::new(by_file(FILE));
    topic.say(0, 10, 1, 10_000);
    let view = topic.pass(40_000);
    assert_eq!(session(&view), Some((1, 39_999, 10)));
    let view = topic.late(30_000, 3, 1);
    assert_eq!(check(&view).verdict.failed, Some(1), "what was said stands until it is over");
    let view = topic.pass(70_000);
    assert_eq!((session(&view), check(&view).verdict.failed), (Some((1, 69_999, 13)), Some(2)));
    assert_eq!(view.findings[0].evidence["failing_windows"], 1, "one session, not two");
}

#[test]
fn a_late_session_between_others_is_judged_in_its_place() {
    let file = FILE.replace("mustBe: 0 }", "mustBe: 0, for: 2 }");
    let mut topic = Teller::new(by_file(&file));
    topic.say(0, 10, 1, 10_000);
    topic.say(100_000, 10, 0, 110_000);
    let view = topic.pass(140_000);
    assert_eq!((check(&view).verdict.status, view.findings.len()), (Status::Pass, 0));
    let view = topic.late(50_000, 3, 3);
    assert_eq!(session(&view), Some((100_001, 139_999, 10)), "the last one is the last");
    assert_eq!((check(&view).verdict.status, check(&view).since_ms), (Status::Pass, 139_999));
    assert_eq!((view.findings[0].at_ms, view.findings[0].resolved_ms), (1, Some(139_999)));
}

#[test]
fn a_session_that_grows_too_long_is_cut() {
    let mut topic = Teller::new(by_file(&FILE.replace("10m", "1m")));
    for pane in 0..8 {
        topic.say(pane * PANE_MS, 10, u64::from(pane == 0), (pane + 1) * PANE_MS);
    }
    let view = topic.pass(80_000);
    assert_eq!(session(&view), Some((1, 60_001, 60)), "it ends where the next one begins");
    let view = topic.pass(110_000);
    assert_eq!(session(&view), Some((60_001, 109_999, 20)));
    assert_eq!(check(&view).failed_total, 1);
}

#[test]
fn copies_are_counted_within_their_session() {
    let file = "version: 1\ntopic: orders\nwindow: { gap: 30s }\nchecks:\n  - { id: ids, metric: duplicateValues, field: $.id, mustBe: 0 }\n";
    let (mut state, hash) = by_file(file);
    let mut r = report("a", 1, 1, 300_000);
    r.panes.push(pane(hash, 0, 0, 0, 3, 0, &[1, 2, 2]));
    r.panes.push(pane(hash, 20_000, 0, 3, 5, 0, &[1, 3]));
    r.panes.push(pane(hash, 100_000, 0, 5, 8, 0, &[1, 2, 3]));
    r.topics.push(progress("orders", 300_000, 0, 8));
    apply(&mut state, &r);
    let view = state.view(0);
    assert_eq!((check(&view).failed_total, check(&view).checked_total), (2, 8));
    assert_eq!((check(&view).verdict.status, check(&view).verdict.failed), (Status::Pass, Some(0)));
    assert_eq!(session(&view), Some((100_001, 139_999, 3)));
}

#[test]
fn volume_is_compared_with_that_of_the_sessions_before() {
    let file = "version: 1\ntopic: orders\nwindow: { gap: 30s }\nchecks:\n  - { id: volume, metric: rowCount, baseline: previous }\n";
    let mut topic = Teller::new(by_file(file));
    let load = |topic: &mut Teller, at: i64, panes: i64, records: i64| {
        for pane in 0..panes {
            topic.say(at + pane * PANE_MS, records, 0, at + (pane + 1) * PANE_MS);
        }
        check(&topic.pass(at + 500_000)).verdict
    };
    // Of one to three panes, a hundred records in all, the first of them before reading was sure of it.
    for day in 0..13 {
        load(&mut topic, day * 1_000_000, 1 + day % 2, 100 / (1 + day % 2));
    }
    let usual = load(&mut topic, 13_000_000, 3, 33);
    assert_eq!(usual.status, Status::Pass, "{}", usual.message);
    assert!(usual.message.contains("usual in 12 windows before: 100,"), "{}", usual.message);
    let half = load(&mut topic, 14_000_000, 1, 50);
    assert_eq!(half.status, Status::Fail, "{}", half.message);
}

#[test]
fn a_restart_goes_on_with_the_sessions_as_they_were() {
    let mut topic = Teller::new(by_file(FILE));
    topic.say(0, 10, 1, 10_000);
    topic.say(50_000, 10, 0, 60_000);
    topic.pass(90_000);
    let (fresh, _) = by_file(FILE);
    topic.state = again(&fresh.config, &topic.state);
    assert_eq!(session(&topic.state.view(0)), Some((50_001, 89_999, 10)));
    let view = topic.late(20_000, 3, 0);
    assert_eq!(session(&view), Some((1, 89_999, 23)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes late: the last verdict, what failed in a row and the counters are those of an agent
    /// that told everything in time.
    #[test]
    fn late_panes_come_to_the_same_as_panes_in_time(
        panes in prop::collection::btree_map(0i64..20, (1i64..5, 0u64..2, any::<bool>()), 1..14),
        file in prop::sample::select(vec![
            FILE.replace("2m", "10m"),
            FILE.replace("2m", "10m").replace("mustBe: 0 }", "mustBe: 0, for: 2 }"),
            FILE.replace("gap: 30s, longest: 10m, allowed_lateness: 2m", "size: 1m, every: 1m, allowed_lateness: 10m"),
            FILE.replace("gap: 30s, longest: 10m, allowed_lateness: 2m", "size: 1m, every: 20s, allowed_lateness: 10m"),
        ]),
    ) {
        let run = |all_in_time: bool| {
            let mut topic = Teller::new(by_file(&file));
            // From the beginning on, in both.
            topic.pass(-100_000);
            for index in 0..20 {
                let end_ms = (index + 1) * PANE_MS;
                match panes.get(&index) {
                    Some((records, failed, in_time)) if *in_time || all_in_time => {
                        topic.say(index * PANE_MS, *records, *failed, end_ms);
                    }
                    _ => {
                        topic.pass(end_ms);
                    }
                }
            }
            topic.pass(300_000);
            for (index, (records, failed, _)) in panes.iter().filter(|(_, (_, _, t))| !*t && !all_in_time) {
                topic.late(index * PANE_MS, *records, *failed);
            }
            topic.state.view(0)
        };
        let (late, in_time) = (run(false), run(true));
        let (a, b) = (check(&late), check(&in_time));
        prop_assert_eq!(session(&late), session(&in_time));
        prop_assert_eq!(
            (a.verdict.status, a.verdict.failed, a.verdict.checked, a.since_ms),
            (b.verdict.status, b.verdict.failed, b.verdict.checked, b.since_ms)
        );
        prop_assert_eq!((a.checked_total, a.failed_total), (b.checked_total, b.failed_total));
        let open = |view: &View| {
            let open = view.findings.iter().find(|f| f.resolved_ms.is_none());
            open.map(|f| (f.status, f.evidence["failing_windows"].clone()))
        };
        prop_assert_eq!(open(&late), open(&in_time));
        let summaries = [&late, &in_time].map(|v| v.topics["orders"].window.clone().map(|w| PaneSummary::clone(&w.summary)));
        prop_assert_eq!(summaries[0].as_ref().map(|s| s.read), summaries[1].as_ref().map(|s| s.read));
    }
}
