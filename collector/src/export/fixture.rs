//! A believable shop, for the tests of everything that is exported: three topics, four groups of
//! which one is slow and one is in trouble, a pipeline that loses traces, and two open findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::pipeline::{Correlate, LatencyObjective, Pipeline};
use checks::report::{
    AgentStats, Bin, DistinctSummary, Example, Exemplar, FieldSummary, Histogram, NumericSummary,
    PaneSummary, ReasonCount, TextSummary, TopSummary, TopValue,
};
use checks::rules::{FieldPath, Metric, Origin, Rule, Severity, Slo, Step, Threshold, Unit, ValidValues};
use checks::verdict::{Status, Verdict};
use serde_json::json;

use crate::cluster::snapshot::{
    Activity, ClusterSnapshot, GroupPartition, GroupSnapshot, GroupType, PartitionOffsets, TopicProgress,
    TopicSnapshot, Unknown, WatchStats,
};
use crate::state::{Mark, NewMark};
use crate::view::{
    AgentView, Amount, CheckView, Contribution, DetectorsView, Explanation, Figure, Finding, FindingSource,
    HopView, IngestStats, Moved, PipelineView, Place, SloView, THIS_FINDING, TopicTotals, TopicView, View,
    WindowView,
};

/// 2026-11-23 09:00:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_424_400_000;

/// Log-normal-like seconds around a median: deterministic.
pub(crate) fn latency(median: f64, spread: f64, count: u64) -> Histogram {
    let mut histogram = Histogram::default();
    for i in 0..count {
        let u = (i as f64 + 0.5) / count as f64;
        let z = (u / (1.0 - u)).ln() / 1.702;
        histogram.observe_ns((median * (spread * z).exp() * 1e9) as u64);
    }
    histogram.offer_exemplar(Exemplar {
        trace_id: vec![
            0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36,
        ],
        seconds: median,
        at_ms: NOW_MS - 1_500,
    });
    histogram
}

fn path(text: &str) -> FieldPath {
    let steps = text.trim_start_matches("$.").split('.').map(|k| Step::Key(k.to_owned())).collect();
    FieldPath { text: text.to_owned(), steps }
}

fn rule(id: &str, metric: Metric, threshold: Threshold, unit: Unit, severity: Severity) -> Arc<Rule> {
    let origin = Origin { file: "checks/orders.yaml".into(), line: 7 };
    let rule = Rule::new(id, metric, Some(threshold));
    Arc::new(Rule { unit, severity, owner: "team-orders".to_owned(), origin, ..rule })
}

fn check(
    rule: Arc<Rule>,
    status: Status,
    value: Option<f64>,
    failed: u64,
    checked: u64,
    message: &str,
) -> CheckView {
    let examples = if status == Status::Fail {
        vec![
            Example { partition: 2, offset: 48_211, value: "$.customer.email is null".to_owned() },
            Example { partition: 5, offset: 47_903, value: "$.customer.email is null".to_owned() },
        ]
    } else {
        Vec::new()
    };
    CheckView {
        rule,
        verdict: Verdict {
            status,
            value,
            interval: value.map(|v| [v * 0.9, v * 1.1]),
            failed: Some(failed),
            checked: Some(checked),
            message: message.to_owned(),
            examples,
            segments: Vec::new(),
            from_ms: NOW_MS - 90_000,
            to_ms: NOW_MS - 30_000,
        },
        since_ms: NOW_MS - 734_000,
        checked_total: checked * 40,
        failed_total: failed * 3,
    }
}

fn numbers(min: f64, max: f64, mean: f64, count: u64) -> NumericSummary {
    let gamma: f64 = 1.01 / 0.99;
    let index = |v: f64| (v.ln() / gamma.ln()).ceil() as i32;
    let (low, high) = (index(min.max(0.01)), index(max));
    let mid = f64::from(index(mean));
    let width = f64::from(high - low) / 5.0;
    let weight = |i: i32| (-((f64::from(i) - mid) / width).powi(2)).exp();
    let total: f64 = (low..=high).map(weight).sum();
    let positive = (low..=high)
        .map(|index| Bin { index, count: (weight(index) / total * count as f64).round() as u64 })
        .filter(|bin| bin.count > 0)
        .collect::<Vec<_>>();
    let count = positive.iter().map(|b| b.count).sum();
    NumericSummary {
        count,
        min,
        max,
        mean,
        m2: count as f64 * (mean / 2.0).powi(2),
        positive,
        ..Default::default()
    }
}

fn top(values: &[(&str, u64)]) -> Option<TopSummary> {
    let mut values: Vec<_> =
        values.iter().map(|(v, n)| TopValue { value: (*v).to_owned(), count: *n, error: 0 }).collect();
    values.sort_by(|a, b| a.value.cmp(&b.value));
    Some(TopSummary { values, floor: 0 })
}

fn distinct(n: u64) -> Option<DistinctSummary> {
    let hashes =
        (1..=n).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect::<std::collections::BTreeSet<_>>();
    Some(DistinctSummary { precision: 12, registers: Vec::new(), hashes: hashes.into_iter().collect() })
}

fn fields() -> Vec<FieldSummary> {
    let n = 4_812;
    let base =
        |path: &str| FieldSummary { path: path.to_owned(), records: n, present: n, ..Default::default() };
    vec![
        FieldSummary {
            number: n,
            numeric: Some(numbers(1.2, 9_840.0, 120.4, n)),
            distinct: distinct(900),
            ..base("$.amount")
        },
        FieldSummary {
            string: n,
            text: Some(TextSummary { count: n, length_min: 2, length_max: 2, length_sum: 2 * n }),
            distinct: distinct(6),
            top: top(&[
                ("DE", 2_010),
                ("FR", 1_100),
                ("NL", 702),
                ("PL", 500),
                ("AT", 300),
                ("\"><script>alert(1)</script>", 200),
            ]),
            ..base("$.country")
        },
        FieldSummary { object: n, ..base("$.customer") },
        FieldSummary {
            present: n - 62,
            null: 981,
            string: n - 62 - 981,
            text: Some(TextSummary {
                count: n - 1_043,
                length_min: 9,
                length_max: 41,
                length_sum: 22 * (n - 1_043),
            }),
            distinct: distinct(1_400),
            top: top(&[]),
            ..base("$.customer.email")
        },
        FieldSummary {
            integer: n,
            numeric: Some(numbers(1.0, 12.0, 3.1, n)),
            distinct: distinct(12),
            top: top(&[("1", 1_480), ("2", 1_210), ("3", 842), ("4", 610), ("5", 402)]),
            ..base("$.items[].quantity")
        },
        FieldSummary {
            string: n,
            distinct: distinct(4),
            top: top(&[("new", 2_400), ("paid", 1_610), ("shipped", 790), ("refnded", 12)]),
            ..base("$.status")
        },
    ]
}

fn topic(read: u64, median_delay: f64, checks: Vec<CheckView>) -> TopicView {
    let count = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
        pairs.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect()
    };
    let summary = PaneSummary {
        read: 4_812,
        examined: 4_812,
        fields: fields(),
        decode_failures: vec![ReasonCount { reason: "not_json".to_owned(), count: 3 }],
        ..PaneSummary::default()
    };
    TopicView {
        totals: TopicTotals {
            read,
            read_bytes: read * 412,
            examined: read - read / 5,
            unexamined: count(&[("sample", read / 5)]),
            skipped: count(&[("catch_up", 1_200)]),
            decode_failures: count(&[("not_json", 31), ("unknown_schema", 2)]),
            schema_checked: read / 2,
            schema_violations: 17,
            ..TopicTotals::default()
        },
        delay: latency(median_delay, 0.6, 2_000),
        checks,
        slos: vec![SloView {
            slo: Arc::new(Slo {
                id: "valid-orders".to_owned(),
                good: "schema-valid".to_owned(),
                objective: 0.999,
                over_ms: 30 * 86_400_000,
                origin: Origin::default(),
            }),
            good_total: read - 17,
            bad_total: 17,
        }],
        window: Some(WindowView {
            from_ms: NOW_MS - 90_000,
            to_ms: NOW_MS - 30_000,
            summary: Arc::new(summary),
        }),
        watermark_ms: Some(NOW_MS - 4_000),
        last_record_ms: Some(NOW_MS - 350),
        rules_differ: false,
        detectors: Some(DetectorsView {
            is_watching: false,
            text: "learning, 3 of 24 h".to_owned(),
            known_ms: 3 * 3_600_000,
            needed_ms: 24 * 3_600_000,
            open: BTreeMap::new(),
        }),
        marks: vec![mark()],
    }
}

/// A known event.
pub(crate) fn mark() -> Mark {
    let what = NewMark {
        topics: vec!["orders".to_owned(), "pay.*".to_owned()],
        from_ms: NOW_MS - 3_600_000,
        to_ms: NOW_MS + 3_600_000,
        note: "Black Friday <b>".to_owned(),
    };
    Mark { id: 7, made_ms: NOW_MS - 7_200_000, what }
}

/// What the collector would publish.
pub(crate) fn view() -> View {
    let email = path("$.customer.email");
    let order_checks = vec![
        check(
            rule(
                "email-present",
                Metric::NullValues { field: email },
                Threshold::MustBeLessThan(2.0),
                Unit::Percent,
                Severity::Error,
            ),
            Status::Fail,
            Some(20.39),
            981,
            4_812,
            "20.39% of 4,812 records have a null $.customer.email, must be less than 2%.",
        ),
        check(
            rule(
                "amount-range",
                Metric::InvalidValues { field: path("$.amount"), valid: Box::new(ValidValues::default()) },
                Threshold::MustBeLessThan(0.1),
                Unit::Percent,
                Severity::Error,
            ),
            Status::Pass,
            Some(0.02),
            1,
            4_812,
            "0.02% of 4,812 values are outside 0 to 100000.",
        ),
        check(
            rule(
                "fresh",
                Metric::Freshness,
                Threshold::MustBeLessThan(300.0),
                Unit::Seconds,
                Severity::Warning,
            ),
            Status::Pass,
            Some(0.4),
            0,
            0,
            "The latest record is 0.4 s old.",
        ),
        check(
            rule(
                "ids-unique",
                Metric::DuplicateValues { field: path("$.id"), with: Vec::new() },
                Threshold::MustBeLessThan(0.01),
                Unit::Percent,
                Severity::Info,
            ),
            Status::Unknown,
            None,
            0,
            0,
            "Nothing examined yet: the first window is still open.",
        ),
    ];
    let stages = ["orders", "payments", "shipments"].map(str::to_owned).to_vec();
    let hop = |from: &str, to: &str, median: f64, spread: f64, n: u64| HopView {
        from: from.to_owned(),
        to: to.to_owned(),
        latency: latency(median, spread, n),
        skewed_total: 0,
    };
    let agent = |alive: bool, age_ms: i64| AgentView {
        last_report_ms: NOW_MS - age_ms,
        as_of_ms: NOW_MS - age_ms,
        alive,
        catching_up: false,
        stats: AgentStats {
            version: "0.1.0".to_owned(),
            memory_bytes: 61 << 20,
            cpu_seconds: 84.2,
            errors: vec![ReasonCount { reason: "registry".to_owned(), count: 2 }],
            ..AgentStats::default()
        },
    };
    View {
        cluster: "prod-eu".to_owned(),
        taken_at_ms: NOW_MS - 400,
        topics: BTreeMap::from([
            ("orders".to_owned(), topic(1_284_110, 0.031, order_checks)),
            ("payments".to_owned(), topic(1_180_431, 0.052, Vec::new())),
            ("shipments".to_owned(), topic(1_101_820, 0.9, Vec::new())),
        ]),
        pipelines: vec![PipelineView {
            pipeline: Arc::new(Pipeline {
                name: "checkout".to_owned(),
                stages,
                correlate: Correlate::Traceparent,
                deadline_ms: 300_000,
                latency: Some(LatencyObjective { quantile: 0.99, ms: 2_000 }),
                follow: 1.0,
            }),
            hops: vec![
                hop("orders", "payments", 0.18, 0.4, 5_000),
                hop("payments", "shipments", 0.62, 0.7, 4_800),
            ],
            whole: hop("orders", "shipments", 0.85, 0.6, 4_800),
            completed_total: 48_120,
            breached_total: 1_204,
            incomplete_total: BTreeMap::from([("payments".to_owned(), 212)]),
            open: 311,
            dropped_total: 0,
            unjudged_total: 9,
        }],
        findings: findings(),
        marks: vec![mark()],
        explanations: BTreeMap::from([("f3a9c1d2".to_owned(), Arc::new(explanation()))]),
        agents: BTreeMap::from([
            ("agent-1".to_owned(), agent(true, 900)),
            ("agent-2".to_owned(), agent(false, 94_000)),
        ]),
        ingest: IngestStats { applied_total: 5_120, duplicate_total: 3, ..IngestStats::default() },
    }
}

/// Of the first finding: a new schema, and what followed from it.
fn explanation() -> Explanation {
    let began_ms = NOW_MS - 745_000;
    let moved = |before_s: i64, place, topic: &str, what: &str, subject: &str, sentence: &str| Moved {
        at_ms: began_ms - before_s * 1_000,
        within_ms: 60_000,
        until_ms: None,
        topic: topic.to_owned(),
        place,
        what: what.to_owned(),
        subject: subject.to_owned(),
        from: Amount::Unknown,
        to: Amount::Unknown,
        unit: String::new(),
        sentence: sentence.to_owned(),
        is_before: before_s > 0,
        finding: None,
    };
    let timeline = vec![
        Moved {
            within_ms: 0,
            from: Amount::Name("11".to_owned()),
            to: Amount::Name("12".to_owned()),
            ..moved(
                64,
                Place::Here,
                "orders",
                "schema",
                "12",
                "first value of orders with schema 12; before: schema 11",
            )
        },
        moved(
            30,
            Place::Upstream,
            "carts",
            "throughput",
            "",
            "carts gets fewer records: 120 a minute; before: 402 a minute",
        ),
        Moved {
            finding: Some("f3a9c1d2".to_owned()),
            ..moved(
                0,
                Place::Here,
                "orders",
                THIS_FINDING,
                "",
                "20.39% of 4,812 records have a null $.customer.email, must be less than 2%.",
            )
        },
        moved(
            -80,
            Place::Here,
            "orders",
            "delay",
            "",
            "records of orders arrive after 4.1 s; before: 0.031 s",
        ),
        Moved {
            finding: Some("0b77e410".to_owned()),
            ..moved(
                -240,
                Place::Downstream,
                "payments",
                "group_lag",
                "billing",
                "group billing<script> is 95 s behind on payments; before: 0.5 s",
            )
        },
    ];
    let part = |name: &str, share, of_all, sentence: &str| Contribution {
        by: "segment".to_owned(),
        name: name.to_owned(),
        share,
        of_all: Some(of_all),
        sentence: sentence.to_owned(),
    };
    let values =
        (0..75u8).map(|i| (i != 20).then(|| f32::from(i % 3) / 300.0 + if i > 48 { 0.2 } else { 0.01 }));
    Explanation {
        as_of_ms: NOW_MS - 2_000,
        is_final: false,
        began_ms,
        summary: "64 s before it began: first value of orders with schema 12; before: schema 11".to_owned(),
        unknown: None,
        timeline,
        left_out: 0,
        contributes: vec![
            part("DE", 0.9, 0.25, "segment DE has 90% of the failures, and 25% of the records"),
            part("<b>FR", 0.07, 0.5, "segment <b>FR has 7% of the failures, and 50% of the records"),
        ],
        figure: Some(Figure {
            name: "null values of $.customer.email · orders".to_owned(),
            unit: "share".to_owned(),
            from_ms: began_ms - 48 * 60_000 - 45_000,
            step_ms: 60_000,
            values: values.collect(),
        }),
    }
}

fn findings() -> Vec<Finding> {
    let base = Finding {
        id: "f3a9c1d2".to_owned(),
        at_ms: NOW_MS - 734_000,
        resolved_ms: None,
        topic: "orders".to_owned(),
        source: FindingSource::Check("email-present".to_owned()),
        severity: Severity::Error,
        status: Status::Fail,
        message: "20.39% of 4,812 records have a null $.customer.email, must be less than 2%.".to_owned(),
        value: Some(20.39),
        expected: "mustBeLessThan 2".to_owned(),
        evidence: BTreeMap::from([
            ("failed".to_owned(), json!(981)),
            ("checked".to_owned(), json!(4_812)),
            ("interval".to_owned(), json!([19.27, 21.55])),
        ]),
        from_ms: NOW_MS - 90_000,
        to_ms: NOW_MS - 30_000,
        examples: vec![
            Example {
                partition: 2,
                offset: 48_211,
                value: "$.customer.email: null in {\"id\":88213,\"customer\":{\"email\":null,…".to_owned(),
            },
            Example {
                partition: 5,
                offset: 47_903,
                value: "$.customer.email: null in {\"id\":87554,\"customer\":{\"email\":null,…".to_owned(),
            },
        ],
    };
    vec![
        base.clone(),
        Finding {
            id: "0b77e410".to_owned(),
            at_ms: NOW_MS - 190_000,
            topic: "checkout".to_owned(),
            source: FindingSource::Detector("lost_traces".to_owned()),
            severity: Severity::Warning,
            message:
                "212 traces entered checkout and were last seen at payments, past the deadline of 5 min."
                    .to_owned(),
            value: Some(212.0),
            expected: "0".to_owned(),
            evidence: BTreeMap::from([("stage".to_owned(), json!("payments"))]),
            examples: Vec::new(),
            ..base.clone()
        },
        Finding {
            id: "77aa0001".to_owned(),
            at_ms: NOW_MS - 7_200_000,
            resolved_ms: Some(NOW_MS - 6_000_000),
            status: Status::Pass,
            source: FindingSource::Check("schema-valid".to_owned()),
            message: "17 of 4,700 documents do not fit schema 12.".to_owned(),
            ..base
        },
    ]
}

/// A group's place in a partition, caught up or behind.
pub(crate) fn at(committed: i64, end: i64, seconds: f64) -> GroupPartition {
    GroupPartition {
        committed: Some(committed),
        start: Some(0),
        end: Some(end),
        stable_end: Some(end),
        lag_records: Some(end - committed),
        stable_lag_records: Some(end - committed),
        lost_records: 0,
        lag_seconds: Some(seconds),
        lag_seconds_error: 0.5,
        unknown: None,
        assigned: true,
    }
}

/// A partition of which nothing is known.
pub(crate) fn unknown(why: Unknown) -> GroupPartition {
    GroupPartition {
        committed: None,
        lag_records: None,
        stable_lag_records: None,
        lag_seconds: None,
        lag_seconds_error: 0.0,
        unknown: Some(why),
        ..at(0, 214_018, 0.0)
    }
}

fn progress(partitions: &[GroupPartition]) -> TopicProgress {
    let caught_up = partitions.iter().all(|p| p.lag_records == Some(0));
    TopicProgress {
        activity: if caught_up { Activity::CaughtUp } else { Activity::Reading },
        consumed_records_total: 1_200,
        consumed_records_per_second: Some(12.5),
        catch_up_seconds: caught_up.then_some(0.0),
        ..TopicProgress::default()
    }
}

/// What the watcher would publish.
pub(crate) fn cluster() -> ClusterSnapshot {
    let topic = |end: i64, rate: f64| TopicSnapshot {
        id: None,
        partitions: (0..6)
            .map(|p| {
                let offsets = PartitionOffsets {
                    start: Some(0),
                    end: Some(end),
                    stable_end: Some(end),
                    read_at_ms: NOW_MS - 3_000,
                    leader: Some(1),
                    replicas: 3,
                    in_sync: if p == 4 { 2 } else { 3 },
                    unread: None,
                };
                (p, offsets)
            })
            .collect(),
        records_total: end as u64 * 6,
        records_per_second: Some(rate),
        ..TopicSnapshot::default()
    };
    let group = |state: &str, members: Option<u32>, topics: Vec<(&str, Vec<GroupPartition>)>| GroupSnapshot {
        group_type: GroupType::Classic,
        state: state.to_owned(),
        protocol: "range".to_owned(),
        members,
        read_at_ms: NOW_MS - 3_000,
        progress: topics.iter().map(|(t, parts)| (*t, Arc::new(progress(parts)))).collect(),
        topics: topics
            .into_iter()
            .map(|(t, parts)| (t.to_owned(), Arc::new((0..).zip(parts).collect())))
            .collect(),
        lag_is_bound: false,
    };
    let caught_up = |end| vec![at(end, end, 0.0); 6];
    ClusterSnapshot {
        cluster: "prod-eu".to_owned(),
        taken_at_ms: NOW_MS - 3_000,
        complete_once: true,
        last_error: None,
        brokers: 3,
        topics: BTreeMap::from([
            ("audit".to_owned(), topic(9_120, 0.4)),
            ("orders".to_owned(), topic(214_018, 81.3)),
            ("payments".to_owned(), topic(196_738, 78.9)),
            ("shipments".to_owned(), topic(183_636, 74.2)),
        ]),
        groups: BTreeMap::from([
            ("billing".to_owned(), group("Stable", Some(3), vec![("payments", caught_up(196_738))])),
            (
                "payment-service".to_owned(),
                GroupSnapshot {
                    group_type: GroupType::Consumer,
                    ..group(
                        "Stable",
                        Some(2),
                        vec![(
                            "orders",
                            (0..6).map(|p| at(212_000 + 300 * p, 214_018, 61.0 - 8.0 * p as f64)).collect(),
                        )],
                    )
                },
            ),
            (
                "warehouse".to_owned(),
                group(
                    "Stable",
                    Some(1),
                    vec![(
                        "shipments",
                        vec![
                            at(120_400, 183_636, 1_512.0),
                            at(121_811, 183_636, 1_490.0),
                            GroupPartition {
                                start: Some(119_000),
                                lost_records: 412,
                                ..at(119_000, 183_636, 1_530.0)
                            },
                            unknown(Unknown::Uncommitted),
                            unknown(Unknown::AheadOfEnd),
                            at(122_000, 183_636, 1_470.0),
                        ],
                    )],
                ),
            ),
            (
                "old-report".to_owned(),
                group("Empty", Some(0), vec![("audit", vec![at(9_000, 9_120, 86_400.0 * 2.3); 6])]),
            ),
        ]),
        stats: WatchStats {
            refreshes_total: 412,
            errors_total: BTreeMap::from([("coordinator".to_owned(), 2)]),
            last_duration_seconds: 0.044,
            last_requests: 14,
            last_bytes: 91_204,
            groups_unreadable: 0,
            topics_unreadable: 0,
            throttled_seconds_total: 0.0,
        },
    }
}
