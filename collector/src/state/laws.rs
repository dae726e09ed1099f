//! The laws of the state, on generated histories.

use checks::report::{Report, skip_reason};
use proptest::prelude::*;

use super::testing::*;
use super::{Applied, State};
use crate::config::Config;

/// A record of the generated topic.
#[derive(Clone, Copy, Debug)]
struct Fact {
    /// Which pane, from 0.
    pane: i64,
    failed: bool,
    key: u64,
}

/// What one boot of an agent does: it reads on from an offset, reporting now and then.
#[derive(Clone, Debug)]
struct Boot {
    agent: usize,
    partition: i32,
    from: usize,
    /// Offsets read between reports.
    strides: Vec<usize>,
}

const PANES: i64 = 6;
const START_MS: i64 = 1_000_000;

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    // Record times rise, with some disorder.
    prop::collection::vec((0i64..3, any::<bool>(), 0u64..12), 40).prop_map(|raw| {
        let length = raw.len() as i64;
        (0..)
            .zip(raw)
            .map(|(i, (late, failed, key))| Fact { pane: (i * PANES / length - late).max(0), failed, key })
            .collect()
    })
}

fn boots() -> impl Strategy<Value = Vec<Boot>> {
    let boot = (0usize..3, 0i32..2, 0usize..30, prop::collection::vec(1usize..10, 1..5));
    let boot = boot.prop_map(|(agent, partition, from, strides)| Boot { agent, partition, from, strides });
    prop::collection::vec(boot, 1..5)
}

/// The reports of each boot, in the order of sending.
fn histories(config: &Config, facts: &[Fact], boots: &[Boot]) -> Vec<Vec<Report>> {
    let rules_hash = config.checks.for_topic("orders").hash;
    let mut histories = Vec::new();
    for (number, boot) in (1u64..).zip(boots) {
        let mut reports = Vec::new();
        let mut next = boot.from;
        for (sequence, stride) in (1u64..).zip(&boot.strides) {
            next = (next + stride).min(facts.len());
            let agent = format!("agent-{}", boot.agent);
            let mut report = report(&agent, number, sequence, START_MS + next as i64 * 2_000);
            let mut latest = 0;
            for index in 0..PANES {
                let mine: Vec<(usize, &Fact)> =
                    (boot.from..next).map(|o| (o, &facts[o])).filter(|(_, f)| f.pane == index).collect();
                let (Some((first, _)), Some((last, _))) = (mine.first(), mine.last()) else { continue };
                latest = index;
                let keys: Vec<u64> = mine.iter().map(|(_, f)| f.key).collect();
                let failed = mine.iter().filter(|(_, f)| f.failed).count() as u64;
                let mut pane = pane(
                    rules_hash,
                    START_MS + index * PANE_MS,
                    boot.partition,
                    *first as i64,
                    *last as i64 + 1,
                    failed,
                    &keys,
                );
                // Records of other panes may lie between.
                pane.ranges[0].records = mine.len() as u64;
                let summary = pane.summary.as_mut().unwrap();
                (summary.read, summary.examined) = (mine.len() as u64, mine.len() as u64);
                summary.rules.iter_mut().for_each(|r| r.checked = mine.len() as u64);
                report.panes.push(pane);
            }
            report.topics.push(progress("orders", START_MS + latest * PANE_MS, boot.partition, next as i64));
            if boot.from > 20 {
                report.skipped.push(skipped(boot.partition, 0, boot.from as i64, skip_reason::CATCH_UP));
            }
            reports.push(report);
        }
        histories.push(reports);
    }
    histories
}

/// Sends the histories, each in its order, interleaved as `choices` say, some reports twice.
fn interleaved(histories: &[Vec<Report>], choices: &[u8]) -> Vec<Report> {
    let mut cursors = vec![0; histories.len()];
    let mut order = Vec::new();
    let mut choices = choices.iter().copied().cycle();
    loop {
        let open: Vec<usize> = (0..histories.len()).filter(|i| cursors[*i] < histories[*i].len()).collect();
        if open.is_empty() {
            return order;
        }
        let choice = choices.next().unwrap_or(0);
        let which = open[usize::from(choice) % open.len()];
        let report = histories[which][cursors[which]].clone();
        cursors[which] += 1;
        if choice % 5 == 0 {
            order.push(report.clone());
        }
        order.push(report);
    }
}

/// The agents' last words: everything is closed.
fn with_end(mut reports: Vec<Report>) -> Vec<Report> {
    for agent in 0..3 {
        let mut end = report(&format!("agent-{agent}"), 1_000, 1, START_MS + 100_000);
        end.topics.push(progress("orders", START_MS + PANES * PANE_MS, 0, 0));
        reports.push(end);
    }
    reports
}

fn run(config: &Config, reports: &[Report]) -> State {
    let mut state = State::new(config);
    for (now, report) in (0..).zip(reports) {
        assert!(!matches!(state.apply(report, now), Applied::Refused(_)));
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sums_are_the_same_in_any_order_and_never_go_back(
        facts in facts(),
        boots in boots(),
        one in prop::collection::vec(any::<u8>(), 1..40),
        other in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let config = config(checks(vec![amount(), ids()], vec![slo(0.9)]));
        let histories = histories(&config, &facts, &boots);
        let (a, b) = (run(&config, &with_end(interleaved(&histories, &one))), run(&config, &with_end(interleaved(&histories, &other))));
        let (x, y) = (&a.core.topics["orders"], &b.core.topics["orders"]);
        prop_assert_eq!(&x.total, &y.total);
        prop_assert_eq!(&x.panes, &y.panes);
        prop_assert_eq!(&x.positions.keys().collect::<Vec<_>>(), &y.positions.keys().collect::<Vec<_>>());
        let catch_up = |t: &super::topic::Topic| t.skipped().get(skip_reason::CATCH_UP).copied();
        prop_assert_eq!(catch_up(x), catch_up(y));
        prop_assert_eq!(&x.total, &x.panes.sum(), "the running sum is the sum of the panes");
        prop_assert_eq!(&x.minutes, &y.minutes);
        prop_assert_eq!(&x.windows.judged_to_ms, &y.windows.judged_to_ms);
        prop_assert_eq!(&x.windows.last, &y.windows.last);
        let verdicts = |t: &super::topic::Topic| {
            t.windows.checks.iter().map(|(id, c)| (id.clone(), c.verdict.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!(verdicts(x), verdicts(y));

        // No counter ever goes back, and each ends at the sum or above it.
        let mut state = State::new(&config);
        let mut before = Default::default();
        for report in with_end(interleaved(&histories, &one)) {
            state.apply(&report, 0);
            let shown = state.core.topics.get("orders").map(|t| t.shown.clone()).unwrap_or_default();
            let mut raised = shown.clone();
            raised.raise_to(&before);
            prop_assert_eq!(&raised, &shown, "a counter went back");
            before = shown;
        }
        let mut raised = before.clone();
        raised.raise_to(&x.total);
        prop_assert_eq!(raised, before);
    }

    #[test]
    fn nothing_is_counted_twice_and_what_is_given_up_is_told(facts in facts(), boots in boots()) {
        let config = config(checks(vec![amount()], vec![]));
        let histories = histories(&config, &facts, &boots);
        let state = run(&config, &interleaved(&histories, &[0]));
        let total = &state.core.topics["orders"].total.totals;
        let covered: u64 = (0..2)
            .map(|partition| {
                let mine = boots.iter().filter(|b| b.partition == partition);
                let read = mine.flat_map(|b| b.from..(b.from + b.strides.iter().sum::<usize>()).min(facts.len()));
                read.collect::<std::collections::BTreeSet<_>>().len() as u64
            })
            .sum();
        prop_assert!(total.read <= covered, "{} of {covered}", total.read);
        if total.skipped.is_empty() && boots.len() == 1 {
            prop_assert_eq!(total.read, covered);
        }
    }

    #[test]
    fn a_report_applied_again_changes_nothing(
        facts in facts(),
        boots in boots(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 1..10),
    ) {
        let config = config(checks(vec![amount(), ids()], vec![slo(0.9)]));
        let reports = interleaved(&histories(&config, &facts, &boots), &[1]);
        let mut state = run(&config, &reports);
        let before = state.core.clone();
        for index in again {
            prop_assert_eq!(state.apply(index.get(&reports), 9), Applied::Duplicate);
        }
        state.core.counters.duplicate = before.counters.duplicate;
        prop_assert_eq!(&state.core, &before);
    }

    #[test]
    fn traces_come_to_the_same_end_in_any_order(
        traces in prop::collection::vec((0i64..60_000, prop::array::uniform3(prop::option::of(0i64..15_000))), 1..20),
        agents in prop::array::uniform3(0usize..2),
        one in prop::collection::vec(any::<u8>(), 1..20),
        other in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let config = config(checks(vec![], vec![]));
        // Each stage is read by one of two agents, which report every 5 s.
        let mut histories = vec![Vec::new(), Vec::new()];
        let mut hellos = Vec::new();
        for (agent, history) in (0..2).zip(&mut histories) {
            // That there are two is known from the beginning.
            let mut hello = report(&format!("agent-{agent}"), 1, 1, START_MS);
            for (_, topic) in ["a", "b", "c"].into_iter().enumerate().filter(|(s, _)| agents[*s] == agent) {
                hello.topics.push(progress(topic, START_MS, 0, 0));
            }
            hellos.push(hello);
            for step in 0..36i64 {
                let (from, to) = (START_MS + step * 5_000, START_MS + (step + 1) * 5_000);
                let mut report = report(&format!("agent-{agent}"), 1, step as u64 + 2, to);
                for (stage, topic) in ["a", "b", "c"].into_iter().enumerate().filter(|(s, _)| agents[*s] == agent) {
                    report.topics.push(progress(topic, to, 0, 0));
                    for (id, (entry, delays)) in (0u8..).zip(&traces) {
                        let at: i64 = START_MS + entry + delays[..=stage].iter().flatten().sum::<i64>();
                        if delays[stage].is_some() && (from..to).contains(&at) {
                            report.sightings.push(sighting(id, topic, i64::from(id), at, at + 10));
                        }
                    }
                }
                history.push(report);
            }
        }
        let run = |choices: &[u8]| {
            let mut reports = hellos.clone();
            reports.extend(interleaved(&histories, choices));
            let mut state = run(&config, &reports);
            let mut ended = state.take_traces();
            ended.sort_by_key(|t| t.trace_id);
            (state, ended)
        };
        let ((x, x_ended), (y, y_ended)) = (run(&one), run(&other));
        prop_assert_eq!(&x_ended, &y_ended);
        let (x, y) = (&x.core.joiners["checkout"], &y.core.joiners["checkout"]);
        prop_assert_eq!(&x.hops, &y.hops);
        prop_assert_eq!(&x.whole, &y.whole);
        prop_assert_eq!(&x.incomplete, &y.incomplete);
        prop_assert_eq!((x.completed, x.breached, x.unjudged, x.open()), (y.completed, y.breached, y.unjudged, 0));
        // Every trace that entered ended, once.
        let entered = traces.iter().filter(|(_, d)| d[0].is_some()).count() as u64;
        prop_assert_eq!(x.completed + x.incomplete.values().sum::<u64>(), entered);
        let none = |d: &[Option<i64>; 3]| d[0].is_none() && (d[1].is_some() || d[2].is_some());
        prop_assert_eq!(x.unjudged, traces.iter().filter(|(_, d)| none(d)).count() as u64);
        // And the truth, for those that arrived in time.
        let arrived = traces.iter().filter(|(_, d)| {
            d[0].is_some() && d[2].is_some_and(|last| d[1].unwrap_or(0) + last <= 20_000)
        });
        prop_assert_eq!(x.completed, arrived.count() as u64);
    }
}
