//! What the tests of the state are made of.

use std::path::PathBuf;
use std::sync::Arc;

use checks::limits::Limits;
use checks::merge::count_reason;
use checks::pipeline::{Correlate, LatencyObjective, Pipeline};
use checks::report::{
    HASH_VERSION, OffsetRange, Pane, PaneSummary, Position, REPORT_VERSION, Report, RuleTally, Sighting,
    SkippedRange, TopicProgress, Uniqueness,
};
use checks::rules::{
    CheckFile, CheckSet, Decode, Metric, Origin, Rule, Sample, Slo, Threshold, TimeSource, TopicSelector,
    Window,
};

use crate::config::Config;
use crate::state::State;

/// Length of a pane.
pub(crate) const PANE_MS: i64 = 10_000;

pub(crate) fn rule(id: &str, metric: Metric, threshold: Threshold) -> Rule {
    Rule::new(id, metric, Some(threshold))
}

pub(crate) fn checks(rules: Vec<Rule>, slos: Vec<Slo>) -> Arc<CheckSet> {
    let file = CheckFile {
        path: PathBuf::from("orders.yaml"),
        topics: TopicSelector::Names(vec!["orders".to_owned()]),
        owner: String::new(),
        decode: Decode::default(),
        time: TimeSource::default(),
        window: Window::default(),
        sample: Sample::default(),
        redact: checks::redact::Redaction::default(),
        rules: rules.into_iter().map(Arc::new).collect(),
        slos: slos.into_iter().map(Arc::new).collect(),
        tests: Vec::new(),
        is_contract: false,
    };
    Arc::new(CheckSet::of(vec![Arc::new(file)]))
}

pub(crate) fn config(checks: Arc<CheckSet>) -> Config {
    Config {
        cluster: "c".to_owned(),
        checks,
        pipelines: vec![Arc::new(pipeline())],
        history: None,
        history_keep_ms: 35 * 86_400_000,
        series_budget: 1_000,
        group_lag_seconds_max: None,
        agent_group: "tapline-agent".to_owned(),
        detect: crate::config::DetectConfig::default(),
        otlp: None,
        limits: Limits::default(),
    }
}

/// The state as it is after a restart.
pub(crate) fn again(config: &Config, state: &State) -> State {
    let core = state.save().expect("it can be saved");
    let mut again = State::load(config, &core).expect("it can be loaded");
    for baseline in state.learned().expect("it can be saved") {
        again.take_up(&baseline).expect("it can be taken up");
    }
    again.resume(None);
    again
}

pub(crate) fn pipeline() -> Pipeline {
    Pipeline {
        name: "checkout".to_owned(),
        stages: ["a", "b", "c"].map(str::to_owned).to_vec(),
        correlate: Correlate::Traceparent,
        deadline_ms: 20_000,
        latency: Some(LatencyObjective { quantile: 0.9, ms: 1_000 }),
        follow: 1.0,
    }
}

pub(crate) fn report(agent: &str, boot: u64, sequence: u64, as_of_ms: i64) -> Report {
    Report {
        version: REPORT_VERSION,
        hash_version: HASH_VERSION,
        agent: agent.to_owned(),
        boot,
        sequence,
        cluster: "c".to_owned(),
        as_of_ms,
        ..Report::default()
    }
}

/// What was read of a pane of `orders`: offsets `[first, next)` of a partition, of which `failed`
/// broke the rule `amount`, with the values `keys` under the rule `ids`.
pub(crate) fn pane(
    rules_hash: u64,
    start_ms: i64,
    partition: i32,
    first: i64,
    next: i64,
    failed: u64,
    keys: &[u64],
) -> Pane {
    let records = next.abs_diff(first);
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    let mut uniqueness = Uniqueness::empty();
    for key in keys {
        match uniqueness.hashes.last() {
            Some(last) if *last == key => *uniqueness.counts.last_mut().unwrap() += 1,
            _ => {
                uniqueness.hashes.push(key);
                uniqueness.counts.push(1);
            }
        }
    }
    let mut summary = PaneSummary {
        read: records,
        examined: records,
        read_bytes: records * 100,
        first_record_ms: start_ms + 1,
        last_record_ms: start_ms + PANE_MS - 1,
        ..PaneSummary::default()
    };
    count_reason(&mut summary.decode_failures, "json", failed);
    let mut delay = checks::report::Histogram::default();
    (0..records).for_each(|i| delay.observe_ns((i + 1) * 1_000_000));
    summary.delay = Some(delay);
    let tally = |rule: &str| RuleTally { rule: rule.to_owned(), checked: records, ..RuleTally::default() };
    summary.rules = vec![
        RuleTally { failed, ..tally("amount") },
        RuleTally { uniqueness: Some(uniqueness), failed: 0, ..tally("ids") },
    ];
    Pane {
        topic: "orders".to_owned(),
        segment: String::new(),
        start_ms,
        end_ms: start_ms + PANE_MS,
        rules_hash,
        ranges: vec![OffsetRange { partition, first, next, records }],
        summary: Some(summary),
    }
}

pub(crate) fn progress(topic: &str, watermark_ms: i64, partition: i32, next: i64) -> TopicProgress {
    TopicProgress {
        topic: topic.to_owned(),
        watermark_ms,
        positions: vec![Position { partition, next }],
        catching_up: false,
        last_record_ms: 0,
    }
}

pub(crate) fn skipped(partition: i32, from: i64, to: i64, reason: &str) -> SkippedRange {
    SkippedRange { topic: "orders".to_owned(), partition, from, to, reason: reason.to_owned() }
}

pub(crate) fn sighting(id: u8, topic: &str, offset: i64, record_ms: i64, arrival_ms: i64) -> Sighting {
    Sighting {
        trace_id: vec![id.wrapping_add(1); 16],
        span_id: vec![7; 8],
        flags: 1,
        topic: topic.to_owned(),
        partition: 0,
        offset,
        record_ms,
        arrival_ms,
    }
}

pub(crate) fn amount() -> Rule {
    use checks::rules::{FieldPath, Step, ValidValues};
    let field = FieldPath { text: "$.amount".to_owned(), steps: vec![Step::Key("amount".to_owned())] };
    let valid = Box::new(ValidValues { min: Some(0.0), ..ValidValues::default() });
    rule("amount", Metric::InvalidValues { field, valid }, Threshold::MustBe(0.0))
}

pub(crate) fn ids() -> Rule {
    use checks::rules::{FieldPath, Step};
    let field = FieldPath { text: "$.id".to_owned(), steps: vec![Step::Key("id".to_owned())] };
    rule("ids", Metric::DuplicateValues { field, with: Vec::new() }, Threshold::MustBe(0.0))
}

pub(crate) fn slo(objective: f64) -> Slo {
    Slo {
        id: "valid".to_owned(),
        good: "amount".to_owned(),
        objective,
        over_ms: 30 * 86_400_000,
        origin: Origin::default(),
    }
}
