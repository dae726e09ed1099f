//! Explanations of scripted histories, through the state.

use std::sync::Arc;

use checks::merge::count_schema;
use checks::pipeline::Pipeline;
use checks::report::{
    FieldSummary, OffsetRange, Pane, PaneSummary, Report, RuleTally, SchemaSeen, SegmentTally,
};
use checks::rules::{FieldPath, Metric, Rule, Step, Threshold, Unit};

use super::timeline::ENTRIES_MAX;
use crate::cluster::snapshot::{ClusterSnapshot, GroupPartition, GroupSnapshot, GroupType, Named, Places};
use crate::config::Config;
use crate::state::State;
use crate::state::testing::{PANE_MS, checks, config, pipeline, progress, report};
use crate::view::{Amount, Explanation, FindingSource, Place, THIS_FINDING};

const START_MS: i64 = 1_795_424_400_000;
const RECORDS: i64 = 200;
/// The pane in which all began.
const BEGAN: i64 = 60;
const PANES: i64 = 90;

fn email() -> Rule {
    let path = |name: &str| FieldPath { text: format!("$.{name}"), steps: vec![Step::Key(name.to_owned())] };
    let rule =
        Rule::new("email", Metric::NullValues { field: path("email") }, Some(Threshold::MustBeLessThan(5.0)));
    Rule { unit: Unit::Percent, segment_by: Some(path("country")), ..rule }
}

fn settings() -> Config {
    let mut config = config(checks(vec![email()], Vec::new()));
    config.detect.settings.window_ms = 5 * PANE_MS;
    let stages = ["carts", "orders", "shipments"].map(str::to_owned).to_vec();
    config.pipelines = vec![Arc::new(Pipeline { stages, ..pipeline() })];
    config
}

fn field(path: &str, records: u64, null: u64) -> FieldSummary {
    FieldSummary {
        path: path.to_owned(),
        records,
        present: records,
        null,
        string: records - null,
        ..FieldSummary::default()
    }
}

/// What happens to the stream, and from which pane on.
#[derive(Clone, Copy, Default)]
struct Faults {
    schema: Option<i64>,
    nulls: Option<i64>,
    carts_fall: Option<i64>,
    lag: Option<i64>,
}

const ALL: Faults = Faults {
    schema: Some(BEGAN - 6),
    nulls: Some(BEGAN),
    carts_fall: Some(BEGAN - 12),
    lag: Some(BEGAN + 12),
};

fn is_on(fault: Option<i64>, at: i64) -> bool {
    fault.is_some_and(|from| at >= from)
}

/// The pane of a topic, with a little more or less of everything from pane to pane.
fn pane(topic: &str, at: i64, faults: Faults) -> Pane {
    let start_ms = START_MS + at * PANE_MS;
    let wobble = at.unsigned_abs() * 7 % 11;
    let mut records = RECORDS.unsigned_abs() - 5 + wobble;
    if topic == "carts" && is_on(faults.carts_fall, at) {
        records /= 4;
    }
    let null = if is_on(faults.nulls, at) { 40 + wobble } else { wobble % 3 };
    let (null, first) = if topic == "orders" { (null, at * 1_000) } else { (0, at * 1_000) };
    let mut summary = PaneSummary {
        read: records,
        examined: records,
        first_record_ms: start_ms,
        last_record_ms: start_ms + PANE_MS - 1,
        fields: vec![
            field("$", records, 0),
            field("$.email", records, null),
            field("$.note", records, wobble % 2),
        ],
        ..PaneSummary::default()
    };
    let id = if is_on(faults.schema, at) { 9 } else { 7 };
    count_schema(&mut summary.schemas, SchemaSeen { id, count: records, first_ms: start_ms + 2_000 });
    if topic == "orders" {
        let de = null * 9 / 10;
        let quarter = records / 4;
        let segment = |name: &str, checked, failed| SegmentTally {
            segment: name.to_owned(),
            checked,
            failed,
            errors: 0,
        };
        summary.rules = vec![RuleTally {
            rule: "email".to_owned(),
            checked: records,
            failed: null,
            segments: vec![
                segment("DE", quarter.max(de), de),
                segment("FR", records - quarter.max(de), null - de),
            ],
            ..RuleTally::default()
        }];
    }
    Pane {
        topic: topic.to_owned(),
        segment: String::new(),
        start_ms,
        end_ms: start_ms + PANE_MS,
        rules_hash: 0,
        ranges: vec![OffsetRange { partition: 0, first, next: first + records as i64, records }],
        summary: Some(summary),
    }
}

fn snapshot(at: i64, faults: Faults) -> ClusterSnapshot {
    let at_ms = START_MS + (at + 1) * PANE_MS;
    let behind = if is_on(faults.lag, at) { 30.0 + (at - BEGAN) as f64 * 10.0 } else { 1.0 };
    let place = GroupPartition {
        committed: Some(10),
        start: Some(0),
        end: Some(20),
        stable_end: Some(20),
        lag_records: Some(10),
        stable_lag_records: Some(10),
        lost_records: 0,
        lag_seconds: Some(behind),
        lag_seconds_error: 1.0,
        unknown: None,
        assigned: true,
    };
    let group = |topic: &str, members| GroupSnapshot {
        group_type: GroupType::Classic,
        state: "Stable".to_owned(),
        protocol: "range".to_owned(),
        members: Some(members),
        read_at_ms: at_ms,
        topics: Named::from([(topic, Arc::new(Places::from([(0, place)])))]),
        progress: Named::default(),
        lag_is_bound: false,
    };
    let members = if is_on(faults.lag, at) { 1 } else { 2 };
    ClusterSnapshot {
        taken_at_ms: at_ms,
        complete_once: true,
        groups: [
            ("billing".to_owned(), group("orders", members)),
            ("elsewhere".to_owned(), group("other", members)),
        ]
        .into(),
        ..ClusterSnapshot::default()
    }
}

/// All panes up to one, reported by an agent a topic, in this order of topics.
fn run(config: &Config, panes: i64, faults: Faults, topics: &[&str]) -> State {
    let mut state = State::new(config);
    let hash = config.checks.for_topic("orders").hash;
    for at in 0..panes {
        for topic in topics {
            let end_ms = START_MS + (at + 1) * PANE_MS;
            let mut told: Report = report(&format!("agent-{topic}"), 1, at.unsigned_abs() + 1, end_ms);
            let rules_hash = if *topic == "orders" { hash } else { config.checks.for_topic(topic).hash };
            told.panes = vec![Pane { rules_hash, ..pane(topic, at, faults) }];
            told.topics = vec![progress(topic, end_ms, 0, at * 1_000)];
            state.apply(&told, end_ms);
        }
        state.tick(START_MS + (at + 1) * PANE_MS + 100, Some(&snapshot(at, faults)));
    }
    state
}

const TOPICS: [&str; 3] = ["carts", "orders", "shipments"];

/// The explanation of the check's finding.
fn explained(state: &State, now_ms: i64) -> Arc<Explanation> {
    let view = state.view(now_ms);
    let of_check = |source: &FindingSource| *source == FindingSource::Check("email".to_owned());
    let found = view.findings.iter().find(|f| of_check(&f.source)).expect("the check fails");
    Arc::clone(view.explanations.get(&found.id).expect("it is explained"))
}

#[test]
fn what_moved_is_told_in_order_of_onset_with_the_segment_that_contributes_most() {
    let config = settings();
    let state = run(&config, PANES, ALL, &TOPICS);
    let made = explained(&state, 0);
    let told: Vec<(&str, &str, Place, bool)> =
        made.timeline.iter().map(|m| (m.what.as_str(), m.topic.as_str(), m.place, m.is_before)).collect();
    let expected = [
        ("throughput", "carts", Place::Upstream, true),
        ("schema", "carts", Place::Upstream, true),
        ("schema", "orders", Place::Here, true),
        ("schema", "shipments", Place::Downstream, true),
        (THIS_FINDING, "orders", Place::Here, false),
        ("group_lag", "orders", Place::Here, false),
        ("group_members", "orders", Place::Here, false),
    ];
    let mut sorted = told.clone();
    sorted.sort();
    let mut wanted = expected.to_vec();
    wanted.sort();
    assert_eq!(sorted, wanted, "{:#?}", made.timeline);
    assert!(made.timeline.is_sorted_by_key(|m| m.at_ms));
    let at = |what: &str, topic: &str| {
        made.timeline
            .iter()
            .find(|m| m.what == what && m.topic == topic)
            .map(|m| (m.at_ms - START_MS) / 1_000)
    };
    assert_eq!(at("schema", "orders"), Some((BEGAN - 6) * 10 + 2), "to the record");
    assert_eq!(at("throughput", "carts"), Some((BEGAN - 12) * 10));
    assert_eq!(at(THIS_FINDING, "orders"), Some(BEGAN * 10));
    assert!(at("group_lag", "orders").is_some_and(|at| (at - (BEGAN + 12) * 10).abs() <= 10));
    let schema = made.timeline.iter().find(|m| m.what == "schema" && m.topic == "orders").expect("it is");
    assert_eq!((&schema.from, &schema.to), (&Amount::Name("7".to_owned()), &Amount::Name("9".to_owned())));
    let most = &made.contributes[0];
    assert_eq!((most.by.as_str(), most.name.as_str()), ("segment", "DE"));
    assert!((most.share - 0.9).abs() < 0.03 && most.of_all.is_some_and(|all| all < 0.3), "{most:?}");
    assert!(made.summary.contains("carts gets fewer records"), "{}", made.summary);
    assert!(
        made.figure.as_ref().is_some_and(|f| f.unit == "share" && f.values.len() > 40),
        "{:?}",
        made.figure
    );
    assert_eq!((made.unknown.as_deref(), made.left_out), (None, 0));
}

#[test]
fn nothing_else_moves_in_a_quiet_system() {
    let config = settings();
    let state = run(&config, PANES, Faults { nulls: Some(BEGAN), ..Faults::default() }, &TOPICS);
    let made = explained(&state, 0);
    assert_eq!(made.timeline.len(), 1, "{:#?}", made.timeline);
    assert!(made.summary.contains("nothing else moved"), "{}", made.summary);
}

#[test]
fn of_a_stream_that_is_hardly_known_it_says_so() {
    let config = settings();
    let early = Faults { nulls: Some(6), ..Faults::default() };
    let made = explained(&run(&config, 20, early, &TOPICS), 0);
    assert_eq!(made.timeline.len(), 1, "{:#?}", made.timeline);
    assert!(made.unknown.is_some() && made.summary.contains("too little is known"), "{made:?}");
}

#[test]
fn it_does_not_depend_on_who_reports_first_and_outlives_a_restart() {
    let config = settings();
    let state = run(&config, PANES, ALL, &TOPICS);
    let other = run(&config, PANES, ALL, &["shipments", "orders", "carts"]);
    assert_eq!(explained(&state, 0), explained(&other, 0));
    let saved = state.save().expect("it can be saved");
    let loaded = State::load(&config, &saved).expect("and read");
    assert_eq!(explained(&state, 0), explained(&loaded, 0));
    assert_eq!(loaded.explainer.rings, state.explainer.rings);
    assert!(saved.len() < 1 << 20, "{} bytes", saved.len());
}

#[test]
fn it_is_final_once_the_finding_is_long_under_way_or_over() {
    let config = settings();
    assert!(!explained(&run(&config, PANES, ALL, &TOPICS), 0).is_final);
    let long = explained(&run(&config, BEGAN + 50, ALL, &TOPICS), 0);
    let longer = explained(&run(&config, BEGAN + 80, ALL, &TOPICS), 0);
    assert!(long.is_final);
    assert_eq!(long, longer, "what came later is no explanation");
}

#[test]
fn hostile_payloads_make_no_more_than_is_bounded() {
    let mut config = settings();
    config.pipelines.clear();
    let mut state = State::new(&config);
    let hash = config.checks.for_topic("orders").hash;
    for at in 0..PANES {
        let end_ms = START_MS + (at + 1) * PANE_MS;
        let mut pane = Pane { rules_hash: hash, ..pane("orders", at, ALL) };
        let summary = pane.summary.as_mut().expect("a summary");
        let null = if at >= BEGAN { 60 } else { 1 };
        summary.fields =
            (0..300).map(|i| field(&format!("$.<b>{i:03}\n{}", "x".repeat(300)), 180, null)).collect();
        summary.schemas.clear();
        for id in 0..40u32 {
            let first_ms = START_MS + at * PANE_MS;
            count_schema(&mut summary.schemas, SchemaSeen { id: id + at as u32 * 40, count: 1, first_ms });
        }
        pane.ranges = (0..200)
            .map(|partition| OffsetRange { partition, first: at * 10, next: at * 10 + 1, records: 1 })
            .collect();
        let mut told = report("a", 1, at.unsigned_abs() + 1, end_ms);
        told.panes = vec![pane];
        told.topics = vec![progress("orders", end_ms, 0, at * 1_000)];
        state.apply(&told, end_ms);
        state.tick(end_ms + 100, None);
    }
    let made = explained(&state, 0);
    assert_eq!(made.timeline.len(), ENTRIES_MAX + 1);
    assert!(made.left_out > 20, "{}", made.left_out);
    assert!(made.timeline.iter().all(|m| m.subject.chars().count() <= 201 && m.sentence.len() < 1_000));
    let ring = &state.explainer.rings["orders"];
    assert!(ring.fields.len() <= 64 && ring.schemas.len() <= 32 && ring.partitions.len() <= 64);
    let bytes = postcard::to_stdvec(ring).expect("it can be saved").len();
    assert!(bytes < 512 << 10, "{bytes}");
}
